"""Whether variants got the shares they should have got: a check to pass before any outcome is looked at.

If not, units were lost on the way by the treatment itself (a slow page, a bounced mail, a filter after the split), and
no comparison of those that are left says what the treatment does.

    X² = Σ (observed − expected)² / expected,   with variants − 1 degrees of freedom

Reference: Fabijan et al., "Diagnosing sample ratio mismatch in online controlled experiments", KDD 2019.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
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
    """Compare units of variants with their shares.

    Args:
        observed: units of each variant.
        shares: their shares, positive; only their proportions matter.
    """
    expected = np.asarray(shares, np.float64) / np.sum(shares) * np.sum(observed)
    p_value = float(stats.chisquare(observed, expected).pvalue)
    return SampleRatio(tuple(map(int, observed)), tuple(map(float, expected)), p_value)
