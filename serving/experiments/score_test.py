"""Miettinen and Nurminen's score test of two proportions: the test, and all values that it does not reject.

For a difference d (or a ratio r) the variance is taken at the rates that fit the counts best while they differ by just
d, in closed form; so the interval and the test are one thing, which holds up where hardly anybody buys, and an interval
never leaves what is possible. (statsmodels 0.15 has it too, but with the control's successes for its units in
the linear term of the cubic equation, which shifts the interval, and with a root finder that fails on some counts.)

    z(d) = (p1 − p0 − d) / sqrt((q1 (1 − q1) / n1 + q0 (1 − q0) / n0) n / (n − 1)),    q1 = q0 + d
    z(r) = (p1 − r p0)   / sqrt((q1 (1 − q1) / n1 + r² q0 (1 − q0) / n0) n / (n − 1)), q1 = r q0

Reference: Miettinen and Nurminen, "Comparative analysis of two rates", Statistics in Medicine 1985.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy import optimize, stats

NEAR, MOST_RATIO = 1e-12, 1e9


@dataclass(frozen=True)
class Counts:
    """Two samples.

    Args:
        treated: units of the first in which it happened.
        treated_units: of the first.
        control: units of the second in which it happened.
        control_units: of the second.
    """

    treated: int
    treated_units: int
    control: int
    control_units: int

    @property
    def correction(self) -> float:
        """The factor n / (n − 1)."""
        return (self.treated_units + self.control_units) / (self.treated_units + self.control_units - 1)

    def difference_z(self, d: float) -> float:
        """Standard errors between what was found and a difference."""
        n1, n0 = self.treated_units, self.control_units
        n, happened = n1 + n0, self.treated + self.control
        # the cubic equation of the likelihood, solved by its cosine
        third = ((n1 + 2 * n0) * d - n - happened) / (3 * n)
        linear = ((n0 * d - n - 2 * self.control) * d + happened) / n
        q = third**3 - third * linear / 2 + self.control * d * (1 - d) / (2 * n)
        p = math.copysign(math.sqrt(max(third**2 - linear / 3, 0.0)), q)
        angle = (math.pi + math.acos(float(np.clip(q / p**3, -1, 1)) if p else 0.0)) / 3
        control = float(np.clip(2 * p * math.cos(angle) - third, max(0.0, -d), min(1.0, 1 - d)))
        return self._z(self.treated / n1 - self.control / n0 - d, control + d, control, 1.0)

    def ratio_z(self, r: float) -> float:
        """Standard errors between what was found and a ratio."""
        n1, n0 = self.treated_units, self.control_units
        half = (n1 * r + self.treated + n0 + self.control * r) / 2
        root = math.sqrt(max(half**2 - (n1 + n0) * r * (self.treated + self.control), 0.0))
        control = (self.treated + self.control) / (
            half + root
        )  # of the two roots the one below 1, without cancellation
        return self._z(self.treated / n1 - r * self.control / n0, r * control, control, r)

    def _z(self, distance: float, treated: float, control: float, r: float) -> float:
        variance = treated * (1 - treated) / self.treated_units + r**2 * control * (1 - control) / self.control_units
        if distance == 0:
            return 0.0
        return distance / math.sqrt(variance * self.correction) if variance > 0 else math.copysign(math.inf, distance)


def p_value(counts: Counts) -> float:
    """Of no difference, two-sided."""
    return float(2 * stats.norm.sf(abs(counts.difference_z(0.0))))


def difference_interval(counts: Counts, alpha: float) -> tuple[float, float]:
    """Differences that the test does not reject."""
    found = counts.treated / counts.treated_units - counts.control / counts.control_units
    quantile = float(stats.norm.ppf(1 - alpha / 2))
    low = _crossing(lambda d: counts.difference_z(d) - quantile, -1 + NEAR, found)
    high = _crossing(lambda d: counts.difference_z(d) + quantile, found, 1 - NEAR)
    return (-1.0 if low is None else low), (1.0 if high is None else high)


def ratio_interval(counts: Counts, alpha: float) -> tuple[float, float]:
    """Ratios that the test does not reject; in the control it must have happened."""
    quantile = float(stats.norm.ppf(1 - alpha / 2))
    found = counts.treated / counts.treated_units / (counts.control / counts.control_units)
    middle = math.log(max(found, 1 / MOST_RATIO))
    low = _crossing(lambda x: counts.ratio_z(math.exp(x)) - quantile, -math.log(MOST_RATIO), middle)
    high = _crossing(lambda x: counts.ratio_z(math.exp(x)) + quantile, middle, math.log(MOST_RATIO))
    return (0.0 if low is None or counts.treated == 0 else math.exp(low)), math.inf if high is None else math.exp(high)


def _crossing(falling: Callable[[float], float], low: float, high: float) -> float | None:
    """Where a falling function is 0, None if it is nowhere between."""
    if low >= high or falling(low) <= 0 or falling(high) >= 0:
        return None
    # infinite at the very end of what is possible, which the root finder cannot take
    return float(optimize.brentq(lambda x: float(np.clip(falling(x), -1e6, 1e6)), low, high, xtol=1e-12))
