"""A test that may be looked at as often as one likes: the first look that is significant may end the experiment.

Looking at an ordinary test every day and stopping at the first p < 0.05 finds an effect in a third of all experiments
that have none. Here the limit grows just so much that the *whole path* stays inside it with probability 1 − α:

    |z| > sqrt((1 + 1/u) log((1 + u) / α²)),    u = x n / N,    x = −2 log α + log(1 − 2 log α)

z is the difference divided by its standard error, n the units so far, N the units that are planned. It is the mixture
sequential probability ratio test with a normal mixture over effects; N says where it is sharpest, not where it ends.
Like the z test it rests on the central limit theorem, along the whole path: `MINIMUM` units of each arm come first, and
the standard error is the larger of Welch's and that of both arms pooled. A small arm in which nobody has bought yet has
a low mean and, by itself, no variance: with shares of 9 to 1 and a rate of 2 %, Welch's error alone gives a
false alarm in a sixth of all experiments.
The price: at n = N the limit is 3.0 instead of 1.96, so about twice the units are needed if one never looks early.

Reference: Robbins, "Statistical methods related to the law of the iterated logarithm", 1970; Johari, Koomen, Pekelis
and Walsh, "Peeking at A/B tests", KDD 2017 (mSPRT); Waudby-Smith, Arbour, Sinha, Kennedy and Ramdas, "Time-uniform
central limit theory and asymptotic confidence sequences", Annals of Statistics 2024 (the limit and its tuning).
"""

import math
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from data_pipelines.schema import InputError
from serving.experiments.effects import Arm, Effect, with_quantile, without_variance

FloatArray = npt.NDArray[np.float64]

MINIMUM = 100
"""Units of the smaller arm before the first look: below it a standard error is not to be trusted."""


def limit(progress: FloatArray | float, alpha: float) -> FloatArray:
    """How many standard errors a difference may stray while nothing is there.

    Args:
        progress: units so far divided by the units planned, positive.
        alpha: the share of experiments without effect that may ever cross it.
    """
    u = _sharpness(alpha) * np.asarray(progress, np.float64)
    return np.asarray(np.sqrt((1 + 1 / u) * np.log((1 + u) / alpha**2)))


def p_value(z: FloatArray | float, progress: FloatArray | float, alpha: float) -> FloatArray:
    """The smallest level at which the limit, tuned for `alpha`, is crossed; the least of all looks so far is valid."""
    u = _sharpness(alpha) * np.asarray(progress, np.float64)
    return np.asarray(np.minimum(1.0, np.sqrt(1 + u) * np.exp(-0.5 * np.asarray(z) ** 2 * u / (1 + u))))


def progress_of(units: int, planned_units: int) -> float:
    """Units so far divided by the units planned.

    Raises:
        InputError: if none are planned.
    """
    if planned_units < 1:
        raise InputError(f"--sequential {planned_units}: give the number of units that are planned")
    return units / planned_units


def compare(treated: Arm, control: Arm, alpha: float, progress: float) -> Effect:
    """Treated against control, valid however often one looks.

    Args:
        treated: the arm.
        control: the other arm.
        alpha: 1 minus the coverage of the intervals, over all looks together.
        progress: units so far divided by the units planned.
    """
    own = math.hypot(treated.standard_error, control.standard_error)
    if own == 0:
        return without_variance(treated, control)
    error = max(own, _pooled_error(treated, control))
    treated, control = (replace(arm, standard_error=arm.standard_error * error / own) for arm in (treated, control))
    early = min(treated.units, control.units) < MINIMUM
    quantile = math.inf if early else float(limit(progress, alpha))
    p = 1.0 if early else float(p_value((treated.mean - control.mean) / error, progress, alpha))
    return with_quantile(treated, control, quantile, p)


def _pooled_error(treated: Arm, control: Arm) -> float:
    """Standard error of the difference where both arms have one variance."""
    n1, n0 = treated.units, control.units
    variance = ((n1 * treated.standard_error) ** 2 + (n0 * control.standard_error) ** 2) / (n1 + n0)
    return math.sqrt(variance * (1 / n1 + 1 / n0))


def _sharpness(alpha: float) -> float:
    return -2 * math.log(alpha) + math.log(1 - 2 * math.log(alpha))
