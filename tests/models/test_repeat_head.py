"""Pair statistics against plain Python, and what the head makes of them."""

import itertools
import math
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import numpy.testing as npt
from hypothesis import given, settings
from hypothesis import strategies as st

from data_pipelines.schema import FIRST_KNOWN
from models.history import read_history
from models.repeat_head import (
    DECAY_HALF_LIVES_BASKETS,
    DECAY_HALF_LIVES_DAYS,
    PastItems,
    RepeatHead,
    past_items,
)
from tests.models.histories import BASKETS, Basket, as_arrays


def describe(histories: Sequence[Sequence[Basket]], length: int | None = None) -> PastItems:
    inputs = as_arrays(histories, length)
    return past_items(read_history(inputs["event_item"], inputs["event_type"], inputs["event_time"], inputs["time"]))


def by_hand(baskets: Sequence[Basket]) -> dict[int, list[float]]:
    """The statistics of every known item of a history."""
    described = {}
    for item in sorted({item for _, items in baskets for item in items if item >= FIRST_KNOWN}):
        # oldest first: (days ago, baskets since)
        events = [
            (days, len(baskets) - 1 - number)
            for number, (days, items) in enumerate(baskets)
            for other in items
            if other == item
        ]
        count, (first_age, first_basket), (last_age, last_basket) = len(events), events[0], events[-1]
        gaps = [earlier[0] - later[0] for earlier, later in itertools.pairwise(events)]
        usual = sum(math.log1p(gap) for gap in gaps) / max(len(gaps), 1)
        described[item] = [
            math.log1p(count),
            float(count > 1),
            math.log1p(last_age) / 3,
            math.log1p(first_age) / 5,
            math.log1p(last_basket) / 3,
            count / (first_basket + 1),
            count / len(baskets),
            usual / 3,
            math.log1p(last_age) - usual if count > 1 else 0.0,
            math.log1p(len(baskets)) / 4,
            *(math.log1p(sum(2 ** (-age / life) for age, _ in events)) for life in DECAY_HALF_LIVES_DAYS),
            *(math.log1p(sum(2 ** (-basket / life) for _, basket in events)) for life in DECAY_HALF_LIVES_BASKETS),
        ]
    return described


def described(past: PastItems, row: int) -> dict[int, list[float]]:
    items, features = np.asarray(past.item)[row], np.asarray(past.features)[row]
    assert len(set(items[items > 0])) == (items > 0).sum()  # distinct
    return {int(item): values.tolist() for item, values in zip(items, features, strict=True) if item > 0}


def assert_same(actual: dict[int, list[float]], expected: dict[int, list[float]]) -> None:
    assert actual.keys() == expected.keys()
    for item, values in expected.items():
        npt.assert_allclose(actual[item], values, rtol=2e-4, atol=2e-4, err_msg=f"item {item}")


def test_a_weekly_purchase_by_hand():
    # item 4 seven, fourteen and twenty-one days ago, item 3 with the first of them
    statistics = described(describe([[(21.0, [3, 4]), (14.0, [4]), (7.0, [4])]]), 0)
    assert statistics.keys() == {3, 4}
    four, three = statistics[4], statistics[3]
    npt.assert_allclose(four[:2], [math.log(4), 1], rtol=1e-5)  # three times, so more than once
    npt.assert_allclose(four[4:7], [0, 3 / 3, 3 / 3], rtol=1e-5)  # in the last basket; 3 in 3 baskets since and in all
    npt.assert_allclose(four[7], math.log(8) / 3, rtol=1e-5)  # both gaps are seven days
    npt.assert_allclose(four[8], 0, atol=1e-5)  # seven days ago: exactly due
    # half-life 7 days: 1/2 + 1/4 + 1/8
    npt.assert_allclose(four[10], math.log1p(7 / 8), rtol=1e-5)
    npt.assert_allclose(three[:2], [math.log(2), 0], rtol=1e-5)
    npt.assert_allclose(three[4:9], [math.log(3) / 3, 1 / 3, 1 / 3, 0, 0], rtol=1e-5)


@given(st.lists(BASKETS, min_size=1, max_size=3))
def test_random_histories_equal_plain_python(histories):
    past = describe(histories)
    assert np.isfinite(past.features).all()
    for row, baskets in enumerate(histories):
        assert_same(described(past, row), by_hand(baskets))


