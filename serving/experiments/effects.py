"""How much a treated arm differs from the control: difference, relative lift, their intervals, and a p-value.

    proportions   Miettinen and Nurminen's score test and intervals, of the difference and of the ratio
    means         Welch's t; the lift's interval is Fieller's
    ratios        Σ y / Σ x over units (clicks per impression): the delta method, Fieller for the lift

Difference and lift agree: the interval of one excludes 0 exactly if that of the other does, because both ask which
values the same test would not reject. Fieller's interval of a ratio of means is the set of r with

    (a − r b)² <= q² (var a − 2 r cov(a, b) + r² var b),

a bounded interval if b is clearly not 0, and otherwise none.

Reference: Miettinen and Nurminen, "Comparative analysis of two rates", 1985; Fieller, "Some problems in interval
estimation", 1954; Deng, Knoblich and Lu, "Applying the delta method in metric analytics", KDD 2018.
"""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import stats

from serving.experiments import score_test
from serving.experiments.score_test import Counts

FloatArray = npt.NDArray[np.float64]
Bounds = tuple[float, float]


@dataclass(frozen=True)
class Arm:
    """One metric in one variant.

    Args:
        units: how many.
        mean: per unit; for a ratio the ratio.
        standard_error: of the mean.
        degrees: of freedom of the standard error.
    """

    units: int
    mean: float
    standard_error: float
    degrees: float


@dataclass(frozen=True)
class Effect:
    """Treated against control.

    Args:
        difference: of the means.
        bounds: its interval.
        lift: difference divided by the control's mean, or by its size: a smaller loss is a positive lift. None for 0.
        lift_bounds: its interval, None where the control's mean may be 0.
        p_value: of no difference, two-sided.
        standard_error: of the difference.
    """

    difference: float
    bounds: Bounds
    lift: float | None
    lift_bounds: Bounds | None
    p_value: float
    standard_error: float


def mean_arm(values: FloatArray, weights: FloatArray | None = None) -> Arm:
    """The mean of an arm.

    Args:
        values: `[n]`, at least two.
        weights: `[n]` 1 / propensity where units got the variant with unequal probabilities (Hájek's estimator).
    """
    n = len(values)
    if weights is None:
        return Arm(n, float(values.mean()), float(values.std(ddof=1) / math.sqrt(n)), n - 1)
    mean = float(np.average(values, weights=weights))
    error = math.sqrt(float((weights**2 * (values - mean) ** 2).sum()) * n / (n - 1)) / float(weights.sum())
    return Arm(n, mean, error, n - 1)


def ratio_arm(numerator: FloatArray, denominator: FloatArray, weights: FloatArray | None = None) -> Arm:
    """`Σ numerator / Σ denominator` of an arm, by the delta method: both vary from unit to unit.

    Args:
        numerator: `[n]` e.g. clicks of a unit.
        denominator: `[n]` e.g. its impressions; not all 0.
        weights: as for `mean_arm`.
    """
    total = float(np.average(denominator, weights=weights))
    ratio = float(np.average(numerator, weights=weights)) / total
    arm = mean_arm((numerator - ratio * denominator) / total, weights)  # its mean is 0
    return Arm(arm.units, ratio, arm.standard_error, arm.degrees)


def compare_means(treated: Arm, control: Arm, alpha: float) -> Effect:
    """Welch's test and intervals; also for ratios and weighted means.

    Args:
        treated: the arm.
        control: the other arm.
        alpha: 1 minus the intervals' coverage.
    """
    variance = treated.standard_error**2 + control.standard_error**2
    if variance == 0:
        return without_variance(treated, control)
    degrees = variance**2 / (
        treated.standard_error**4 / treated.degrees + control.standard_error**4 / control.degrees
    )  # Welch and Satterthwaite
    p_value = 2 * stats.t.sf(abs(treated.mean - control.mean) / math.sqrt(variance), degrees)
    return with_quantile(treated, control, float(stats.t.ppf(1 - alpha / 2, degrees)), float(p_value))


def with_quantile(treated: Arm, control: Arm, quantile: float, p_value: float) -> Effect:
    """Intervals of so many standard errors.

    Args:
        treated: the arm.
        control: the other arm.
        quantile: how many.
        p_value: to be kept in the effect.
    """
    difference = treated.mean - control.mean
    error = math.hypot(treated.standard_error, control.standard_error)
    found = fieller(treated.mean, control.mean, treated.standard_error**2, control.standard_error**2, 0.0, quantile)
    return Effect(
        difference,
        (difference - quantile * error, difference + quantile * error),
        _lift(treated, control),
        _above_one(found, control),
        p_value,
        error,
    )


def compare_proportions(treated: Arm, control: Arm, alpha: float) -> Effect:
    """The score test and its intervals.

    Args:
        treated: the arm; its mean is a share of its units.
        control: the other arm.
        alpha: 1 minus the intervals' coverage.
    """
    counts = Counts(
        round(treated.mean * treated.units), treated.units, round(control.mean * control.units), control.units
    )
    ratio = score_test.ratio_interval(counts, alpha) if counts.control else None
    return Effect(
        treated.mean - control.mean,
        score_test.difference_interval(counts, alpha),
        _lift(treated, control),
        None if ratio is None else (ratio[0] - 1, ratio[1] - 1),
        score_test.p_value(counts),
        math.hypot(treated.standard_error, control.standard_error),
    )


def fieller(
    a: float, b: float, variance_a: float, variance_b: float, covariance: float, quantile: float
) -> Bounds | None:
    """The interval of `a / b`, None where `b` may be 0.

    Args:
        a: estimate of the numerator.
        b: estimate of the denominator.
        variance_a: of the numerator.
        variance_b: of the denominator.
        covariance: of the two.
        quantile: standard errors that the interval reaches.

    >>> [round(bound, 4) for bound in fieller(10, 5, 1, 0, 0, 2)]  # a known denominator: (10 ± 2) / 5
    [1.6, 2.4]
    """
    square = quantile**2
    leading, half, last = b**2 - square * variance_b, a * b - square * covariance, a**2 - square * variance_a
    if not leading > 0:  # nor where the quantile is infinite
        return None
    root = math.sqrt(max(half**2 - leading * last, 0.0))
    return (half - root) / leading, (half + root) / leading


def _lift(treated: Arm, control: Arm) -> float | None:
    return None if control.mean == 0 else (treated.mean - control.mean) / abs(control.mean)


def _above_one(ratio: Bounds | None, control: Arm) -> Bounds | None:
    if ratio is None or control.mean == 0:
        return None
    return (ratio[0] - 1, ratio[1] - 1) if control.mean > 0 else (1 - ratio[1], 1 - ratio[0])


def without_variance(treated: Arm, control: Arm) -> Effect:
    """All units of both arms are equal: nothing is known of how they vary, so nothing is concluded."""
    return Effect(treated.mean - control.mean, (-math.inf, math.inf), _lift(treated, control), None, 1.0, 0.0)
