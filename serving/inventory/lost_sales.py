"""Ordering where a customer who finds nothing goes elsewhere: capped order-up-to levels, found by simulation.

With lost sales and a lead time the best policy depends on everything that is under way, and is out of reach. Levels to
order up to are near it when a shortage is dear or a lead time short, a constant order when a lead time is long; orders
up to a level but of no more than a cap are near it in both cases. The levels that a backorder model would choose are
too high, because nobody waits for what is missing, and after a shortage they order for customers who have left. Here
shares of these levels, and caps, are tried on demand paths, the same ones for each, and the cheapest are kept.

How good that is, a bound says: lost sales at p a unit cost no less than backorders at p / (L + R) in the best policy.

Reference: Xin, "Understanding the performance of capped base-stock policies in lost-sales inventory models", Operations
Research 2021; Janakiraman, Seshadri and Shanthikumar, "A comparison of the optimal costs of two canonical inventory
systems", Operations Research 2007; Bijvank and Vis, "Lost-sales inventory theory: a review", EJOR 2011.
"""

from dataclasses import dataclass, replace

import numpy as np

from serving.inventory.demand_distribution import DemandDistribution, FloatArray, parts
from serving.inventory.dynamic_programming import Policy, Terms, optimize
from serving.inventory.simulator import OrderUpTo, Shop, simulate

SHARES = np.linspace(0.0, 1.1, 12)
"""Of the backorder model's levels, tried first; then finer ones around the best."""
CAPS = (np.inf, 3.0, 2.0, 1.5, 1.25, 1.0)
"""Orders at the most, in expected demand of a review interval."""
PATHS = 200


@dataclass(frozen=True)
class LostSalesLevels:
    """What was found.

    Args:
        policy: of the products.
        cost: `[n]` expected cost of holding, lost sales, orders and spoilage over the horizon, from simulation.
    """

    policy: OrderUpTo
    cost: FloatArray


def optimize_levels(demand: DemandDistribution, shop: Shop, *, paths: int = PATHS, seed: int = 0) -> LostSalesLevels:
    """Find a share of the backorder policy's levels, and a cap, for every product.

    Args:
        demand: of the products.
        shop: terms and stock; missing units are lost whatever it says.
        paths: to try levels on.
        seed: of the paths.
    """
    shop = replace(shop, lost_sales=True)
    n, horizon, _ = demand.probability.shape
    found, cost = np.zeros((3, n, horizon)), np.zeros(n)
    generator = np.random.default_rng(seed)
    for rows in parts(n):
        some = demand.take(rows)
        policy, cost[rows] = _search(some, shop.take(rows), some.sample(paths, generator))
        found[:, rows] = policy.reorder_point, policy.order_up_to, policy.most
    return LostSalesLevels(OrderUpTo(found[0], found[1], shop.terms, within=True, most=found[2]), cost)


def _search(demand: DemandDistribution, shop: Shop, sample: FloatArray) -> tuple[OrderUpTo, FloatArray]:
    """The best shares and caps on the paths, and their cost `[n]`."""
    backorders = optimize(demand, shop.terms, shop.position)
    review = demand.mean() * shop.terms.review_every[:, None]
    n = len(shop.on_hand)
    share, cap = np.ones(n), np.full(n, np.inf)
    least = np.full(n, np.inf)

    def policy(share: FloatArray, cap: FloatArray) -> OrderUpTo:
        most = np.where(
            np.isfinite(cap[:, None]), np.ceil(review * np.where(np.isfinite(cap), cap, 1.0)[:, None]), np.inf
        )
        return replace(scaled(backorders, share, shop.terms), most=most)

    def attempt(shares: FloatArray, caps: FloatArray) -> None:
        nonlocal share, cap, least
        cost = simulate(sample, shop, policy(shares, caps)).cost.mean(axis=1)
        better = cost < least
        share, cap, least = np.where(better, shares, share), np.where(better, caps, cap), np.minimum(cost, least)

    for one in SHARES:
        attempt(np.full(n, one), cap)
    coarse, step = share.copy(), SHARES[1] - SHARES[0]
    for one in CAPS[1:]:
        for finer in (0.0, 1.0, 2.0):  # a cap is in the way of high levels: with it they may be higher
            attempt(coarse + finer * step, np.full(n, one))
    coarse = share.copy()
    for finer in (-0.5, 0.5, -0.25, 0.25):
        attempt(np.maximum(coarse + finer * step, 0.0), cap.copy())
    return policy(share, cap), least


def scaled(backorders: Policy, share: FloatArray, terms: Terms) -> OrderUpTo:
    """An (s, S) policy with levels of a share `[n]` of given ones, in whole units; order sizes stay."""
    target = np.where(np.isfinite(backorders.order_up_to), backorders.order_up_to, 0.0)
    lot = np.where(np.isfinite(backorders.reorder_point), target - backorders.reorder_point, np.inf)
    level = np.round(target * share[:, None])
    return OrderUpTo(level - lot, level, terms, within=True)


def lower_bound(demand: DemandDistribution, shop: Shop, *, paths: int = PATHS, seed: int = 0) -> FloatArray:
    """What no policy costs less than on average if nothing spoils, `[n]`: its backorder model without order costs.

    Args:
        demand: of the products.
        shop: terms and stock.
        paths: that the cost is the mean of.
        seed: of the paths.
    """
    terms, n = shop.terms, len(shop.on_hand)
    patient = Terms.of(
        n,
        lead_time=terms.lead_time,
        review_every=terms.review_every,
        holding_cost=terms.holding_cost,
        stockout_cost=terms.stockout_cost / (terms.lead_time + terms.review_every),
        end_stockout_cost=0.0,
    )
    sample = demand.sample(paths, np.random.default_rng(seed))
    policy = OrderUpTo.of(optimize(demand, patient, shop.position), patient)
    return np.asarray(simulate(sample, Shop(patient, shop.on_hand, shop.on_order), policy).cost.mean(axis=1))
