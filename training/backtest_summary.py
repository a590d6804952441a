"""From forecasts to figures: metrics per model and origin, what was chosen before the test, and how it stood in it.

All choices are made on the origins before the test. Where the blend is itself judged there, its weights come from the
other origins (leave one out), so that it has no advantage over models without weights.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from data_pipelines.panel import Panel
from models.forecasting.blend import Blend, ClassChampions, champions
from models.forecasting.demand_class import DemandClass, classify
from models.forecasting.forecaster import Forecast
from training.forecast_metrics import (
    FloatArray,
    Sums,
    hierarchy,
    naive_scales,
    pinball,
    point_metrics,
    quantile_metrics,
    value_weights,
    wrmsse,
)
from training.reconciliation import errors, reconcile

LSTM, BLEND, BY_CLASS, MINT = "lstm", "blend", "champion by class", "mint"
CLASSES = tuple(kind.value for kind in DemandClass)
COLD_DAYS = 28
Plain = Any


@dataclass(frozen=True)
class Origin:
    """A point in time from which forecasts are made.

    Args:
        step: column of the panel that is forecast first.
        day: its date, ISO.
        test: whether it is the test.
    """

    step: int
    day: str
    test: bool


@dataclass(frozen=True)
class Kept:
    """A forecast with what it took.

    Args:
        forecast: the forecast.
        seconds: to fit and forecast.
        members: `[members, n, horizon]` means of single seeds, where there are several.
    """

    forecast: Forecast
    seconds: float
    members: Any = None


Kepts = Mapping[int, Mapping[str, Kept]]


@dataclass(frozen=True)
class Window:
    """One origin with all that is needed to judge forecasts there.

    Args:
        past: the panel until the origin.
        actual: `[n, horizon]`.
        levels: sums for WRMSSE.
        classes: `[n]` class of every series' past demand.
    """

    past: Panel
    actual: FloatArray
    levels: list[Sums]
    classes: Any

    def error(self, mean: FloatArray) -> float:
        """WRMSSE, the mean over the levels."""
        return wrmsse(self.past, self.actual, mean, self.levels)["mean"]


def summarise(
    panel: Panel,
    origins: Sequence[Origin],
    kept: Kepts,
    level_names: Sequence[str],
    horizon: int,
    sums: Mapping[int, Forecast] | None = None,
) -> dict[str, Any]:
    """Measure everything.

    Args:
        panel: the series, with what followed each origin.
        origins: the last one is the test.
        kept: forecasts by origin step and model.
        level_names: sums for WRMSSE.
        horizon: steps ahead.
        sums: forecasts of the sums by origin step (`training.reconciliation.sums_panel`), to add MinT.

    Returns:
        Plain data: `origins`, `levels`, `models` (figures per model: `validation` means over the earlier origins,
        `test`, and `windows`), `blend` (weights), `classes` (sizes and champions), `champion`, `seeds`.
    """
    levels = hierarchy(panel, level_names)
    windows = {origin.step: _window(panel, origin, levels, horizon) for origin in origins}
    forecasts = {step: {name: one.forecast for name, one in some.items()} for step, some in kept.items()}
    validation, test = [origin.step for origin in origins[:-1]], origins[-1].step
    weights = _add_blend(forecasts, windows, validation, test)
    by_class = _add_champions(forecasts, windows, validation, test)
    reconciled = _add_mint(forecasts, windows, validation, test, sums) if sums else None
    models: dict[str, Any] = {}
    for name in forecasts[test]:
        measured = {step: _figures(windows[step], forecasts[step][name]) for step in windows}
        seconds = [kept[step][name].seconds for step in windows if name in kept[step]]
        models[name] = {
            "validation": _average([measured[step] for step in validation]),
            "test": measured[test],
            "windows": {origin.day: measured[origin.step] for origin in origins},
            "seconds": float(np.mean(seconds)) if seconds else None,
        }
    champion = min(models, key=lambda name: models[name]["validation"]["wrmsse"]["mean"])
    classes = windows[test].classes
    summary = {
        "series": len(panel),
        "horizon": horizon,
        "step_days": panel.step_days,
        "origins": [vars(origin) for origin in origins],
        "levels": [level.name for level in levels],
        "models": models,
        "champion": champion,
        "blend": weights,
        "mint": reconciled,
        "classes": {name: {"series": int((classes == name).sum()), "champion": by_class.get(name)} for name in CLASSES},
        "seeds": _seeds(windows, kept, validation, test),
    }
    plain: dict[str, Any] = _plain(summary)
    return plain


def _plain(value: Any) -> Any:
    """Without NaN, which JSON does not have: nothing to measure is None."""
    if isinstance(value, dict):
        return {key: _plain(one) for key, one in value.items()}
    if isinstance(value, list):
        return [_plain(one) for one in value]
    return None if isinstance(value, float) and not np.isfinite(value) else value


def _window(panel: Panel, origin: Origin, levels: list[Sums], horizon: int) -> Window:
    past = panel.until(origin.step)
    actual = panel.demand[:, origin.step : origin.step + horizon]
    return Window(past, actual, levels, classify(past.demand).label)


def _figures(window: Window, forecast: Forecast) -> dict[str, Any]:
    past, actual = window.past, window.actual
    season = 7 if past.step_days == 1 else 1
    figures: dict[str, Any] = {"wrmsse": wrmsse(past, actual, forecast.mean, window.levels)}
    figures |= point_metrics(past.demand, actual, forecast.mean, season)
    figures |= quantile_metrics(actual, forecast.quantiles, forecast.levels)
    figures["by_class"] = {
        name: _part(window, forecast, window.classes == name) for name in CLASSES if (window.classes == name).any()
    }
    cold = np.isfinite(past.demand).sum(axis=1) <= COLD_DAYS
    if cold.any():
        figures["cold"] = _part(window, forecast, cold)
    error = np.abs(actual - forecast.mean)
    known = np.isfinite(error)
    figures["by_step"] = (
        np.where(known, error, 0.0).sum(axis=0) / np.where(known.any(axis=0), known.sum(axis=0), np.nan)
    ).tolist()
    weekday = (past.dates(past.time, past.time + actual.shape[1]).astype(int) + 3) % 7  # 1970-01-01 was a Thursday
    figures["by_weekday"] = [
        float(np.nanmean(error[:, weekday == day])) if (weekday == day).any() else None for day in range(7)
    ]
    figures["calibration"] = [
        float((actual <= forecast.quantiles[..., i])[np.isfinite(actual)].mean()) for i in range(len(forecast.levels))
    ]
    return figures


def _part(window: Window, forecast: Forecast, rows: Any) -> dict[str, float]:
    """Errors of some of the series."""
    actual, quantiles = window.actual[rows], forecast.quantiles[rows]
    points = point_metrics(window.past.demand[rows], actual, forecast.mean[rows])
    return {
        "series": int(rows.sum()),
        **{name: points[name] for name in ("mae", "wape", "rmsse", "bias")},
        "pinball": float(pinball(actual, quantiles, forecast.levels).mean()),
    }


def _average(measured: list[dict[str, Any]]) -> dict[str, Any]:
    """Mean of plain figures over the origins."""
    first = measured[0]
    numbers = [name for name, value in first.items() if isinstance(value, float)]
    result: dict[str, Any] = {name: float(np.mean([one[name] for one in measured])) for name in numbers}
    result["wrmsse"] = {key: float(np.mean([one["wrmsse"][key] for one in measured])) for key in first["wrmsse"]}
    result["wrmsse_spread"] = float(np.std([one["wrmsse"]["mean"] for one in measured]))
    return result


# --- choices -----------------------------------------------------------------------------------------------------


def _add_blend(
    forecasts: dict[int, dict[str, Forecast]], windows: dict[int, Window], validation: list[int], test: int
) -> dict[str, float]:
    """Add the blend's forecasts, each with weights from the other origins; returns the weights used in the test."""
    names = list(forecasts[test])
    if len(names) < 2:
        return {}

    def fit(steps: list[int]) -> Blend:
        members = {name: _joined([forecasts[step][name] for step in steps]) for name in names}
        actual = np.concatenate([windows[step].actual for step in steps])
        return Blend.of(members, actual, series_weight=np.concatenate([_error_weight(windows[step]) for step in steps]))

    blends = {step: fit(_others(step, validation)) for step in (*validation, test)}
    for step, blend in blends.items():
        forecasts[step][BLEND] = blend.combine({name: forecasts[step][name] for name in names})
    return dict(blends[test].weights[""])


