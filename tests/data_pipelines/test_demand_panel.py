"""From prepared demand to the panel: what is zero, what is not known, and what decides which series are read."""

from collections.abc import Mapping
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from data_pipelines.demand_panel import DemandConfig, load_panel
from data_pipelines.panel import Panel
from data_pipelines.prepare import PrepareConfig, prepare
from data_pipelines.schema import InputError

START = date(2024, 1, 1)  # a Monday
NOW = datetime(2024, 12, 31)
NAN = float("nan")


def day(number: int) -> date:
    return START + timedelta(days=number)


def panel_of(tmp_path: Path, tables: Mapping[str, pl.DataFrame], config: DemandConfig, **settings: Any) -> Panel:
    """Prepare tables and load them."""
    folder = tmp_path / "in"
    folder.mkdir(exist_ok=True)
    for name, table in tables.items():
        table.write_parquet(folder / f"{name}.parquet")
    prepare("tables", folder, tmp_path / "out", PrepareConfig(**settings), NOW)
    return load_panel(tmp_path / "out", config)


def demand(rows: list[tuple[str, int, float | None]], **columns: Any) -> pl.DataFrame:
    table = pl.DataFrame(rows, {"unique_id": pl.String, "day": pl.Int64, "y": pl.Float64}, orient="row")
    ds = pl.lit(START) + pl.duration(days=pl.col("day"))
    return table.select("unique_id", ds.alias("ds"), "y").with_columns(
        **{name: pl.Series(values) for name, values in columns.items()}
    )


def steady(*names: str, days: int = 10, units: float = 1.0) -> list[tuple[str, int, float | None]]:
    return [(name, number, units) for name in names for number in range(days)]


SHORT = DemandConfig(test_days=2, future_days=3)

# --- demand ------------------------------------------------------------------------------------------------------


def test_zeros_begin_with_the_first_row(tmp_path: Path) -> None:
    rows = [("b", 1, 2.0), ("b", 4, 3.0), ("a", 0, 1.0), ("a", 5, 1.0)]
    panel = panel_of(tmp_path, {"demand": demand(rows)}, SHORT)
    assert panel.ids.tolist() == ["a", "b"]
    np.testing.assert_array_equal(panel.demand, [[1, 0, 0, 0, 0, 1], [NAN, 2, 0, 0, 3, 0]])
    assert panel.demand.dtype == np.float32
    assert panel.first_day == (START - date(1970, 1, 1)).days
    missing = panel_of(tmp_path, {"demand": demand(rows)}, SHORT, demand_gaps="missing")
    np.testing.assert_array_equal(missing.demand, [[1, NAN, NAN, NAN, NAN, 1], [NAN, 2, NAN, NAN, 3, NAN]])


def test_what_is_not_known_is_not_zero(tmp_path: Path) -> None:
    # out of stock on day 2 (nothing sold) and day 4 (sold out), demand unknown on day 3, negative on day 5
    rows = [("a", number, y) for number, y in enumerate([1.0, 0.0, 0.0, None, 2.0, -1.0, 1.0])]
    table = demand(rows, in_stock=[True, True, False, True, False, True, True])
    panel = panel_of(tmp_path, {"demand": table}, SHORT)
    np.testing.assert_array_equal(panel.demand, [[1, 0, NAN, NAN, NAN, NAN, 1]])


def test_long_holes_are_not_zero(tmp_path: Path) -> None:
    # a sells daily for 70 days; b has a gap of 28 days (1 to 28), a hole of 29 (30 to 58), and ends on day 60
    b = [("b", number, 1.0) for number in (0, 29, 59, 60)]
    panel = panel_of(tmp_path, {"demand": demand(steady("a", days=70) + b)}, SHORT)
    expected = np.zeros(70, np.float32)
    expected[[0, 29, 59, 60]] = 1
    expected[30:59] = NAN
    np.testing.assert_array_equal(panel.demand[1], expected)
    # had it ended on day 40 of 70, the 29 days after would be a hole as well
    panel = panel_of(tmp_path, {"demand": demand([*steady("a", days=70), ("b", 40, 1.0)])}, SHORT)
    assert np.isnan(panel.demand[1, 41:]).all()


