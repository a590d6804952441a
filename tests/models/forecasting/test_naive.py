"""What the methods without a model repeat, by hand."""

import numpy as np
import numpy.testing as npt

from models.forecasting.forecaster import LEVELS
from models.forecasting.naive import MovingAverage, Naive, SeasonalNaive, WeekdayMean
from models.forecasting.residual_quantiles import quantiles_of
from tests.models.forecasting.panels import panel_of

NONE = np.nan
TWO_WEEKS = [1, 2, 3, 4, 5, 6, 7, 11, 12, 13, 14, 15, 16, 17]


def test_naive_repeats_the_last_value_that_is_known() -> None:
    forecast = Naive().fit(panel_of([1, 2, 3, NONE], [5, NONE, NONE, NONE])).predict(2)
    npt.assert_array_equal(forecast.mean, [[3, 3], [5, 5]])


def test_seasonal_naive_repeats_the_last_week_and_fills_its_holes() -> None:
    history = [*TWO_WEEKS[:8], NONE, *TWO_WEEKS[9:]]
    forecast = SeasonalNaive().fit(panel_of(history)).predict(8)
    # The second day of the last week is a hole: the week before said 2.
    npt.assert_array_equal(forecast.mean, [[11, 2, 13, 14, 15, 16, 17, 11]])


def test_seasonal_naive_of_weeks_repeats_the_same_week_a_year_ago() -> None:
    weeks = np.arange(60.0)
    npt.assert_array_equal(SeasonalNaive().fit(panel_of(weeks, step_days=7)).predict(2).mean, [[8, 9]])


def test_moving_average_is_that_of_the_window() -> None:
    forecast = MovingAverage(window_days=4).fit(panel_of([9, 9, 1, 2, NONE, 6], [7, 7, NONE, NONE, NONE, NONE]))
    # (1 + 2 + 6) / 3; the second series has nothing in its window, its last value stands.
    npt.assert_array_equal(forecast.predict(1).mean, [[3], [7]])


def test_weekday_mean_averages_each_weekday() -> None:
    # (1 + 11) / 2, (2 + 12) / 2, …
    npt.assert_array_equal(WeekdayMean().fit(panel_of(TWO_WEEKS)).predict(8).mean, [[6, 7, 8, 9, 10, 11, 12, 6]])


def test_quantiles_are_those_of_earlier_errors() -> None:
    # 26 weekly origins of the last value: the week after it is 0 1 2 3 4 5 6 above it, over and over,
    # but the history ends with a 6 each time: the errors are -6 -5 … 0, their median -3.
    history = [0, 1, 2, 3, 4, 5, 6] * 30
    forecast = Naive().fit(panel_of([value + 10 for value in history])).predict(7)
    npt.assert_allclose(forecast.mean, 16)
    npt.assert_allclose(forecast.quantiles[0, :, LEVELS.index(0.5)], 16 - 3)
    npt.assert_allclose(forecast.quantiles[0, :, LEVELS.index(0.99)], 16, atol=0.1)


def test_quantiles_leave_out_what_is_not_there() -> None:
    values = np.array([[3, NONE, 1, 2], [NONE, NONE, NONE, NONE], [NONE, 5, NONE, NONE]])
    npt.assert_allclose(quantiles_of(values, (0.0, 0.25, 1.0)), [[1, 1.5, 3], [NONE] * 3, [5, 5, 5]])