def _joined(forecasts: list[Forecast]) -> Forecast:
    """The same series at several origins, one below the other."""
    means, quantiles = ([getattr(one, part) for one in forecasts] for part in ("mean", "quantiles"))
    return Forecast(np.concatenate(means), np.concatenate(quantiles), forecasts[0].levels)


def _others(step: int, validation: list[int]) -> list[int]:
    """The origins that choices for this one are made on."""
    return [other for other in validation if other != step] or validation


def _error_weight(window: Window) -> FloatArray:
    """What a squared error of each series counts, `[n]`: money over squared scale, as in WRMSSE."""
    _, scale = naive_scales(window.past.demand)
    return np.where(scale > 0, value_weights(window.past) / np.maximum(scale, 1e-9), 0.0)


def _add_champions(
    forecasts: dict[int, dict[str, Forecast]], windows: dict[int, Window], validation: list[int], test: int
) -> dict[str, str]:
    """Add the forecasts of each class's best model on the other origins; returns the choice used in the test."""
    names = _single(forecasts[test])

    def choose(steps: list[int]) -> dict[str, str]:
        errors = {
            name: {
                kind: float(np.mean([_class_error(windows[step], forecasts[step][name], kind) for step in steps]))
                for kind in CLASSES
            }
            for name in names
        }
        return champions(errors)

    chosen = {step: choose(_others(step, validation)) for step in (*validation, test)}
    for step, choice in chosen.items():
        forecasts[step][BY_CLASS] = ClassChampions(choice, names[0]).combine(forecasts[step], windows[step].classes)
    return chosen[test]