def test_closed_days_are_masked_for_every_series(tmp_path: Path) -> None:
    # thirty a day in all for four weeks, nothing on day 10; the last day is cut off after 4 of 30
    rows = [(name, number, 0.0 if number == 10 else 15.0) for name in "ab" for number in range(28)]
    rows += [("a", 28, 4.0)]
    panel = panel_of(tmp_path, {"demand": demand(rows)}, SHORT)
    expected = np.full((2, 28), 15.0)
    expected[:, 10] = NAN
    np.testing.assert_array_equal(panel.demand, expected)


def test_weeks(tmp_path: Path) -> None:
    rows = [("a", 7 * week, float(week)) for week in (0, 1, 2, 4)] + [("b", 7 * week, 1.0) for week in range(5)]
    config = DemandConfig(test_days=14, future_days=28)
    table = demand(rows, promotion=[0, 1, 0, 1, *[0] * 5])
    panel = panel_of(tmp_path, {"demand": table}, config, demand_frequency="weekly")
    assert panel.step_days == 7
    np.testing.assert_array_equal(panel.demand, [[0, 1, 2, 0, 4], [1] * 5])
    assert panel.numeric.shape == (2, 5 + 4, 1)


# --- which series ------------------------------------------------------------------------------------------------


def test_series_with_most_revenue_before_the_test(tmp_path: Path) -> None:
    # before the last two of ten days: a 8 * 1 unit at 3 = 24, b 8 * 2 units at 1 = 16, c 8 * 4 units at 0.25 = 8
    rows = steady("a") + steady("b", units=2) + steady("c", units=4)
    price = [3.0] * 10 + [1.0] * 10 + [0.25] * 10
    config = DemandConfig(max_series=2, test_days=2)
    panel = panel_of(tmp_path, {"demand": demand(rows, price=price)}, config)
    assert panel.ids.tolist() == ["a", "b"]
    np.testing.assert_array_equal(panel.unit_value, [3, 1])
    assert panel.notices[0] == "2 of 3 series are read, those with the highest revenue (max_series)"
    # without prices, units decide
    panel = panel_of(tmp_path, {"demand": demand(rows)}, config)
    assert panel.ids.tolist() == ["b", "c"]
    np.testing.assert_array_equal(panel.unit_value, [1, 1])


def test_the_value_of_a_unit_is_what_was_paid_on_average(tmp_path: Path) -> None:
    # 1 unit at 4 and 3 units at 2: 10 / 4; nothing sold: the mean price; no price: one
    rows = [("a", 0, 1.0), ("a", 1, 3.0), ("b", 0, 0.0), ("b", 1, 0.0), ("c", 0, 5.0), ("c", 4, 1.0)]
    table = demand(rows, price=[4.0, 2.0, 1.0, 2.0, None, None])
    panel = panel_of(tmp_path, {"demand": table}, SHORT)
    np.testing.assert_array_equal(panel.unit_value, [2.5, 1.5, 1.0])


@pytest.mark.parametrize("max_series", [0, 2])
def test_the_test_days_decide_nothing(tmp_path: Path, max_series: int) -> None:
    """Leakage: other demand and other prices in the test select the same series and value them alike."""
    rows = steady("a") + steady("b", units=2) + steady("c", units=4)
    table = demand(rows, price=[3.0] * 10 + [1.0] * 10 + [0.25] * 10)
    config = DemandConfig(max_series=max_series, test_days=3)
    before = panel_of(tmp_path, {"demand": table}, config)
    in_test = pl.col("ds") >= day(7)
    changed = table.with_columns(
        y=pl.when(in_test).then(pl.col("y") * 9 + 7).otherwise("y"),
        price=pl.when(in_test).then(99 - pl.col("price")).otherwise("price"),
    )
    late = demand([("d", number, 1_000.0) for number in (7, 8, 9)], price=[1.0] * 3)  # begins in the test
    after = panel_of(tmp_path, {"demand": pl.concat([changed, late])}, config)
    assert after.ids.tolist() == before.ids.tolist()
    np.testing.assert_array_equal(after.unit_value, before.unit_value)
    np.testing.assert_array_equal(after.demand[:, :7], before.demand[:, :7])
    assert not np.array_equal(after.demand[:, 7:], before.demand[:, 7:])


