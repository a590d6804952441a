"""How much to have for one period, or for a lead time: newsvendor and base stock, with or without a stock-out cost.

    S = F^-1(p / (p + h)),   cost(S) = h E[(S - D)^+] + p E[(D - S)^+]

h is what a unit left over costs, p what a missing unit costs. With a lead time of L periods and review every R periods,
and missing units backordered, the same holds for the inventory position and the demand of L + R periods; it is optimal
when ordering costs nothing but the units. Where nobody can say what a missing unit costs, a service level replaces p.

Reference: Arrow, Harris and Marschak, "Optimal inventory policy", 1951; Snyder and Shen, "Fundamentals of Supply Chain
Theory", 2nd ed. 2019, sections 4.3 and 4.4; Silver, Pyke and Thomas, 2017, section 6.7 (fill rate).
"""

import numpy as np
from scipy import stats

from serving.inventory.demand_distribution import DemandDistribution, FloatArray


def normal_newsvendor(
    holding_cost: FloatArray | float,
    stockout_cost: FloatArray | float,
    mean: FloatArray | float,
    deviation: FloatArray | float,
) -> tuple[FloatArray, FloatArray]:
    """The best stock for normal demand, and its expected cost `(h + p) φ(z) σ`.

    >>> level, cost = normal_newsvendor(2, 18, 120, 10)  # Snyder and Shen
    >>> round(float(level), 3), round(float(cost), 4)
    (132.816, 35.0997)
    """
    h, p = np.asarray(holding_cost, float), np.asarray(stockout_cost, float)
    z = stats.norm.ppf(p / (h + p))
    return np.asarray(mean + z * deviation), np.asarray((h + p) * stats.norm.pdf(z) * deviation)


def newsvendor(demand: DemandDistribution, holding_cost: FloatArray, stockout_cost: FloatArray) -> FloatArray:
    """The best stock for every period on its own, in units, `[n, periods]`.

    Args:
        demand: of one period, or summed over the periods that an order must cover (base stock).
        holding_cost: `[n]` per unit left over at the end of a period.
        stockout_cost: `[n]` per unit missing.
    """
    return demand.quantile(np.asarray(stockout_cost) / (np.asarray(holding_cost) + np.asarray(stockout_cost)))


def expected_cost(
    demand: DemandDistribution, level: FloatArray, holding_cost: FloatArray, stockout_cost: FloatArray
) -> FloatArray:
    """`h E[(S - D)^+] + p E[(D - S)^+]`, `[n, periods]`.

    Args:
        demand: as for `newsvendor`.
        level: `[n, periods]` stock S in units.
        holding_cost: `[n]`.
        stockout_cost: `[n]`.
    """
    missing = expected_shortage(demand, level)
    left = level - demand.mean() + missing
    return np.asarray(holding_cost)[:, None] * left + np.asarray(stockout_cost)[:, None] * missing


def expected_shortage(demand: DemandDistribution, level: FloatArray) -> FloatArray:
    """Units missing on average, `E[(D - S)^+]`, `[n, periods]`, for a stock of S = `level` units."""
    value = np.arange(demand.probability.shape[-1]) * demand.width[:, None]  # [n, bins]
    gap = np.maximum(value[:, None, :] - np.asarray(level)[..., None], 0.0)
    return np.asarray((demand.probability * gap).sum(axis=-1))


def fill_rate_level(covered: DemandDistribution, waiting: DemandDistribution, fill_rate: float) -> FloatArray:
    """The least base stock that serves a share of the demand from stock, in units, `[n, periods]`.

    Of the demand of a review interval, `E[(D_(L+R) - S)^+] - E[(D_L - S)^+]` is short; the share of it is at most
    `1 - fill_rate`.

    Args:
        covered: demand of lead time and review interval together.
        waiting: demand of the lead time.
        fill_rate: share of the demand to serve at once, below 1.

    Raises:
        ValueError: if the share is not between 0 and 1.
    """
    if not 0.0 <= fill_rate < 1.0:
        raise ValueError(f"fill_rate={fill_rate}: must be at least 0 and below 1")
    allowed = (1.0 - fill_rate) * (covered.mean() - waiting.mean())  # [n, periods]
    steps = np.arange(covered.probability.shape[-1])
    short = shortages(covered) - shortages(waiting, len(steps))  # [n, periods, steps], falling in the stock
    enough = short <= allowed[..., None] + 1e-9
    return np.asarray(enough.argmax(axis=-1) * covered.width[:, None], float)


def shortages(demand: DemandDistribution, steps: int | None = None) -> FloatArray:
    """`E[(D - S)^+]` in units for S = 0, 1, ... bins, `[n, periods, steps]`."""
    beyond = 1.0 - np.cumsum(demand.probability, axis=-1)  # P(D > k)
    sums = np.flip(np.cumsum(np.flip(beyond, axis=-1), axis=-1), axis=-1)  # E[(D - k)^+] = sum of P(D > j), j >= k
    if steps is not None:
        sums = np.pad(sums, [(0, 0), (0, 0), (0, max(steps - sums.shape[-1], 0))])[..., :steps]
    return sums * demand.width[:, None, None]
