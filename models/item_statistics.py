"""How people rebuy each item, counted on the training events: what the repeat head knows of an item before it learns.

Small counts are pulled towards the catalogue's mean by `PSEUDO_COUNT` imaginary observations (empirical Bayes), which
also keeps one user's own purchases from showing through.
"""

import math

import numpy as np
import numpy.typing as npt

from models.recommender import TimelinesLike

N_STATISTICS = 4
PSEUDO_COUNT = 10.0


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


def popularity_trend(
    timelines: TimelinesLike, n_items: int, first_day: int, n_weeks: int, half_life_weeks: float = 2.0
) -> npt.NDArray[np.float32]:
    """How much more popular each item was lately than all along, at the beginning of every week.

    Row w counts only events before week w begins, so a question never sees its own week.

    Args:
        timelines: the training events.
        n_items: item vocabulary size.
        first_day: day since 1970-01-01 UTC on which week 0 begins.
        n_weeks: rows of the table.
        half_life_weeks: of the recent popularity.

    Returns:
        `[n_weeks, n_items]`: log of recent over overall share, 0 where nothing is known.
    """
    week = (timelines.time // 86_400 - first_day) // 7  # negative: before the table begins
    known_from = week.clip(-1) + 1  # a week's events are known from the next week on
    counts = np.zeros((n_weeks, n_items))
    inside = known_from < n_weeks
    np.add.at(counts, (known_from[inside], timelines.item[inside]), 1.0)
    recent, overall = np.zeros(n_items), np.zeros(n_items)
    table = np.zeros((n_weeks, n_items), np.float32)
    for row in range(n_weeks):
        recent = recent * 0.5 ** (1.0 / half_life_weeks) + counts[row]
        overall = overall + counts[row]
        smooth = 0.5 / n_items
        shares = [(total / max(total.sum(), 1.0) + smooth) / (1.0 + 0.5) for total in (recent, overall)]
        table[row] = np.log(shares[0] / shares[1]).clip(-math.log(20), math.log(20))
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
