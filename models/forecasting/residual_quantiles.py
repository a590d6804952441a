"""Quantiles from the errors a method made before: distribution-free, the same for every point forecast.

The quantile of level q is the point forecast plus the q-quantile of the errors at comparable leads in the past. Errors
are out of sample: each was made at an earlier origin with what was known there. Reference: Hyndman & Athanasopoulos,
"Forecasting: Principles and Practice", 3rd ed., section 5.5 (bootstrapped residuals).
"""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
from scipy.stats import poisson

from models.forecasting.forecaster import LEVELS, FloatArray

FEWEST_RESIDUALS = 8
"""With fewer errors than this an empirical quantile says nothing; demand counted in units is then taken as Poisson."""


def quantiles_of(
    values: npt.NDArray[np.floating], levels: tuple[float, ...] | npt.NDArray[np.floating] = LEVELS
) -> FloatArray:
    """Quantiles along the last axis of what is not NaN, linearly interpolated.

    Args:
        values: `[..., k]`, NaN where there is none.
        levels: `[n_levels]`, or `[..., n_levels]` where they differ.

    Returns:
        `[..., n_levels]`, NaN where all values are.
    """
    ordered = np.sort(values, axis=-1)  # NaN sorts last
    last = np.isfinite(values).sum(axis=-1, keepdims=True) - 1
    position = np.maximum(np.asarray(levels) * last, 0.0)  # [..., n_levels]
    below = np.floor(position).astype(np.int64)
    above = np.minimum(below + 1, np.maximum(last, 0))
    share = position - below
    low, high = (np.take_along_axis(ordered, index, axis=-1) for index in (below, above))
    return (low * (1 - share) + high * share).astype(np.float32)


def rolling_residuals(
    point: Callable[[FloatArray, int], FloatArray], demand: FloatArray, horizon: int, spacing: int, n_origins: int
) -> FloatArray:
    """What was sold less what `point` would have forecast at earlier origins.

    Args:
        point: forecasts `[n, horizon]` from a history `[n, time]`.
        demand: `[n, time]`.
        horizon: steps.
        spacing: steps between origins.
        n_origins: the last ones before the end.

    Returns:
        `[n, n_origins, horizon]`; NaN where nothing is known of the target or of the history.
    """
    time = demand.shape[1]
    ahead = np.pad(demand, ((0, 0), (0, horizon)), constant_values=np.nan)
    origins = range(time - spacing, 0, -spacing)[:n_origins]
    residuals = [ahead[:, origin : origin + horizon] - point(demand[:, :origin], horizon) for origin in origins]
    if not residuals:
        return np.full((len(demand), 1, horizon), np.nan, np.float32)
    return np.stack(residuals, axis=1).astype(np.float32)


def around(mean: FloatArray, residuals: FloatArray, bucket: int) -> FloatArray:
    """Quantiles of demand: the mean plus quantiles of residuals, which leads of one bucket share.

    Args:
        mean: `[n, horizon]`.
        residuals: `[n, n_origins, horizon]`, NaN where unknown.
        bucket: consecutive steps that are pooled, so that a 0.99 quantile has something to stand on.

    Returns:
        `[n, horizon, n_levels]`; Poisson where a series has too few residuals.
    """
    n, horizon = mean.shape
    shifts = np.empty((n, horizon, len(LEVELS)), np.float32)
    for start in range(0, horizon, bucket):
        pooled = residuals[:, :, start : start + bucket].reshape(n, -1)  # [n, n_origins * bucket]
        pooled = np.where((np.isfinite(pooled).sum(axis=1) < FEWEST_RESIDUALS)[:, None], np.nan, pooled)
        shifts[:, start : start + bucket] = quantiles_of(pooled)[:, None]
    # A later bucket without residuals of its own (a young series) borrows the ones before it.
    for start in range(bucket, horizon, bucket):
        missing = np.isnan(shifts[:, start, 0])
        shifts[missing, start : start + bucket] = shifts[missing, start - 1][:, None]
    counts = poisson.ppf(np.asarray(LEVELS), np.maximum(np.nan_to_num(mean), 0.0)[..., None])
    return np.where(np.isnan(shifts), counts, mean[..., None] + shifts).astype(np.float32)
