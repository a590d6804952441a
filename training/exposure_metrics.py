"""What recommendation lists do to the catalogue, whatever their accuracy: coverage, concentration, novelty, repetition.

Reference: Castells, Hurley and Vargas, "Novelty and Diversity in Recommender Systems", in Recommender Systems Handbook,
2022.
"""

import numpy as np
import numpy.typing as npt

from data_pipelines.schema import FIRST_KNOWN, PADDING
from training.ranking_metrics import BoolArray, FloatArray, IntArray, LongArray


def exposure(top: IntArray, items: int) -> LongArray:
    """How often each known item is recommended.

    Args:
        top: `[n, k]` item indices.
        items: vocabulary size, padding and unknown included.

    Returns:
        `[items - FIRST_KNOWN]` counts.
    """
    return np.bincount(top.ravel(), minlength=items)[FIRST_KNOWN:].astype(np.int64)


def coverage(exposures: LongArray) -> float:
    """Catalogue coverage: the share of the known items that anybody is recommended."""
    return float((exposures > 0).mean())


def gini(exposures: npt.NDArray[np.integer]) -> float:
    """Gini index of exposure, 0 if all items are shown equally often, towards 1 if one takes everything.

    ``G = Σ_i (2i − n − 1) x_(i) / (n Σ_i x_i)`` with the exposures ``x_(1) ≤ … ≤ x_(n)``.
    """
    ordered = np.sort(exposures).astype(np.float64)
    n, total = len(ordered), ordered.sum()
    return float((2 * np.arange(1, n + 1) - n - 1) @ ordered / (n * total)) if total else 0.0


def novelty(top: IntArray, popularity: LongArray) -> FloatArray:
    """Mean self-information of a list, in bits: ``(1 / |L|) Σ_{i ∈ L} −log2 p(i)``.

    Args:
        top: `[n, k]` item indices; ranks with `schema.PADDING` are left out.
        popularity: `[items]` events of each item in the data learnt from; ``p`` is its share after adding one event to
            each known item, so that an item never seen is very novel and not infinitely so.

    Returns:
        `[n]`, 0 for an empty list.
    """
    smoothed = popularity + 1.0
    information = -np.log2(smoothed / smoothed[FIRST_KNOWN:].sum())
    filled = top != PADDING
    return np.asarray((information[top] * filled).sum(axis=1) / np.maximum(filled.sum(axis=1), 1))


def repeat_share(top: IntArray, repeated: BoolArray) -> FloatArray:
    """Share of a list that the user has met before: ``|L ∩ history| / |L|``.

    Args:
        top: `[n, k]` item indices; ranks with `schema.PADDING` are left out.
        repeated: `[n, k]`, whether the item is in the visible history.

    Returns:
        `[n]`, 0 for an empty list.
    """
    return np.asarray(repeated.sum(axis=1) / np.maximum((top != PADDING).sum(axis=1), 1))
