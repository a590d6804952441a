"""ARIMA: how often to difference by a test, the orders by AIC, as in a textbook and with nothing hidden.

`φ(B) (1 - B)^d y = c + θ(B) ε`. The KPSS test, whose null hypothesis is stationarity, decides whether to difference
(as in auto.arima); the augmented Dickey-Fuller test, with the opposite null hypothesis, is reported beside it. Of all
p and q up to 3 the least AIC wins. The week is taken out before and put back after.
References: Box & Jenkins, "Time Series Analysis", 1970; Kwiatkowski et al., J. Econometrics 1992; Hyndman & Khandakar,
"Automatic time series forecasting", JSS 2008.
"""

import warnings
from dataclasses import dataclass, field
from itertools import product
from typing import Any

import numpy as np
import numpy.typing as npt
from statsmodels.tsa.arima.model import ARIMA
from statsmodels.tsa.stattools import acf, adfuller, kpss, pacf

from models.forecasting.per_series import Gaussian, PerSeries, Series
from models.forecasting.seasonal_adjustment import without_season

SIGNIFICANCE = 0.05


@dataclass(frozen=True)
class Stationarity:
    """Both tests on a series differenced `d` times.

    Args:
        d: differences taken.
        kpss: p-value of "it is stationary", between 0.01 and 0.1 as its table ends there.
        adf: p-value of "it has a unit root".
    """

    d: int
    kpss: float
    adf: float


@dataclass(frozen=True)
class Order:
    """The orders that were chosen and what they were chosen from.

    Args:
        order: (p, d, q).
        aic: AIC of every order that could be estimated, the least first.
        tests: stationarity before and after differencing.
    """

    order: tuple[int, int, int]
    aic: dict[tuple[int, int, int], float]
    tests: tuple[Stationarity, ...]


@dataclass(frozen=True)
class Correlations:
    """How a series correlates with its own past.

    Args:
        acf: `[lags + 1]` autocorrelation, 1 at lag 0.
        pacf: `[lags + 1]` partial autocorrelation.
        bound: what white noise stays within in 95 of 100 lags, 1.96 / √n.
    """

    acf: Series
    pacf: Series
    bound: float


def acf_pacf(series: npt.NDArray[np.floating], lags: int = 28) -> Correlations:
    """Autocorrelations of `[time]` up to `lags`, at most half the series' length."""
    lags = min(lags, len(series) // 2 - 1)
    bound = 1.96 / np.sqrt(len(series))
    return Correlations(acf(series, nlags=lags), pacf(series, nlags=lags, method="ywm"), float(bound))


def stationarity(series: Series, d: int) -> Stationarity:
    """Test a series that was differenced `d` times; a constant is stationary."""
    if np.ptp(series) == 0:
        return Stationarity(d, 0.1, 0.0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # p-values beyond the table are cut to its ends, and said to be
        return Stationarity(d, float(kpss(series, nlags="auto")[1]), float(adfuller(series)[1]))


def choose_order(series: Series, p_max: int = 3, d_max: int = 1, q_max: int = 3, p_plus_q_max: int = 6) -> Order:
    """Choose (p, d, q): d by the KPSS test, p and q by AIC.

    Args:
        series: `[time]` without holes and without season.
        p_max: most autoregressive terms.
        d_max: most differences.
        q_max: most moving average terms.
        p_plus_q_max: most terms together.
    """
    tests = [stationarity(series, 0)]
    while tests[-1].kpss < SIGNIFICANCE and tests[-1].d < d_max:
        d = tests[-1].d + 1
        tests.append(stationarity(np.diff(series, n=d), d))
    d = tests[-1].d
    orders = [(p, d, q) for p, q in product(range(p_max + 1), range(q_max + 1)) if p + q <= p_plus_q_max]
    found = {order: fitted.aic for order in orders if (fitted := estimate(series, order)) is not None}
    table = dict(sorted(found.items(), key=lambda item: item[1]))
    return Order(next(iter(table), (0, d, 0)), table, tuple(tests))


def estimate(series: Series, order: tuple[int, int, int]) -> Any | None:
    """Fit one ARIMA by maximum likelihood; None where that fails: too many terms, too short a series."""
    model = ARIMA(series, order=order, trend="c" if order[1] == 0 else "n")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a poor start or an early stop shows in the AIC
            fitted = model.fit(method_kwargs={"maxiter": 50}, cov_type="none")
    except (ValueError, np.linalg.LinAlgError):
        return None
    return fitted if np.isfinite(fitted.aic) else None


@dataclass
class ARIMAForecaster(PerSeries):
    """ARIMA per series. It takes about a second of one core for each: hundreds of series, not tens of thousands.

    Args:
        p_plus_q_max: most terms together.
    """

    name = "arima"
    max_history_days: int = field(default=182, kw_only=True)
    p_plus_q_max: int = field(default=3, kw_only=True)

    def model(self, history: Series, horizon: int, season: int) -> Gaussian:
        """Choose the order, fit and forecast."""
        adjusted = without_season(history, season, horizon)
        order = choose_order(adjusted.series, p_plus_q_max=self.p_plus_q_max).order
        fitted = estimate(adjusted.series, order)
        if fitted is None:
            spread = np.full(horizon, adjusted.series.std())
            return Gaussian(adjusted.series.mean() + adjusted.ahead, spread)
        forecast = fitted.get_forecast(horizon)
        return Gaussian(forecast.predicted_mean + adjusted.ahead, np.asarray(forecast.se_mean))
