"""The contract that every forecaster fulfils, from the last value to gradient boosting."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import numpy.testing as npt
import pytest

from data_pipelines.panel import Panel
from models.forecasting.direct import Direct
from models.forecasting.forecaster import LEVELS, Forecast, Forecaster
from models.forecasting.registry import FORECASTERS
from tests.models.forecasting.panels import ALL_ZERO, CONSTANT, LATE, ONE_POINT, panel_of, shop

HORIZON = 28
CLOSED_FORM = ("naive", "seasonal-naive", "moving-average", "weekday-mean", "croston-sba", "tsb")


def small(name: str) -> Forecaster:
    """An unfitted forecaster, without the size that real data need."""
    forecaster = FORECASTERS[name]()
    for setting, value in {
        "max_rows": 6_000,
        "rounds": 40,
        "quantile_rounds": 20,
        "p_plus_q_max": 1,
        "n_jobs": 1,
    }.items():
        if hasattr(forecaster, setting):
            setattr(forecaster, setting, value)
    return forecaster


@pytest.fixture(scope="module", params=FORECASTERS)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def make(name: str) -> Callable[[], Forecaster]:
    return lambda: small(name)


@pytest.fixture(scope="module")
def is_local(name: str) -> bool:
    """Whether each series is forecast by itself."""
    return not isinstance(FORECASTERS[name](), Direct)


@pytest.fixture(scope="module")
def panel() -> Panel:
    return shop()


@pytest.fixture(scope="module")
def forecast(make: Callable[[], Forecaster], panel: Panel) -> Forecast:
    return make().fit(panel).predict(HORIZON)


def test_the_registry_knows_it_by_its_name(name: str) -> None:
    assert FORECASTERS[name]().name == name


def test_shapes_and_types(forecast: Forecast, panel: Panel) -> None:
    assert forecast.levels == LEVELS
    assert forecast.mean.shape == (len(panel), HORIZON)
    assert forecast.quantiles.shape == (len(panel), HORIZON, len(LEVELS))
    assert forecast.mean.dtype == forecast.quantiles.dtype == np.float32


def test_demand_is_finite_and_never_negative_and_quantiles_ascend(forecast: Forecast) -> None:
    assert np.isfinite(forecast.mean).all()
    assert np.isfinite(forecast.quantiles).all()
    assert (forecast.mean >= 0).all()
    assert (forecast.quantiles >= 0).all()
    assert (np.diff(forecast.quantiles, axis=-1) >= 0).all()


def test_fitted_again_it_says_the_same(make: Callable[[], Forecaster], forecast: Forecast, panel: Panel) -> None:
    again = make().fit(panel).predict(HORIZON)
    npt.assert_array_equal(again.mean, forecast.mean)
    npt.assert_array_equal(again.quantiles, forecast.quantiles)


def test_never_sold_is_not_expected(forecast: Forecast) -> None:
    npt.assert_array_equal(forecast.mean[ALL_ZERO], 0)
    npt.assert_array_equal(forecast.quantiles[ALL_ZERO], 0)


def test_the_level_is_about_right(forecast: Forecast) -> None:
    # Series 0 sells 30 a day, half as much again on 2 days of 7, twice as much on one day of ten:
    # 30 * 8/7 * 1.1 = 37.7. The last value alone may be far off.
    assert 20 < forecast.mean[0].mean() < 55
    assert forecast.quantiles[0, :, 0].mean() < 37.7 < forecast.quantiles[0, :, -1].mean()


def test_a_young_series_and_one_of_a_single_day_are_forecast(forecast: Forecast, panel: Panel) -> None:
    assert 3 < forecast.mean[LATE].mean() < 20
    only = panel.demand[ONE_POINT, -1]
    assert forecast.mean[ONE_POINT].mean() == pytest.approx(only, rel=0.6, abs=0.5)


def test_what_is_constant_stays(make: Callable[[], Forecaster], forecast: Forecast, is_local: bool) -> None:
    alone = make().fit(panel_of([4.0] * 90, [4.0] * 90)).predict(HORIZON)
    npt.assert_allclose(alone.mean, 4, rtol=1e-3)
    if is_local:
        npt.assert_allclose(forecast.mean[CONSTANT], 4, rtol=1e-3)


def test_a_batch_is_its_series_one_by_one(
    make: Callable[[], Forecaster], forecast: Forecast, panel: Panel, is_local: bool
) -> None:
    if not is_local:
        pytest.skip("learns from all series at once")
    for row in (0, LATE, ONE_POINT):
        alone = make().fit(panel.take(np.array([row]))).predict(HORIZON)
        npt.assert_allclose(alone.mean[0], forecast.mean[row], rtol=1e-5)
        npt.assert_allclose(alone.quantiles[0], forecast.quantiles[row], rtol=1e-5, atol=1e-5)


def test_one_step_is_the_first_of_many(make: Callable[[], Forecaster], forecast: Forecast, panel: Panel) -> None:
    first = make().fit(panel).predict(1)
    assert first.mean.shape == (len(panel), 1)
    npt.assert_allclose(first.mean[:, 0], forecast.mean[:, 0], rtol=1e-4, atol=1e-4)


def test_the_unit_does_not_matter(
    make: Callable[[], Forecaster], forecast: Forecast, panel: Panel, name: str, is_local: bool
) -> None:
    if not is_local:
        pytest.skip("compares the levels of series")
    rows = np.array([0, 1, CONSTANT])
    boxes = replace(panel.take(rows), demand=panel.demand[rows] / 4)
    fewer = make().fit(boxes).predict(HORIZON)
    tolerance = 1e-4 if name in CLOSED_FORM else 0.05  # an optimiser stops at another place
    npt.assert_allclose(fewer.mean * 4, forecast.mean[rows], rtol=tolerance)
    npt.assert_allclose(fewer.quantiles * 4, forecast.quantiles[rows], rtol=tolerance, atol=4 * tolerance)


@pytest.mark.parametrize("length", [1, 2, 9, 20])
def test_a_short_panel_is_no_error(make: Callable[[], Forecaster], length: int) -> None:
    short = make().fit(panel_of(range(1, length + 1), [0.0] * length, [np.nan] * length)).predict(3)
    assert np.isfinite(short.quantiles).all()
    assert short.mean[0].min() > 0
    npt.assert_array_equal(short.mean[1:], 0)


def test_weeks_are_as_good_as_days(make: Callable[[], Forecaster]) -> None:
    weekly = panel_of(*(10.0 + np.arange(110) % (4 + i) for i in range(5)), step_days=7)
    forecast = make().fit(weekly).predict(4)
    assert forecast.mean.shape == (5, 4)
    npt.assert_allclose(forecast.mean.mean(axis=1), weekly.demand.mean(axis=1), rtol=0.3)


def test_no_warning_is_raised(make: Callable[[], Forecaster], panel: Panel, recwarn: pytest.WarningsRecorder) -> None:
    make().fit(panel).predict(2)
    assert [str(warning.message) for warning in recwarn] == []
