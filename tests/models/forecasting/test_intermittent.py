"""Croston-SBA and TSB on a history short enough to smooth by hand."""

import numpy as np
import numpy.testing as npt
import pytest

from models.forecasting import intermittent
from models.forecasting.forecaster import LEVELS
from models.forecasting.intermittent import TSB, CrostonSBA
from tests.models.forecasting.panels import panel_of

HISTORY = [0, 4, 0, 0, 2, 6, 0]


@pytest.fixture
def one_parameter(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(intermittent, "GRID", (0.2,))


@pytest.mark.usefixtures("one_parameter")
def test_croston_smooths_size_and_interval_where_something_is_sold() -> None:
    # 4 on step 2: z = 4, p = 2. 2 after 3 steps: z = 4 - .2 * 2 = 3.6, p = 2 + .2 * 1 = 2.2.
    # 6 after 1 step: z = 3.6 + .2 * 2.4 = 4.08, p = 2.2 - .2 * 1.2 = 1.96. The last zero changes nothing.
    # With the correction (1 - .2 / 2) * 4.08 / 1.96 = 1.87347.
    forecast = CrostonSBA().fit(panel_of(HISTORY)).predict(3)
    npt.assert_allclose(forecast.mean, [[1.87347] * 3], rtol=1e-5)


@pytest.mark.usefixtures("one_parameter")
def test_tsb_smooths_the_chance_at_every_step() -> None:
    # First sale on step 2: z = 4, π = 1/2. Zeros: .4, .32. Sold: .32 + .2 * .68 = .456, z = 3.6.
    # Sold: .456 + .2 * .544 = .5648, z = 4.08. Zero: .45184. Forecast: .45184 * 4.08 = 1.843507.
    npt.assert_allclose(TSB().fit(panel_of(HISTORY)).predict(1).mean, [[1.843507]], rtol=1e-5)


@pytest.mark.usefixtures("one_parameter")
def test_holes_are_no_zeros() -> None:
    holes = [np.nan, 0, 4, 0, np.nan, 0, 2, 6, 0]
    for method in (CrostonSBA, TSB):
        there, gone = (method().fit(panel_of(series)).predict(1).mean for series in (HISTORY, holes))
        npt.assert_allclose(gone, there)


def test_what_nobody_buys_any_more_fades_under_tsb_and_not_under_croston() -> None:
    history = [0, 3] * 30 + [0] * 100
    assert TSB().fit(panel_of(history)).predict(1).mean[0, 0] < 0.05
    assert CrostonSBA().fit(panel_of(history)).predict(1).mean[0, 0] > 1


def test_quantiles_are_zero_up_to_the_chance_of_no_demand() -> None:
    # Every fourth day 8 are sold: with probability 3/4 nothing, so the quantiles up to 0.5 are 0 and the upper ones 8,
    # which SBA's correction lowers by 1 - α/2.
    quantiles = CrostonSBA().fit(panel_of([0, 0, 0, 8] * 40)).predict(1).quantiles[0, 0]
    npt.assert_array_equal(quantiles[: LEVELS.index(0.75)], 0)
    npt.assert_allclose(quantiles[LEVELS.index(0.9) :], 8, rtol=0.16)
