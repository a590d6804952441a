"""Forecasting methods beside the LSTM, all behind `models.forecasting.forecaster.Forecaster`."""

from collections.abc import Callable

from models.forecasting.boosting import LightGBM, XGBoost
from models.forecasting.exponential_smoothing import AutoETS, Theta
from models.forecasting.forecaster import Forecaster
from models.forecasting.naive import MovingAverage, Naive, SeasonalNaive, WeekdayMean

FORECASTERS: dict[str, Callable[[], Forecaster]] = {
    "naive": Naive,
    "seasonal-naive": SeasonalNaive,
    "moving-average": MovingAverage,
    "weekday-mean": WeekdayMean,
    "ets": AutoETS,
    "theta": Theta,
    "lightgbm": LightGBM,
    "xgboost": XGBoost,
}
"""The forecasters by the names that commands take."""
