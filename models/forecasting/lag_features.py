"""What is known at an origin of a step ahead: lags, windows, the calendar, planned covariates, statics.

One row is one (series, origin, lead): the origin is the number of steps known, the target is step `origin + lead - 1`.
Nothing at or after the origin is read from demand or from covariates that are only observed. Demand is divided by the
series' level at the origin, so one model learns from small and large series alike. All features are differences of
cumulative sums, looked up for all rows at once.
Reference: Makridakis, Spiliotis & Assimakopoulos, "M5 accuracy competition", IJF 2022 (the features of its leading
gradient boosting entries).
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from models.forecasting.calendar import Calendar, repeats_yearly
from models.forecasting.forecaster import FloatArray, PanelLike
from models.forecasting.naive import DAYS_OF_YEAR, steps_of

Index = npt.NDArray[np.int64]
Columns = dict[str, npt.NDArray[np.floating] | npt.NDArray[np.integer]]
WINDOW_DAYS = (7, 28, 84, 364)
SAME_WEEKDAYS = (1, 2, 4, 8)
LEVEL_DAYS = (28, 84, 364)
"""A series' level is its mean over the first of these windows, or over a longer one where that is nearly empty."""
EMPTY_SHARE = 0.1
"""A window is nearly empty when its mean is below this share of the longer window's."""


@dataclass(frozen=True)
class Rows:
    """Which forecasts to describe.

    Args:
        series: `[rows]` index of the series.
        origin: `[rows]` steps known.
        lead: `[rows]` steps ahead, from 1.
    """

    series: Index
    origin: Index
    lead: Index

    @property
    def target(self) -> Index:
        """`[rows]` the step that is forecast."""
        return self.origin + self.lead - 1

    def take(self, chosen: npt.NDArray[np.bool_] | Index) -> "Rows":
        """Some of the rows."""
        return Rows(self.series[chosen], self.origin[chosen], self.lead[chosen])


