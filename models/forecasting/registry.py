"""The forecasters by name. Importing this imports every library behind them."""

from collections.abc import Callable

from models.forecasting.arima import ARIMAForecaster
from models.forecasting.boosting import LightGBM, XGBoost
from models.forecasting.exponential_smoothing import AutoETS, Theta
from models.forecasting.forecaster import Forecaster
from models.forecasting.intermittent import TSB, CrostonSBA
from models.forecasting.naive import MovingAverage, Naive, SeasonalNaive, WeekdayMean
from models.forecasting.regression import Linear, Polynomial

FORECASTERS: dict[str, Callable[[], Forecaster]] = {
    "naive": Naive,
    "seasonal-naive": SeasonalNaive,
    "moving-average": MovingAverage,
    "weekday-mean": WeekdayMean,
    "ets": AutoETS,
    "theta": Theta,
    "croston-sba": CrostonSBA,
    "tsb": TSB,
    "arima": ARIMAForecaster,
    "linear": Linear,
    "polynomial": Polynomial,
    "lightgbm": LightGBM,
    "xgboost": XGBoost,
    "lightgbm-quantile": lambda: LightGBM(quantiles="model"),
    "xgboost-quantile": lambda: XGBoost(quantiles="model"),
}
"""The forecasters by the names that commands take."""
