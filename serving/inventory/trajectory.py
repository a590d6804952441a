"""How stock will go on under a policy: the mean and the spread of many simulated futures, day by day."""

from dataclasses import dataclass

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
    """

    order: FloatArray
    stock: FloatArray
    missing: FloatArray
    quantiles: FloatArray

    def take(self, rows: IntArray) -> "Trajectory":
        """Some of the products."""
        return Trajectory(self.order[rows], self.stock[rows], self.missing[rows], self.quantiles[rows])


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
        daily = simulate(
            paths, shop.take(rows), then if order is None else FirstOrder(order[rows], then), keep_days=True
        ).daily
        assert daily is not None
        spread = np.quantile(daily.stock, LEVELS, axis=1)
        means = np.stack([daily.ordered.mean(axis=1), daily.stock.mean(axis=1), (daily.missing > 0).mean(axis=1)])
        return np.concatenate([means, spread]).transpose(1, 2, 0)  # [rows, days, 3 + levels]

    found = on_paths(demand, one)
    return Trajectory(found[..., 0], found[..., 1], found[..., 2], found[..., 3:])