class LagFeatures:
    """The features of a panel's rows.

    Args:
        panel: the history and its covariates.
        horizon: planned covariates that do not reach this many steps beyond the end are left out: a model that leans
            on them would be lost where they are missing.
    """

    def __init__(self, panel: PanelLike, horizon: int) -> None:
        self._panel = panel
        self._calendar = Calendar(panel.country, repeats_yearly(panel.demand.shape[1], panel.step_days))
        self._week, self._year = steps_of(7, panel.step_days), steps_of(DAYS_OF_YEAR, panel.step_days)
        self._time = panel.demand.shape[1]
        observed = np.isfinite(panel.demand)
        demand = np.where(observed, panel.demand, 0.0).astype(np.float64)
        self._sum, self._sum_of_squares, self._count, self._zeros = (
            _cumulative(part) for part in (demand, demand**2, observed, observed & (panel.demand == 0))
        )
        self._weekday_sum, self._weekday_count = (_weekday_cumulative(part, self._week) for part in (demand, observed))
        sold = np.where(demand > 0, np.arange(self._time), -self._year)
        self._last_sale = np.maximum.accumulate(sold, axis=1)
        self._numeric = [column for column in range(len(panel.planned)) if self._usable(column, horizon)]
        self._categorical = panel.categories if panel.categorical.shape[1] >= self._time + horizon else ()
        self._filled = _filled(panel.numeric[:, : self._time])  # [n, time, n_numeric]

    @property
    def categorical(self) -> tuple[str, ...]:
        """Names of the features that are codes without an order."""
        named = [category.name for category in (*self._categorical, *self._panel.statics)]
        return (*self._calendar.categorical, *named)

    def level(self, rows: Rows) -> FloatArray:
        """`[rows]` the series' mean demand at the origin, 0 where nothing was ever sold."""
        means = [np.nan_to_num(self._mean(rows, steps_of(days, self._panel.step_days))) for days in LEVEL_DAYS]
        level = np.nan_to_num(self._mean(rows, self._time))
        for mean in reversed(means):
            level = np.where(mean > EMPTY_SHARE * level, mean, level)
        return level.astype(np.float32)

    def matrix(self, rows: Rows) -> tuple[FloatArray, tuple[str, ...]]:
        """Features `[rows, n_features]`, NaN where unknown, and their names."""
        columns = self._history(rows) | self._days(rows) | self._covariates(rows)
        return np.stack([column.astype(np.float32) for column in columns.values()], axis=1), tuple(columns)

    def _history(self, rows: Rows) -> Columns:
        level = self.level(rows)
        scale = np.where(level > 0, level, np.nan)
        columns: Columns = {"log_level": np.log(scale)}
        for days in WINDOW_DAYS:
            steps = steps_of(days, self._panel.step_days)
            columns[f"mean_{days}"] = self._mean(rows, steps) / scale
        for days in (28, 84):
            steps = steps_of(days, self._panel.step_days)
            columns[f"deviation_{days}"] = self._deviation(rows, steps) / scale
            columns[f"zero_share_{days}"] = self._window(self._zeros, rows, rows.origin, steps)
        columns["days_since_sale"] = rows.origin - self._last_sale[rows.series, rows.origin - 1]
        columns["last_value"] = self._mean(rows, 1) / scale
        last = rows.target - self._week * -(-rows.lead // self._week)  # the target's last known weekday
        for weeks in SAME_WEEKDAYS:
            columns[f"same_weekday_{weeks}"] = self._same_weekday(rows.series, last, weeks) / scale
        return columns | self._year_ago(rows, scale)

    def _year_ago(self, rows: Rows, scale: npt.NDArray[np.floating]) -> Columns:
        years = -(-rows.lead // self._year)  # whole years back, as many as the lead needs
        then = rows.target - self._year * years
        value = self._window(self._sum, rows, then + 1, 1)
        around = self._window(self._sum, rows, np.minimum(then + 1 + self._week // 2, rows.origin), self._week)
        before = self._window(self._sum, rows, rows.origin - self._year * years, steps_of(28, self._panel.step_days))
        before = np.where(before > 0, before, np.nan)
        return {
            "year_ago": value / scale,
            "year_ago_week": around / scale,
            # The season's own shape: a year ago against the level of that time.
            "season": value / before,
            "season_week": around / before,
        }

    def _days(self, rows: Rows) -> Columns:
        last = int(rows.target.max(initial=self._time))
        table = self._calendar.features(self._panel.first_day, last + 1, self._panel.step_days)  # [steps, n_features]
        days = table[rows.target]
        columns: Columns = {name: days[:, column] for column, name in enumerate(self._calendar.names)}
        return columns | {"lead": rows.lead}

    def _covariates(self, rows: Rows) -> Columns:
        columns: Columns = {}
        for column in self._numeric:
            name = self._panel.numeric_names[column]
            known = self._filled[rows.series, rows.origin - 1, column]
            value = self._planned(rows, column) if self._panel.planned[column] else known
            columns[name] = value
            columns[f"{name}_change"] = value - known
        for column, category in enumerate(self._categorical):
            target = np.minimum(rows.target, self._panel.categorical.shape[1] - 1)
            columns[category.name] = self._panel.categorical[rows.series, target, column]
        for column, category in enumerate(self._panel.statics):
            columns[category.name] = self._panel.static[rows.series, column]
        return columns

    def _usable(self, column: int, horizon: int) -> bool:
        return not self._panel.planned[column] or self._panel.numeric.shape[1] >= self._time + horizon

    def _planned(self, rows: Rows, column: int) -> npt.NDArray[np.floating]:
        return self._panel.numeric[rows.series, np.minimum(rows.target, self._panel.numeric.shape[1] - 1), column]

    def _mean(self, rows: Rows, steps: int) -> npt.NDArray[np.floating]:
        return self._window(self._sum, rows, rows.origin, steps)

    def _deviation(self, rows: Rows, steps: int) -> npt.NDArray[np.floating]:
        square = self._window(self._sum_of_squares, rows, rows.origin, steps)
        return np.sqrt(np.maximum(square - self._mean(rows, steps) ** 2, 0.0))

    def _window(self, total: npt.NDArray[np.float64], rows: Rows, end: Index, steps: int) -> npt.NDArray[np.floating]:
        """Mean of what was observed in the `steps` steps before `end`, NaN where nothing was."""
        end, start = np.maximum(end, 0), np.maximum(end - steps, 0)
        count = self._count[rows.series, end] - self._count[rows.series, start]
        value = total[rows.series, end] - total[rows.series, start]
        return np.where(count > 0, value / np.maximum(count, 1), np.nan)

    def _same_weekday(self, series: Index, last: Index, weeks: int) -> npt.NDArray[np.floating]:
        """Mean of the step `last` and the same weekday of the weeks before it, `weeks` values at most."""
        place, end = last % self._week, np.maximum(last // self._week + 1, 0)
        start = np.maximum(end - weeks, 0)
        count = self._weekday_count[series, end, place] - self._weekday_count[series, start, place]
        value = self._weekday_sum[series, end, place] - self._weekday_sum[series, start, place]
        return np.where(count > 0, value / np.maximum(count, 1), np.nan)


def _cumulative(values: npt.NDArray[np.generic]) -> npt.NDArray[np.float64]:
    """`[n, time]` to `[n, time + 1]`: entry t is the sum of what is before step t."""
    return np.pad(np.cumsum(values, axis=1, dtype=np.float64), ((0, 0), (1, 0)))


def _weekday_cumulative(values: npt.NDArray[np.generic], week: int) -> npt.NDArray[np.float64]:
    """`[n, time]` to `[n, weeks + 1, week]`: per place in the week, the sum of the weeks before."""
    n, time = values.shape
    weeks = np.pad(values, ((0, 0), (0, -time % week))).reshape(n, -1, week)  # [n, weeks, week]
    return np.pad(np.cumsum(weeks, axis=1, dtype=np.float64), ((0, 0), (1, 0), (0, 0)))


def _filled(values: FloatArray) -> FloatArray:
    """`[n, time, k]` with holes filled by the last value before them."""
    steps = np.arange(values.shape[1])[:, None]
    last = np.maximum.accumulate(np.where(np.isfinite(values), steps, 0), axis=1)
    return np.take_along_axis(values, last, axis=1)
