"""Customer segments: k-means on scaled features, with a number of segments that is found again.

k-means++ starts several times; of many customers that is done on a sample, from whose best centroids `MiniBatchKMeans`
goes on with all of them, a part at a time. How many segments
there are is decided on samples, for every number k asked for:

    silhouette   mean of (b − a) / max(a, b): a customer's mean distance to its own segment and to the nearest other
    stability    mean adjusted Rand index between the segments of pairs of bootstrap samples, on the same customers

Taken is the largest silhouette among the numbers whose stability reaches a floor; if none does, the most stable one.
Reference: Arthur & Vassilvitskii, "k-means++", 2007; Rousseeuw, "Silhouettes", 1987; Hubert & Arabie, "Comparing
partitions", 1985; Ben-Hur, Elisseeff & Guyon, "A stability based method for discovering structure", 2002.
"""

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from sklearn.cluster import KMeans, MiniBatchKMeans
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import adjusted_rand_score, pairwise_distances, silhouette_score
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]
STARTS = 5
MANY = 50_000
"""Customers from which on a part is seen at a time."""
BATCH = 8_192
CLEARLY = 1.02
"""A fit is clearly better than another whose squared distances are more than this many times as large."""
SAMPLE = 5_000
"""Customers that the number of segments is chosen on; a silhouette takes all their distances."""


@dataclass(frozen=True)
class Candidate:
    """How good a number of segments is.

    Args:
        segments: the number.
        silhouette: −1 to 1, larger is more distinct.
        stability: adjusted Rand index between fits on resampled customers; 1 is always the same, 0 is chance.
    """

    segments: int
    silhouette: float
    stability: float


def cluster(points: FloatArray, segments: int, seed: int, previous: FloatArray | None = None) -> FloatArray:
    """Find centroids.

    Args:
        points: `[n, d]`.
        segments: how many, at most the number of different points.
        seed: of the random starts.
        previous: `[segments, d]` centroids to go on from, unless new ones fit clearly better: of two equally good
            divisions the customers' own is kept.

    Returns:
        `[segments, d]`.
    """
    fresh = _fit(points, segments, seed, None)
    if previous is None:
        return fresh
    moved = _fit(points, segments, seed, previous)
    return moved if _inertia(points, moved) <= CLEARLY * _inertia(points, fresh) else fresh


def _fit(points: FloatArray, segments: int, seed: int, start: FloatArray | None) -> FloatArray:
    """Centroids from a start, or from the best of several random ones."""
    if len(points) < MANY:
        starts = {"init": "k-means++", "n_init": STARTS} if start is None else {"init": start, "n_init": 1}
        return np.asarray(KMeans(segments, random_state=seed, **starts).fit(points).cluster_centers_, float)
    if start is None:
        start = _fit(_sample(points, np.random.default_rng(seed)), segments, seed, None)
    model = MiniBatchKMeans(
        segments,
        init=start,
        n_init=1,
        random_state=seed,
        batch_size=BATCH,
        reassignment_ratio=0.0,  # a small segment is one, too
        compute_labels=False,
    )
    return np.asarray(model.fit(points).cluster_centers_, float)


def _inertia(points: FloatArray, centroids: FloatArray) -> float:
    """Sum of squared distances to the nearest centroid."""
    return float(np.square(points - centroids[nearest(points, centroids)]).sum())


def nearest(points: FloatArray, centroids: FloatArray) -> IntArray:
    """The centroid closest to each point, `[n]`."""
    # |x − c|² without |x|², which is the same for all centroids
    return np.asarray((np.square(centroids).sum(axis=1) - 2.0 * points @ centroids.T).argmin(axis=1))


def judge(
    points: FloatArray,
    numbers: Sequence[int],
    *,
    resamples: int,
    seed: int,
    track: Callable[[Sequence[int]], Sequence[int]] = tuple,
) -> list[Candidate]:
    """Measure numbers of segments.

    Args:
        points: `[n, d]`.
        numbers: of segments.
        resamples: pairs of bootstrap samples.
        seed: of samples and starts.
        track: wraps `numbers` for a progress bar.

    Returns:
        One candidate per number, in their order.
    """
    generator = np.random.default_rng(seed)
    sample = _sample(points, generator)
    pairs = generator.integers(0, len(sample), (resamples, 2, len(sample)))
    distance = pairwise_distances(sample)
    found = []
    for number in track(numbers):
        # samples are small: threads that wait for each other cost more than they save
        with threadpool_limits(1), warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)  # few customers resampled may be fewer than segments
            label = nearest(sample, cluster(sample, number, seed))
            agreement = [
                adjusted_rand_score(*(nearest(sample, cluster(sample[half], number, seed + i)) for half in pair))
                for i, pair in enumerate(pairs)
            ]
        found.append(Candidate(number, _silhouette(distance, label), float(np.mean(agreement))))
    return found


def choose(candidates: Sequence[Candidate], floor: float) -> Candidate:
    """The most distinct one of those that are found again, else the one that is found again most.

    Args:
        candidates: at least one.
        floor: stability from which on segments count as found again.
    """
    stable = [one for one in candidates if one.stability >= floor]
    if stable:
        return max(stable, key=lambda one: (one.silhouette, one.stability))
    return max(candidates, key=lambda one: (one.stability, one.silhouette))


def _silhouette(distance: FloatArray, label: IntArray) -> float:
    """Of points by all their distances; −1 where there is one segment, or one for each point."""
    if not 1 < len(np.unique(label)) < len(label):
        return -1.0
    return float(silhouette_score(distance, label, metric="precomputed"))


def _sample(points: FloatArray, generator: np.random.Generator) -> FloatArray:
    if len(points) <= SAMPLE:
        return points
    return points[np.sort(generator.choice(len(points), SAMPLE, replace=False))]
