"""Rebuying statistics against plain Python; `make_timelines` takes `{user: [(day, items), …]}`."""

import itertools
import math

import numpy as np
import numpy.testing as npt
from hypothesis import given
from hypothesis import strategies as st

from models.item_statistics import (
    N_STATISTICS,
    PSEUDO_COUNT,
    TREND_HALF_LIVES_WEEKS,
    item_statistics,
    popularity_trend,
)
from tests.models.recommender_contract import Baskets, make_timelines

N_ITEMS = 7
Log = dict[int, Baskets]


def by_hand(log: Log) -> np.ndarray:
    """The four statistics before standardising, item by item."""
    users, rebuyers, rebought, exposed, log_gaps = (np.zeros(N_ITEMS) for _ in range(5))
    for baskets in log.values():
        for item in {item for _, items in baskets for item in items}:
            bought = [(number, day) for number, (day, items) in enumerate(baskets) if item in items]
            users[item] += 1
            rebuyers[item] += len(bought) > 1
            rebought[item] += len(bought) - 1
            exposed[item] += len(baskets) - 1 - bought[0][0]
            log_gaps[item] += sum(
                math.log1p(later - earlier) for (_, earlier), (_, later) in itertools.pairwise(bought)
            )

    def shrunk(total: np.ndarray, observations: np.ndarray, pseudo: float) -> np.ndarray:
        return (total + pseudo * total.sum() / max(observations.sum(), 1)) / (observations + pseudo)

    hazard = shrunk(rebought, exposed, 5 * PSEUDO_COUNT)
    columns = [
        np.log1p(users),
        shrunk(rebuyers, users, PSEUDO_COUNT),
        np.log(hazard + 1e-4),
        shrunk(log_gaps, rebought, PSEUDO_COUNT),
    ]
    return np.stack(columns, axis=1)


def standardised(table: np.ndarray) -> np.ndarray:
    return (table - table.mean(axis=0)) / (table.std(axis=0) + 1e-6)


WEEKLY: Log = {
    2: [(0, [2, 3]), (7, [2]), (14, [2, 4])],
    3: [(0, [2]), (7, [2]), (9, [3])],
    4: [(1, [3]), (2, [4]), (3, [5])],
}


def test_the_reference_by_hand():
    users, share, hazard, gap = by_hand(WEEKLY)[2]
    assert users == math.log(3)  # item 2 has two buyers, and both came back: in all, 2 of 8 buyers
    npt.assert_allclose(share, (2 + 10 * 2 / 8) / 12)
    # taken again 2 + 1 times in 2 + 2 later baskets; over all items 3 times in 4 + 2 + 2 + 0 + … = 3 in 9 baskets:
    # item 3 had two later baskets of user 2, none of user 3 and two of user 4; item 4 none and one
    npt.assert_allclose(hazard, math.log((3 + 50 * 3 / 9) / 54 + 1e-4))
    npt.assert_allclose(gap, math.log(8))  # every gap in the log is one of item 2, and seven days


def test_statistics_equal_plain_python():
    table = item_statistics(make_timelines(WEEKLY, 6), N_ITEMS)
    assert table.shape == (N_ITEMS, N_STATISTICS)
    assert table.dtype == np.float32
    npt.assert_allclose(table, standardised(by_hand(WEEKLY)), rtol=1e-3, atol=1e-4)


DAYS = st.lists(st.integers(0, 60), min_size=1, max_size=6, unique=True).map(sorted)
ITEMS = st.lists(st.integers(1, N_ITEMS - 1), min_size=1, max_size=4)
BASKETS = DAYS.flatmap(lambda days: st.tuples(*(ITEMS.map(lambda items, day=day: (day, items)) for day in days)))


@given(st.dictionaries(st.integers(2, 6), BASKETS, min_size=1, max_size=5))
def test_random_logs_equal_plain_python(log):
    table = item_statistics(make_timelines(log, 7), N_ITEMS)
    assert np.isfinite(table).all()
    npt.assert_allclose(table, standardised(by_hand(log)), rtol=1e-3, atol=1e-3)


def test_the_same_item_twice_in_a_basket_is_one_purchase():
    twice = {user: [(day, [*items, *items]) for day, items in baskets] for user, baskets in WEEKLY.items()}
    npt.assert_array_equal(
        item_statistics(make_timelines(twice, 6), N_ITEMS), item_statistics(make_timelines(WEEKLY, 6), N_ITEMS)
    )


def test_no_event_is_no_difference_between_items():
    table = item_statistics(make_timelines({}, 4), N_ITEMS)
    assert (table == 0).all()


# --- popularity trend ------------------------------------------------------------------------------------------------


def trend_by_hand(log: Log, first_day: int, n_weeks: int, half_life: float) -> np.ndarray:
    """Week by week, from what was known when it began; events before the table count as of the week before it."""
    events = [
        (item, max((day - first_day) // 7, -1)) for baskets in log.values() for day, items in baskets for item in items
    ]
    table = np.zeros((n_weeks, N_ITEMS))
    for week in range(n_weeks):
        recent, overall = np.zeros(N_ITEMS), np.zeros(N_ITEMS)
        for item, happened in events:
            if happened < week:
                recent[item] += 0.5 ** ((week - 1 - happened) / half_life)
                overall[item] += 1
        expected = recent.sum() * overall / max(overall.sum(), 1)
        table[week] = np.log((recent + 0.5) / (expected + 0.5))
    return table


@given(st.dictionaries(st.integers(2, 6), BASKETS, min_size=1, max_size=5), st.integers(0, 20), st.integers(1, 9))
def test_the_trend_equals_plain_python(log, first_day, n_weeks):
    counts = {user: [(day, sorted(items)) for day, items in baskets] for user, baskets in log.items()}
    trend = popularity_trend(make_timelines(counts, 7), N_ITEMS, first_day, n_weeks)
    assert trend.shape == (n_weeks, N_ITEMS, len(TREND_HALF_LIVES_WEEKS))
    for number, half_life in enumerate(TREND_HALF_LIVES_WEEKS):
        by_hand = trend_by_hand(counts, first_day, n_weeks, half_life)
        npt.assert_allclose(trend[..., number], by_hand, rtol=1e-4, atol=1e-4)


def test_a_week_does_not_see_its_own_events():
    # all along item 2, in week 3 (days 21 to 27) suddenly item 3: week 4 is the first to know
    log: Log = {2: [(0, [2]), (7, [2]), (14, [2]), (21, [3]), (27, [3])]}
    trend = popularity_trend(make_timelines(log, 3), N_ITEMS, 0, 6)
    assert (trend[:4, 3] == trend[:4, 4]).all()  # no more known of 3 than of 4, which nobody ever took
    assert (trend[4, 3] > 0).all()
    assert (trend[4, 2] < 0).all()


def test_without_events_there_is_no_trend():
    npt.assert_allclose(popularity_trend(make_timelines({}, 3), N_ITEMS, 0, 3), 0, atol=1e-6)
