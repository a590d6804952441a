"""What everybody can forecast without a model: the last value, the last season, the recent mean.

Each repeats a pattern of one season: `ŷ(t + h) = pattern[(h - 1) mod season]`. Hard to beat at long leads and free of
surprises, so they stand beside every other method. Quantiles come from the method's own errors of the last half year.
Reference: Hyndman & Athanasopoulos, "Forecasting: Principles and Practice", 3rd ed., section 5.2.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import Self

import numpy as np

from models.forecasting.forecaster import FloatArray, Forecast, PanelLike, proper
from models.forecasting.residual_quantiles import around, rolling_residuals

DAYS_OF_YEAR = 364
"""52 whole weeks: a year ago on the same weekday."""


def steps_of(days: int, step_days: int) -> int:
    """Whole steps of a panel in a number of days, at least one."""
    return max(1, round(days / step_days))


def last_observed(demand: FloatArray) -> FloatArray:
    """`[..., time]` to `[...]`: the last value that is not NaN, NaN where there is none."""
    index = np.where(np.isfinite(demand), np.arange(demand.shape[-1]), 0).max(axis=-1, initial=0)
    return np.take_along_axis(demand, index[..., None], axis=-1)[..., 0]


def mean_observed(demand: FloatArray) -> FloatArray:
    """`[..., time]` to `[...]`: the mean of what is not NaN, NaN where there is none."""
    count = np.isfinite(demand).sum(axis=-1)
    total = np.nansum(demand, axis=-1, dtype=np.float64)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan).astype(np.float32)


def folded(demand: FloatArray, season: int) -> FloatArray:
    """Seasons below each other: `[n, time]` to `[n, season, periods]`, the last period ending with the history."""
    n, time = demand.shape
    padded = np.pad(demand, ((0, 0), (-time % season, 0)), constant_values=np.nan)
    return padded.reshape(n, -1, season).transpose(0, 2, 1)  # [n, season, periods]


@dataclass
class RepeatedPattern(ABC):
    """A forecaster that repeats what it takes from the end of the history; batch equals series by series.

    Args:
        n_origins: weekly origins before the end whose errors make the quantiles.
    """

    n_origins: int = field(default=26, kw_only=True)

    @abstractmethod
    def pattern(self, demand: FloatArray, step_days: int) -> FloatArray:
        """`[n, time]` to `[n, season]`: what is repeated after the end; NaN without any history."""

    def fit(self, panel: PanelLike) -> Self:
        """Keep the history."""
        self._demand, self._step_days = panel.demand, panel.step_days
        return self

    def predict(self, horizon: int) -> Forecast:
        """Forecast the `horizon` steps after the end of the panel."""
        week = steps_of(7, self._step_days)
        mean = self._point(self._demand, horizon)
        residuals = rolling_residuals(self._point, self._demand, horizon, spacing=week, n_origins=self.n_origins)
        return proper(mean, around(mean, residuals, bucket=week))

    def _point(self, demand: FloatArray, horizon: int) -> FloatArray:
        pattern = self.pattern(demand, self._step_days)
        return pattern[:, np.arange(horizon) % pattern.shape[1]]


@dataclass
class Naive(RepeatedPattern):
    """The last observed value."""

    name = "naive"

    def pattern(self, demand: FloatArray, step_days: int) -> FloatArray:
        """The last observed value, `[n, 1]`."""
        return last_observed(demand)[:, None]


@dataclass
class SeasonalNaive(RepeatedPattern):
    """The last observed value of the same place in the season.

    Args:
        season_days: 7 repeats the last week; a panel of weeks takes 364, the same week a year ago.
    """

    season_days: int = 7

    name = "seasonal-naive"

    def pattern(self, demand: FloatArray, step_days: int) -> FloatArray:
        """The last season, `[n, season]`, with holes filled from the seasons before and then the last value."""
        days = self.season_days if self.season_days > step_days else DAYS_OF_YEAR
        season = last_observed(folded(demand, steps_of(days, step_days)))
        return np.where(np.isnan(season), last_observed(demand)[:, None], season)


@dataclass
class MovingAverage(RepeatedPattern):
    """The mean of the last days.

    Args:
        window_days: how many.
    """

    window_days: int = 28

    name = "moving-average"

    def pattern(self, demand: FloatArray, step_days: int) -> FloatArray:
        """The recent mean, `[n, 1]`; the last value where the window is empty."""
        mean = mean_observed(demand[:, -steps_of(self.window_days, step_days) :])
        return np.where(np.isnan(mean), last_observed(demand), mean)[:, None]


@dataclass
class WeekdayMean(RepeatedPattern):
    """The mean of each weekday over the last weeks: a week's profile without its noise.

    Args:
        window_days: whole weeks to average over.
    """

    window_days: int = 28

    name = "weekday-mean"

    def pattern(self, demand: FloatArray, step_days: int) -> FloatArray:
        """The mean week, `[n, 7]`; the moving average where a weekday was never observed."""
        weeks = max(1, self.window_days // 7)
        profile = mean_observed(folded(demand, steps_of(7, step_days))[..., -weeks:])
        average = MovingAverage(self.window_days).pattern(demand, step_days)
        return np.where(np.isnan(profile), average, profile)
