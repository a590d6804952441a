"""Ordering policies by name, made from a forecast: what a replay compares.

min-max            between the mean and the most that was asked for in a lead time and review, in the past given
safety-stock       mean over lead time and review plus z standard deviations, the textbook's rule
newsvendor         base stock: the critical ratio's quantile of the demand over lead time and review
dynamic-programme  the (s, S) levels of least expected cost
clairvoyant        orders exactly what will be asked for: no policy can be better by much
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy import stats

from serving.inventory.demand_distribution import DemandDistribution, FloatArray
from serving.inventory.dynamic_programming import optimize
from serving.inventory.newsvendor import newsvendor
from serving.inventory.simulator import OrderUpTo, Shop


@dataclass(frozen=True)
class Situation:
    """All that a policy may know.

    Args:
        demand: the forecast.
        shop: terms and stock.
        past: `[n, time]` demand before the forecast; no columns if there is none.
        future: `[n, horizon]` what will be asked for, for the clairvoyant alone.
    """

    demand: DemandDistribution
    shop: Shop
    past: FloatArray
    future: FloatArray

    @property
    def covered(self) -> FloatArray:
        """Days that an order must last: lead time and review interval, `[n]`."""
        return np.asarray(self.shop.terms.lead_time + self.shop.terms.review_every, float)


def min_max(situation: Situation) -> OrderUpTo:
    """Fixed levels from the past."""
    days = situation.covered.astype(int)
    if situation.past.shape[1] < days.max():
        raise ValueError(f"min-max needs {days.max()} days of demand before the forecast")
    usual, most = np.zeros(len(days)), np.zeros(len(days))
    for length in np.unique(days):
        rows = days == length
        sums = window_sums(situation.past[rows], length)[:, : situation.past.shape[1] - length + 1]
        usual[rows], most[rows] = sums.mean(axis=1), sums.max(axis=1)
    return _levels(situation, np.ceil(usual), np.ceil(most))


def safety_stock(situation: Situation) -> OrderUpTo:
    """Mean and z standard deviations, as if demand were normal."""
    terms, days = situation.shop.terms, situation.covered.astype(int)
    covered = situation.demand.sums(days)
    values = np.arange(covered.probability.shape[-1])
    mean = covered.probability @ values
    deviation = np.sqrt(np.maximum(covered.probability @ np.square(values) - np.square(mean), 0.0))
    z = stats.norm.ppf(terms.stockout_cost / np.maximum(terms.stockout_cost + terms.holding_cost, 1e-12))
    level = (mean + z[:, None] * deviation) * covered.width[:, None]
    return OrderUpTo.base_stock(np.ceil(np.maximum(level, 0.0)), terms)


def base_stock(situation: Situation) -> OrderUpTo:
    """The critical ratio's quantile of the forecast over lead time and review."""
    terms = situation.shop.terms
    covered = situation.demand.sums(situation.covered.astype(int))
    return OrderUpTo.base_stock(newsvendor(covered, terms.holding_cost, terms.stockout_cost), terms)


def dynamic_programme(situation: Situation) -> OrderUpTo:
    """The policy of least expected cost."""
    terms, shop = situation.shop.terms, situation.shop
    return OrderUpTo.of(optimize(situation.demand, terms, shop.position), terms)


def clairvoyant(situation: Situation) -> OrderUpTo:
    """Up to what will be asked for until the next order arrives."""
    days = situation.covered.astype(int)
    level = np.zeros_like(situation.future)
    for length in np.unique(days):
        rows = days == length
        level[rows] = window_sums(situation.future[rows], length, after=0.0)
    return OrderUpTo.base_stock(np.ceil(level), situation.shop.terms)


POLICIES: dict[str, Callable[[Situation], OrderUpTo]] = {
    "min-max": min_max,
    "safety-stock": safety_stock,
    "newsvendor": base_stock,
    "dynamic-programme": dynamic_programme,
    "clairvoyant": clairvoyant,
}


def window_sums(values: FloatArray, days: int, after: float | None = None) -> FloatArray:
    """Sums of each day and those after it, `[n, horizon]`.

    Args:
        values: `[n, horizon]`.
        days: in a sum.
        after: value of the days beyond the end; None takes the last day's.
    """
    last = values[:, -1:] if after is None else np.full_like(values[:, -1:], after)
    longer = np.concatenate([values, np.repeat(last, days - 1, axis=1)], axis=1)
    sums = np.cumsum(np.pad(longer, [(0, 0), (1, 0)]), axis=1)
    return np.asarray(sums[:, days:] - sums[:, :-days])


def _levels(situation: Situation, low: FloatArray, high: FloatArray) -> OrderUpTo:
    horizon, terms = situation.future.shape[1], situation.shop.terms
    low, high = (np.repeat(level[:, None], horizon, axis=1) for level in (low, high))
    return OrderUpTo(low, high, terms.least_order, terms.pack.astype(float))