def test_series_that_begin_too_late_are_left_out(tmp_path: Path) -> None:
    rows = [*steady("a"), ("b", 4, 1.0), ("c", 9, 1.0)]
    assert panel_of(tmp_path, {"demand": demand(rows)}, SHORT).ids.tolist() == ["a", "b"]
    late = DemandConfig(test_days=2, min_history_days=5)  # b has 4 days before day 8
    panel = panel_of(tmp_path, {"demand": demand(rows)}, late)
    assert panel.ids.tolist() == ["a"]
    assert panel.notices == ("1 of 3 series are read; the others begin too late (min_history_days)",)


# --- covariates --------------------------------------------------------------------------------------------------


def test_covariates_stand_until_the_next_value(tmp_path: Path) -> None:
    rows = [("a", 0, 1.0), ("a", 3, 1.0), ("b", 2, 1.0), ("b", 5, 1.0)]
    table = demand(rows, price=[1.0, 2.0, 5.0, 6.0], event=["fair", None, "None", "sale"])
    panel = panel_of(tmp_path, {"demand": table}, SHORT)
    assert (panel.numeric_names, panel.planned, panel.future) == (("price",), (True,), 3)
    np.testing.assert_array_equal(panel.numeric[0, :, 0], [1, 1, 1, 2, 2, 2, 2, 2, 2])
    np.testing.assert_array_equal(panel.numeric[1, :, 0], [5, 5, 5, 5, 5, 6, 6, 6, 6])
    assert panel.categories[0].vocabulary == ("", "fair", "sale")
    np.testing.assert_array_equal(panel.categorical[:, :, 0], [[1, *[0] * 8], [0, 0, 0, 0, 0, 2, 0, 0, 0]])
    assert panel.notices == (
        "price is planned until 2024-01-06; its last value stands for the time after (a table future can say better)",
        "event is planned until 2024-01-06; none is assumed after (a table future can say better)",
    )


def test_what_is_the_same_for_all_holds_without_a_row_too(tmp_path: Path) -> None:
    rows = [*steady("a", days=4), ("b", 1, 1.0), ("b", 2, 1.0)]
    table = demand(rows, snap=[0, 1, 0, 1, 1, 0], event=["x", None, "y", "x", None, "y"])
    panel = panel_of(tmp_path, {"demand": table}, DemandConfig(test_days=2, future_days=0))
    np.testing.assert_array_equal(panel.numeric[:, :, 0], [[0, 1, 0, 1]] * 2)
    np.testing.assert_array_equal(panel.categorical[:, :, 0], [[1, 0, 2, 1]] * 2)
    own = table.with_columns(event=pl.Series(["x", None, "y", "x", "z", None]), snap=pl.Series([0, 1, 0, 1, 0, 0]))
    panel = panel_of(tmp_path, {"demand": own}, DemandConfig(test_days=2, future_days=0))
    np.testing.assert_array_equal(panel.numeric[1, :, 0], [0] * 4)
    np.testing.assert_array_equal(panel.categorical[1, :, 0], [0, 3, 0, 0])


def test_the_future_table_continues_covariates(tmp_path: Path) -> None:
    future = pl.DataFrame(
        {
            "unique_id": ["a"] * 4,
            "ds": [day(4), day(5), day(6), day(8)],
            "price": [2.0, None, 4.0, 5.0],
            "event": ["fair"] * 4,
        }
    )
    table = demand(steady("a", days=4), price=[1.0] * 4, visitors=[1.0, 2, 3, 4], event=[None, None, None, "sale"])
    panel = panel_of(tmp_path, {"demand": table, "future": future}, SHORT)
    assert (panel.numeric_names, panel.planned) == (("price", "visitors"), (True, False))
    # five days of plans reach further than future_days=3; day 7 has none: the last value stands
    np.testing.assert_array_equal(panel.numeric[0, :, 0], [1, 1, 1, 1, 2, 2, 4, 4, 5])
    np.testing.assert_array_equal(panel.numeric[0, :, 1], [1, 2, 3, 4, 4, 4, 4, 4, 4])
    np.testing.assert_array_equal(panel.categorical[0, :, 0], [0, 0, 0, 2, 1, 1, 1, 0, 1])
    assert panel.notices == ()
    # two days earlier, visitors were known until then only
    np.testing.assert_array_equal(panel.until(2).numeric[0, :, 1], [1, 2, 2, 2, 2, 2, 2, 2, 2])


