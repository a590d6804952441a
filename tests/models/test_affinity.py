"""Affinities against plain Python, and what they add to an item's logit."""

import math

import numpy as np
import numpy.testing as npt
import pytest
from hypothesis import given, settings

from data_pipelines.features import Feature, FeatureTable
from models.affinity import START, AttributeAffinity
from models.attributes import attribute_specs
from models.history import read_history
from tests.models.histories import BASKETS, as_arrays
from tests.models.random_two_tower import make_model

KIND = np.array(
    [0, 0, 1, 1, 2, 0, 2], np.int32
)  # items 2 and 3 are of one kind, 4 and 6 of another, of 5 none is known
TAGS = np.array([[0, 0], [0, 0], [1, 2], [2, 0], [0, 0], [1, 0], [0, 0]], np.int32)
ITEMS = FeatureTable(
    np.array([f"item {number}" for number in range(7)]),
    (
        Feature("kind", "categorical", KIND, ("", "tea", "milk")),
        Feature("price", "numeric", np.ones(7, np.float32), ()),
        Feature("tags", "list", TAGS, ("", "new", "old")),
    ),
)
COUNTS = np.array([0, 0, 8, 4, 4, 2, 2])
HALF_LIVES, SMOOTHING = (10.0, 100.0), 5.0


@pytest.fixture(scope="module")
def layer() -> AttributeAffinity:
    layer = AttributeAffinity(attribute_specs(ITEMS), 7, HALF_LIVES, n_outputs=2, smoothing=SMOOTHING)
    layer.build()
    layer.set_table(ITEMS, COUNTS)
    return layer


def affinities(layer: AttributeAffinity, baskets: list) -> list[np.ndarray]:
    inputs = as_arrays([baskets])
    history = read_history(inputs["event_item"], inputs["event_type"], inputs["event_time"], inputs["time"])
    return [np.asarray(values) for values in layer(history)]


def by_hand(baskets: list) -> np.ndarray:
    """The logits of the seven items with all weights at their start."""
    kinds, tags = (dict.fromkeys((1, 2), 0) for _ in range(2))
    for item, count in enumerate(COUNTS):
        kinds[KIND[item]] = kinds.get(KIND[item], 0) + count
        for tag in TAGS[item]:
            tags[tag] = tags.get(tag, 0) + count
    n_values = 1 + 3 + 3
    logits = np.zeros(7)
    for half_life in HALF_LIVES:
        events = [(item, 2 ** (-days / half_life)) for days, items in baskets for item in items]
        total = sum(weight for _, weight in events)

        def affinity(seen: float, common: int, total: float = total) -> float:
            share = (common + 1) / (COUNTS.sum() + n_values)
            return START * math.log((seen + SMOOTHING * share) / (total + SMOOTHING) / share)

        for item in range(2, 7):
            if KIND[item]:
                seen = sum(weight for other, weight in events if KIND[other] == KIND[item])
                logits[item] += affinity(seen, kinds[KIND[item]])
            own = [tag for tag in TAGS[item] if tag]
            for tag in own:
                seen = sum(weight for other, weight in events if tag in TAGS[other])
                logits[item] += affinity(seen, tags[tag]) / len(own)
    return logits


@settings(max_examples=20)
@given(baskets=BASKETS)
def test_affinities_equal_plain_python(layer, baskets):
    for values in affinities(layer, baskets):
        npt.assert_allclose(np.asarray(layer.logits(values))[0], by_hand(baskets), rtol=1e-3, atol=1e-4)


def test_who_takes_tea_is_offered_tea_and_the_rarer_the_kind_the_more():
    # three of the user's four events are of a kind with 12 of everybody's 20
    layer = AttributeAffinity(attribute_specs(ITEMS)[:1], 7, (1e6,), smoothing=1e-6)
    layer.build()
    layer.set_table(ITEMS, COUNTS)
    (values,) = affinities(layer, [(3.0, [2, 2]), (1.0, [2, 5])])
    share = (12 + 1) / (20 + 4)
    expected = START * math.log(3 / 4 / share)
    npt.assert_allclose(np.asarray(layer.logits(values))[0, [2, 3, 5]], [expected, expected, 0.0], rtol=1e-4)


def test_no_history_no_preference(layer):
    for values in affinities(layer, []):
        npt.assert_allclose(layer.logits(values), 0.0, atol=1e-5)


def test_some_items_and_own_items_are_columns_of_all(layer):
    first, second = affinities(layer, [(30.0, [2, 3]), (9.0, [4, 6])])
    assert np.array_equal(first, second)  # the same weights at the start
    everything = np.asarray(layer.logits(first))
    some = np.array([3, 6, 2, 2])
    npt.assert_allclose(layer.logits(first, some), everything[:, some], rtol=1e-5)
    npt.assert_allclose(layer.own_logits(first, some[None]), everything[:, some], rtol=1e-5)


def test_without_attributes_the_model_has_no_affinity():
    plain = FeatureTable(np.array([f"item {number}" for number in range(7)]), ())
    assert make_model(plain).affinity is None
    assert make_model(affinity_half_lives_days=()).affinity is None
    assert make_model().affinity is not None
