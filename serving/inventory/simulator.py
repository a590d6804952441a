"""What a policy does, day by day: receipts, sales, what is missing, what spoils, and what it all costs.

A day goes: what was ordered `lead_time` days ago arrives; orders are placed (on review days) from the position, and one
without lead time is there at once; demand takes the oldest units first; what is missing is lost or owed; what is too
old spoils; costs are counted on what is left. All products and demand paths run side by side, a loop goes over the days
only. Nothing is created or lost:

    opening stock + receipts = sales + spoiled + closing stock

where sales of backordered units are counted on the day they leave. Reference: Silver, Pyke and Thomas, 2017, chapter 6.
"""

from dataclasses import dataclass, fields
from typing import Self

import numpy as np
import numpy.typing as npt

from serving.inventory.demand_distribution import FloatArray, IntArray
from serving.inventory.dynamic_programming import Policy, Terms

NO_EXPIRY = 1_000_000_000
CHUNK_CELLS = 16_384
"""Products times paths at a time: what fits into the processor's cache."""


@dataclass(frozen=True)
class OrderUpTo:
    """Order up to S whenever the position is at or below s.

    Args:
        reorder_point: `[n, days]` s, in units.
        order_up_to: `[n, days]` S, in units.
        terms: least orders, packs and capacities of the n products.
        within: whether packs must fit below S; else the last one reaches beyond.
        most: `[n, days]` units of an order at the most; None for no limit.
    """

    reorder_point: FloatArray
    order_up_to: FloatArray
    terms: Terms
    within: bool = False
    most: FloatArray | None = None

    @classmethod
    def base_stock(cls, level: FloatArray, terms: Terms) -> "OrderUpTo":
        """Fill up to the level `[n, days]` every time."""
        return cls(level - 1e-9, level, terms)

    @classmethod
    def of(cls, policy: Policy, terms: Terms) -> "OrderUpTo":
        """The levels that a dynamic programme found."""
        return cls(policy.reorder_point, policy.order_up_to, terms, within=True)

    def take(self, rows: IntArray) -> "OrderUpTo":
        """Some of the products."""
        most = None if self.most is None else self.most[rows]
        return OrderUpTo(self.reorder_point[rows], self.order_up_to[rows], self.terms.take(rows), self.within, most)

    def __call__(self, day: int, position: FloatArray) -> FloatArray:
        """Units to order, `[n, paths]`: whole packs, at least the smallest order, and none that has no room."""
        up_to, pack = self.order_up_to[:, day, None], self.terms.pack[:, None]
        missing = up_to - position if self.most is None else np.minimum(up_to - position, self.most[:, day, None])
        packs = np.floor(missing / pack + 1e-9) if self.within else np.ceil(missing / pack - 1e-9)
        units = np.maximum(packs * pack, self.terms.smallest_order[:, None])
        if np.isfinite(self.terms.capacity).any():
            units = np.minimum(units, np.floor((self.terms.capacity[:, None] - position) / pack) * pack)
            units[units < self.terms.smallest_order[:, None]] = 0.0
        below = (position <= self.reorder_point[:, day, None]) & (missing > 1e-9)
        wanted: FloatArray = np.where(below, units, 0.0)
        return wanted


@dataclass(frozen=True)
class FirstOrder:
    """A given order on the first day, and a policy from then on.

    Args:
        order: `[n]` units.
        then: the policy.
    """

    order: FloatArray
    then: OrderUpTo

    def take(self, rows: IntArray) -> "FirstOrder":
        """Some of the products."""
        return FirstOrder(self.order[rows], self.then.take(rows))

    def __call__(self, day: int, position: FloatArray) -> FloatArray:
        """Units to order, `[n, paths]`."""
        return self.then(day, position) if day else np.repeat(self.order[:, None], position.shape[1], axis=1)


@dataclass(frozen=True)
class Daily:
    """What happened day by day; every array is `[n, paths, days]`, in units.

    Args:
        stock: at the end of the day.
        ordered: on the day.
        missing: lost or owed at the end of the day.
    """

    stock: FloatArray
    ordered: FloatArray
    missing: FloatArray

    @classmethod
    def empty(cls, n: int, paths: int, days: int) -> Self:
        """To be filled."""
        return cls(*(np.zeros((n, paths, days)) for _ in fields(cls)))