def test_statics_from_coarse_to_fine(tmp_path: Path) -> None:
    names = [f"s{number}" for number in range(8)]
    attributes = pl.DataFrame(
        {
            "unique_id": names,
            "item_id": ["x", "y"] * 4,
            "name": names,  # names the series: more than half as many values
            "store": ["1", "2", "3", None] * 2,
            "state": ["CA", "CA", "TX", "TX"] * 2,
            "fresh": [True, False] * 4,
            "size": range(8),
        }
    )
    panel = panel_of(tmp_path, {"demand": demand(steady(*names)), "series": attributes}, SHORT)
    assert [(static.name, static.vocabulary) for static in panel.statics] == [
        ("fresh", ("", "false", "true")),
        ("state", ("", "CA", "TX")),
        ("store", ("", "1", "2", "3")),
    ]
    np.testing.assert_array_equal(panel.static[:4], [[2, 1, 1], [1, 1, 2], [2, 2, 3], [1, 2, 0]])


# --- from events -------------------------------------------------------------------------------------------------


def events(rows: list[tuple[str, int, int, float]]) -> pl.DataFrame:
    table = pl.DataFrame(rows, ["item_id", "day", "quantity", "price"], orient="row")
    noon = pl.lit(datetime(2024, 1, 1, 12)) + pl.duration(days=pl.col("day"))
    return table.select(
        "item_id", "quantity", "price", timestamp=noon, user_id=pl.lit("u"), event_type=pl.lit("purchase")
    )


def promoted(tmp_path: Path, rows: list[tuple[str, date, float]]) -> None:
    table = pl.DataFrame(rows, ["item_id", "week_start", "display_share"], orient="row")
    table.write_parquet(tmp_path / "out" / "promotions.parquet")


SALES = [("milk", 2, 1, 1.0), ("milk", 6, 2, 1.5), ("tea", 0, 3, 4.0), ("tea", 9, 1, 5.0)]


def test_events_become_a_panel(tmp_path: Path) -> None:
    items = pl.DataFrame({"item_id": ["milk", "tea"], "aisle": ["cold", "cold"]})
    panel_of(tmp_path, {"events": events(SALES), "items": items}, SHORT)
    promoted(tmp_path, [("tea", day(0), 0.5), ("milk", day(3), 0.25), ("rum", day(7), 1.0)])
    panel = load_panel(tmp_path / "out", DemandConfig(test_days=2, future_days=5, holiday_country="US"))
    np.testing.assert_array_equal(panel.demand, [[NAN, NAN, 1, 0, 0, 0, 2, 0, 0, 0], [3, 0, 0, 0, 0, 0, 0, 0, 0, 1]])
    assert (panel.numeric_names, panel.planned) == (("price", "display_share"), (False, True))
    np.testing.assert_array_equal(panel.numeric[0, :, 0], [1] * 6 + [1.5] * 9)
    # the week of the 1st ends where that of the 4th begins, and that one where the week of the 8th begins
    np.testing.assert_array_equal(panel.numeric[0, :, 1], [0] * 3 + [0.25] * 4 + [0] * 8)
    np.testing.assert_array_equal(panel.numeric[1, :, 1], [0.5] * 3 + [0] * 12)
    np.testing.assert_array_equal(panel.unit_value, np.float32([(1 + 3) / 3, 4]))
    assert panel.country == "US"
    assert panel.notices == ("display_share: no promotions are planned after 2024-01-14; none are assumed",)


def test_promotions_of_weeks_are_means_of_their_days(tmp_path: Path) -> None:
    rows = [("tea", number, 1, 1.0) for number in range(35)]
    config = DemandConfig(test_days=7, future_days=0)
    panel_of(tmp_path, {"events": events(rows)}, config, demand_frequency="weekly")
    # weeks from Thursday: three of the seven days of the first Monday week, four of the second
    promoted(tmp_path, [("tea", day(4), 0.7), ("rum", day(11), 0.7)])
    panel = load_panel(tmp_path / "out", config)
    np.testing.assert_array_equal(panel.demand, [[7] * 5])
    np.testing.assert_allclose(panel.numeric[0, :, 1], [0.3, 0.4, 0, 0, 0], atol=1e-6)


