"""Ranking metrics on full-catalogue rankings, one value per query.

Every metric sees the whole catalogue: sampled ranking metrics order models differently from the exact ones (Krichene
and Rendle, "On Sampled Metrics for Item Recommendation", KDD 2020). Values stay per query, so that means, slices and
bootstrap intervals all come from the same numbers.

Notation: ``rel(i)`` is 1 if the item at rank ``i`` (1 is best) is a target, else 0; ``T`` is the number of targets.
"""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from data_pipelines.schema import PADDING

IntArray = npt.NDArray[np.int32]
LongArray = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]
FloatArray = npt.NDArray[np.float64]


def top_k(scores: npt.NDArray[np.floating], k: int) -> IntArray:
    """The `k` best items of every row, best first; equal scores are ordered by item index.

    Score and index are packed into one integer key, so that no two keys are equal: the result does not depend on how a
    partial sort breaks ties, and rows full of ties (an empty history) cost no more than others.

    Args:
        scores: `[n, items]`, cast to float32; `-inf` is never recommended.
        k: length of the lists.

    Returns:
        `[n, k]` item indices; ranks that no item may fill hold `schema.PADDING`.

    Raises:
        ValueError: a score is NaN.
    """
    n, items = scores.shape
    values = np.asarray(scores, np.float32) + np.float32(0)  # a copy in which -0.0 equals 0.0
    if n and items and np.isnan(values.min()):
        raise ValueError(f"NaN among the scores of row {int(np.isnan(values).any(axis=1).argmax())}")
    width = min(k, items)
    bits = values.view(np.int32)
    ordered = bits >> 31
    ordered &= 0x7FFFFFFF
    ordered ^= bits  # integers in the order of the floats; in place, since fresh memory costs more than the arithmetic
    keys = ordered.astype(np.int64)
    keys <<= 32
    keys |= np.arange(items - 1, -1, -1)
    keys.partition(items - width, axis=1)
    best = np.sort(keys[:, items - width :], axis=1)[:, ::-1]
    top = (items - 1 - (best & 0xFFFFFFFF)).astype(np.int32)  # [n, width]
    top[np.take_along_axis(values, top, axis=1) == -np.inf] = PADDING
    return np.pad(top, ((0, 0), (0, k - width)), constant_values=PADDING)


def contained(top: IntArray, offsets: LongArray, items: IntArray) -> BoolArray:
    """Which recommended items are in the query's own set.

    Args:
        top: `[n, k]` item indices.
        offsets: `[n + 1]`; the set of query `q` is `items[offsets[q]:offsets[q + 1]]`.
        items: the sets, one behind the other.

    Returns:
        `[n, k]`; always false for `schema.PADDING`.
    """
    query = np.arange(len(top), dtype=np.int64)
    size = 1 + max(int(top.max(initial=0)), int(items.max(initial=0)))
    members = np.repeat(query, np.diff(offsets)) * size + items
    found: BoolArray = np.isin(query[:, None] * size + top, members)
    return found & (top != PADDING)


def recall(hits: BoolArray, targets: LongArray, k: int) -> FloatArray:
    """Recall@k, the share of the targets that are found: ``(1 / T) Σ_{i ≤ k} rel(i)``.

    Args:
        hits: `[n, K ≥ k]`, whether the item at each rank is a target.
        targets: `[n]` number of targets per query, at least 1.
        k: cut-off.

    Returns:
        `[n]`, one value per query; the same for all metrics of this module.
    """
    return np.asarray(hits[:, :k].sum(axis=1) / targets)


def hit_rate(hits: BoolArray, targets: LongArray, k: int) -> FloatArray:
    """HR@k, whether any target is found: ``max_{i ≤ k} rel(i)``."""
    return np.asarray(hits[:, :k].any(axis=1), np.float64)


def precision(hits: BoolArray, targets: LongArray, k: int) -> FloatArray:
    """Precision@k, the share of the list that are targets: ``(1 / k) Σ_{i ≤ k} rel(i)``."""
    return np.asarray(hits[:, :k].sum(axis=1) / k)


def ndcg(hits: BoolArray, targets: LongArray, k: int) -> FloatArray:
    """NDCG@k with binary relevance: ``Σ_{i ≤ k} rel(i) / log2(i + 1)  /  Σ_{i ≤ min(k, T)} 1 / log2(i + 1)``.

    Reference: Järvelin and Kekäläinen, "Cumulated gain-based evaluation of IR techniques", TOIS 2002.
    """
    discount = 1 / np.log2(np.arange(2, k + 2))
    return np.asarray((hits[:, :k] @ discount) / np.cumsum(discount)[np.minimum(targets, k) - 1])


def reciprocal_rank(hits: BoolArray, targets: LongArray, k: int) -> FloatArray:
    """MRR@k's summand: ``1 / (rank of the first target)``, 0 if there is none up to rank `k`."""
    return np.asarray(hits[:, :k].any(axis=1) / (1 + hits[:, :k].argmax(axis=1)))


def average_precision(hits: BoolArray, targets: LongArray, k: int) -> FloatArray:
    """MAP@k's summand: ``(1 / min(k, T)) Σ_{i ≤ k} rel(i) · Precision@i``."""
    found = hits[:, :k]
    precisions = np.cumsum(found, axis=1) / np.arange(1, k + 1)
    return np.asarray((found * precisions).sum(axis=1) / np.minimum(targets, k))


METRICS: dict[str, Callable[[BoolArray, LongArray, int], FloatArray]] = {
    "recall": recall,
    "hr": hit_rate,
    "precision": precision,
    "ndcg": ndcg,
    "mrr": reciprocal_rank,
    "map": average_precision,
}


def ranking_metrics(hits: BoolArray, targets: LongArray, ks: tuple[int, ...]) -> dict[str, FloatArray]:
    """Every metric at every cut-off.

    Args:
        hits: `[n, K ≥ max(ks)]`, whether the item at each rank is a target.
        targets: `[n]` number of targets per query, at least 1.
        ks: cut-offs.

    Returns:
        `{"recall@5": [n], …}`.
    """
    return {f"{name}@{k}": metric(hits, targets, k) for k in ks for name, metric in METRICS.items()}
