"""When and how much to order if demand is known: economic order quantity and Wagner-Whitin.

EOQ:           Q = sqrt(2 K λ / h),   cost per time sqrt(2 K λ h)
Wagner-Whitin: C(t) = min over s >= t of  K + h Σ_(u = t..s) (u - t) d_u + C(s + 1)

K is the cost of placing an order, h that of holding a unit for a period, λ the demand per time. Reference: Harris,
1913; Wagner and Whitin, "Dynamic version of the economic lot size model", 1958; Snyder and Shen, 2019, sections 3.2 and
3.7.
"""

from dataclasses import dataclass

import numpy as np

from serving.inventory.demand_distribution import FloatArray


@dataclass(frozen=True)
class LotSizes:
    """A plan for known demand.

    Args:
        order: `[n, periods]` units ordered in each period.
        cost: `[n]` of ordering and holding.
    """

    order: FloatArray
    cost: FloatArray


def economic_order_quantity(
    order_cost: FloatArray | float, holding_cost: FloatArray | float, demand_rate: FloatArray | float
) -> tuple[FloatArray, FloatArray]:
    """Best order quantity for steady demand, and its cost per unit of time.

    >>> quantity, cost = economic_order_quantity(8, 0.225, 1300)  # Snyder and Shen, example 3.1
    >>> round(float(quantity), 1), round(float(cost), 2)
    (304.1, 68.41)
    """
    product = 2.0 * np.asarray(order_cost, float) * np.asarray(demand_rate, float)
    return np.sqrt(product / holding_cost), np.sqrt(product * holding_cost)


def wagner_whitin(demand: FloatArray, order_cost: FloatArray, holding_cost: FloatArray) -> LotSizes:
    """The plan of least cost.

    Args:
        demand: `[n, periods]` known units.
        order_cost: `[n]` per order.
        holding_cost: `[n]` per unit and period held over.

    >>> plan = wagner_whitin(np.array([[90, 120, 80, 70]]), np.array([500.0]), np.array([2.0]))
    >>> plan.order.tolist(), plan.cost.tolist()  # Snyder and Shen, example 3.9
    ([[210.0, 0.0, 150.0, 0.0]], [1380.0])
    """
    demand = np.asarray(demand, float)
    n, periods = demand.shape
    best = np.zeros((n, periods + 1))  # from period t on
    until = np.zeros((n, periods), np.int64)  # an order in t covers the periods before this one
    for begin in range(periods - 1, -1, -1):
        waits = np.arange(periods - begin)
        holding = np.asarray(holding_cost)[:, None] * np.cumsum(demand[:, begin:] * waits, axis=1)
        cost = np.asarray(order_cost)[:, None] + holding + best[:, begin + 1 :]  # [n, last period covered]
        choice, least = cost.argmin(axis=1), cost.min(axis=1)
        skipped = (demand[:, begin] == 0) & (best[:, begin + 1] <= least)  # no need to order yet
        best[:, begin] = np.where(skipped, best[:, begin + 1], least)
        until[:, begin] = np.where(skipped, 0, begin + choice + 1)
    order, covered = np.zeros((n, periods)), np.zeros(n, np.int64)
    total = np.concatenate([np.zeros((n, 1)), np.cumsum(demand, axis=1)], axis=1)
    for period in range(periods):
        due = (covered <= period) & (until[:, period] > 0)
        order[due, period] = total[due, until[due, period]] - total[due, period]
        covered = np.where(due, until[:, period], covered)
    return LotSizes(order, best[:, 0])
