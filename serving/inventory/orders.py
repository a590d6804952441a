"""The orders of today, for all products together.

Every product's order is the first decision of the policy of least expected cost (`dynamic_programming`), of levels
found by simulation where customers do not wait (`lost_sales`), or of the least levels that reach a service level. A
budget and a storage volume cut the orders where that costs least (`allocation`). Units that spoil are ordered only as
far as they are likely to be sold before.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np

from serving.inventory.allocation import Allocation, allocate
from serving.inventory.demand_distribution import DemandDistribution, FloatArray, IntArray, parts
from serving.inventory.dynamic_programming import Terms, optimize, order_menu
from serving.inventory.policies import ServiceTarget, Situation, lost_sales, service_level
from serving.inventory.simulator import FirstOrder, OrderUpTo, Shop, simulate

MENU = 12
"""Sizes of an order between nothing and the best one that a budget may choose from."""
PATHS = 200


@dataclass(frozen=True)
class Orders:
    """What to order today, and how to go on.

    Args:
        order: `[n]` units.
        wanted: `[n]` units, were it not for the limits.
        policy: of this and the following days.
        shared: how the limits were shared; None without one that is too small.
    """

    order: FloatArray
    wanted: FloatArray
    policy: OrderUpTo
    shared: Allocation | None


def find_orders(
    demand: DemandDistribution,
    shop: Shop,
    *,
    target: ServiceTarget | None = None,
    uses: Mapping[str, tuple[FloatArray, float]] | None = None,
) -> Orders:
    """The orders of today.

    Args:
        demand: of the days that are forecast.
        shop: terms and stock of the same products.
        target: a service level instead of the cost of a missing unit.
        uses: of each limit what a unit of a product takes, `[n]`, and how much there is for all orders together.

    Raises:
        allocation.InfeasibleError: if there is less than nothing of a limit.
    """
    uses, n = uses or {}, len(shop.on_hand)
    exact = target is None and not shop.lost_sales
    if exact:
        best = optimize(demand, shop.terms, shop.position, menu=MENU if uses else 0)
        bought = shop.terms.unit_cost * (demand.mean().sum(axis=1) - shop.position)  # in any case, now or in the end
        policy, wanted = OrderUpTo.of(best, shop.terms), best.order
        menu, menu_cost = best.menu, best.menu_cost - bought[:, None]
    else:
        situation = Situation(demand, shop, np.zeros((n, 0)), np.zeros((n, 0)), target)
        policy = lost_sales(situation) if target is None else service_level(situation)
        wanted = policy(0, shop.position[:, None])[:, 0]
    if all(wanted @ each <= limit for each, limit in uses.values()):
        return Orders(wanted, wanted, policy, None)
    if not exact:
        menu = order_menu(wanted, shop.terms, MENU)
        menu_cost = simulated_costs(demand, _as_weighed(shop, target), policy, menu)
    taken = np.stack([menu * each[:, None] for each, _ in uses.values()], axis=-1)  # [n, options, limits]
    shared = allocate(menu_cost, taken, np.array([limit for _, limit in uses.values()]))
    return Orders(menu[np.arange(n), shared.choice], wanted, policy, shared)


def _as_weighed(shop: Shop, target: ServiceTarget | None) -> Shop:
    """The shop by what counts when not all orders fit: for a service level the missing units, each like any other."""
    if target is None:
        return shop
    kept = {
        name: getattr(shop.terms, name) for name in ("lead_time", "least_order", "pack", "capacity", "review_every")
    }
    return replace(shop, terms=replace(Terms.of(len(shop.on_hand), stockout_cost=1.0), **kept))


def simulated_costs(demand: DemandDistribution, shop: Shop, policy: OrderUpTo, menu: FloatArray) -> FloatArray:
    """Mean cost of each order of today on demand that is drawn, followed by the policy, `[n, options]`.

    Args:
        demand: of the days that are forecast.
        shop: terms and stock.
        policy: of the following days.
        menu: `[n, options]` units.
    """

    def costs(rows: IntArray, paths: FloatArray) -> FloatArray:
        some, then = shop.take(rows), policy.take(rows)
        tried = [simulate(paths, some, FirstOrder(order, then)).cost.mean(axis=1) for order in menu[rows].T]
        return np.stack(tried, axis=1)

    return on_paths(demand, costs)


def on_paths(demand: DemandDistribution, function: Callable[[IntArray, FloatArray], FloatArray]) -> FloatArray:
    """Apply a function to rows and demand drawn for them, `[rows, paths, days]`, some products at a time.

    The same products have the same paths in every call.
    """
    generator = np.random.default_rng(0)
    several = parts(len(demand.width))
    return np.concatenate([function(rows, demand.take(rows).sample(PATHS, generator)) for rows in several])


def within_shelf_life(demand: DemandDistribution, shop: Shop) -> tuple[Shop, IntArray]:
    """Limit the position of what spoils to what is likely enough to be sold before.

    The last unit must be asked for within lead time and shelf life with a probability of at least c / (p + c): the
    newsvendor's ratio, where a unit left over costs what was paid for it. Shelf lives of more than twice the days that
    are forecast do not limit.

    Args:
        demand: of the days that are forecast.
        shop: terms, stock and shelf life.

    Returns:
        The shop with capacities, and the rows whose smallest order is more than that: it is what they may order.
    """
    if shop.shelf_life is None:
        return shop, np.zeros(0, np.int64)
    terms, horizon = shop.terms, demand.probability.shape[1]
    rows = np.flatnonzero(shop.shelf_life <= 2 * horizon)
    if not rows.size:
        return shop, rows
    some = terms.take(rows)
    until = demand.take(rows).sums(some.lead_time + shop.shelf_life[rows], starts=1)
    paid = some.unit_cost / np.maximum(some.unit_cost + some.stockout_cost, 1e-12)
    sold = until.quantile(1.0 - paid)[:, 0]
    blocked = rows[sold < some.smallest_order]
    capacity = terms.capacity.astype(float)
    capacity[rows] = np.minimum(capacity[rows], np.maximum(sold, some.smallest_order))
    return replace(shop, terms=replace(terms, capacity=capacity)), blocked
