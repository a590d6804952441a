"""Was it a coin that decided who was contacted? Two checks that need no outcome.

The arms must have the sizes that were planned (sample ratio), and nothing that was known of the customers may tell who
was contacted. The second is the F test of a linear regression of the arm on all features, exact enough for arms of
hundreds: `F = (R² / k) / ((1 − R²) / (n − k − 1))`. Features that the contact itself changed, because they were taken
after it, fail it too.

References: Fabijan et al., "Diagnosing sample ratio mismatch in online controlled experiments", KDD 2019; Hansen and
Bowers, "Covariate balance in simple, stratified and clustered comparative studies", Statistical Science 2008.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import stats

from serving.experiments.sample_ratio import THRESHOLD, check_sample_ratio

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Balance:
    """Whether features tell who was contacted.

    Args:
        p_value: how often a coin would let them tell as much; 1 where there are too few customers to say.
        feature: that differs most between the arms.
        difference: of its means, in standard deviations, treated less control.
    """

    p_value: float
    feature: str
    difference: float


def check_balance(features: FloatArray, treated: npt.NDArray[np.int64], names: Sequence[str]) -> Balance:
    """Compare the arms' features.

    Args:
        features: `[n, m]`, without gaps.
        treated: `[n]`, 1 or 0; both occur.
        names: `[m]`.
    """
    centred, arm = features - features.mean(axis=0), treated - treated.mean()
    spread = centred.std(axis=0)
    gap = centred[treated == 1].mean(axis=0) - centred[treated == 0].mean(axis=0)
    difference = np.divide(gap, spread, out=np.zeros_like(gap), where=spread > 0)
    most = int(np.abs(difference).argmax())
    weights, _, rank, _ = np.linalg.lstsq(centred, arm, rcond=None)
    free = len(arm) - rank - 1
    if rank == 0 or free < 1:
        return Balance(1.0, names[most], float(difference[most]))
    unexplained = float(((arm - centred @ weights) ** 2).sum())
    explained = float((arm**2).sum()) - unexplained
    p_value = float(stats.f.sf(explained / rank / (unexplained / free), rank, free))
    return Balance(p_value, names[most], float(difference[most]))


def doubts(
    features: FloatArray, treated: npt.NDArray[np.int64], names: Sequence[str], planned_share: float
) -> list[str]:
    """What speaks against a coin, in sentences for the user.

    Args:
        features: `[n, m]`, without gaps.
        treated: `[n]`, 1 or 0; both occur.
        names: `[m]`.
        planned_share: of the treated.
    """
    found, contacted = [], int(treated.sum())
    ratio = check_sample_ratio([len(treated) - contacted, contacted], [1 - planned_share, planned_share])
    if not ratio.passes:
        found.append(
            f"{contacted / len(treated):.1%} were contacted where {planned_share:.1%} were planned (p = "
            f"{ratio.p_value:.1g}): customers were lost on the way, or say what was planned with --set planned_share"
        )
    balance = check_balance(features, treated, names)
    if balance.p_value < THRESHOLD:
        found.append(
            f"features tell who was contacted (p = {balance.p_value:.1g}; most {balance.feature}, "
            f"{balance.difference:+.2f} standard deviations): this was no coin, or they are from after the contact"
        )
    return found
