"""Forecasts of sums and of items made to agree: minimum trace reconciliation (MinT).

Sums are smoother than items, so a forecast of the total may know the level better than a total of forecasts. MinT finds
the item forecasts whose sums lie closest to all of them, each trusted by the inverse of its error variance, here that
of other origins. The solution comes from `hierarchicalforecast` (pip install "supplytower[hierarchy]").
Reference: Wickramasuriya, Athanasopoulos, Hyndman, "Optimal forecast reconciliation for hierarchical and grouped time
series through trace minimization", JASA 2019 (WLS with variances).
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from data_pipelines.panel import Panel
from data_pipelines.schema import InputError
from models.forecasting.forecaster import Forecast, proper
from training.forecast_metrics import ITEM, FloatArray, Sums

SMALLEST_SHARE = 1e-3
"""Of the median error variance: one that happened to be zero would be trusted without limit."""


def require_library() -> None:
    """Say what to install before any work is done.

    Raises:
        InputError: if the library is not there.
    """
    try:
        import hierarchicalforecast.methods  # noqa: F401
    except ImportError:
        raise InputError('--mint: needs hierarchicalforecast; pip install "supplytower[hierarchy]"') from None


def sums_panel(panel: Panel, levels: Sequence[Sums]) -> Panel:
    """The sums of all levels above the items as series of their own."""
    demand = _sums(panel.demand, levels)
    ids = np.array([f"{level.name} {number}" for level in _above(levels) for number in range(level.n_groups)])
    bare = Panel(ids, panel.first_day, demand.astype(np.float32), panel.step_days)
    return replace(bare, country=panel.country)


def errors(actual: FloatArray, items: FloatArray, sums: FloatArray, levels: Sequence[Sums]) -> FloatArray:
    """Errors of the sums' forecasts, then of the items', `[n_sums + n, horizon]`; NaN where nothing was observed.

    Args:
        actual: `[n, horizon]` demand of the items.
        items: `[n, horizon]` their forecasts.
        sums: `[n_sums, horizon]` forecasts of the sums.
        levels: as `sums_panel` had them.
    """
    return np.concatenate([_sums(actual, levels), actual]) - np.concatenate([sums, items])


def reconcile(items: Forecast, sums: FloatArray, levels: Sequence[Sums], past_errors: FloatArray) -> Forecast:
    """The items' forecasts that agree best with those of the sums; quantiles move in proportion to their mean.

    Args:
        items: forecasts of the items.
        sums: `[n_sums, horizon]` forecasts of the sums.
        levels: as `sums_panel` had them.
        past_errors: `[n_sums + n, k]` errors of such forecasts elsewhere, see `errors`.
    """
    from hierarchicalforecast.methods import MinTrace

    n = len(items.mean)
    rows = [np.equal.outer(np.arange(level.n_groups), level.group) for level in _above(levels)]
    summing = np.concatenate([*rows, np.eye(n, dtype=bool)]).astype(float)  # [n_sums + n, n]
    variance = np.nanmean(np.square(np.where(np.isfinite(past_errors), past_errors, 0.0)), axis=1, keepdims=True)
    variance = np.maximum(variance, SMALLEST_SHARE * np.median(variance))
    swing = np.sqrt(variance)  # one error of exactly this variance
    base = np.concatenate([sums, items.mean]).astype(float)
    answer = MinTrace(method="wls_var").fit_predict(
        S=summing, y_hat=base, y_insample=swing, y_hat_insample=np.zeros_like(swing)
    )
    mean = np.maximum(answer["mean"][-n:], 0.0)
    ratio = mean / np.maximum(items.mean, 1e-6)
    return proper(mean, items.quantiles * ratio[..., None], items.levels)


def _above(levels: Sequence[Sums]) -> list[Sums]:
    return [level for level in levels if level.name != ITEM]


def _sums(values: FloatArray, levels: Sequence[Sums]) -> FloatArray:
    return np.concatenate([level.of(values) for level in _above(levels)])