def test_promotions_of_an_item_hold_in_all_its_stores(tmp_path: Path) -> None:
    table = events([("tea", number, 1, 1.0) for number in range(6)]).with_columns(store_id=pl.Series(["A", "B"] * 3))
    panel_of(tmp_path, {"events": table}, SHORT, demand_key="item@store")
    promoted(tmp_path, [("tea", day(0), 0.5)])
    panel = load_panel(tmp_path / "out", SHORT)
    assert panel.ids.tolist() == ["tea@A", "tea@B"]
    np.testing.assert_array_equal(panel.numeric[:, :7, 1], np.full((2, 7), 0.5))


def test_a_covariate_that_follows_the_day_of_the_month_goes_on_to_do_so(tmp_path: Path) -> None:
    days = [date(2022, 1, 1) + timedelta(days=number) for number in range(400)]
    snap = [float(one.day <= 10) for one in days]
    table = pl.DataFrame({"unique_id": "a", "ds": days, "y": 1.0, "snap": snap, "price": np.arange(400.0)})
    panel = panel_of(tmp_path, {"demand": table}, DemandConfig(future_days=40))
    ahead = [float((days[-1] + timedelta(days=number)).day <= 10) for number in range(1, 41)]
    assert panel.numeric[0, 400:, 0].tolist() == ahead
    assert (panel.numeric[0, 400:, 1] == 399).all()
    assert "followed the day of the month" in panel.notices[0]


# --- mistakes ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["max_series", "test_days", "min_history_days", "future_days"])
def test_impossible_settings_are_refused(name: str) -> None:
    with pytest.raises(InputError, match=f"{name}=-1 is too small"):
        DemandConfig(**{name: -1})


def test_data_that_do_not_do(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="10 days of demand leave nothing before test_days=10"):
        panel_of(tmp_path, {"demand": demand(steady("a"))}, DemandConfig(test_days=10))
    with pytest.raises(InputError, match="no series begins min_history_days=9 days before the test of test_days=2"):
        load_panel(tmp_path / "out", DemandConfig(test_days=2, min_history_days=9))
    (tmp_path / "out" / "demand.parquet").write_bytes(b"PAR1")
    with pytest.raises(InputError, match=r"demand\.parquet: not readable"):
        load_panel(tmp_path / "out", SHORT)
    with pytest.raises(InputError, match="not a prepared data folder"):
        load_panel(tmp_path, SHORT)


def test_views_make_no_demand(tmp_path: Path) -> None:
    table = events(SALES).with_columns(event_type=pl.lit("view"))
    with pytest.raises(InputError, match="holds no demand series; they need purchases in events, or a table demand"):
        panel_of(tmp_path, {"events": table}, SHORT)


def test_a_hundred_thousand_series(tmp_path: Path) -> None:
    ids = pl.DataFrame({"unique_id": [f"s{number:06d}" for number in range(100_000)]})
    rows = pl.DataFrame({"ds": [day(0), day(1), day(4)], "y": [1.0, 2.0, 3.0], "price": [1.0, 2.0, 3.0]})
    panel = panel_of(tmp_path, {"demand": ids.join(rows, how="cross")}, DemandConfig(max_series=0, test_days=2))
    assert panel.demand.shape == (100_000, 5)
    assert (panel.demand == [1, 2, 0, 0, 3]).all()


def test_the_default_data_set(journey: tuple[Path, object]) -> None:
    panel = load_panel(journey[0], DemandConfig())
    assert panel.demand.shape == (2_000, 365)
    assert (panel.numeric_names, panel.planned) == (("price", "display_share", "mailer_share"), (False, True, True))
    assert (panel.categories, panel.country) == ((), "US")
    assert [static.name for static in panel.statics][:3] == ["brand", "department", "product_category"]
    christmas = (date(2017, 12, 25) - date(2017, 1, 1)).days
    assert np.isnan(panel.demand[:, christmas]).all()
    assert np.isfinite(panel.demand[:, -5:]).all()
    assert np.isfinite(panel.numeric).all()
    assert panel.future == 28


def test_dates_go_on_beyond_the_panel():
    weekly = Panel(np.array(["a"]), 4, np.zeros((1, 2), np.float32), step_days=7)  # 1970-01-05, a Monday
    assert weekly.dates(1, 3).astype(str).tolist() == ["1970-01-12", "1970-01-19"]
