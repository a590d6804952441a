"""Purchases added up to demand series, on every engine alike."""

from datetime import date, datetime, timedelta
from typing import Any

import narwhals as nw
import polars as pl
import pytest

from data_pipelines.demand import demand_from_events
from data_pipelines.demand_manifest import DemandTables
from data_pipelines.demand_outliers import cap_outliers
from data_pipelines.demand_settings import DemandSeriesConfig
from data_pipelines.schema import InputError

MONDAY = datetime(2024, 1, 1, 12)
ITEMS = pl.DataFrame({"item_id": ["milk", "tea", "rum"], "aisle": ["cold", "dry", "dry"], "price": [1.0, 2.0, 9.0]})
Row = tuple[str, float, int | None, float | None, str | None]


def events(rows: list[Row]) -> pl.DataFrame:
    """Purchases: item, day (fractions are hours), quantity, price, store."""
    table = pl.DataFrame(rows, ["item_id", "day", "quantity", "price", "store_id"], orient="row")
    return table.select(
        pl.exclude("day"),
        timestamp=pl.lit(MONDAY) + pl.duration(hours=pl.col("day") * 24),
        event_type=pl.lit("purchase"),
    )


SALES: list[Row] = [
    ("milk", 0, 2, 1.0, "A"),
    ("milk", 0.1, 1, 3.0, "A"),
    ("milk", 0.2, None, 1.5, "B"),  # no quantity: one
    ("tea", 1, 4, None, "A"),
    ("milk", 8, 5, 2.0, None),
    ("tea", 13, 1, 2.0, "A"),
]


def made(table: Any, zone: str | None = None, **settings: Any) -> DemandTables:
    tables = demand_from_events(table, ITEMS, DemandSeriesConfig(**settings), zone)
    assert tables is not None
    return tables


def test_one_row_per_item_and_day_with_a_sale(engine: Any) -> None:
    found = made(engine(events(SALES)))
    # milk on Monday: 2 + 1 + 1 units, median of 1.0, 3.0 and 1.5
    assert found.tables["demand"].rows() == [
        ("milk", date(2024, 1, 1), 4.0, 1.5),
        ("milk", date(2024, 1, 9), 5.0, 2.0),
        ("tea", date(2024, 1, 2), 4.0, None),
        ("tea", date(2024, 1, 14), 1.0, 2.0),
    ]
    assert found.tables["demand"].schema["ds"] == pl.Date
    # rum was never sold and is no series
    assert found.tables["series"].rows() == [("milk", "milk", "cold", 1.0), ("tea", "tea", "dry", 2.0)]
    # 14 days from 1 to 14 January: milk has 14 of them, tea 13 (from the 2nd), 4 with a sale: 23 of 27 are zero
    assert found.profile.zero_share == pytest.approx(23 / 27)
    assert (found.profile.series, found.profile.first_day, found.profile.last_day) == (2, "2024-01-01", "2024-01-14")
    assert {name: found.facts[name] for name in ("from", "key", "gaps", "step_days", "numeric", "planned")} == {
        "from": "events",
        "key": "item",
        "gaps": "zero",
        "step_days": 1,
        "numeric": ["price"],
        "planned": [],
    }


def test_series_per_store(engine: Any) -> None:
    found = made(engine(events(SALES)), demand_key="item@store")
    assert found.tables["demand"].select("unique_id", "ds", "y").rows() == [
        ("milk@A", date(2024, 1, 1), 3.0),
        ("milk@B", date(2024, 1, 1), 1.0),
        ("milk@unknown", date(2024, 1, 9), 5.0),
        ("tea@A", date(2024, 1, 2), 4.0),
        ("tea@A", date(2024, 1, 14), 1.0),
    ]
    assert found.tables["series"].row(1) == ("milk@B", "milk", "B", "cold", 1.0)


def test_weeks_begin_on_monday(engine: Any) -> None:
    found = made(engine(events(SALES)), demand_frequency="weekly")
    # Sunday 14 January still belongs to the week of the 8th
    assert found.tables["demand"].select("unique_id", "ds", "y").rows() == [
        ("milk", date(2024, 1, 1), 4.0),
        ("milk", date(2024, 1, 8), 5.0),
        ("tea", date(2024, 1, 1), 4.0),
        ("tea", date(2024, 1, 8), 1.0),
    ]
    assert (found.facts["first_day"], found.facts["last_day"], found.facts["step_days"]) == (
        "2024-01-01",
        "2024-01-08",
        7,
    )


