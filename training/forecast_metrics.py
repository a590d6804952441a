"""How good forecasts are: errors of the mean, of the quantiles, and of the totals that people plan by.

Everything is computed on arrays `[n, horizon]`; actual demand that was not observed is NaN and does not count. Scaled
errors divide by what a naive forecast would have erred in the past of the same series, so that they can be averaged
over series of any size.

Reference: Hyndman and Koehler, "Another look at measures of forecast accuracy", 2006 (MASE, RMSSE); Makridakis et al.,
"The M5 competition", 2022 (WRMSSE); Gneiting et al., "Probabilistic forecasts, calibration and sharpness", 2007;
Czado et al., "Predictive model assessment for count data", 2009 (randomised coverage).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from data_pipelines.panel import Panel
from data_pipelines.schema import InputError

FloatArray = npt.NDArray[np.floating]
IntArray = npt.NDArray[np.integer]
Level = tuple[str, ...]
"""The static categories that divide the panel into the sums of one level; empty for the total."""
ITEM = "item"
"""Name of the level of the single series."""
WEIGHT_DAYS = 28
SMALLEST_SCALE = 1e-9


@dataclass(frozen=True)
class Sums:
    """One level of the hierarchy.

    Args:
        name: `total`, the categories joined by `x`, or `item`.
        group: `[n]` number of the sum that each series belongs to.
        n_groups: sums at this level.
    """

    name: str
    group: IntArray
    n_groups: int

    def of(self, values: FloatArray) -> FloatArray:
        """Sums `[n_groups, ...]` of values `[n, ...]` over what was observed; NaN where nothing was."""
        known = np.isfinite(values)
        sums, count = (np.zeros((self.n_groups, *values.shape[1:])) for _ in range(2))
        np.add.at(sums, self.group, np.where(known, values, 0.0))
        np.add.at(count, self.group, known)
        return np.where(count > 0, sums, np.nan)


def hierarchy(panel: Panel, levels: Sequence[str]) -> list[Sums]:
    """The sums of each level.

    Args:
        panel: the series with their categories.
        levels: `total`, `item`, a category, or several joined by `x` such as `store_id x dept_id`.

    Raises:
        InputError: if there is no such category.
    """
    names = [category.name for category in panel.statics]
    result = []
    for level in levels:
        parts = [] if level in ("total", ITEM) else [part.strip() for part in level.split(" x ")]
        if unknown := [part for part in parts if part not in names]:
            raise InputError(f"levels: {unknown[0]!r} is no category of the series; there are total, item, {names}")
        codes: IntArray = panel.static[:, [names.index(part) for part in parts]]
        if level == ITEM:
            codes = np.arange(len(panel))[:, None]
        _, group = np.unique(codes, axis=0, return_inverse=True)
        result.append(Sums(level, group.reshape(-1), int(group.max()) + 1))
    return result


def naive_scales(demand: FloatArray, season: int = 1) -> tuple[FloatArray, FloatArray]:
    """Mean absolute and mean squared error of the naive forecast in the past, `[n]` each, from the first sale on.

    Args:
        demand: `[n, time]`, NaN where not observed.
        season: steps back that the naive forecast looks.
    """
    sold = np.cumsum(np.nan_to_num(demand), axis=1) > 0
    past = np.where(sold, demand, np.nan)
    difference = past[:, season:] - past[:, :-season]
    known = np.isfinite(difference)
    count = np.maximum(known.sum(axis=1), 1)
    difference = np.where(known, difference, 0.0)
    return np.abs(difference).sum(axis=1) / count, np.square(difference).sum(axis=1) / count


def value_weights(past: Panel) -> FloatArray:
    """Each series' share of the money of the last 28 days, `[n]`."""
    value = np.nansum(past.demand[:, -WEIGHT_DAYS:], axis=1) * past.unit_value
    return value / max(value.sum(), SMALLEST_SCALE)


def rmsse(past: FloatArray, actual: FloatArray, mean: FloatArray) -> FloatArray:
    """Root mean squared scaled error of each series: `sqrt(mean((y - m)^2) / mean((y_t - y_(t-1))^2))`, `[n]`.

    Args:
        past: `[n, time]` demand before the forecast.
        actual: `[n, horizon]`.
        mean: `[n, horizon]` forecasts.
    """
    _, scale = naive_scales(past)
    return np.sqrt(_mean(np.square(actual - mean)) / np.maximum(scale, SMALLEST_SCALE))


def wrmsse(past: Panel, actual: FloatArray, mean: FloatArray, levels: Sequence[Sums]) -> dict[str, float]:
    """RMSSE of the sums of every level, weighted by their share of the money, and their mean over the levels.

    Args:
        past: the panel until the forecast.
        actual: `[n, horizon]`.
        mean: `[n, horizon]` forecasts.
        levels: from `hierarchy`.
    """
    weight = value_weights(past)
    mean = np.where(np.isfinite(actual), mean, 0.0)  # a day that was not observed counts in neither sum
    result = {}
    for sums in levels:
        errors = rmsse(sums.of(past.demand), sums.of(actual), sums.of(mean))
        share = np.bincount(sums.group, weight, sums.n_groups)
        sold = share > 0
        result[sums.name] = float((errors[sold] * share[sold]).sum())
    return result | {"mean": float(np.mean(list(result.values())))}


