from collections.abc import Sequence

import numpy as np
import numpy.testing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.history import History, decay, read_history, segment_sum
from tests.models.histories import ASKED_AT, BASKETS, DAY, Basket, as_arrays

# eleven days ago item 5 and twice item 3, two days ago item 3, an hour ago items 4 and 5
BY_HAND = [(11.0, [5, 3, 3]), (2.0, [3]), (1 / 24, [4, 5])]


def read(histories: Sequence[Sequence[Basket]], length: int | None = None) -> History:
    inputs = as_arrays(histories, length)
    return read_history(inputs["event_item"], inputs["event_type"], inputs["event_time"], inputs["time"])


def plain(values: object) -> list:
    return np.asarray(values).tolist()


def test_ages_and_baskets_by_hand():
    history = read([BY_HAND, []], length=8)
    assert plain(history.n_baskets) == [3, 0]
    assert plain(history.mask[0]) == [True] * 6 + [False] * 2
    assert plain(history.basket) == [[2, 2, 2, 1, 0, 0, 0, 0], [0] * 8]  # baskets that came after
    npt.assert_allclose(history.age_days[0], [11, 11, 11, 2, 1 / 24, 1 / 24, 0, 0], rtol=1e-6)
    assert plain(history.age_days[1]) == [0.0] * 8


def test_ages_keep_seconds_apart_after_decades():
    # float32 seconds since 1970 would round by 128 s
    item = np.array([[2, 2]], np.int32)
    time = np.array([[ASKED_AT - 2, ASKED_AT - 1]])
    history = read_history(item, item, time, np.array([ASKED_AT]))
    npt.assert_allclose(np.asarray(history.age_days[0]) * DAY, [2, 1], rtol=1e-5)
    assert plain(history.n_baskets) == [2]


def test_an_event_after_the_request_has_age_zero():
    item = np.array([[2]], np.int32)
    history = read_history(item, item, np.array([[ASKED_AT + 99]]), np.array([ASKED_AT]))
    assert plain(history.age_days) == [[0.0]]


def test_an_unknown_item_is_an_event():
    history = read([[(1.0, [1])]])
    assert plain(history.mask) == [[True]]
    assert plain(history.n_baskets) == [1]


@pytest.mark.parametrize(
    ("count", "items"), [(1, [5]), (3, [3, 4, 5]), (6, [5, 3, 3, 3, 4, 5]), (9, [5, 3, 3, 3, 4, 5])]
)
def test_the_last_events(count, items):
    last = read([BY_HAND, [(3.0, [6])], []], length=8).last(count)
    width = min(count, 8)
    assert plain(last.item) == [items + [0] * (width - len(items)), [6] + [0] * (width - 1), [0] * width]
    assert plain(last.mask) == [[item > 0 for item in row] for row in plain(last.item)]
    assert plain(last.n_baskets) == [3, 1, 0]  # of the whole history
    real = np.asarray(last.mask)
    assert (np.asarray(last.event_type)[~real] == 0).all()
    assert plain(last.event_type)[0][: len(items)] == [2 + item % 2 for item in items]
    assert plain(last.basket)[0][: len(items)] == [2, 2, 2, 1, 0, 0][-len(items) :]
    npt.assert_allclose(
        np.asarray(last.age_days)[0, : len(items)], [11, 11, 11, 2, 1 / 24, 1 / 24][-len(items) :], rtol=1e-6
    )


@given(st.lists(BASKETS, min_size=1, max_size=3), st.integers(0, 5))
def test_random_histories_equal_plain_python(histories, padding):
    longest = max(1, *(sum(len(items) for _, items in baskets) for baskets in histories))
    history = read(histories, longest + padding)
    for row, baskets in enumerate(histories):
        ages = [days for days, items in baskets for _ in items]
        back = [len(baskets) - 1 - number for number, (_, items) in enumerate(baskets) for _ in items]
        rest = [0] * (longest + padding - len(ages))
        assert plain(history.n_baskets)[row] == len(baskets)
        assert plain(history.basket)[row] == back + rest
        npt.assert_allclose(history.age_days[row], ages + rest, rtol=1e-6, atol=1e-9)
        assert plain(history.mask)[row] == [True] * len(ages) + [False] * len(rest)


@given(st.integers(1, 4), st.integers(1, 6), st.integers(1, 3), st.integers(1, 5), st.integers(0, 99))
def test_segment_sum_equals_a_loop(batch, length, dim, n_segments, seed):
    rng = np.random.default_rng(seed)
    values = rng.normal(size=(batch, length, dim)).astype(np.float32)
    segment = rng.integers(0, n_segments, (batch, length)).astype(np.int32)
    expected = np.zeros((batch, n_segments, dim), np.float32)
    for row in range(batch):
        for position in range(length):
            expected[row, segment[row, position]] += values[row, position]
    npt.assert_allclose(segment_sum(values, segment, n_segments), expected, rtol=1e-5, atol=1e-6)


def test_decay_halves_with_every_half_life():
    expected = [[[1, 1], [0.5, 2**-0.25], [2**-4, 0.5]]]
    npt.assert_allclose(decay(np.float32([[0, 7, 28]]), (7.0, 28.0)), expected, rtol=1e-6)
