"""How good a score is as a number: does it separate targets from the rest, and is it a probability?

Separation is the area under the ROC curve, against negatives drawn uniformly from the catalogue (easy: most items are
rarely bought) and against negatives drawn in proportion to their popularity (hard: popularity alone is worth one half).
Log loss and calibration look at every item of the catalogue, so they are about the probabilities that a user of the
model gets, and are put beside the constant base rate, which any useful probability must beat.

Reference: He et al., "Practical Lessons from Predicting Clicks on Ads at Facebook", ADKDD 2014 (normalised entropy).
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from data_pipelines.schema import FIRST_KNOWN
from data_pipelines.timelines import Queries
from training.ranking_metrics import FloatArray, IntArray

FloatMatrix = npt.NDArray[np.float32]

BINS = 32
"""Bin `b` holds probabilities in ``[2^-(b+1), 2^-b)``; 1 itself is in the first, all smaller ones in the last."""
ROUNDS = 100
"""Draws after which a negative that is still a target is given up: the targets are almost the whole catalogue."""
_ONE = int(np.float32(1).view(np.int32) >> 23)
_SMALLEST, _LARGEST = np.float32(1e-12), np.float32(1 - 2**-24)  # keeps logarithms finite


def sample_negatives(queries: Queries, weights: npt.NDArray[np.floating], per_positive: int, seed: int) -> IntArray:
    """Draw negatives for every target, never an item that the same query has as a target.

    Args:
        queries: `n` queries with `p` targets in all.
        weights: `[items]` relative probability of each item; those of padding and unknown are ignored.
        per_positive: negatives for each target.
        seed: same seed, same draws.

    Returns:
        `[p, per_positive]` item indices, `schema.PADDING` where no negative was found.
    """
    cumulative = np.cumsum(weights[FIRST_KNOWN:].astype(np.float64))
    random = np.random.default_rng(seed)
    query = np.repeat(np.arange(len(queries)), np.diff(queries.target_offsets))
    taken = query * len(weights) + queries.target_item
    negatives = np.zeros((len(query), per_positive), np.int32)
    row, column = np.divmod(np.arange(negatives.size), per_positive)
    for _ in range(ROUNDS):
        if not len(row):
            break
        drawn = np.searchsorted(cumulative, random.random(len(row)) * cumulative[-1], side="right") + FIRST_KNOWN
        free = ~np.isin(query[row] * len(weights) + drawn, taken)
        negatives[row[free], column[free]] = drawn[free]
        row, column = row[~free], column[~free]
    return negatives


def area_under_curve(positives: npt.NDArray[np.floating], negatives: npt.NDArray[np.floating]) -> float | None:
    """AUC over all pairs of a positive and a negative: ``P(s⁺ > s⁻) + P(s⁺ = s⁻) / 2``.

    Args:
        positives: scores of targets, any shape.
        negatives: scores of negatives, any shape.

    Returns:
        None if either is empty.
    """
    if not positives.size or not negatives.size:
        return None
    ordered = np.sort(negatives, axis=None)
    wanted = np.sort(positives, axis=None)  # sorted look-ups stay in cache
    below = np.searchsorted(ordered, wanted, side="left") + np.searchsorted(ordered, wanted, side="right")
    return float(below.mean() / (2 * len(ordered)))


@dataclass(frozen=True)
class Reliability:
    """Sums over (query, item) pairs, to which further pairs can be added.

    Args:
        pairs: `[BINS]` number of pairs by predicted probability.
        predicted: `[BINS]` sum of their probabilities.
        observed: `[BINS]` number of targets among them.
        loss: sum of ``−y log p − (1 − y) log(1 − p)``.
    """

    pairs: FloatArray
    predicted: FloatArray
    observed: FloatArray
    loss: float

    def __add__(self, other: "Reliability") -> "Reliability":
        """The counts of both sets of pairs."""
        return Reliability(
            self.pairs + other.pairs,
            self.predicted + other.predicted,
            self.observed + other.observed,
            self.loss + other.loss,
        )

    @property
    def base_rate(self) -> float:
        """Share of the pairs that are targets."""
        return float(self.observed.sum() / self.pairs.sum())

    @property
    def log_loss(self) -> float:
        """Mean log loss in nats."""
        return float(self.loss / self.pairs.sum())

    @property
    def normalised_log_loss(self) -> float:
        """Log loss over that of predicting the base rate for every pair; below 1 is better than knowing nothing."""
        rate = np.clip(self.base_rate, _SMALLEST, _LARGEST)
        return float(self.log_loss / -(rate * np.log(rate) + (1 - rate) * np.log1p(-rate)))

    @property
    def calibration_error(self) -> float:
        """Expected calibration error ``Σ_b |predicted_b − observed_b| / pairs``: compare it with the base rate."""
        return float(np.abs(self.predicted - self.observed).sum() / self.pairs.sum())

    @property
    def predicted_per_observed(self) -> float:
        """Targets predicted for one observed: above 1 the model promises too much."""
        return float(self.predicted.sum() / self.observed.sum())


def reliability(probabilities: FloatMatrix, query: npt.NDArray[np.integer], target: IntArray) -> Reliability:
    """Count the pairs of a score matrix.

    Args:
        probabilities: `[n, items]`; the columns of padding and unknown are left out.
        query: `[p]` row of each target.
        target: `[p]` item index of each target.

    Raises:
        ValueError: a value is not a probability.
    """
    known = np.asarray(probabilities[:, FIRST_KNOWN:], np.float32)
    if known.size and not (known.min() >= 0 and known.max() <= 1):  # also true of NaN
        raise ValueError(f"probabilities must be in [0, 1], these are in [{known.min()}, {known.max()}]")
    known = np.clip(known, _SMALLEST, _LARGEST)
    hit = (query, target - FIRST_KNOWN)
    # the exponent of a float is the octave it is in: the cheapest histogram there is
    exponent = (known.view(np.int32) >> 23).astype(np.intp)
    positive = known[hit].astype(np.float64)
    return Reliability(
        pairs=_by_octave(np.bincount(exponent.ravel(), minlength=_ONE)),
        predicted=_by_octave(np.bincount(exponent.ravel(), weights=known.ravel(), minlength=_ONE)),
        observed=_by_octave(np.bincount(exponent[hit], minlength=_ONE)),
        loss=float(np.log1p(-positive).sum() - np.log(positive).sum() - np.log1p(-known).sum(dtype=np.float64)),
    )


def _by_octave(by_exponent: npt.NDArray[np.number]) -> FloatArray:
    """Sums by float exponent, `[_ONE]`, as sums by bin, the largest probabilities first."""
    octaves = by_exponent[::-1].astype(np.float64)
    return np.append(octaves[: BINS - 1], octaves[BINS - 1 :].sum())