def point_metrics(past: FloatArray, actual: FloatArray, mean: FloatArray, season: int = 7) -> dict[str, float]:
    """MAE, MSE, RMSE, WAPE, bias (relative), and the mean over the series of MASE and RMSSE.

    Args:
        past: `[n, time]`.
        actual: `[n, horizon]`.
        mean: `[n, horizon]`.
        season: of the naive forecast that MASE divides by.
    """
    known = np.isfinite(actual)
    error = (mean - actual)[known]
    total = max(float(actual[known].sum()), SMALLEST_SCALE)
    seasonal, _ = naive_scales(past, min(season, past.shape[1] - 1))
    usable = seasonal > 0
    mase = _mean(np.abs(actual - mean))[usable] / seasonal[usable]
    scaled = rmsse(past, actual, mean)[naive_scales(past)[1] > 0]
    return {
        "mae": float(np.abs(error).mean()),
        "mse": float(np.square(error).mean()),
        "rmse": float(np.sqrt(np.square(error).mean())),
        "wape": float(np.abs(error).sum() / total),
        "bias": float(error.sum() / total),
        "mase": float(np.nanmean(mase)) if usable.any() else float("nan"),
        "rmsse": float(np.nanmean(scaled)) if len(scaled) else float("nan"),
    }


def pinball(actual: FloatArray, quantiles: FloatArray, levels: Sequence[float]) -> FloatArray:
    """Mean quantile loss per level, `[n_levels]`: `mean(max(t (y - q), (t - 1) (y - q)))`.

    Args:
        actual: `[n, horizon]`.
        quantiles: `[n, horizon, n_levels]`.
        levels: `[n_levels]`.
    """
    difference = actual[..., None] - quantiles
    loss = np.maximum(np.asarray(levels) * difference, (np.asarray(levels) - 1.0) * difference)
    return np.nanmean(loss, axis=(0, 1))


def coverage(actual: FloatArray, low: FloatArray, high: FloatArray) -> float:
    """Share of the actual demand within `[low, high]`, both included."""
    known = np.isfinite(actual)
    return float(((actual >= low) & (actual <= high))[known].mean())


def randomised_coverage(
    actual: FloatArray, quantiles: FloatArray, levels: Sequence[float], low: float, high: float
) -> float:
    """Coverage of counts by the interval between two levels, as if counts were not lumpy.

    With many zeros a perfect 10 % to 90 % interval holds far more than 80 % of the counts, because it must hold all the
    zeros or none. The probability integral transform of a count is therefore spread evenly over the levels that its
    value spans: with F the forecast's distribution, between `F(y - 1)` and `F(y)`. 0.8 is perfect for any demand.
    """
    known = np.isfinite(actual)
    count, forecast = np.round(actual[known]), quantiles[known]  # [k], [k, n_levels]
    upper = _distribution(forecast, levels, count + 0.5)
    lower = np.where(count <= 0, 0.0, _distribution(forecast, levels, count - 0.5))
    overlap = np.clip(np.minimum(upper, high) - np.maximum(lower, low), 0.0, None)
    point = (lower >= low) & (lower <= high)
    width = upper - lower
    return float(np.where(width > SMALLEST_SCALE, overlap / np.maximum(width, SMALLEST_SCALE), point).mean())


def _distribution(quantiles: FloatArray, levels: Sequence[float], value: FloatArray) -> FloatArray:
    """Forecast probability of demand up to `value`, `[k]`, linear between the quantiles `[k, n_levels]`."""
    level = np.asarray([0.0, *levels, 1.0])
    first = np.zeros((len(quantiles), 1))
    last = quantiles[:, -1:] * 1.5 + 1.0  # beyond the highest level: a tail as thin as most
    points = np.concatenate([first, quantiles, last], axis=1)
    right = np.clip((points <= value[:, None]).sum(axis=1), 1, points.shape[1] - 1)
    row = np.arange(len(points))
    below, above = points[row, right - 1], points[row, right]
    share = np.clip((value - below) / np.maximum(above - below, SMALLEST_SCALE), 0.0, 1.0)
    return level[right - 1] + share * (level[right] - level[right - 1])


def quantile_metrics(actual: FloatArray, quantiles: FloatArray, levels: Sequence[float]) -> dict[str, float]:
    """Mean pinball loss, coverage of the 80 % interval (plain and randomised) and its mean width (sharpness)."""
    low, high = list(levels).index(0.1), list(levels).index(0.9)
    return {
        "pinball": float(pinball(actual, quantiles, levels).mean()),
        "coverage_80": coverage(actual, quantiles[..., low], quantiles[..., high]),
        "coverage_80_randomised": randomised_coverage(actual, quantiles, levels, 0.1, 0.9),
        "sharpness_80": float((quantiles[..., high] - quantiles[..., low]).mean()),
    }


def _mean(values: FloatArray) -> FloatArray:
    """Mean over the horizon of what was observed, `[n]`; 0 where nothing was."""
    known = np.isfinite(values)
    return np.where(known, values, 0.0).sum(axis=1) / np.maximum(known.sum(axis=1), 1)
