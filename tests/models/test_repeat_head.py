"""Pair statistics against plain Python, and what the head makes of them."""

import math
from collections.abc import Sequence

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
        gaps = [earlier[0] - later[0] for earlier, later in zip(events, events[1:], strict=False)]
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


def make_head(**arguments: object) -> tuple[RepeatHead, PastItems, np.ndarray, np.ndarray]:
    keras.utils.set_random_seed(3)
    head = RepeatHead(**{"n_items": 8, "units": 4, "outputs": 2, "dropout": 0.5} | arguments)
    past = describe([[(3.0, [2, 5]), (1.0, [5])], [], [(9.0, [1, 7, 7])]], length=5)
    rng = np.random.default_rng(0)
    query, vectors = rng.normal(size=(3, 6)).astype(np.float32), rng.normal(size=(3, 5, 6)).astype(np.float32)
    return head, past, query, np.asarray(head.describe_items(past.item, vectors))


def test_logits_only_where_there_is_an_item():
    head, past, query, by_item = make_head()
    logits = np.asarray(head(past, query, by_item))
    assert logits.shape == (3, 5, 2)
    present = np.asarray(past.item) > 0
    assert present.sum() == 3
    assert (logits[~present] == 0).all()
    assert (logits[present] != 0).any(axis=-1).all()


def test_query_item_and_statistics_each_have_a_say():
    head, past, query, by_item = make_head()
    before = np.asarray(head(past, query, by_item))
    present = np.asarray(past.item) > 0
    for changed in (
        head(past, query + 1, by_item),
        head(past, query, by_item + 1),
        head(PastItems(past.item, past.features + 1), query, by_item),
    ):
        assert (np.asarray(changed)[present] != before[present]).all()
    vectors = np.zeros((3, 5, 6), np.float32)
    head.statistics.assign(np.ones(head.statistics.shape))
    assert (np.asarray(head.describe_items(past.item, vectors)) != 0).all()


def test_dropout_only_in_training():
    head, past, query, by_item = make_head()
    still = np.asarray(head(past, query, by_item))
    npt.assert_array_equal(np.asarray(head(past, query, by_item)), still)
    assert (np.asarray(head(past, query, by_item, training=True)) != still).any()


def test_config_round_trip():
    head, *_ = make_head(units=3)
    copy = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(head))
    assert isinstance(copy, RepeatHead)
    assert copy.get_config() == head.get_config()
    assert (copy.n_items, copy.units, copy.outputs, copy.dropout) == (8, 3, 2, 0.5)