def test_weeks_of_which_a_part_is_missing_are_left_out() -> None:
    # Tuesday of week 0 to Saturday of week 3
    found = made(lazy(events([("tea", day, 1, None, None) for day in range(1, 27)])), demand_frequency="weekly")
    assert found.profile.partial_days == ("2024-01-01", "2024-01-22")
    assert (found.profile.first_day, found.profile.last_day) == ("2024-01-08", "2024-01-15")


def test_a_day_ends_at_the_shops_midnight(engine: Any) -> None:
    # noon on Monday plus 16 hours: 04:00 UTC on Tuesday, 23:00 on Monday in New York
    table = events([("tea", 0, 1, None, None), ("tea", 16 / 24, 1, None, None)])
    assert made(engine(table)).tables["demand"]["ds"].to_list() == [date(2024, 1, 1), date(2024, 1, 2)]
    for choice in ({"zone": "America/New_York"}, {"zone": "UTC", "demand_time_zone": "America/New_York"}):
        assert made(engine(table), **choice).tables["demand"].rows() == [("tea", date(2024, 1, 1), 2.0, None)]  # type: ignore[arg-type]


def test_only_purchases_count(engine: Any) -> None:
    table = events(SALES).with_columns(event_type=pl.Series(["view", "purchase", "click", "view", "view", "view"]))
    assert made(engine(table)).tables["demand"].select("unique_id", "y").rows() == [("milk", 1.0)]
    views = events(SALES).with_columns(event_type=pl.lit("view"))
    assert demand_from_events(engine(views), ITEMS, DemandSeriesConfig(), None) is None


def test_without_quantities_an_event_is_a_unit(engine: Any) -> None:
    found = made(engine(events(SALES).drop("quantity", "price")))
    assert found.tables["demand"]["y"].to_list() == [3.0, 1.0, 1.0, 1.0]
    assert found.facts["numeric"] == []


def test_outliers_are_lowered(engine: Any) -> None:
    # 200 days of 1 unit, one of 99: the 99th percentile of 201 values lies at rank 198 of 0 to 200, which is 1
    rows = [("tea", date(2024, 1, 1) + timedelta(days=day), 1.0 if day != 7 else 99.0) for day in range(201)]
    rows += [("rum", date(2024, 1, 1) + timedelta(days=day), 99.0) for day in range(3)]
    frame = engine(pl.DataFrame(rows, ["unique_id", "ds", "y"], orient="row"))
    lowered, found = cap_outliers(frame, 10)
    table = lowered.collect("polars").to_native().sort("unique_id", "ds")
    assert found is not None
    assert found.count == 1
    assert table.filter(unique_id="tea")["y"].to_list()[6:9] == [1.0, 10.0, 1.0]
    assert table.filter(unique_id="rum")["y"].to_list() == [99.0] * 3
    assert cap_outliers(frame, 0) == (frame, None)
    assert cap_outliers(frame, 100)[1] is None


def test_closed_days_are_named() -> None:
    # thirty sales a day for four weeks, nobody on day 10
    rows: list[Row] = [("tea", day, 30, None, None) for day in range(28) if day != 10]
    found = made(lazy(events(rows)))
    assert found.profile.closed_days == ("2024-01-11",)
    assert found.facts["closed_days"] == ["2024-01-11"]


def test_ids_that_run_together_are_named() -> None:
    table = events([("tea", 0, 1, None, "b@c"), ("tea@b", 0, 1, None, "c")])
    with pytest.raises(InputError, match=r"unique_id 'tea@b@c' stands for two pairs"):
        made(lazy(table), demand_key="item@store")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"demand_outlier_factor": 0.5}, "demand_outlier_factor=0.5 would cut ordinary days"),
        ({"demand_time_zone": "Mars"}, "demand_time_zone='Mars' is not a time zone"),
    ],
)
def test_impossible_settings_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        DemandSeriesConfig(**settings)


def test_stores_must_be_there_to_tell_them_apart() -> None:
    with pytest.raises(InputError, match="demand_key=item@store needs the column 'store_id'"):
        made(lazy(events(SALES).drop("store_id")), demand_key="item@store")


def lazy(table: pl.DataFrame) -> Any:
    return nw.from_native(table.with_row_index("__source_row", offset=1).lazy())
