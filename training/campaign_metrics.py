"""How well those who answer are ranked: answers reached within a contact budget, and the area under the ROC curve.

A budget is a share of those whom each campaign addressed: the best `⌈share · n⌉` by score are contacted. Customers with
equal scores share the places that are left among them, which is the mean over all ways to break the tie; a score that
is the same for everybody is therefore exactly random targeting.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from scipy.stats import rankdata

FloatArray = npt.NDArray[np.float64]


def contacted(score: FloatArray, share: float) -> FloatArray:
    """Probability `[n]` that each customer is contacted.

    Args:
        score: `[n]`, the higher the sooner.
        share: of the customers that the budget pays for, 0 to 1.
    """
    places = np.ceil(share * len(score) - 1e-9)
    ahead = len(score) - rankdata(score, method="max")  # with a higher score
    equal = rankdata(score, method="max") - rankdata(score, method="min") + 1
    chance: FloatArray = np.clip((places - ahead) / equal, 0.0, 1.0)
    return chance


def reached(scores: Sequence[FloatArray], answered: Sequence[npt.NDArray[np.bool_]], share: float) -> float:
    """Share of all answers that come from those contacted, the same budget in every campaign.

    Args:
        scores: of every campaign, `[n]` each.
        answered: of every campaign, `[n]` each.
        share: the budget.
    """
    hits = sum(float(contacted(score, share)[answer].sum()) for score, answer in zip(scores, answered, strict=True))
    return hits / max(sum(int(answer.sum()) for answer in answered), 1)


def placements(score: FloatArray, answered: npt.NDArray[np.bool_]) -> FloatArray:
    """For everybody who answered, the share `[answers]` of those who did not with a lower score; a tie counts half.

    Their mean is the area under the ROC curve (Hanley and McNeil, Radiology 1982). NaN where everybody answered.
    """
    yes, no = score[answered], np.sort(score[~answered])
    below = np.searchsorted(no, yes, "left") + np.searchsorted(no, yes, "right")
    return below / (2 * len(no)) if len(no) else np.full(len(yes), np.nan)


def mean_auc(scores: Sequence[FloatArray], answered: Sequence[npt.NDArray[np.bool_]]) -> float:
    """Mean area under the ROC curve within campaigns, weighted by their answers; NaN if there are none."""
    places = np.concatenate([placements(score, answer) for score, answer in zip(scores, answered, strict=True)])
    known = places[~np.isnan(places)]
    return float(known.mean()) if len(known) else float("nan")
