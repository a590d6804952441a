"""Order-up-to levels where a customer who finds nothing goes elsewhere, found by simulation.

With lost sales and a lead time the best policy depends on everything that is under way, and is out of reach; a policy
that orders up to a level is near it when a shortage is dear or a lead time short. The level that a backorder model
would choose is too high, because nobody waits for what is missing: here levels between none and that one are tried on
demand paths, the same ones for each, and the cheapest is kept.

How good that is, a bound says: lost sales at p a unit cost no less than backorders at p / (L + 1) in the best policy.

Reference: Janakiraman, Seshadri and Shanthikumar, "A comparison of the optimal costs of two canonical inventory
systems", Operations Research 2007; Bijvank and Vis, "Lost-sales inventory theory: a review", EJOR 2011.
"""

from dataclasses import dataclass, replace

import numpy as np

from serving.inventory.demand_distribution import DemandDistribution, FloatArray
from serving.inventory.dynamic_programming import Terms, optimize
from serving.inventory.simulator import OrderUpTo, Shop, simulate

SHARES = np.linspace(0.0, 1.1, 12)
"""Of the backorder model's levels, tried first; then finer ones around the best."""
PATHS, ROWS_AT_ONCE = 200, 2048


@dataclass(frozen=True)
class LostSalesLevels:
    """What was found.

    Args:
        policy: of the products.
        cost: `[n]` expected cost of holding, lost sales and orders over the horizon, from simulation.
        bound: `[n]` no policy costs less on average.
    """

    policy: OrderUpTo
    cost: FloatArray
    bound: FloatArray

    @property
    def gap(self) -> float:
        """What a perfect policy could save at most, as a share of the cost of all products."""
        return float(1.0 - self.bound.sum() / max(self.cost.sum(), 1e-12))


def optimize_levels(demand: DemandDistribution, shop: Shop, *, paths: int = PATHS, seed: int = 0) -> LostSalesLevels:
    """Find a share of the backorder policy's levels for every product.

    Args:
        demand: of the products.
        shop: terms and stock; missing units are lost whatever it says.
        paths: to try levels on.
        seed: of the paths.
    """
    shop = replace(shop, lost_sales=True)
    n, horizon, _ = demand.probability.shape
    levels, cost, bound = np.zeros((2, n, horizon)), np.zeros(n), np.zeros(n)
    generator = np.random.default_rng(seed)
    for rows in np.array_split(np.arange(n), -(-n // ROWS_AT_ONCE)):
        some, part = demand.take(rows), shop.take(rows)
        sample = some.sample(paths, generator)
        policy, cost[rows] = _search(some, part, sample)
        levels[0, rows], levels[1, rows] = policy.reorder_point, policy.order_up_to
        bound[rows] = _bound(some, part, sample)
    return LostSalesLevels(OrderUpTo(levels[0], levels[1], shop.terms), cost, bound)


def _search(demand: DemandDistribution, shop: Shop, sample: FloatArray) -> tuple[OrderUpTo, FloatArray]:
    """The best shares on the paths, and their cost `[n]`."""
    backorders = optimize(demand, shop.terms, shop.position)

    def policy(share: FloatArray) -> OrderUpTo:
        return scaled(backorders.reorder_point, backorders.order_up_to, share, shop.terms)

    def cost(share: FloatArray) -> FloatArray:
        return np.asarray(simulate(sample, shop, policy(share)).cost.mean(axis=1))

    n = len(shop.on_hand)
    table = np.stack([cost(np.full(n, share)) for share in SHARES])  # [shares, n]
    best, least = SHARES[table.argmin(axis=0)], table.min(axis=0)
    step = SHARES[1] - SHARES[0]
    for finer in (-0.5, 0.5, -0.25, 0.25):
        share = np.clip(best + finer * step, 0.0, None)
        found = cost(share)
        best, least = np.where(found < least, share, best), np.minimum(found, least)
    return policy(best), least


def scaled(reorder_point: FloatArray, order_up_to: FloatArray, share: FloatArray, terms: Terms) -> OrderUpTo:
    """An (s, S) policy with levels of a share `[n]` of given ones, in whole units; order sizes stay."""
    target = np.where(np.isfinite(order_up_to), order_up_to, 0.0)
    lot = np.where(np.isfinite(reorder_point), target - reorder_point, np.inf)
    level = np.round(target * share[:, None])
    return OrderUpTo(level - lot, level, terms)


def _bound(demand: DemandDistribution, shop: Shop, sample: FloatArray) -> FloatArray:
    """Cost on the same paths of the best policy if a missing unit is owed, at a share of the cost, `[n]`."""
    nothing = np.zeros(len(shop.on_hand))
    patient = replace(
        shop.terms,
        stockout_cost=shop.terms.stockout_cost / (shop.terms.lead_time + 1),
        unit_cost=nothing,
        end_stockout_cost=nothing,
    )
    policy = OrderUpTo.of(optimize(demand, patient, shop.position), patient)
    return np.asarray(simulate(sample, replace(shop, terms=patient, lost_sales=False), policy).cost.mean(axis=1))
