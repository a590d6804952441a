"""How many units an experiment needs, and what effect a given number can show.

Both are one question: the power, i.e. the probability that the test is significant if the effect is there, rises with
units and with the effect; statsmodels gives it, a root finder turns it around. Power of proportions is that of the z
test with pooled variance, of means that of the t test. A covariate of correlation ρ with the outcome makes n units
worth n / (1 − ρ²) (see `cuped`).

Reference: Fleiss, Levin and Paik, "Statistical methods for rates and proportions", 3rd ed. 2003, chapter 4.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy import optimize, stats
from statsmodels.stats.power import NormalIndPower, TTestIndPower
from statsmodels.stats.proportion import power_proportions_2indep

from data_pipelines.schema import InputError
from serving.experiments.sequential import limit

MOST = 1e12


@dataclass(frozen=True)
class Question:
    """What is to be found out.

    Args:
        baseline: the control's mean; a rate if there is no deviation.
        deviation: of the outcome between units; None for a rate.
        alpha: of the two-sided test, after whatever correction.
        power: wanted.
        ratio: units of the treated arm per unit of the control.
        correlation: of the outcome with a covariate.
        sequential: whether the test may be looked at on the way; the units are then the most that it takes.
    """

    baseline: float
    deviation: float | None = None
    alpha: float = 0.05
    power: float = 0.8
    ratio: float = 1.0
    correlation: float = 0.0
    sequential: bool = False

    def __post_init__(self) -> None:
        """Refuse what is no question."""
        if not math.isfinite(self.baseline):
            raise InputError(f"baseline {self.baseline:g}: must be a number")
        if self.deviation is None and not 0 < self.baseline < 1:
            raise InputError(
                f"baseline {self.baseline:g}: a rate lies between 0 and 1; for a mean give its deviation too"
            )
        if self.deviation is not None and not self.deviation > 0:
            raise InputError(f"deviation {self.deviation:g}: must be more than 0")
        for name, value in (("alpha", self.alpha), ("power", self.power)):
            if not 0 < value < 1:
                raise InputError(f"{name} {value:g}: must lie between 0 and 1")
        if self.power <= self.alpha:
            raise InputError(f"power {self.power:g}: must exceed alpha {self.alpha:g}")
        if not -1 < self.correlation < 1:
            raise InputError(f"correlation {self.correlation:g}: must lie between -1 and 1")


def power_of(question: Question, difference: float, control_units: float) -> float:
    """Probability of a significant result.

    Args:
        question: the test.
        difference: treated mean less control mean, not 0.
        control_units: of the control arm.
    """
    control = control_units / (1 - question.correlation**2)
    treated = control * question.ratio
    # at the planned end the sequential test is the ordinary one with a farther limit
    alpha = 2 * stats.norm.sf(limit(1.0, question.alpha)) if question.sequential else question.alpha
    if question.deviation is None:
        found = power_proportions_2indep(difference, question.baseline, treated, 1 / question.ratio, alpha)
        return float(found.power)
    size = abs(difference) / question.deviation
    exact = float(TTestIndPower().power(size, control, alpha, question.ratio))
    # SciPy's noncentral t gives up far out in its tail, where the normal distribution is as good
    return exact if np.isfinite(exact) else float(NormalIndPower().power(size, control, alpha, question.ratio))


def units_for(question: Question, difference: float) -> int:
    """Units of the control arm that find a difference with the wanted power.

    Raises:
        InputError: if the difference is 0 or leads out of what a rate can be.
    """
    if difference == 0:
        raise InputError("effect 0: no number of units finds nothing; give the least effect that would matter")
    if question.deviation is None and not 0 < question.baseline + difference < 1:
        raise InputError(
            f"effect {difference:+g}: takes the rate from {question.baseline:g} to {question.baseline + difference:g}; "
            "rates lie between 0 and 1"
        )
    if power_of(question, difference, MOST) < question.power:
        raise InputError(f"effect {difference:+g}: is too small for any number of units; give one that would matter")
    return int(np.ceil(_rising(lambda n: power_of(question, difference, n), question.power, 2.0, MOST) - 1e-6))


def detectable(question: Question, control_units: float) -> float | None:
    """The least rise that so many units find with the wanted power; None if they find none that is possible."""
    if question.deviation is None:
        smallest, largest = 1e-9, (1 - question.baseline) * (1 - 1e-9)
    else:
        smallest, largest = 1e-9 * question.deviation, 1e6 * question.deviation
    if power_of(question, largest, control_units) < question.power:
        return None
    return _rising(lambda effect: power_of(question, effect, control_units), question.power, smallest, largest)


def _rising(function: Callable[[float], float], target: float, low: float, high: float) -> float:
    """Where a rising function reaches the target, searched on a logarithmic scale."""
    if function(low) >= target:
        return low
    return float(np.exp(optimize.brentq(lambda x: function(float(np.exp(x))) - target, np.log(low), np.log(high))))
