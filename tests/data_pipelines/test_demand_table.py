"""A given demand table: every kind of bad row is set aside or repaired, and counted."""

import json
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from data_pipelines.prepare import PrepareConfig, main, prepare
from data_pipelines.schema import InputError
from data_pipelines.splits import SplitConfig, load_split

START = date(2024, 1, 1)  # a Monday
NOW = datetime(2024, 6, 1)


def day(number: int) -> date:
    return START + timedelta(days=number)


def demand(series: dict[str, dict[int, float | None]], **columns: Any) -> pl.DataFrame:
    """Series by id: day number to demand."""
    rows = [(name, day(number), y) for name, values in series.items() for number, y in values.items()]
    table = pl.DataFrame(rows, {"unique_id": pl.String, "ds": pl.Date, "y": pl.Float64}, orient="row")
    return table.with_columns(**{name: pl.Series(values) for name, values in columns.items()})


def two_weeks(*names: str) -> dict[str, dict[int, float | None]]:
    """1, 2, 3 … 14 units."""
    return {name: {number: float(number + 1) for number in range(14)} for name in names}


def run(tmp_path: Path, table: pl.DataFrame, now: datetime = NOW, **settings: Any) -> dict[str, Any]:
    """Prepare a folder that has only demand (and what else stands in it), and read everything back."""
    folder, out = tmp_path / "in", tmp_path / "out"
    folder.mkdir(exist_ok=True)
    table.write_parquet(folder / "demand.parquet")
    prepare("tables", folder, out, PrepareConfig(**settings), now)
    tables = {path.stem: pl.read_parquet(path) for path in out.glob("*.parquet")}
    documents = {path.stem: json.loads(path.read_text()) for path in out.glob("*.json")}
    quarantine = out / "quarantine" / "demand.parquet"
    return tables | documents | ({"quarantine": pl.read_parquet(quarantine)} if quarantine.exists() else {})


def repairs(out: dict[str, Any]) -> dict[str, int]:
    found: dict[str, int] = out["manifest"]["demand"]["repairs"]
    assert found == {repair["name"]: repair["count"] for repair in out["quality"]["demand"]["repairs"]}
    return found


def test_a_folder_with_demand_only(tmp_path: Path) -> None:
    table = demand(
        two_weeks("a", "b"),
        department=["dairy"] * 14 + ["bakery"] * 14,
        fresh=[True] * 28,
        event=([None] * 6 + ["fair"] + [None] * 7) * 2,
        promotion=[False, True] * 14,
        price=[1.0, 1.5] * 14,
    )
    out = run(tmp_path, table)
    assert set(out) == {"demand", "series", "manifest", "quality"}
    assert out["demand"].columns == ["unique_id", "ds", "y", "event", "promotion", "price"]
    assert out["demand"].row(6) == ("a", day(6), 7.0, "fair", 0.0, 1.0)
    assert out["series"].rows() == [("a", "dairy", True), ("b", "bakery", True)]
    facts = out["manifest"]["demand"]
    assert (facts["numeric"], facts["planned"], facts["categorical"]) == (["promotion", "price"],) * 2 + (["event"],)
    assert (facts["first_day"], facts["last_day"], facts["step_days"]) == ("2024-01-01", "2024-01-14", 1)
    assert (facts["gaps"], facts["longest_gap_days"], facts["closed_days"], repairs(out)) == ("zero", 28, [], {})
    assert out["manifest"]["tables"] == {"demand": 28, "series": 2}
    assert out["quality"]["demand"]["zero_share"] == 0
    with pytest.raises(InputError, match="holds demand series only; a recommender needs the table events"):
        load_split(tmp_path / "out", SplitConfig())


def test_csv_and_parquet_agree(tmp_path: Path) -> None:
    table = demand(two_weeks("a"), price=[1.0, None] * 7, in_stock=[True] * 13 + [False], code=["x", "y"] * 7)
    first = run(tmp_path, table)
    (tmp_path / "csv").mkdir()
    table.write_csv(tmp_path / "csv" / "demand.csv")
    arguments = ["--source", "tables", "--input", str(tmp_path / "csv"), "--out", str(tmp_path / "from_csv")]
    assert main(arguments) == 0
    assert pl.read_parquet(tmp_path / "from_csv" / "demand.parquet").equals(first["demand"])


