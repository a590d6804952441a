"""How people rebuy each item, counted on the training events: what the repeat head knows of an item before it learns.

Small counts are pulled towards the catalogue's mean by `PSEUDO_COUNT` imaginary observations (empirical Bayes), which
also keeps one user's own purchases from showing through.
"""

import numpy as np
import numpy.typing as npt

from models.recommender import TimelinesLike

N_STATISTICS = 4
PSEUDO_COUNT = 10.0
TREND_HALF_LIVES_WEEKS = (1.0, 4.0, 13.0)
TREND_PSEUDO_COUNT = 0.5


def item_statistics(timelines: TimelinesLike, n_items: int) -> npt.NDArray[np.float32]:
    """Count rebuying per item.

    Args:
        timelines: the training events.
        n_items: item vocabulary size.

    Returns:
        `[n_items, N_STATISTICS]`: log users; share of its buyers who bought it again; log odds that a basket after
        the first purchase holds it again; mean log(1 + days) between purchases. Standardised over the items.
    """
    user, item = timelines.user.astype(np.int64), timelines.item.astype(np.int64)
    basket = _basket_number(timelines)
    order = np.lexsort((basket, user * n_items + item))
    pair, basket, day = (user * n_items + item)[order], basket[order], timelines.time[order] / 86_400
    again = np.zeros(len(pair), bool)
    again[1:] = pair[1:] == pair[:-1]
    fresh = np.ones(len(pair), bool)
    fresh[1:] = ~again[1:] | (basket[1:] != basket[:-1])  # one purchase per basket
    pair, basket, day, again = pair[fresh], basket[fresh], day[fresh], again[fresh]
    bought = pair % n_items
    last_basket = np.concatenate([[0], _basket_number(timelines)])[timelines.offsets[1:]][pair // n_items]

    def count(weights: npt.NDArray[np.generic], where: npt.NDArray[np.bool_]) -> npt.NDArray[np.float64]:
        return np.bincount(bought[where], np.broadcast_to(weights, bought.shape)[where], n_items).astype(np.float64)

    ones = np.ones(len(pair))
    users = count(ones, ~again)
    second = again & ~np.concatenate([[False], again[:-1]])
    rebuyers, rebought = count(ones, second), count(ones, again)
    exposed = count(last_basket - basket, ~again)  # the user's baskets after the first purchase
    log_gap = count(np.log1p(np.diff(day, prepend=0.0).clip(0.0)), again)
    hazard = _shrunk(rebought, exposed, PSEUDO_COUNT * 5)
    columns = [
        np.log1p(users),
        _shrunk(rebuyers, users, PSEUDO_COUNT),
        np.log(hazard + 1e-4),
        _shrunk(log_gap, rebought, PSEUDO_COUNT),
    ]
    table = np.stack(columns, axis=1)
    return ((table - table.mean(axis=0)) / (table.std(axis=0) + 1e-6)).astype(np.float32)


def popularity_trend(timelines: TimelinesLike, n_items: int, first_day: int, n_weeks: int) -> npt.NDArray[np.float32]:
    """How much more popular each item was lately than all along, at the beginning of every week.

        trend = log( (recent + k) / (share * total + k) )

    with the item's and all items' decayed events `recent` and `total`, the item's share of all events so far, and k
    imaginary events, which leave what is too rare to tell at 0. Row w counts only events before week w begins, so a
    question never sees its own week.

    Args:
        timelines: the training events.
        n_items: item vocabulary size.
        first_day: day since 1970-01-01 UTC on which week 0 begins.
        n_weeks: rows of the table.

    Returns:
        `[n_weeks, n_items, len(TREND_HALF_LIVES_WEEKS)]`.
    """
    week = (timelines.time // 86_400 - first_day) // 7  # negative: before the table begins
    known_from = week.clip(-1) + 1  # a week's events are known from the next week on
    inside = known_from < n_weeks
    cell = known_from[inside] * n_items + timelines.item[inside]
    counts = np.bincount(cell, minlength=n_weeks * n_items).reshape(n_weeks, n_items)
    decay = 0.5 ** (1.0 / np.array(TREND_HALF_LIVES_WEEKS))[:, None]
    recent, overall = np.zeros((len(decay), n_items)), np.zeros(n_items)
    table = np.zeros((n_weeks, n_items, len(decay)), np.float32)
    for row in range(n_weeks):
        recent = recent * decay + counts[row]
        overall = overall + counts[row]
        expected = recent.sum(axis=1, keepdims=True) * overall / max(overall.sum(), 1.0)
        table[row] = np.log((recent + TREND_PSEUDO_COUNT) / (expected + TREND_PSEUDO_COUNT)).T
    return table


def _basket_number(timelines: TimelinesLike) -> npt.NDArray[np.int64]:
    """Number of each event's basket over all users, from 1, `[n_events]`."""
    user, starts = timelines.user, np.ones(len(timelines.item), np.int64)
    starts[1:] = (user[1:] != user[:-1]) | (timelines.time[1:] != timelines.time[:-1])
    return np.cumsum(starts)


def _shrunk(
    total: npt.NDArray[np.float64], observations: npt.NDArray[np.float64], pseudo_count: float
) -> npt.NDArray[np.float64]:
    """Mean per item, pulled towards the overall mean."""
    overall = total.sum() / max(observations.sum(), 1.0)
    return (total + pseudo_count * overall) / (observations + pseudo_count)
