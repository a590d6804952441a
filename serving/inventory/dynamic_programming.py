"""The order policy of least expected cost over a finite horizon, by stochastic dynamic programming.

    V_t(x) = min over y in {x} and x + allowed quantities of  K 1[y > x] + c (y - x) + L_t(y) + γ E[V_(t+1)(y - D_t)]
    L_t(y) = h E[(y - W_t)^+] + p E[(W_t - y)^+],   W_t = D_t + ... + D_(t+lead time)

x is the inventory position (on hand and on order, less what is owed) before ordering, y after it. An order of period t
is there when the demand of period t + lead time begins, so y covers the demand W_t until then; the cost of the days
before that no decision can change. Orders are placed on review days, and none that would arrive after the last period.
Missing units are backordered. V after the last period is `h_T x^+ + p_T x^-`, or by default zero stock value with what
is owed bought at c. The policy is of (s, S) type where quantities are free: order up to S_t when the position is at or
below s_t.

Demand is counted in bins (`demand_distribution`), all products at once: an expectation over demand is a convolution by
FFT. Positions below the grid continue V by the slope -c: there one orders anyway, and every further missing unit is
bought.

Reference: Scarf, "The optimality of (S, s) policies in the dynamic inventory problem", 1960; Snyder and Shen, 2019,
section 4.5; Zipkin, "Foundations of Inventory Management", 2000, section 9.6 (lead times).
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import fft

from serving.inventory.demand_distribution import DemandDistribution, FloatArray, IntArray
from serving.inventory.lot_sizing import economic_order_quantity
from serving.inventory.newsvendor import shortages

CHUNK_CELLS = 1_000_000
"""Cells of one cost table at a time, so that memory stays small whatever the number of products."""
STAYS = 1e-9
"""An order must save more than this, so that equal costs mean no order."""


@dataclass(frozen=True)
class Terms:
    """What products cost and how they may be ordered; every array is `[n]`, money in the currency of the shop.

    Args:
        lead_time: periods from an order to its arrival; 0 arrives before the demand of its own period.
        holding_cost: per unit in stock at the end of a period.
        stockout_cost: per unit owed at the end of a period.
        unit_cost: per unit ordered.
        order_cost: per order, whatever its size.
        least_order: units at least, 0 for none (minimum order quantity).
        pack: orders are multiples of so many units.
        capacity: the position after an order is at most this many units; infinity for no limit.
        review_every: periods between two occasions to order, the first period being one.
        end_holding_cost: per unit in stock after the last period; negative is a value.
        end_stockout_cost: per unit owed after the last period; NaN for the unit's cost.
    """

    lead_time: IntArray
    holding_cost: FloatArray
    stockout_cost: FloatArray
    unit_cost: FloatArray
    order_cost: FloatArray
    least_order: FloatArray
    pack: IntArray
    capacity: FloatArray
    review_every: IntArray
    end_holding_cost: FloatArray
    end_stockout_cost: FloatArray

    @classmethod
    def of(cls, n: int, **given: npt.ArrayLike) -> "Terms":
        """Terms of n products from numbers or arrays; what is not given costs nothing and limits nothing."""
        defaults: dict[str, npt.ArrayLike] = dict.fromkeys(cls.__dataclass_fields__, 0.0)
        defaults |= {"pack": 1, "review_every": 1, "capacity": np.inf, "end_stockout_cost": np.nan}
        arrays = {name: np.broadcast_to(np.asarray(value), (n,)) for name, value in (defaults | given).items()}
        for name in ("lead_time", "pack", "review_every"):
            arrays[name] = arrays[name].astype(np.int64)
        return cls(**arrays)

    @property
    def smallest_order(self) -> FloatArray:
        """Units of the least order that whole packs make, `[n]`."""
        return np.asarray(np.maximum(np.ceil(self.least_order / self.pack), 1) * self.pack, float)

    def take(self, rows: IntArray) -> "Terms":
        """Some of the products."""
        return Terms(**{name: getattr(self, name)[rows] for name in self.__dataclass_fields__})


@dataclass(frozen=True)
class Policy:
    """What to do in every period, in units.

    Args:
        reorder_point: `[n, periods]` the highest position at which one orders; -inf where one never does.
        order_up_to: `[n, periods]` the position that one orders up to from there; from further below as many packs as
            fit, and at least the smallest order.
        order: `[n]` what to order now.
        cost: `[n]` expected cost from now to the end, from the position given.
        menu: `[n, options]` orders of now between nothing and the best one, where they were asked for.
        menu_cost: `[n, options]` expected cost if that one is placed; infinite where it would exceed the capacity.
    """

    reorder_point: FloatArray
    order_up_to: FloatArray
    order: FloatArray
    cost: FloatArray
    menu: FloatArray
    menu_cost: FloatArray


def order_menu(order: FloatArray, terms: Terms, sizes: int) -> FloatArray:
    """Possible orders from nothing to `order` `[n]` in about equal steps of whole packs, `[n, sizes + 1]`."""
    if not sizes:
        return np.zeros((len(order), 0))
    packs = np.floor(order[:, None] / terms.pack[:, None] * np.linspace(0.0, 1.0, sizes + 1))
    menu: FloatArray = packs * terms.pack[:, None]
    menu[:, -1] = order
    return np.where(menu < terms.least_order[:, None], 0.0, menu)


def optimize(
    demand: DemandDistribution,
    terms: Terms,
    position: FloatArray,
    *,
    discount: float = 1.0,
    menu: int = 0,
) -> Policy:
    """The best policy of every product.

    Args:
        demand: `[n, periods, bins]`.
        terms: of the n products.
        position: `[n]` units on hand and on order, less what is owed.
        discount: γ, of a period.
        menu: sizes of an order of now, between nothing and the best one, whose costs are asked for.

    Raises:
        ValueError: if a least order or a pack does not fit into the capacity, or an order arrives too late to matter.
    """
    position = np.asarray(position, float)
    _require_room(terms)
    if (late := np.flatnonzero(terms.lead_time >= demand.probability.shape[1])).size:
        raise ValueError(
            f"product {late[0]}: lead_time={terms.lead_time[late[0]]} is beyond the horizon of "
            f"{demand.probability.shape[1]} periods"
        )
    bins = demand.bins_needed()
    periods = demand.probability.shape[1]
    width = 2 * bins * (terms.lead_time + 2) + np.clip(position / demand.width, 0, bins * periods)
    order = np.argsort(width, kind="stable")  # products of like size are solved together
    cells = np.cumsum((periods * width)[order])
    parts = np.split(order, np.searchsorted(cells, np.arange(CHUNK_CELLS, cells[-1], CHUNK_CELLS)))
    answers = [
        _solve(demand.take(rows, int(bins[rows].max())), terms.take(rows), position[rows], menu, discount)
        for rows in parts
        if len(rows)
    ]
    back = np.argsort(order)
    return Policy(
        **{name: np.concatenate([getattr(one, name) for one in answers])[back] for name in Policy.__dataclass_fields__}
    )


def _require_room(terms: Terms) -> None:
    needed = terms.smallest_order
    if (blocked := np.flatnonzero(needed > terms.capacity)).size:
        row = blocked[0]
        raise ValueError(
            f"product {row}: the smallest order of {needed[row]:g} units does not fit into "
            f"capacity={terms.capacity[row]:g}"
        )


def _solve(demand: DemandDistribution, terms: Terms, position: FloatArray, sizes: int, discount: float) -> Policy:
    """`optimize` of a part that fits into memory."""
    width = demand.width.astype(float)  # [n]
    n, periods, bins = demand.probability.shape
    covered = demand.sums(terms.lead_time + 1)  # W_t
    between = demand.sums(terms.lead_time + terms.review_every)  # demand between two occasions to mend the position
    most = between.quantile(1.0 - 1e-4).max(axis=1) / width  # in bins
    economic, _ = economic_order_quantity(terms.order_cost, np.maximum(terms.holding_cost, 1e-9), demand.mean().mean(1))
    horizon = demand.mean().sum(axis=1)
    lot = np.maximum(np.minimum(economic * 2.0, horizon), np.maximum(terms.least_order, terms.pack)) / width
    below = int(np.ceil(most.max())) + 1  # positions below zero
    enough = (periods + terms.lead_time) * (bins - 1)  # bins that will do whatever the demand
    asked = np.minimum(position / width, enough)
    above = int(np.ceil(np.maximum(most + lot + bins, asked).max()))
    x = np.arange(-below, above + 1)  # [X] in bins
    y = x[None, :] * width[:, None]  # [n, X] units

    cost_now = _period_costs(covered, terms, x)  # [n, periods, X]
    closed = y > np.maximum(terms.capacity, 0.0)[:, None]
    least, pack = _order_steps(terms, demand.width)
    shift = fft.next_fast_len(len(x) + 2 * bins, real=True)
    transformed = fft.rfft(demand.probability, shift, axis=-1)

    owed = np.where(np.isnan(terms.end_stockout_cost), terms.unit_cost, terms.end_stockout_cost)
    value = terms.end_holding_cost[:, None] * np.maximum(y, 0.0) + owed[:, None] * np.maximum(-y, 0.0)
    slope = owed
    points, levels = np.full((n, periods), -np.inf), np.full((n, periods), -np.inf)
    for period in range(periods - 1, -1, -1):
        counts = (period + terms.lead_time < periods)[:, None]
        later = _expected(value, transformed[:, period], bins, width * slope, shift)
        after = np.where(counts, cost_now[:, period], 0.0) + discount * later
        reach = after + terms.unit_cost[:, None] * y
        open_now = counts & (period % terms.review_every == 0)[:, None]
        reach_allowed = np.where(closed | ~open_now, np.inf, reach)
        target = _best_after_order(reach_allowed, least, pack)  # [n, X]
        ordered = terms.order_cost[:, None] + target - terms.unit_cost[:, None] * y
        value = np.minimum(after, ordered)
        orders = ordered < after - STAYS
        any_order = orders.any(axis=1)
        last = len(x) - 1 - orders[:, ::-1].argmax(axis=1)
        points[:, period] = np.where(any_order, x[last] * width, -np.inf)
        free = np.where(terms.least_order > terms.pack, 0, least)  # beyond a least order one fills up to the best
        up_to = _target_at(reach_allowed, last, free, np.where(free, pack, 1))
        levels[:, period] = np.where(any_order, x[up_to] * width, -np.inf)
        slope = np.where(counts[:, 0], terms.unit_cost, slope)
    place = np.clip(np.round(position / width).astype(int) + below, 0, len(x) - 1)
    rows = np.arange(n)
    first = _target_at(reach_allowed, place, least, pack)
    order = _whole_packs(np.where(orders[rows, place], (x[first] - x[place]) * width, 0.0), position, terms)
    menu = order_menu(order, terms, sizes)
    option = np.clip(np.round((position[:, None] + menu) / width[:, None]).astype(int) + below, 0, len(x) - 1)
    chosen = np.where(menu > 0, np.take_along_axis(reach_allowed, option, axis=1), np.take_along_axis(after, option, 1))
    bought = terms.unit_cost * x[place] * width
    menu_cost = chosen + np.where(menu > 0, (terms.order_cost - bought)[:, None], 0.0)
    owed_beyond = np.maximum(x[0] * width - position, 0.0)  # bought in addition
    kept_beyond = np.maximum(position - x[-1] * width, 0.0)  # more than will ever be sold: held to the end
    ages = np.array([np.sum(discount ** np.arange(periods - lead)) for lead in terms.lead_time])
    return Policy(
        reorder_point=points,
        order_up_to=levels,
        order=order + np.ceil(owed_beyond / terms.pack) * terms.pack,
        cost=value[rows, place]
        + owed_beyond * terms.unit_cost
        + kept_beyond * (ages * terms.holding_cost + discount**periods * terms.end_holding_cost),
        menu=menu,
        menu_cost=menu_cost,
    )


def _period_costs(covered: DemandDistribution, terms: Terms, x: IntArray) -> FloatArray:
    """`L_t(y)` for y = x bins, `[n, periods, X]`."""
    bins = covered.probability.shape[-1]
    mean = covered.mean()[..., None]
    width = covered.width[:, None, None]
    inside = np.clip(x, 0, bins - 1)
    short = np.where(x >= bins, 0.0, shortages(covered)[..., inside])
    short = np.where(x < 0, mean - x * width, short)  # [n, periods, X]
    left = x * width - mean + short
    return terms.holding_cost[:, None, None] * left + terms.stockout_cost[:, None, None] * short


def _expected(value: FloatArray, transformed: FloatArray, bins: int, slope: FloatArray, size: int) -> FloatArray:
    """`E[V(y - D)]` for every y, `[n, X]`; below the grid V goes on with `slope` per bin."""
    below = np.arange(bins - 1, 0, -1)[None, :] * slope[:, None] + value[:, :1]
    longer = np.concatenate([below, value], axis=1)  # [n, bins - 1 + X]
    product = fft.irfft(fft.rfft(longer, size, axis=-1) * transformed, size, axis=-1)
    return np.asarray(product[:, bins - 1 : bins - 1 + value.shape[1]])


def _order_steps(terms: Terms, width: IntArray) -> tuple[IntArray, IntArray]:
    """Least order and pack in bins, `[n]` each, at least 1; a width that does not divide a pack is rounded to."""
    pack = np.maximum(np.round(terms.pack / width).astype(np.int64), 1)
    least = np.maximum(np.ceil(terms.least_order / (pack * width)).astype(np.int64), 1) * pack
    return least, pack


def _whole_packs(order: FloatArray, position: FloatArray, terms: Terms) -> FloatArray:
    """Orders of bins as whole packs that there is room for, `[n]`."""
    units = np.maximum(np.round(order / terms.pack) * terms.pack, np.where(order > 0, terms.smallest_order, 0.0))
    units = np.minimum(units, np.floor((terms.capacity - position) / terms.pack + 1e-9) * terms.pack)
    return np.where(units >= terms.smallest_order, units, 0.0)


def _best_after_order(reach: FloatArray, least: IntArray, pack: IntArray) -> FloatArray:
    """`min over j >= 0 of reach(x + least + j pack)` for every x, `[n, X]`."""
    result = np.full_like(reach, np.inf)
    length = reach.shape[1]
    for step in np.unique(pack):
        some = pack == step
        padded = np.full((some.sum(), -(-length // step) * step), np.inf)
        padded[:, :length] = reach[some]
        folded = padded.reshape(len(padded), -1, step)
        lowest = np.flip(np.minimum.accumulate(np.flip(folded, axis=1), axis=1), axis=1)
        result[some] = lowest.reshape(len(padded), -1)[:, :length]
    from_here = np.arange(length)[None, :] + least[:, None]
    shifted = np.take_along_axis(result, np.minimum(from_here, length - 1), axis=1)
    return np.where(from_here < length, shifted, np.inf)


def _target_at(reach: FloatArray, place: IntArray, least: IntArray, pack: IntArray) -> IntArray:
    """The column that an order from column `place` goes up to, `[n]`."""
    column = np.arange(reach.shape[1])[None, :]
    gap = column - place[:, None] - least[:, None]
    allowed = (gap >= 0) & (gap % pack[:, None] == 0)
    cost = np.where(allowed, reach, np.inf)
    best = cost.min(axis=1, keepdims=True)
    target: IntArray = (cost <= best + STAYS * np.maximum(np.abs(best), 1.0)).argmax(axis=1)  # of equal ones the least
    return target
