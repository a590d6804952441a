"""Whether variants got the shares they should have got: a check to pass before any outcome is looked at.

If not, units were lost on the way by the treatment itself (a slow page, a bounced mail, a filter after the split), and
no comparison of those that are left says what the treatment does.

    X² = Σ (observed − expected)² / expected,   with variants − 1 degrees of freedom

Where shares moved (Thompson sampling) there is no one share to expect. But the weights w = 1 / propensity of the units
of a variant add up to the number of all units, whatever the propensities were:

    z = (Σ w − n) / sqrt(Σ w (w − 1) n / Σ w)

of each variant; the check is that of the farthest, times the number of variants (Bonferroni). With one propensity for
all units of two variants z² is X².

Reference: Fabijan et al., "Diagnosing sample ratio mismatch in online controlled experiments", KDD 2019.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import stats

THRESHOLD = 0.001
"""So small that a mismatch is never by chance: the check is made often, and stops an experiment."""


@dataclass(frozen=True)
class SampleRatio:
    """The check's result.

    Args:
        observed: units of each variant.
        expected: what the shares say.
        p_value: how often chance alone strays as far.
    """

    observed: tuple[int, ...]
    expected: tuple[float, ...]
    p_value: float

    @property
    def passes(self) -> bool:
        """Whether the shares are as they should be."""
        return self.p_value >= THRESHOLD


def check_sample_ratio(observed: Sequence[int], shares: Sequence[float]) -> SampleRatio:
    """Compare units of variants with their shares, which stayed as they were.

    Args:
        observed: units of each variant.
        shares: their shares, positive; only their proportions matter.
    """
    expected = np.asarray(shares, np.float64) / np.sum(shares) * np.sum(observed)
    p_value = float(stats.chisquare(observed, expected).pvalue)
    return SampleRatio(tuple(map(int, observed)), tuple(map(float, expected)), p_value)


def check_propensities(variant: npt.NDArray[np.intp], propensity: npt.NDArray[np.float64], k: int) -> SampleRatio:
    """Compare units of variants with the probabilities with which they got them.

    Args:
        variant: `[n]` number of each unit's variant.
        propensity: `[n]` of the variant that the unit got, above 0.
        k: variants; each has units.
    """
    weight = 1 / propensity
    units, total, square = (np.bincount(variant, values, k) for values in (None, weight, weight**2))
    expected = units * len(variant) / total
    variance = (square - total) * len(variant) / total
    # every unit was sure to get the variant: as many as there are, or something is wrong
    error = np.sqrt(np.maximum(variance, np.finfo(np.float64).eps))
    p_value = min(1.0, k * float(2 * stats.norm.sf(np.abs(total - len(variant)) / error).min()))
    return SampleRatio(tuple(map(int, units)), tuple(map(float, expected)), p_value)