@settings(max_examples=25)
@given(BASKETS, st.integers(1, 40))
def test_padding_changes_nothing(baskets, padding):
    length = max(1, sum(len(items) for _, items in baskets))
    short, long = described(describe([baskets], length), 0), described(describe([baskets], length + padding), 0)
    assert short.keys() == long.keys()
    for item, values in short.items():
        npt.assert_allclose(long[item], values, rtol=1e-5, atol=1e-6)


@settings(max_examples=25)
@given(BASKETS, st.randoms(use_true_random=False))
def test_the_order_within_a_basket_changes_nothing(baskets, random):
    shuffled = [(days, random.sample(items, len(items))) for days, items in baskets]
    assert_same(described(describe([shuffled]), 0), described(describe([baskets]), 0))


def test_nothing_but_unknown_items_is_no_past_item():
    past = describe([[(3.0, [1, 1]), (1.0, [1])], []])
    assert (np.asarray(past.item) == 0).all()
    assert np.isfinite(past.features).all()


def test_large_item_numbers_stay_apart():
    # neighbours beyond 2^24 would be one item in float32; a catalogue of 10^7 items must not get there
    past = describe([[(2.0, [9_999_998, 9_999_999]), (1.0, [9_999_999])]])
    assert described(past, 0).keys() == {9_999_998, 9_999_999}


# --- the head --------------------------------------------------------------------------------------------------------

Inputs = dict[str, Any]


def make_head(**changed: object) -> tuple[RepeatHead, Inputs]:
    """A head and what it is called with: three histories with 2, 0 and 1 known items."""
    keras.utils.set_random_seed(3)
    head = RepeatHead(**{"n_items": 8, "units": 16, "dropout": 0.5} | changed)
    past = describe([[(3.0, [2, 5]), (1.0, [5])], [], [(9.0, [1, 7, 7])]], length=5)
    rng = np.random.default_rng(0)
    vectors, query, tower = (rng.normal(size=(3, *shape)).astype(np.float32) for shape in ((5, 6), (6,), (5, 2)))
    by_item = np.asarray(head.describe_items(past.item, vectors))
    return head, {"past": past, "query": query, "by_item": by_item, "tower": tower}


def test_logits_only_where_there_is_an_item():
    head, inputs = make_head()
    logits = np.asarray(head(**inputs))
    assert logits.shape == (3, 5, 2)
    present = np.asarray(inputs["past"].item) > 0
    assert present.sum() == 3
    assert (logits[~present] == 0).all()
    assert (logits[present] != 0).all()


def test_everything_that_is_given_has_a_say():
    head, inputs = make_head()
    before = np.asarray(head(**inputs))
    present = np.asarray(inputs["past"].item) > 0
    past: PastItems = inputs["past"]
    for changed in (
        {"query": inputs["query"] + 1},
        {"by_item": inputs["by_item"] + 1},
        {"tower": inputs["tower"] + 1},
        {"past": PastItems(past.item, past.features + 1)},
    ):
        after = np.asarray(head(**inputs | changed))
        assert (after[present] != before[present]).all(), changed.keys()


def test_an_item_is_described_by_its_vector_and_its_statistics():
    head, _ = make_head()
    index, vectors = np.array([3, 4], np.int32), np.ones((2, 6), np.float32)
    same = np.asarray(head.describe_items(index, vectors))
    npt.assert_allclose(same[0], same[1])  # statistics are zero so far
    statistics = np.zeros(head.statistics.shape, np.float32)
    statistics[4] = 1.0
    head.statistics.assign(statistics)
    after = np.asarray(head.describe_items(index, vectors))
    npt.assert_allclose(after[0], same[0])
    assert np.abs(after[1] - same[1]).max() > 1e-3


def test_dropout_only_in_training():
    head, inputs = make_head()
    still = np.asarray(head(**inputs))
    npt.assert_array_equal(np.asarray(head(**inputs)), still)
    assert (np.asarray(head(**inputs, training=True)) != still).any()


def test_config_round_trip():
    head, _ = make_head(units=3)
    copy = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(head))
    assert isinstance(copy, RepeatHead)
    assert copy.get_config() == head.get_config()
    assert (copy.n_items, copy.units, copy.dropout) == (8, 3, 0.5)