@dataclass(frozen=True)
class Outcome:
    """What happened; every array is `[n, paths]`, summed over the days.

    Args:
        sold: units that left the stock, what was owed included.
        demanded: units asked for.
        served: units of the demand that were there on the day.
        lost: units that nobody waited for.
        owed: units still owed after the last day.
        received: units that arrived.
        spoiled: units that became too old.
        opening: units in stock before the first day.
        closing: units in stock after the last day.
        orders: orders placed.
        ordered: units ordered.
        stockout_days: days on which something was missing.
        mean_stock: units in stock at the end of a day, on average.
        holding_cost: money.
        stockout_cost: money.
        order_cost: money of placing orders.
        spoilage_cost: money of the units that spoiled.
        purchase_cost: money of the units ordered.
        daily: the days one by one, where that was asked for.
    """

    sold: FloatArray
    demanded: FloatArray
    served: FloatArray
    lost: FloatArray
    owed: FloatArray
    received: FloatArray
    spoiled: FloatArray
    opening: FloatArray
    closing: FloatArray
    orders: FloatArray
    ordered: FloatArray
    stockout_days: FloatArray
    mean_stock: FloatArray
    holding_cost: FloatArray
    stockout_cost: FloatArray
    order_cost: FloatArray
    spoilage_cost: FloatArray
    purchase_cost: FloatArray
    daily: Daily | None = None

    @property
    def cost(self) -> FloatArray:
        """All that it cost, without the units that were sold, `[n, paths]`."""
        return self.holding_cost + self.stockout_cost + self.order_cost + self.spoilage_cost

    def totals(self) -> dict[str, FloatArray]:
        """The arrays `[n, paths]` by name."""
        return {one.name: getattr(self, one.name) for one in fields(self) if one.name != "daily"}

    def fill_rate(self) -> float:
        """Share of the demand that was served on its day."""
        return float(self.served.sum() / max(self.demanded.sum(), 1e-12))

    def service_level(self, days: int) -> float:
        """Share of the days on which nothing was missing."""
        return 1.0 - float(self.stockout_days.mean() / days)

    def turns(self) -> float:
        """How often the mean stock was sold in the time."""
        return float(self.sold.sum() / max(self.mean_stock.sum(), 1e-12))


@dataclass(frozen=True)
class Shop:
    """What a simulation begins with.

    Args:
        terms: lead times, costs and order sizes, see `dynamic_programming.Terms`.
        on_hand: `[n]` units in stock.
        on_order: `[n]` units that arrive when a lead time is over.
        lost_sales: whether missing units are lost rather than owed.
        shelf_life: `[n]` days from arrival until a unit spoils; None if none does.
    """

    terms: Terms
    on_hand: FloatArray
    on_order: FloatArray
    lost_sales: bool = False
    shelf_life: IntArray | None = None

    @property
    def position(self) -> FloatArray:
        """Units on hand and on order, `[n]`."""
        return self.on_hand + self.on_order

    def take(self, rows: IntArray) -> "Shop":
        """Some of the products."""
        life = None if self.shelf_life is None else self.shelf_life[rows]
        return Shop(self.terms.take(rows), self.on_hand[rows], self.on_order[rows], self.lost_sales, life)


