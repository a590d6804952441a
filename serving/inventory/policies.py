"""Ordering policies by name, made from a forecast or from the past alone: what a replay compares.

min-max            between the mean and the most that was asked for in a lead time and review, in the past given
seasonal-naive     last week again, plus z standard deviations of the changes from week to week
safety-stock       mean of the forecast over lead time and review plus z of its standard deviations
newsvendor         base stock: the critical ratio's quantile of the demand that an order must last
dynamic-programme  the (s, S) levels of least expected cost
lost-sales         levels found by simulation for customers who do not wait
service-level      levels that reach a service level, whatever a missing unit costs
clairvoyant        the programme that knows the demand: no policy costs less, if customers wait and nothing spoils

Reference: Silver, Pyke and Thomas, 2017, chapter 6; Axsäter, "Inventory Control", 3rd ed. 2015, chapters 5 and 6.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from scipy import stats

from serving.inventory.demand_distribution import DemandDistribution, FloatArray, IntArray, bin_width, parts
from serving.inventory.dynamic_programming import Terms, optimize
from serving.inventory.lost_sales import optimize_levels
from serving.inventory.lot_sizing import economic_order_quantity
from serving.inventory.newsvendor import fill_rate_level, newsvendor
from serving.inventory.simulator import OrderUpTo, Shop

WEEK, RECENT_DAYS, KNOWN_BINS = 7, 84, 512
ROWS_AT_ONCE = 256
"""Products whose distributions over many days are held at a time."""


@dataclass(frozen=True)
class ServiceTarget:
    """What share of the demand is to be served.

    Args:
        level: above 0 and below 1.
        fill_rate: whether of units; else of the times between two orders in which nothing is missing (cycle service).
    """

    level: float
    fill_rate: bool = False


@dataclass(frozen=True)
class Situation:
    """All that a policy may know.

    Args:
        demand: the forecast.
        shop: terms and stock.
        past: `[n, time]` demand before the forecast; no columns if there is none.
        future: `[n, horizon]` what will be asked for, for the clairvoyant alone.
        target: for the service level alone.
        step_days: of a period.
    """

    demand: DemandDistribution
    shop: Shop
    past: FloatArray
    future: FloatArray
    target: ServiceTarget | None = None
    step_days: int = 1

    @property
    def horizon(self) -> int:
        """Periods that are forecast."""
        return int(self.demand.probability.shape[1])

    @property
    def covered(self) -> IntArray:
        """Days that an order must last: lead time and review interval, `[n]`."""
        return self.shop.terms.lead_time + self.shop.terms.review_every

    def require_past(self, days: int) -> None:
        """Refuse what needs more of the past.

        Raises:
            ValueError: if it is too short.
        """
        if self.past.shape[1] < days:
            raise ValueError(f"needs {days} days of demand before the forecast")


def min_max(situation: Situation) -> OrderUpTo:
    """Fixed levels from the past."""
    days, past = situation.covered, situation.past
    situation.require_past(int(days.max()))
    whole = np.arange(past.shape[1])[None, :] <= past.shape[1] - days[:, None]  # windows that end in the past
    sums = window_sums(past, days)
    usual, most = (np.where(whole, sums, 0).sum(axis=1) / whole.sum(axis=1), np.where(whole, sums, 0).max(axis=1))
    horizon, terms = situation.horizon, situation.shop.terms
    low, high = (np.repeat(np.ceil(level)[:, None], horizon, axis=1) for level in (usual, most))
    return OrderUpTo(low, high, terms)


def seasonal_naive(situation: Situation) -> OrderUpTo:
    """Last week's demand again, and normal safety stock for what it changes from week to week."""
    past, days, horizon = situation.past, situation.covered, situation.horizon
    week = max(WEEK // situation.step_days, 1)
    situation.require_past(2 * week)
    mean = np.tile(past[:, -week:], -(-horizon // week))[:, :horizon]
    recent = past[:, -(RECENT_DAYS // situation.step_days) - week :]
    deviation = np.sqrt(np.square(recent[:, week:] - recent[:, :-week]).mean(axis=1))
    safety = (safety_factor(situation.shop.terms) * deviation * np.sqrt(days))[:, None]
    return _whole(window_sums(mean, days) + safety, situation.shop.terms)


def safety_stock(situation: Situation) -> OrderUpTo:
    """Mean and z standard deviations of the forecast, as if demand were normal."""
    demand, days, terms = situation.demand, situation.covered, situation.shop.terms
    safety = safety_factor(terms)[:, None] * np.sqrt(window_sums(demand.variance(), days))
    return _whole(window_sums(demand.mean(), days) + safety, terms)


def safety_factor(terms: Terms) -> FloatArray:
    """The z of the critical ratio p / (p + h), `[n]`."""
    ratio = terms.stockout_cost / np.maximum(terms.stockout_cost + terms.holding_cost, 1e-12)
    return np.asarray(stats.norm.ppf(np.clip(ratio, 1e-9, 1.0 - 1e-9)))


def base_stock(situation: Situation) -> OrderUpTo:
    """The critical ratio's quantile of the demand that an order must last.

    An order is what there is until the next one arrives: from the end of the lead time on, for the days of a review
    interval. The sum of their costs is least at the quantile of the demand until a day that is each of them with equal
    probability.
    """
    terms = situation.shop.terms

    def levels(rows: IntArray) -> FloatArray:
        some, demand = terms.take(rows), situation.demand.take(rows)
        review = np.minimum(some.review_every, demand.probability.shape[1])
        until_next = demand.mixed_sums(some.lead_time + 1, some.lead_time + review)
        return newsvendor(until_next, some.holding_cost, some.stockout_cost)

    return OrderUpTo.base_stock(_in_parts(levels, len(terms.pack)), terms)


def service_level(situation: Situation) -> OrderUpTo:
    """The least levels that reach the target; where orders cost, by the economic lot more.

    Raises:
        ValueError: if there is no target.
    """
    terms, target = situation.shop.terms, situation.target
    if target is None:
        raise ValueError("needs a target, e.g. --set service_level=0.95")

    def levels(rows: IntArray) -> FloatArray:
        some, demand = terms.take(rows), situation.demand.take(rows)
        covered = demand.sums(some.lead_time + some.review_every)
        if not target.fill_rate:
            return covered.quantile(target.level)
        waiting = demand.sums(np.maximum(some.lead_time, 1))
        waiting.probability[some.lead_time == 0] = np.eye(1, waiting.probability.shape[-1])  # nothing is asked for
        return fill_rate_level(covered, waiting, target.level)

    point = _in_parts(levels, len(terms.pack))
    rate = situation.demand.mean()
    lot, _ = economic_order_quantity(terms.order_cost[:, None], np.maximum(terms.holding_cost, 1e-9)[:, None], rate)
    return OrderUpTo(point - 1e-9, point + np.round(lot), terms)


def dynamic_programme(situation: Situation) -> OrderUpTo:
    """The policy of least expected cost."""
    terms, shop = situation.shop.terms, situation.shop
    return OrderUpTo.of(optimize(situation.demand, terms, shop.position), terms)


def lost_sales(situation: Situation) -> OrderUpTo:
    """Levels for customers who do not wait."""
    return optimize_levels(situation.demand, situation.shop).policy


def clairvoyant(situation: Situation) -> OrderUpTo:
    """The cheapest orders for the demand that will come; of large demand to a five hundredth of the largest."""
    width = bin_width(situation.future.max(axis=1), KNOWN_BINS)
    place = np.round(situation.future / width[:, None]).astype(int)
    certain = DemandDistribution(np.eye(place.max() + 1, dtype=np.float32)[place], width)
    return dynamic_programme(replace(situation, demand=certain))


POLICIES: dict[str, Callable[[Situation], OrderUpTo]] = {
    "min-max": min_max,
    "seasonal-naive": seasonal_naive,
    "safety-stock": safety_stock,
    "newsvendor": base_stock,
    "dynamic-programme": dynamic_programme,
    "lost-sales": lost_sales,
    "service-level": service_level,
    "clairvoyant": clairvoyant,
}


def window_sums(values: FloatArray, days: IntArray | int) -> FloatArray:
    """Sums of each day and those after it, `[n, horizon]`; the last day's value stands for those beyond the end.

    Args:
        values: `[n, horizon]`.
        days: in a sum, `[n]` or one for all.
    """
    n, horizon = values.shape
    count = np.broadcast_to(np.asarray(days), (n,))[:, None]
    longer = np.concatenate([values, np.repeat(values[:, -1:], count.max() - 1, axis=1)], axis=1)
    sums = np.cumsum(np.pad(longer, [(0, 0), (1, 0)]), axis=1)
    return np.asarray(np.take_along_axis(sums, np.arange(horizon) + count, axis=1) - sums[:, :horizon])


def _whole(level: FloatArray, terms: Terms) -> OrderUpTo:
    return OrderUpTo.base_stock(np.ceil(np.maximum(level, 0.0) - 1e-9), terms)


def _in_parts(levels: Callable[[IntArray], FloatArray], n: int) -> FloatArray:
    """Levels of all products from those of some rows."""
    return np.concatenate([levels(rows) for rows in parts(n, ROWS_AT_ONCE)])