def _single(names: Iterable[str]) -> list[str]:
    """Without what was made of several."""
    return [name for name in names if name not in (BLEND, BY_CLASS, MINT)]


def _add_mint(
    forecasts: dict[int, dict[str, Forecast]],
    windows: dict[int, Window],
    validation: list[int],
    test: int,
    sums: Mapping[int, Forecast],
) -> str:
    """Add the best single model of the other origins, reconciled with the sums; returns the one used in the test."""

    def best(steps: list[int]) -> str:
        def error(name: str) -> float:
            return float(np.mean([windows[step].error(forecasts[step][name].mean) for step in steps]))

        return min(_single(forecasts[test]), key=error)

    chosen = {step: best(_others(step, validation)) for step in (*validation, test)}
    for step, name in chosen.items():
        window = windows[step]
        past_errors = [
            errors(windows[other].actual, forecasts[other][name].mean, sums[other].mean, window.levels)
            for other in _others(step, validation)
        ]
        forecasts[step][MINT] = reconcile(
            forecasts[step][name], sums[step].mean, window.levels, np.concatenate(past_errors, axis=1)
        )
    return chosen[test]


def _class_error(window: Window, forecast: Forecast, kind: str) -> float:
    """Money-weighted squared scaled error of the series of a class."""
    rows = window.classes == kind
    if not rows.any():
        return 0.0
    squared = np.nanmean(np.square(window.actual[rows] - forecast.mean[rows]), axis=1)
    return float(np.nansum(squared * _error_weight(window)[rows]))


def _seeds(windows: dict[int, Window], kept: Kepts, validation: list[int], test: int) -> dict[str, Any] | None:
    """WRMSSE of every member of the LSTM alone: how much luck is in one training."""
    if LSTM not in kept[test] or kept[test][LSTM].members is None or len(kept[test][LSTM].members) < 2:
        return None
    by_step = {step: [windows[step].error(mean) for mean in kept[step][LSTM].members] for step in windows}
    return {
        "validation": np.mean([by_step[step] for step in validation], axis=0).tolist(),
        "test": by_step[test],
    }
