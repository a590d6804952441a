"""Demand as probabilities of whole numbers of bins, from quantiles or from a mean, a day or several at a time.

A forecast's quantiles are joined by straight lines to a distribution function F, with exponential tails beyond the
highest and the lowest (at most a straight line to zero); a count d then has the probability `F(d + 1/2) - F(d - 1/2)`,
and zero all that lies below 1/2. Large demand is counted in bins of several units: bin k stands for k times the bin's
width, so a value is off by at most half a width, and a cost per unit of shortage or stock by at most half a width times
that cost.

Reference: Silver, Pyke and Thomas, "Inventory and Production Management in Supply Chains", 4th ed. 2017, chapter 6
(demand over lead time plus review interval).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import fft, stats

FloatArray = npt.NDArray[np.floating]
IntArray = npt.NDArray[np.integer]
MOST_BINS = 128
SMALLEST = 1e-12
ROWS_AT_ONCE, CELLS_AT_ONCE = 2048, 8_000_000
"""Products, and numbers, at a time where several copies of distributions are needed."""


@dataclass(frozen=True)
class DemandDistribution:
    """Demand of products in periods; periods are independent of each other.

    Args:
        probability: `[n, periods, bins]` of a demand of k bins; each sums to one.
        width: `[n]` units per bin, whole numbers.
    """

    probability: FloatArray
    width: IntArray

    def mean(self) -> FloatArray:
        """Expected units, `[n, periods]`."""
        return self.probability @ np.arange(self.probability.shape[-1]) * self.width[:, None]

    def variance(self) -> FloatArray:
        """Of the units, `[n, periods]`."""
        bins = np.arange(self.probability.shape[-1])
        square = self.probability @ np.square(bins) - np.square(self.probability @ bins)
        return np.maximum(square, 0.0) * np.square(self.width[:, None])

    def quantile(self, level: FloatArray | float) -> FloatArray:
        """Smallest demand that is not exceeded with at least that probability, in units, `[n, periods]`.

        Args:
            level: one for all, or `[n]`.
        """
        wanted = np.broadcast_to(np.asarray(level, float), self.width.shape)[:, None, None] - SMALLEST
        reached = np.cumsum(self.probability, axis=-1) >= wanted
        last = self.probability.shape[-1] - 1
        place = np.where(reached.any(axis=-1), reached.argmax(axis=-1), last)
        return np.asarray(place * self.width[:, None], float)

    def bins_needed(self, rest: float = 1e-7) -> IntArray:
        """Bins that hold all but `rest` of every period's probability, `[n]`."""
        inside = np.cumsum(self.probability, axis=-1) < 1.0 - rest
        needed: IntArray = np.minimum(inside.sum(axis=-1).max(axis=1) + 1, self.probability.shape[-1])
        return needed

    def take(self, rows: IntArray, bins: int | None = None) -> "DemandDistribution":
        """Some of the products, with their first `bins` bins."""
        return _proper(self.probability[rows, :, :bins].copy(), self.width[rows])

    def sums(self, periods: IntArray | int, starts: int | None = None) -> "DemandDistribution":
        """Demand of each period together with those after it, `[n, periods, more bins]`.

        Args:
            periods: how many together, `[n]` or one for all, at least 1. Where the horizon ends before that, the last
                period's demand is taken for those beyond it.
            starts: only the sums that begin in the first so many periods.
        """
        return self.mixed_sums(periods, periods, starts)

    def mixed_sums(
        self, first: IntArray | int, last: IntArray | int, starts: int | None = None
    ) -> "DemandDistribution":
        """Demand until a period that is any of several with equal probability, otherwise like `sums`.

        Args:
            first: the fewest periods together, `[n]` or one for all.
            last: the most periods together, `[n]` or one for all.
            starts: only the sums that begin in the first so many periods.
        """
        n, horizon, bins = self.probability.shape
        begins = np.arange(horizon)[:starts]
        least, most = (np.broadcast_to(np.asarray(one), (n,)) for one in (first, last))
        longest = int(most.max())
        size = fft.next_fast_len(longest * (bins - 1) + 1, real=True)
        result = np.zeros((n, len(begins), longest * (bins - 1) + 1))
        at_once = max(CELLS_AT_ONCE // (size * horizon), 1)
        pairs, which = np.unique(np.stack([least, most]), axis=1, return_inverse=True)
        for number, (few, many) in enumerate(pairs.T):
            same = np.flatnonzero(which.ravel() == number)
            for rows in (same[part] for part in parts(len(same), at_once)):
                seen = self.probability[rows, : begins[-1] + many]
                transformed = fft.rfft(seen, size, axis=-1)
                product, mixture = np.ones_like(transformed[:, : len(begins)]), 0.0
                for ahead in range(many):
                    product = product * transformed[:, np.minimum(begins + ahead, horizon - 1)]
                    mixture = mixture + product if ahead >= few - 1 else mixture
                result[rows] = fft.irfft(mixture / (many - few + 1), size, axis=-1)[..., : result.shape[-1]]
        return _proper(result, self.width)

    def sample(self, paths: int, generator: np.random.Generator, correlation: float = 0.0) -> FloatArray:
        """Draw demand in units, `[n, paths, periods]`.

        Args:
            paths: per product.
            generator: of randomness.
            correlation: of the normal scores of neighbouring periods (a Gaussian copula that decays with distance),
                for demand that stays high or low for a while.
        """
        n, horizon, _ = self.probability.shape
        if correlation:
            noise = generator.standard_normal((n, paths, horizon))
            for period in range(1, horizon):
                noise[..., period] *= np.sqrt(1.0 - correlation**2)
                noise[..., period] += correlation * noise[..., period - 1]
            level = stats.norm.cdf(noise)
        else:
            level = generator.random((n, paths, horizon))
        reached = np.cumsum(self.probability, axis=-1)
        reached /= reached[..., -1:]
        flat, levels = reached.reshape(n * horizon, -1), level.transpose(0, 2, 1).reshape(n * horizon, -1)
        shifted = flat + np.arange(len(flat))[:, None]  # one ascending list, so that one search serves all
        place = np.searchsorted(shifted.ravel(), (levels + np.arange(len(flat))[:, None]).ravel())
        place = place.reshape(levels.shape) - np.arange(len(flat))[:, None] * flat.shape[1]
        return np.asarray(place.reshape(n, horizon, paths).transpose(0, 2, 1) * self.width[:, None, None], float)


def parts(n: int, at_once: int = ROWS_AT_ONCE) -> list[IntArray]:
    """Rows of n products in groups of about equal size, of at most so many."""
    return np.array_split(np.arange(n), -(-n // at_once))


def from_quantiles(levels: Sequence[float], quantiles: FloatArray, *, bins: int = MOST_BINS) -> DemandDistribution:
    """The distribution that a forecast's quantiles describe.

    Args:
        levels: `[n_levels]` ascending, at least two.
        quantiles: `[n, periods, n_levels]`, ascending in the last axis, not negative.
        bins: at the most; they are as wide as it takes to hold all but a thousandth.

    Raises:
        ValueError: if quantiles cross, are negative or are no numbers.
    """
    level = np.asarray(levels, float)
    values = np.asarray(quantiles, float)
    if not np.isfinite(values).all() or (values < 0).any() or (np.diff(values, axis=-1) < 0).any():
        raise ValueError("quantiles: must be finite, not negative and ascending")
    tail = (values[..., -1] - values[..., -2]) / np.log((1.0 - level[-2]) / (1.0 - level[-1]))  # [n, periods]
    top = values[..., -1] + tail * np.log((1.0 - level[-1]) / 1e-3 + 1.0)
    width = bin_width(top.max(axis=1), bins)
    used = int(min(np.ceil((top.max(axis=1) / width).max()) + 2, bins))
    probability = np.zeros((*values.shape[:2], used))
    for begin in range(0, len(values), ROWS_AT_ONCE):
        rows = slice(begin, begin + ROWS_AT_ONCE)
        reached = _reached(level, values[rows], tail[rows], width[rows], used)
        probability[rows] = np.diff(reached, axis=-1, prepend=0.0)
    return _proper(probability, width)


def _reached(level: FloatArray, values: FloatArray, tail: FloatArray, width: IntArray, bins: int) -> FloatArray:
    """F at the upper edge of every bin, `[n, periods, bins]`."""
    edge = (np.arange(bins) + 0.5)[None, None, :] * width[:, None, None]  # [n, 1, bins]
    reached = np.zeros((*values.shape[:2], bins))
    below, level_below = values[..., :1], level[0]
    fall = (values[..., 1:2] - below) / np.log(level[1] / level[0])
    tail_below = np.exp(np.minimum(edge - below, 0.0) / np.maximum(fall, SMALLEST))
    reached += level_below * np.minimum(tail_below, np.minimum(edge / np.maximum(below, SMALLEST), 1.0))
    for i, one in enumerate(level[1:], 1):
        above = values[..., i : i + 1]
        gap = above - below
        ramp = np.clip((edge - below) / np.maximum(gap, SMALLEST), 0.0, 1.0)
        reached += (one - level_below) * np.where(gap > SMALLEST, ramp, edge >= above)
        below, level_below = above, one
    beyond = np.maximum(edge - below, 0.0) / np.maximum(tail[..., None], SMALLEST)
    reached += (1.0 - level_below) * np.where(edge >= below, 1.0 - np.exp(-beyond), 0.0)
    reached[..., -1] = 1.0
    return reached


def poisson(mean: FloatArray, *, bins: int = MOST_BINS) -> DemandDistribution:
    """Poisson demand with means `[n, periods]`."""
    return _of_counts(stats.poisson(np.asarray(mean, float)[..., None]), bins)


def negative_binomial(mean: FloatArray, dispersion: FloatArray, *, bins: int = MOST_BINS) -> DemandDistribution:
    """Negative binomial demand with variance `mean + mean^2 / dispersion`.

    Args:
        mean: `[n, periods]`.
        dispersion: `[n, periods]`, above 0.
        bins: bins at the most.
    """
    r, mean = np.asarray(dispersion, float)[..., None], np.asarray(mean, float)[..., None]
    return _of_counts(stats.nbinom(r, r / (r + mean)), bins)


def normal(mean: FloatArray, deviation: FloatArray, *, bins: int = MOST_BINS) -> DemandDistribution:
    """Normal demand, rounded, with what would be negative taken for zero; `[n, periods]` each."""
    spread = np.maximum(np.asarray(deviation, float)[..., None], SMALLEST)
    return _of_counts(stats.norm(np.asarray(mean, float)[..., None], spread), bins)


def empirical(demand: FloatArray, *, bins: int = MOST_BINS) -> DemandDistribution:
    """Every observed demand equally likely, `[n, observations]`, as one period."""
    demand = np.asarray(demand, float)
    width = bin_width(demand.max(axis=1), bins)
    place = np.round(demand / width[:, None]).astype(int)
    n, observations = demand.shape
    cells = (np.arange(n)[:, None] * (place.max() + 1) + place).ravel()
    count = np.bincount(cells, minlength=n * (place.max() + 1)).reshape(n, 1, -1)
    return DemandDistribution(count / observations, width)


def bin_width(largest: FloatArray, bins: int) -> IntArray:
    """The least whole width with which `bins` bins reach the largest demand, `[n]`."""
    width: IntArray = np.maximum(np.ceil(np.asarray(largest) / max(bins - 2, 1)), 1).astype(np.int64)
    return width


def _of_counts(family: Any, bins: int) -> DemandDistribution:
    """Bins of a scipy distribution with parameters `[n, periods, 1]`."""
    top = np.ceil(family.ppf(1.0 - 1e-6))[..., 0].max(axis=1)
    width = bin_width(top, bins)
    used = int((top / width).max()) + 2
    edge = (np.arange(used) + 0.5)[None, None, :] * width[:, None, None]
    reached = family.cdf(edge)
    reached[..., -1] = 1.0
    return _proper(np.diff(reached, axis=-1, prepend=0.0), width)


def _proper(probability: FloatArray, width: IntArray) -> DemandDistribution:
    """Without the rounding errors of differences and transforms."""
    np.maximum(probability, 0.0, out=probability)
    probability /= probability.sum(axis=-1, keepdims=True)
    return DemandDistribution(probability, width)