def test_duplicates_are_set_aside(tmp_path: Path) -> None:
    table = pl.concat([demand(two_weeks("a")), demand({"a": {3: 99.0}, "b": {3: 1.0}})])
    out = run(tmp_path, table)
    assert out["quarantine"].select("unique_id", "y", "source_row", "reason").rows() == [
        ("a", 99.0, 15, "duplicate unique_id, ds")
    ]
    assert out["demand"]["y"].to_list() == [*range(1, 15), 1]


def test_impossible_demand_is_set_aside_and_not_known(tmp_path: Path) -> None:
    table = demand({"a": {0: 1, 1: -2, 2: 3, 3: 1, 160: 5, 161: None}}, price=[1.0] * 6)
    out = run(tmp_path, table)  # day 160 is 9 June, after NOW
    assert out["quarantine"].select("y", "reason").rows() == [(-2.0, "negative y"), (5.0, "y in the future")]
    assert out["demand"].select("ds", "y").rows() == [(day(0), 1), (day(1), None), (day(2), 3), (day(3), 1)]
    assert out["future"]["ds"].to_list() == [day(160), day(161)]  # what else their rows say is a plan
    checks = {check["name"]: check for check in out["quality"]["checks"]}
    assert checks["negative y"]["samples"] == [{"row": "2", "unique_id": "a", "ds": "2024-01-02", "y": "-2.0"}]
    assert [table["quarantined"] for table in out["quality"]["tables"]] == [2]


