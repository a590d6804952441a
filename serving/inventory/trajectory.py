"""How stock will go on under a policy: the mean and the spread of many simulated futures, day by day."""

from dataclasses import dataclass, fields

import numpy as np

from serving.inventory.demand_distribution import DemandDistribution, FloatArray, IntArray
from serving.inventory.orders import on_paths
from serving.inventory.simulator import FirstOrder, OrderUpTo, Shop, simulate

LEVELS = (0.05, 0.25, 0.75, 0.95)


@dataclass(frozen=True)
class Trajectory:
    """What is expected of every day.

    Args:
        order: `[n, days]` mean units ordered.
        stock: `[n, days]` mean units in stock at the end of the day.
        missing: `[n, days]` probability that something is missing then.
        quantiles: `[n, days, 4]` units in stock that are not exceeded with the probabilities `LEVELS`.
        cost: `[n]` mean of holding, missing, ordering and spoiling over all days.
    """

    order: FloatArray
    stock: FloatArray
    missing: FloatArray
    quantiles: FloatArray
    cost: FloatArray

    def take(self, rows: IntArray) -> "Trajectory":
        """Some of the products."""
        return Trajectory(*(getattr(self, one.name)[rows] for one in fields(self)))


def follow(demand: DemandDistribution, shop: Shop, policy: OrderUpTo, order: FloatArray | None = None) -> Trajectory:
    """Simulate the days that are forecast.

    Args:
        demand: of the days.
        shop: terms and stock.
        policy: of the products.
        order: `[n]` units ordered today, if not what the policy says.
    """

    def one(rows: IntArray, paths: FloatArray) -> FloatArray:
        then = policy.take(rows)
        start = then if order is None else FirstOrder(order[rows], then)
        outcome = simulate(paths, shop.take(rows), start, keep_days=True)
        daily, cost = outcome.daily, outcome.cost.mean(axis=1)
        assert daily is not None
        spread = np.quantile(daily.stock, LEVELS, axis=1)
        means = [daily.ordered.mean(axis=1), daily.stock.mean(axis=1), (daily.missing > 0).mean(axis=1)]
        every_day = np.broadcast_to(cost[:, None], means[0].shape)
        return np.concatenate([np.stack([*means, every_day]), spread]).transpose(1, 2, 0)  # [rows, days, 4 + levels]

    found = on_paths(demand, one)
    return Trajectory(found[..., 0], found[..., 1], found[..., 2], found[..., 4:], found[:, 0, 3])
