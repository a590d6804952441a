"""Pictures of forecasts: fan charts, errors by lead and weekday, calibration, and models side by side."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes

from data_pipelines.figures import Picture, Theme, date_axis, legend_above, new_figure, png
from data_pipelines.panel import Panel
from models.forecasting.arima import acf_pacf
from models.forecasting.forecaster import Forecast
from training.plots import ROW_INCHES

BANDS = ((0.05, 0.95), (0.1, 0.9), (0.25, 0.75))
WEEKDAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
LINES = 6
LAGS, SHORTEST, CORRELOGRAMS = 28, 8, 3
HISTORY_SHOWN = 84
LONGEST_TITLE = 48


@dataclass(frozen=True)
class Series:
    """One series with its forecast.

    Args:
        title: its name.
        model: that forecast it.
        dates: `[past + horizon]`.
        demand: `[past + horizon]`, NaN where not known.
        split: steps before the forecast.
        past: `[time]` all demand before the forecast, NaN where not known.
        mean: `[horizon]`.
        quantiles: `[horizon, n_levels]`.
        levels: `[n_levels]`.
    """

    title: str
    model: str
    dates: npt.NDArray[np.datetime64]
    demand: npt.NDArray[np.floating]
    split: int
    past: npt.NDArray[np.floating]
    mean: npt.NDArray[np.floating]
    quantiles: npt.NDArray[np.floating]
    levels: tuple[float, ...]


def series_with_forecasts(
    panel: Panel, rows: npt.NDArray[np.integer], split: int, forecast: Forecast, names: Sequence[str], model: str
) -> list[Series]:
    """Some series of a panel with what was forecast for them from the step `split` on.

    Args:
        panel: the series, with or without what followed.
        rows: which of them.
        split: first step that is forecast.
        forecast: of all series.
        names: `[n]` what people call them.
        model: that forecast them.
    """
    horizon, first = forecast.mean.shape[1], max(split - HISTORY_SHOWN, 0)
    demand = panel.demand[rows, first : split + horizon]
    unknown = np.full((len(rows), split + horizon - first - demand.shape[1]), np.nan)
    return [
        Series(
            title=names[row][:LONGEST_TITLE],
            model=model,
            dates=panel.dates(first, split + horizon),
            demand=known,
            split=split - first,
            past=panel.demand[row, :split],
            mean=forecast.mean[row],
            quantiles=forecast.quantiles[row],
            levels=forecast.levels,
        )
        for row, known in zip(rows, np.concatenate([demand, unknown], axis=1), strict=True)
    ]


def pictures(summary: dict[str, Any], series: Sequence[Series]) -> list[Picture]:
    """The pictures of a backtest.

    Args:
        summary: what `training.backtest_summary.summarise` returned.
        series: typical ones.
    """
    models = sorted(summary["models"], key=lambda name: summary["models"][name]["validation"]["wrmsse"]["mean"])
    shown = models[:LINES]
    return [
        Picture(
            "Accuracy",
            "WRMSSE of the test (dots) and of each earlier origin (ticks); smaller is better.",
            lambda theme: _accuracy(summary, models, theme),
        ),
        Picture(
            "Typical series",
            f"What was sold, and the forecast of {series[0].model}: mean, and intervals of 50, 80 and 90 %.",
            lambda theme: fan_charts(series, theme),
        ),
        Picture(
            "What the past says of the next day",
            "Correlation of demand with that of so many steps before: all of it (bars), and what nearer steps do not "
            "explain (dots). ARIMA orders are read from it; within the band it may be chance.",
            lambda theme: correlograms(series[:CORRELOGRAMS], theme),
        ),
        Picture(
            "Error by lead",
            "Mean absolute error of the test, by steps ahead.",
            lambda theme: _lines(summary, shown, "by_step", theme),
        ),
        Picture(
            "Error by weekday",
            "Mean absolute error of the test, by weekday.",
            lambda theme: _lines(summary, shown, "by_weekday", theme),
        ),
        Picture(
            "Are the quantiles true?",
            "Share of the demand at or below each quantile. Counts with many zeros lie above the diagonal at low "
            "levels, however good the forecast: zero itself is more likely than that.",
            lambda theme: _calibration(summary, shown, series[0].levels, theme),
        ),
    ]


def fan_chart(axis: Axes, series: Series, theme: Theme) -> None:
    """What was sold, then the forecast with its intervals."""
    future = series.dates[series.split :]
    level = [round(one, 4) for one in series.levels]
    for low, high in BANDS:
        lower, upper = series.quantiles[:, level.index(low)], series.quantiles[:, level.index(high)]
        axis.fill_between(future, lower, upper, color=theme.model, alpha=0.18, linewidth=0)
    axis.plot(series.dates, series.demand[: len(series.dates)], color=theme.muted, linewidth=1.1)
    axis.plot(future, series.mean, color=theme.model, linewidth=1.6)
    axis.axvline(future[0], color=theme.rival, linewidth=0.9, linestyle=":")
    axis.set_title(series.title, loc="left", color=theme.text, fontsize=9.5, parse_math=False)
    axis.set_ylim(bottom=0, top=max(axis.get_ylim()[1], 1.0))
    date_axis(axis, theme)


def fan_charts(series: Sequence[Series], theme: Theme) -> bytes:
    """Several fan charts in two columns."""
    rows = -(-len(series) // 2)
    figure, axes = new_figure(theme, 1.9 * rows, min(len(series), 2), rows=rows)
    for axis, one in zip(axes, series, strict=False):
        fan_chart(axis, one, theme)
    for axis in axes[len(series) :]:
        axis.set_visible(False)
    return png(figure)


def correlograms(series: Sequence[Series], theme: Theme) -> bytes:
    """Autocorrelation and partial autocorrelation of some series."""
    figure, axes = new_figure(theme, 1.9 * len(series), 1, rows=len(series))
    for axis, one in zip(axes, series, strict=True):
        known = one.past[np.isfinite(one.past).argmax() :]
        values = np.where(np.isfinite(known), known, np.nanmean(known))
        if len(values) >= SHORTEST and np.ptp(values) > 0:  # a constant correlates with nothing
            found = acf_pacf(values, LAGS)
            lags = np.arange(1, len(found.acf))
            axis.axhspan(-found.bound, found.bound, color=theme.muted, alpha=0.18, linewidth=0)
            axis.bar(lags, found.acf[1:], width=0.35, color=theme.model)
            axis.plot(lags, found.pacf[1:], "o", color=theme.rival, markersize=3.5)
        axis.axhline(0, color=theme.muted, linewidth=0.8)
        axis.set_title(one.title, loc="left", color=theme.text, fontsize=9.5, parse_math=False)
        axis.set_xticks(range(0, LAGS + 1, 7))
    axes[-1].set_xlabel("steps before")
    return png(figure)


def _accuracy(summary: dict[str, Any], models: Sequence[str], theme: Theme) -> bytes:
    figure, (axis,) = new_figure(theme, 0.9 + ROW_INCHES * len(models))
    earlier = [origin["day"] for origin in summary["origins"] if not origin["test"]]
    for row, name in enumerate(reversed(models)):
        one = summary["models"][name]
        colour = theme.model if name == summary["champion"] else theme.muted
        values = [one["windows"][day]["wrmsse"]["mean"] for day in earlier]
        axis.plot(values, [row] * len(values), "|", color=colour, markersize=9)
        axis.plot([one["test"]["wrmsse"]["mean"]], [row], "o", color=colour, markersize=6.5)
    axis.set_yticks(range(len(models)), list(reversed(models)))
    for tick in axis.get_yticklabels():
        chosen = tick.get_text() == summary["champion"]
        tick.set_color(theme.model if chosen else theme.text)
        tick.set_fontweight("bold" if chosen else "normal")
    axis.set_xlabel("WRMSSE")
    axis.grid(visible=False, axis="y")
    return png(figure)


def _lines(summary: dict[str, Any], models: Sequence[str], what: str, theme: Theme) -> bytes:
    figure, (axis,) = new_figure(theme, 3.2)
    for number, name in enumerate(models):
        values = np.array(summary["models"][name]["test"][what], float)
        steps = np.arange(1, len(values) + 1)
        axis.plot(steps, values, **_style(number, name, summary, theme))
    if what == "by_weekday":
        axis.set_xticks(range(1, 8), WEEKDAYS)
    else:
        axis.set_xlabel("steps ahead")
    axis.set_ylabel("mean absolute error (units)")
    axis.set_ylim(bottom=0)
    legend_above(axis, theme)
    return png(figure)


def _calibration(summary: dict[str, Any], models: Sequence[str], levels: tuple[float, ...], theme: Theme) -> bytes:
    figure, (axis,) = new_figure(theme, 4.2)
    axis.plot([0, 1], [0, 1], "--", color=theme.muted, linewidth=1)
    for number, name in enumerate(models):
        axis.plot(levels, summary["models"][name]["test"]["calibration"], **_style(number, name, summary, theme))
    axis.set_xlabel("quantile level")
    axis.set_ylabel("share of the demand at or below")
    legend_above(axis, theme)
    return png(figure)


def _style(number: int, name: str, summary: dict[str, Any], theme: Theme) -> dict[str, Any]:
    """The champion stands out; the others differ by dash and marker, not by colour alone."""
    if name == summary["champion"]:
        return {"color": theme.model, "linewidth": 2.2, "label": name, "zorder": 3}
    dashes = ("-", "--", ":", "-.")[number % 4]
    marker = ("", "o", "s", "^", "x", "d")[number % 6]
    colour = theme.rival if number == 1 else theme.muted
    return {"color": colour, "linewidth": 1.3, "linestyle": dashes, "marker": marker, "markersize": 3, "label": name}