def test_unreadable_rows_are_set_aside(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    lines = [
        "unique_id,ds,y",
        "a,2024-01-01,1",
        "a,01/02/2024,2",
        ",2024-01-03,3",
        "a,2024-01-04,many",
        "a,2024-01-05,",
    ]
    (folder / "demand.csv").write_text("\n".join(lines) + "\n")
    prepare("tables", folder, tmp_path / "out", PrepareConfig(), NOW)
    bad = pl.read_parquet(tmp_path / "out" / "quarantine" / "demand.parquet")
    assert bad.select("source_row", "reason").rows() == [(2, "ds that is not a time"), (3, "missing unique_id")]
    report = json.loads((tmp_path / "out" / "quality.json").read_text())
    assert {check["name"]: check["count"] for check in report["checks"]}["y that is not a number"] == 1


def test_series_that_say_little_are_counted_and_kept(tmp_path: Path) -> None:
    constant, zero = (dict.fromkeys(range(14), value) for value in (3.0, 0.0))
    series = two_weeks("a") | {"constant": constant, "one": {5: 2.0}, "zero": zero, "unknown": {4: None}}
    out = run(tmp_path, demand(series))
    assert repairs(out) == {
        "series without known demand": 1,
        "series with a single value": 1,
        "all-zero series": 1,
        "constant series": 1,
        "steps without a row": 8 + 9,  # after days 5 and 4 of 13
    }
    assert out["series"].height == 5


@pytest.mark.parametrize("gaps", ["zero", "missing"])
def test_gaps_and_holes_are_counted(tmp_path: Path, gaps: str) -> None:
    # a: one day missing; b: a hole of 28 days (2 to 29) and one of a year (31 to 395)
    series: dict[str, dict[int, float | None]] = {
        "a": {0: 1, 2: 0, **dict.fromkeys(range(3, 398), 1)},
        "b": {0: 1, 1: 2, 30: 3, 396: 4, 397: 5},
    }
    out = run(tmp_path, demand(series), now=datetime(2026, 1, 1), demand_gaps=gaps)
    assert repairs(out) == {"steps without a row": 1 + 28, "holes of more than four weeks": 1}
    action = {repair["name"]: repair["action"] for repair in out["quality"]["demand"]["repairs"]}
    assert action["holes of more than four weeks"] == "365 steps, taken as not known"
    # 397 rows of a and 5 of b, one zero among them; with zeros for gaps 30 of 431
    assert out["quality"]["demand"]["zero_share"] == pytest.approx(30 / 431 if gaps == "zero" else 1 / 402)


def test_stamps_within_a_day_become_the_day(tmp_path: Path) -> None:
    table = demand(two_weeks("a")).with_columns(pl.col("ds").cast(pl.Datetime("us")) + pl.duration(hours=7))
    out = run(tmp_path, table)
    assert out["demand"]["ds"].to_list() == [day(number) for number in range(14)]
    assert repairs(out) == {"stamps within a step": 14}


def test_local_midnights_are_days_of_the_time_zone(tmp_path: Path) -> None:
    table = demand(two_weeks("a"))
    midnight = pl.col("ds").cast(pl.Datetime("us")).dt.replace_time_zone("Europe/Berlin")
    out = run(tmp_path, table.with_columns(midnight), demand_time_zone="Europe/Berlin")
    assert out["demand"]["ds"].to_list() == table["ds"].to_list()
    assert repairs(out) == {}
    out = run(tmp_path, table, demand_time_zone="America/New_York")  # dates are dates everywhere
    assert out["demand"]["ds"].to_list() == table["ds"].to_list()


def test_several_rows_in_a_day_are_an_error(tmp_path: Path) -> None:
    hours = pl.DataFrame(
        {"unique_id": "a", "ds": [datetime(2024, 1, 1, hour, tzinfo=UTC) for hour in range(6)], "y": [1.0] * 6}
    )
    with pytest.raises(
        InputError, match=r"demand\.parquet: row 2: unique_id 'a' has several rows in the day of 2024-01"
    ):
        run(tmp_path, hours)


@pytest.mark.parametrize(
    ("step", "settings", "message"),
    [
        (7, {}, "the days are weeks apart; set demand_frequency=weekly"),
        (30, {}, "no two dates are closer than 30 days; give one row per day"),
        (28, {"demand_frequency": "weekly"}, "no two dates are closer than 28 days; give one row per week"),
        (1, {"demand_frequency": "weekly"}, "several rows in the week of 2024-01-01; add its days up, or use daily"),
    ],
)
def test_rows_of_another_frequency_are_an_error(
    tmp_path: Path, step: int, settings: dict[str, Any], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        run(tmp_path, demand({"a": {number * step: 1.0 for number in range(5)}}), **settings)


def test_weekly_rows_begin_on_monday(tmp_path: Path) -> None:
    out = run(tmp_path, demand({"a": {6 + 7 * week: 1.0 + week for week in range(5)}}), demand_frequency="weekly")
    assert out["demand"]["ds"].to_list() == [day(7 * week) for week in range(5)]  # given on Sundays
    assert (out["manifest"]["demand"]["step_days"], out["manifest"]["demand"]["last_day"]) == (7, "2024-01-29")


def test_missing_covariates_are_filled_from_the_past(tmp_path: Path) -> None:
    nan, nothing = float("nan"), None
    table = demand(
        {"a": {0: 1, 1: 2, 2: 1, 3: 1}, "b": {0: 1, 1: 3}},
        price=[nothing, 2.0, nan, 3.0, nothing, nothing],
        snap=pl.Series([0, 1, None, 0, 1, 1], dtype=pl.Int8),
    )
    out = run(tmp_path, table)
    assert out["demand"]["price"].to_list() == [2.0, 2.0, 2.0, 3.0, None, None]
    assert out["demand"]["snap"].to_list() == [0, 1, 1, 0, 1, 1]
    assert repairs(out) == {
        "missing covariates": 3,
        "covariates without any value in their series": 2,
        "steps without a row": 2,
    }


def test_stock_outs_are_kept_as_such(tmp_path: Path) -> None:
    table = demand({"a": {0: 1, 1: 0, 2: 3}}, in_stock=["yes", "0", None])
    out = run(tmp_path, table)
    assert out["demand"]["in_stock"].to_list() == [True, False, True]
    assert repairs(out) == {"in_stock not known": 1, "out of stock": 1}


def test_outliers_are_lowered(tmp_path: Path) -> None:
    series: dict[str, dict[int, float | None]] = {"a": {number: 1.0 + number % 2 for number in range(250)}}
    series["a"][77] = 1_000.0
    # of 250 values the 99th percentile lies at rank 246.51 of 0 to 249: 2 units, so 20 at most
    out = run(tmp_path, demand(series), now=datetime(2025, 1, 1))
    assert out["demand"]["y"].to_list()[77] == 20.0
    assert repairs(out) == {"outliers": 1}


def test_columns_that_are_no_covariates_are_named(tmp_path: Path) -> None:
    out = run(tmp_path, demand(two_weeks("a"), tags=[["x"]] * 14))
    assert repairs(out) == {"columns of other types (tags)": 1}
    assert out["demand"].columns == ["unique_id", "ds", "y"]


def test_a_series_table_adds_attributes(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    attributes = {"unique_id": ["a", "c"], "department": ["cheese", "wine"], "brand": ["own", "other"]}
    pl.DataFrame(attributes).write_parquet(tmp_path / "in" / "series.parquet")
    out = run(tmp_path, demand(two_weeks("a", "b"), department=["dairy"] * 28, state=["CA"] * 28))
    # the table's own department wins over the column's; c has no demand, b no row in series
    assert out["series"].rows() == [("a", "CA", "cheese", "own"), ("b", "CA", None, None)]
    assert repairs(out) == {"rows of series without demand": 1, "series that the series table lacks": 1}


def test_a_future_table_says_what_is_planned(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    future = {
        "unique_id": ["a", "a", "a", "c"],
        "ds": [day(13), day(14), day(15), day(14)],
        "price": [9.0, 2.0, 3.0, 1.0],
        "event": [None, "fair", None, None],
        "rain": [1.0, 1.0, 1.0, 1.0],
    }
    pl.DataFrame(future).write_parquet(tmp_path / "in" / "future.parquet")
    covariates = {"price": [1.0] * 14, "visitors": range(14), "event": ["fair", None] * 7}
    out = run(tmp_path, demand(two_weeks("a"), **covariates))
    assert out["future"].select("unique_id", "ds", "price", "event").rows() == [
        ("a", day(14), 2.0, "fair"),
        ("a", day(15), 3.0, None),
    ]
    assert repairs(out) == {
        "rows of future that demand covers": 1,
        "rows of future for series without demand": 1,
        "covariates that future lacks (visitors)": 1,
    }
    assert out["manifest"]["demand"]["numeric"] == ["price", "visitors"]
    assert out["manifest"]["demand"]["planned"] == ["price"]


def test_a_future_column_of_another_type_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    future = pl.DataFrame({"unique_id": ["a"], "ds": [day(14)], "snap": ["yes"]})
    future.write_parquet(tmp_path / "in" / "future.parquet")
    with pytest.raises(
        InputError, match=r"future\.parquet: column 'snap' holds text; it must hold numbers, as in demand"
    ):
        run(tmp_path, demand(two_weeks("a"), snap=[0, 1] * 7))


def test_rows_without_demand_after_the_last_day_are_the_future(tmp_path: Path) -> None:
    series: dict[str, dict[int, float | None]] = {"a": {0: 1, 1: None, 2: 2, 3: None, 4: None}}
    out = run(tmp_path, demand(series, snap=[0, 1, 0, 1, 0], state=["CA"] * 3 + [None] * 2))
    assert out["demand"]["y"].to_list() == [1.0, None, 2.0]
    assert out["future"].rows() == [("a", day(3), 1.0), ("a", day(4), 0.0)]
    assert out["series"].rows() == [("a", "CA")]


@pytest.mark.parametrize(
    ("table", "message"),
    [
        (demand(two_weeks("a")).drop("ds"), "column 'ds' is missing"),
        (demand(two_weeks("a")).rename({"unique_id": "uniqueid"}), "'unique_id' is missing .* rename 'uniqueid'"),
        (demand({"a": {0: None, 1: None}}), "column 'y' has no values"),
        (demand(two_weeks("a")).with_columns(y=pl.lit("many")), "column 'y' holds no numbers: found e.g. 'many'"),
        (demand(two_weeks("a")).with_columns(y=-pl.col("y")), r"100% of the rows cannot be used \(negative y: 14"),
        (demand(two_weeks("a"), in_stock=["perhaps"] * 14), "column 'in_stock' holds no flags"),
        (demand({}), "no rows; the table 'demand' must have at least one"),
    ],
)
def test_tables_that_cannot_be_used(tmp_path: Path, table: pl.DataFrame, message: str) -> None:
    with pytest.raises(InputError, match=message):
        run(tmp_path, table)


def test_events_and_demand_side_by_side(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    events = {"user_id": ["u"], "item_id": ["x"], "event_type": ["purchase"], "timestamp": [datetime(2024, 1, 1)]}
    pl.DataFrame(events).write_parquet(tmp_path / "in" / "events.parquet")
    out = run(tmp_path, demand(two_weeks("a")))
    assert out["manifest"]["tables"] == {"events": 1, "items": 1, "users": 1, "demand": 14, "series": 1}
    fingerprint = out["manifest"]["fingerprint"]
    out = run(tmp_path, demand(two_weeks("b")))  # other demand, the same recommender
    assert out["manifest"]["fingerprint"] == fingerprint != out["manifest"]["demand"]["fingerprint"]


def test_a_hundred_thousand_series(tmp_path: Path) -> None:
    ids = pl.Series("unique_id", [f"s{number:06d}" for number in range(100_000)])
    table = pl.DataFrame({"ds": [day(0), day(1), day(4)], "y": [1.0, 2.0, 3.0]}).join(ids.to_frame(), how="cross")
    out = run(tmp_path, table)
    assert out["series"].height == 100_000
    assert repairs(out) == {"steps without a row": 200_000}