def simulate(demand: FloatArray, shop: Shop, policy: OrderUpTo | FirstOrder, *, keep_days: bool = False) -> Outcome:
    """Run a policy over demand.

    Args:
        demand: `[n, paths, days]` units, not negative.
        shop: where it begins.
        policy: of the n products.
        keep_days: also return every day on its own.
    """
    n, paths, _ = demand.shape
    products = max(CHUNK_CELLS // max(paths, 1), 1)
    outcomes = []
    for begin in range(0, n, products):
        rows = np.arange(begin, min(begin + products, n))
        outcomes.append(_simulate(demand[rows], shop.take(rows), policy.take(rows), keep_days))
    daily = None
    if keep_days:
        kept = [one.daily for one in outcomes]
        daily = Daily(*(np.concatenate([getattr(one, part.name) for one in kept]) for part in fields(Daily)))
    parts = [one.totals() for one in outcomes]
    return Outcome(**{name: np.concatenate([one[name] for one in parts]) for name in parts[0]}, daily=daily)


def _simulate(demand: FloatArray, shop: Shop, policy: OrderUpTo | FirstOrder, keep_days: bool) -> Outcome:
    n, paths, days = demand.shape
    terms, lead = shop.terms, shop.terms.lead_time
    slots = int(lead.max(initial=0)) + 1
    arriving = np.zeros((slots, n, paths))  # by day of arrival, a ring
    place = np.where(lead > 0, lead - 1, 0)  # what is on order has been under way for a day at least
    arriving[place, np.arange(n)] += shop.on_order[:, None]
    stock = np.repeat(shop.on_hand[:, None].astype(float), paths, axis=1)
    on_order = np.repeat(shop.on_order[:, None].astype(float), paths, axis=1)
    ages = _Ages(stock, shop.shelf_life, days) if shop.shelf_life is not None else None
    owed = np.zeros((n, paths))
    names = ("sold", "demanded", "served", "lost", "received", "spoiled", "orders", "ordered", "stockout_days")
    total = {name: np.zeros((n, paths)) for name in names}
    stock_sum, owed_or_lost = np.zeros((n, paths)), np.zeros((n, paths))
    daily = Daily.empty(n, paths, days) if keep_days else None
    opening = stock.copy()
    immediate = np.flatnonzero(lead == 0)
    for day in range(days):
        slot = day % slots
        receipt = arriving[slot].copy()
        arriving[slot] = 0.0
        on_order -= receipt
        order = policy(day, stock + receipt - owed + on_order)
        order[day % terms.review_every != 0] = 0.0
        if immediate.size:
            receipt[immediate] += order[immediate]
        later = order.copy()
        later[immediate] = 0.0
        arriving[(day + lead) % slots, np.arange(n)] += later
        on_order += later
        stock += receipt
        asked = demand[:, :, day]
        wanted = asked + owed
        gone = np.minimum(stock, wanted)
        missing = wanted - gone
        served = np.maximum(gone - owed, 0.0)
        stock -= gone
        spoiled = ages.end_day(receipt, gone) if ages is not None else 0.0
        stock -= spoiled
        total["sold"] += gone
        total["demanded"] += asked
        total["served"] += served
        total["received"] += receipt
        total["spoiled"] += spoiled
        total["orders"] += order > 0
        total["ordered"] += order
        total["stockout_days"] += missing > 0
        owed_or_lost += missing
        if shop.lost_sales:
            total["lost"] += missing
        else:
            owed = missing
        stock_sum += stock
        if daily is not None:
            daily.stock[:, :, day], daily.ordered[:, :, day], daily.missing[:, :, day] = stock, order, missing
    return Outcome(
        **total,
        owed=owed,
        opening=opening,
        closing=stock,
        mean_stock=stock_sum / max(days, 1),
        holding_cost=terms.holding_cost[:, None] * stock_sum,
        stockout_cost=terms.stockout_cost[:, None] * owed_or_lost,
        order_cost=terms.order_cost[:, None] * total["orders"],
        spoilage_cost=terms.unit_cost[:, None] * total["spoiled"],
        purchase_cost=terms.unit_cost[:, None] * total["ordered"],
        daily=daily,
    )


class _Ages:
    """How old the units in stock are; the oldest leave first.

    Args:
        stock: `[n, paths]` fresh units in stock at the beginning.
        shelf_life: `[n]` days.
        days: that will be simulated; what lives longer does not spoil.
    """

    def __init__(self, stock: FloatArray, shelf_life: npt.NDArray[np.integer], days: int):
        self.perishable = shelf_life <= days
        self.longest = int(np.where(self.perishable, shelf_life, 1).max(initial=1))
        self.shelf_life = np.where(self.perishable, shelf_life, self.longest)
        self.by_age = np.zeros((self.longest, *stock.shape))  # age in days since arrival, the last slot and older
        self.by_age[0] = stock

    def end_day(self, receipt: FloatArray, gone: FloatArray) -> FloatArray:
        """Take what left, spoil what is too old, let the rest grow a day older; returns what spoiled, `[n, paths]`."""
        self.by_age[0] += receipt
        rest = gone.copy()
        for age in range(self.longest - 1, -1, -1):  # oldest first
            taken = np.minimum(self.by_age[age], rest)
            self.by_age[age] -= taken
            rest -= taken
        old = np.arange(self.longest)[:, None] >= self.shelf_life[None, :] - 1
        old &= self.perishable[None, :]
        spoiled = (self.by_age * old[:, :, None]).sum(axis=0)
        self.by_age *= ~old[:, :, None]
        older = np.zeros_like(self.by_age)
        older[1:] = self.by_age[:-1]
        older[-1] += self.by_age[-1]
        self.by_age = older
        return np.asarray(spoiled)
