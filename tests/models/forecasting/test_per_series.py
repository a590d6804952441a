"""Models of single series: holes, intervals, and several processes."""

import numpy as np
import numpy.testing as npt

from models.forecasting.exponential_smoothing import AutoETS, Theta
from models.forecasting.forecaster import LEVELS
from models.forecasting.per_series import BLOCK, whole
from models.forecasting.seasonal_adjustment import without_season
from tests.models.forecasting.panels import panel_of

NONE = np.nan


def test_holes_are_interpolated_and_what_came_before_the_launch_is_cut_off() -> None:
    npt.assert_allclose(whole(np.array([NONE, 2, NONE, NONE, 8, NONE])), [2, 4, 6, 8, 8])
    assert whole(np.full(3, NONE)).shape == (0,)


def test_a_season_is_taken_out_and_comes_back() -> None:
    pattern = np.array([-3, -2, -1, 0, 1, 2, 3.0])
    adjusted = without_season(10 + np.resize(pattern, 30), season=7, horizon=9)
    npt.assert_allclose(adjusted.series, 10, atol=1e-9)
    npt.assert_allclose(adjusted.ahead, pattern[(np.arange(9) + 2) % 7], atol=1e-9)  # 30 = 4 weeks and 2 days


def test_processes_do_not_change_the_answer() -> None:
    panel = panel_of(*np.random.default_rng(0).poisson(5, (BLOCK + 2, 60)))
    several, one = (Theta(n_jobs=jobs).fit(panel).predict(3) for jobs in (2, 1))
    npt.assert_array_equal(several.mean, one.mean)
    npt.assert_array_equal(several.quantiles, one.quantiles)


def test_intervals_are_those_of_the_noise() -> None:
    # A level of 100 and noise of deviation 10: the interval of 5 to 95 per cent is 2 * 1.645 * 10 wide.
    panel = panel_of(100 + 10 * np.random.default_rng(1).normal(size=300))
    for method in (AutoETS(n_jobs=1), Theta(n_jobs=1)):
        quantiles = method.fit(panel).predict(1).quantiles[0, 0]
        width = quantiles[LEVELS.index(0.95)] - quantiles[LEVELS.index(0.05)]
        npt.assert_allclose(width, 32.9, rtol=0.2)
