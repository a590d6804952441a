"""Features of rows by hand, what may and may not be read, and the ways to make quantiles."""

from dataclasses import replace
from typing import Any

import numpy as np
import numpy.testing as npt
import pytest

from data_pipelines.panel import Panel
from models.forecasting.binned_quantiles import BinnedQuantiles
from models.forecasting.boosting import LightGBM, XGBoost
from models.forecasting.calendar import Calendar, repeats_yearly
from models.forecasting.direct import Weighting
from models.forecasting.forecaster import LEVELS
from models.forecasting.lag_features import LagFeatures, Rows
from models.forecasting.regression import Linear
from tests.models.forecasting.panels import ALL_ZERO, panel_of, shop

SMALL: dict[str, Any] = {"max_rows": 6_000, "rounds": 30, "quantile_rounds": 15, "n_jobs": 1}


def described(panel: Panel, origin: int, lead: int, series: int = 0) -> dict[str, float]:
    rows = Rows(np.array([series]), np.array([origin]), np.array([lead]))
    matrix, names = LagFeatures(panel, horizon=7).matrix(rows)
    return dict(zip(names, matrix[0].tolist(), strict=True))


def test_features_by_hand() -> None:
    # Days 0, 1, 2, …, 40 sell 0, 1, 2, …; 30 are known, and day 33 = 30 + 4 - 1 is asked for.
    row = described(panel_of(np.arange(41.0)), origin=30, lead=4)
    # The level is the mean of days 2 to 29: 15.5.
    assert row["log_level"] == pytest.approx(np.log(15.5))
    assert row["mean_28"] == pytest.approx(1)
    assert row["mean_7"] == pytest.approx(26 / 15.5)  # days 23 to 29
    assert row["last_value"] == pytest.approx(29 / 15.5)
    # The weekday of day 33 was last seen on day 26, before that on 19, 12 and 5.
    assert row["same_weekday_1"] == pytest.approx(26 / 15.5)
    assert row["same_weekday_4"] == pytest.approx((26 + 19 + 12 + 5) / 4 / 15.5)
    assert row["zero_share_84"] == pytest.approx(1 / 30)
    assert row["days_since_sale"] == 1
    assert row["lead"] == 4
    assert row["weekday"] == 33 % 7
    assert np.isnan(row["year_ago"])


def test_a_year_ago_is_the_same_weekday_364_days_before() -> None:
    row = described(panel_of(np.arange(1.0, 401.0)), origin=390, lead=3)
    # The target is day 392, a year before it day 28 sold 29. The level is the mean of days 362 to 389: 376.5.
    assert row["year_ago"] == pytest.approx(29 / 376.5, rel=1e-5)
    # The 28 days before day 390 - 364 = 26 began with the series: days 0 to 25 sold 13.5 on average.
    assert row["season"] == pytest.approx(29 / 13.5, rel=1e-5)


def test_nothing_after_the_origin_is_read() -> None:
    panel = shop(n_days=450)  # long enough for the features of a year ago
    origin = 400
    later = np.arange(panel.demand.shape[1]) >= origin
    numeric = panel.numeric.copy()
    numeric[:, origin:, 1] = 99  # the price is only observed
    changed = replace(panel, demand=np.where(later, 77, panel.demand).astype(np.float32), numeric=numeric)
    for lead in (1, 7, 8, 28, 363, 364, 365):
        rows = Rows(np.arange(4), np.full(4, origin), np.full(4, lead))
        after, before = (LagFeatures(one, horizon=7).matrix(rows)[0] for one in (changed, panel))
        npt.assert_array_equal(after, before)


def test_what_is_planned_is_read_at_the_target() -> None:
    panel = shop()
    assert described(panel, origin=150, lead=5)["promotion"] == panel.numeric[0, 154, 0]
    ends = replace(panel, numeric=panel.numeric[:, :150])  # nobody knows the promotions to come
    assert "promotion" not in described(ends, origin=150, lead=5)
    assert "price" in described(ends, origin=150, lead=5)


def test_a_planned_promotion_raises_the_forecast() -> None:
    panel = shop()
    numeric = panel.numeric.copy()
    numeric[:, 150:, 0] = 0
    quiet = LightGBM(**SMALL).fit(replace(panel, numeric=numeric)).predict(28)
    numeric = numeric.copy()
    numeric[:, 150:, 0] = 1
    busy = LightGBM(**SMALL).fit(replace(panel, numeric=numeric)).predict(28)
    assert busy.mean[:4].sum() > 1.2 * quiet.mean[:4].sum()


@pytest.mark.parametrize("method", [LightGBM, XGBoost])
def test_quantiles_by_a_model_of_each_level(method: type[LightGBM | XGBoost]) -> None:
    forecast = method(**SMALL, quantiles="model").fit(shop()).predict(7)
    assert (np.diff(forecast.quantiles, axis=-1) >= 0).all()
    npt.assert_array_equal(forecast.quantiles[ALL_ZERO], 0)
    middle = forecast.quantiles[:4, :, LEVELS.index(0.5)]
    npt.assert_allclose(middle.mean(axis=1), forecast.mean[:4].mean(axis=1), rtol=0.35)


@pytest.mark.parametrize("weighting", ["none", "scale", "value"])
def test_every_weighting_learns(weighting: Weighting) -> None:
    assert Linear(max_rows=3_000, weighting=weighting).fit(shop()).predict(2).mean[0].min() > 10


def test_binned_quantiles_are_those_of_the_errors() -> None:
    # One bin in effect: forecast 1, deviation 0, demand evenly from 0 to 2. The q-quantile is 2q.
    n = 4001
    target, one = np.linspace(0, 2, n, dtype=np.float32), np.ones(n, np.float32)
    order = np.random.default_rng(0).permutation(n)
    lead = np.ones(n, np.int64)
    errors = BinnedQuantiles.of(target[order], one, 0 * one, lead)
    npt.assert_allclose(errors.around(one[:1], 0 * one[:1], lead[:1])[0], 2 * np.array(LEVELS), atol=0.01)


def test_the_calendar_knows_holidays_and_weekdays() -> None:
    christmas = int(np.datetime64("2015-12-25").astype(int))  # a Friday
    calendar = Calendar("US")
    table = calendar.features(christmas - 3, 6, 1)
    column = {name: table[:, index].tolist() for index, name in enumerate(calendar.names)}
    assert column["weekday"] == [1, 2, 3, 4, 5, 6]
    assert column["day_of_month"] == [22, 23, 24, 25, 26, 27]
    assert column["days_from_holiday"] == [-2, -1, 0, 0, 1, 2]  # Christmas Eve is the 24th
    assert column["days_to_next"][:4] == [2, 1, 0, 0]
    assert len(set(column["holiday"][:3])) == 1
    assert column["holiday"][3] != column["holiday"][2]


def test_no_country_no_holidays() -> None:
    assert Calendar(None).names == ("weekday", "day_of_month", "week_of_year", "month")
    assert Calendar(None).features(0, 3, 7).shape == (3, 4)


def test_a_short_history_tells_nothing_of_the_year() -> None:
    assert (repeats_yearly(727, 1), repeats_yearly(728, 1), repeats_yearly(104, 7)) == (False, True, True)
    calendar = Calendar(None, yearly=False)
    assert calendar.names == ("weekday", "day_of_month")
    assert calendar.features(0, 3, 1).tolist() == [[3, 1], [4, 2], [5, 3]]  # 1970-01-01 was a Thursday
