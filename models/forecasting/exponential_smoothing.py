"""Exponential smoothing in state space form, chosen per series, and the Theta method.

AutoETS fits a few of the error-trend-seasonality models and keeps the one with the least AICc
(`AICc = 2k - 2 log L + 2k(k + 1) / (n - k - 1)`). Theta, which won the M3 competition, is simple exponential smoothing
with half the linear drift, on deseasonalised data. Both are statsmodels' own.
References: Hyndman, Koehler, Ord & Snyder, "Forecasting with Exponential Smoothing", 2008; Assimakopoulos &
Nikolopoulos, "The theta model", IJF 2000; Hyndman & Billah, "Unmasking the Theta method", IJF 2003.
"""

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from scipy.signal import lfilter
from scipy.stats import norm
from statsmodels.tsa.exponential_smoothing.ets import ETSModel
from statsmodels.tsa.forecasting.theta import ThetaModel

from models.forecasting.per_series import Gaussian, PerSeries, Series
from models.forecasting.seasonal_adjustment import SEASONS_NEEDED, without_season


class Specification(NamedTuple):
    """One exponential smoothing model; `None` is the taxonomy's N, `add` A, `mul` M."""

    error: str
    trend: str | None
    seasonal: str | None


LEVEL = Specification("add", None, None)
DAMPED_TREND = Specification("add", "add", None)
SEASONAL = Specification("add", None, "add")
DAMPED_SEASONAL = Specification("add", "add", "add")
MULTIPLICATIVE = Specification("mul", None, "mul")


@dataclass
class AutoETS(PerSeries):
    """The exponential smoothing model of least AICc: ANN, AAdN, ANA, AAdA, and MNM where all demand is positive.

    Trends are always damped: a line drawn on for four weeks is the costliest mistake of the family.

    Args:
        multiplicative: whether MNM is a candidate.
    """

    multiplicative: bool = True

    name = "ets"

    def model(self, history: Series, horizon: int, season: int) -> Gaussian:
        """Fit the candidates and forecast with the best."""
        results = [self._fit(history, candidate, season) for candidate in self._candidates(history, season)]
        best = min(results, key=lambda result: result.aicc if np.isfinite(result.aicc) else np.inf)
        end = len(history)
        prediction = best.get_prediction(
            start=end, end=end + horizon - 1, simulate_repetitions=300, rng=np.random.default_rng(0)
        )
        mean = prediction.predicted_mean.to_numpy()
        # Analytic for the additive models, simulated for the multiplicative one.
        upper = prediction.pred_int(alpha=2 * norm.sf(1.0)).iloc[:, 1].to_numpy()
        return Gaussian(mean, upper - mean)

    def _candidates(self, history: Series, season: int) -> list[Specification]:
        candidates = [LEVEL, DAMPED_TREND]
        if season > 1 and len(history) >= SEASONS_NEEDED * season:
            candidates += [SEASONAL, DAMPED_SEASONAL]
            if self.multiplicative and history.min() > 0:
                candidates.append(MULTIPLICATIVE)
        return candidates

    def _fit(self, history: Series, candidate: Specification, season: int) -> Any:
        model = ETSModel(
            pd.Series(history),
            error=candidate.error,
            trend=candidate.trend,
            damped_trend=candidate.trend is not None,
            seasonal=candidate.seasonal,
            seasonal_periods=season if candidate.seasonal else None,
        )
        return model.fit(disp=False, maxiter=100)


@dataclass
class Theta(PerSeries):
    """The Theta method with theta = 2 on additively deseasonalised demand."""

    name = "theta"

    def model(self, history: Series, horizon: int, season: int) -> Gaussian:
        """Fit and forecast."""
        # Deseasonalised here, not by ThetaModel: its own intervals count the season as noise and are twice too wide.
        adjusted = without_season(history, season, horizon)
        fitted = ThetaModel(pd.Series(adjusted.series), period=1, deseasonalize=False).fit()
        alpha = float(fitted.params["alpha"])
        deviation = np.std(_one_step_errors(adjusted.series, alpha)[len(history) // 4 :])
        growth = np.sqrt(1 + alpha**2 * np.arange(horizon))  # simple exponential smoothing's error variance
        return Gaussian(fitted.forecast(horizon).to_numpy() + adjusted.ahead, deviation * growth)


def _one_step_errors(series: Series, alpha: float) -> Series:
    """Errors of simple exponential smoothing from the second value on: `l_t = α y_t + (1 - α) l_{t-1}`."""
    level, _ = lfilter([alpha], [1, alpha - 1], series, zi=[(1 - alpha) * series[0]])
    return np.asarray(series[1:] - level[:-1])
