"""ROI: what a treatment brings in for each unit of money it costs, beyond the control.

    ROI = (margin × (revenue − revenue of the control) − (cost − cost of the control)) / (cost − cost of the control)

Revenue and cost are means per unit of the experiment. Both may vary between units and with each other (a discount costs
when it is redeemed), so the interval is Fieller's with their covariance.
"""

import math
from dataclasses import dataclass

import numpy as np
from scipy import stats

from data_pipelines.schema import InputError
from serving.experiments.effects import Bounds, fieller, mean_arm
from serving.experiments.sequential import MINIMUM, limit, progress_of
from serving.experiments.unit_table import FloatArray, UnitTable


@dataclass(frozen=True)
class Return:
    """Return of one variant.

    Args:
        variant: its name.
        gain: margin × extra revenue, per unit.
        cost: extra cost per unit.
        roi: gain / cost − 1.
        bounds: its interval; None where the extra cost may be 0.
    """

    variant: str
    gain: float
    cost: float
    roi: float
    bounds: Bounds | None


def returns(
    table: UnitTable,
    revenue: FloatArray,
    cost: FloatArray,
    margin: float,
    alpha: float,
    planned_units: int | None = None,
) -> tuple[Return, ...]:
    """Returns of the variants that cost something.

    Args:
        table: of the units.
        revenue: `[n]`.
        cost: `[n]`.
        margin: share of the revenue that is left after the goods are paid, from 0 to 1.
        alpha: 1 minus the coverage of the intervals.
        planned_units: of all variants together; makes the intervals hold over all looks.

    Raises:
        InputError: if the margin is no share, or no variant costs more than the control.
    """
    if not 0 < margin <= 1:
        raise InputError(f"--margin {margin:g}: must lie above 0, up to 1")
    quantile = float(stats.norm.ppf(1 - alpha / 2))
    if planned_units is not None:
        reached = progress_of(sum(table.units), planned_units)
        quantile = float(limit(reached, alpha)) if min(table.units) >= MINIMUM else math.inf
    found = []
    rows = [table.variant == number for number in range(len(table.variants))]
    parts = [
        _moments(margin * revenue[one], cost[one], None if table.weights is None else table.weights[one])
        for one in rows
    ]
    for name, (means, covariance) in list(zip(table.variants, parts, strict=True))[1:]:
        gain, extra = means - parts[0][0]
        total = covariance + parts[0][1]
        if extra > 0:
            bounds = fieller(gain, extra, total[0, 0], total[1, 1], total[0, 1], quantile)
            around = None if bounds is None else (bounds[0] - 1, bounds[1] - 1)
            found.append(Return(name, float(gain), float(extra), float(gain / extra - 1), around))
    if not found:
        raise InputError(
            f"--cost: no variant costs more than the control {table.variants[0]!r}; there is nothing to return"
        )
    return tuple(found)


def _moments(gain: FloatArray, cost: FloatArray, weights: FloatArray | None) -> tuple[FloatArray, FloatArray]:
    """Means `[2]` and the covariance `[2, 2]` of the means."""
    arms = [mean_arm(values, weights) for values in (gain, cost, gain + cost)]
    variance = [arm.standard_error**2 for arm in arms]
    shared = (variance[2] - variance[0] - variance[1]) / 2  # var(a + b) = var a + var b + 2 cov(a, b)
    return np.array([arms[0].mean, arms[1].mean]), np.array([[variance[0], shared], [shared, variance[1]]])
