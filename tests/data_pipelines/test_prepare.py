"""From files to the prepared folder: complete, sorted, counted, and never half-written."""

import errno
import json
import os
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from data_pipelines import prepare as module
from data_pipelines.prepare import PrepareConfig, main, prepare
from data_pipelines.report import QualityReport, Severity
from data_pipelines.schema import InputError

START = datetime(2019, 5, 1)
NOW = datetime(2020, 1, 1)


def shop() -> dict[str, pl.DataFrame]:
    """Three users, four items sold, five in the catalogue; item `fuel` is sold by the litre."""
    rows = [
        ("b", "milk", 3, 1),
        ("a", "tea", 1, 1),
        ("a", "milk", 0, 2),
        ("a", "milk", 0, 2),  # delivered twice
        ("a", "fuel", 5, 60),
        ("c", "soap", 4, -1),  # returned
        ("c", "milk", 6, 1),
    ]
    events = pl.DataFrame(rows, schema=["user_id", "item_id", "hour", "quantity"], orient="row")
    time = pl.lit(START) + pl.duration(hours=pl.col("hour"))
    return {
        "events": events.select(
            "user_id", "item_id", time.alias("timestamp"), "quantity", event_type=pl.lit("purchase")
        ),
        "items": pl.DataFrame(
            {
                "item_id": ["tea", "milk", "fuel", "bread", "milk"],
                "tags": [["hot", "leaf"], ["cold"], [], None, ["again"]],
                "launched": [START] * 5,
            }
        ),
        "users": pl.DataFrame({"user_id": ["a", "d"], "age": [40, 50]}),
    }


def write(folder: Path, tables: dict[str, pl.DataFrame]) -> Path:
    folder.mkdir(exist_ok=True)
    for name, table in tables.items():
        table.write_parquet(folder / f"{name}.parquet")
    return folder


def run(folder: Path, out: Path, **settings: Any) -> dict[str, Any]:
    """Prepare and read everything back."""
    prepare("tables", folder, out, PrepareConfig(**settings), NOW)
    tables = {path.stem: pl.read_parquet(path) for path in out.glob("*.parquet")}
    documents = {path.stem: json.loads(path.read_text()) for path in out.glob("*.json")}
    return tables | documents


def siblings(out: Path) -> list[str]:
    return sorted(path.name for path in out.parent.iterdir())


def test_the_folder_holds_what_the_contract_says(tmp_path: Path) -> None:
    out = run(write(tmp_path / "in", shop()), tmp_path / "out")
    events = out["events"]
    assert events.columns == ["user_id", "item_id", "event_type", "timestamp", "quantity"]
    assert events.schema["timestamp"] == pl.Datetime("us")
    assert events.select("user_id", "item_id").rows() == [("a", "milk"), ("a", "tea"), ("b", "milk"), ("c", "milk")]
    # fuel left the catalogue with its events; soap was returned, its user has other events; bread never sold
    assert out["items"].select("item_id", "tags").rows() == [
        ("bread", None),
        ("milk", ["cold"]),
        ("tea", ["hot", "leaf"]),
    ]
    assert out["users"].rows() == [("a", 40), ("b", None), ("c", None), ("d", 50)]
    duplicate = pl.read_parquet(tmp_path / "out" / "quarantine" / "items.parquet")
    assert duplicate.select("item_id", "source_row", "reason").rows() == [("milk", 5, "duplicate item_id")]
    manifest = out["manifest"]
    # all on one day: 1 tea, 2 + 1 + 1 milk
    assert out["demand"].rows() == [("milk", START.date(), 4.0), ("tea", START.date(), 1.0)]
    assert out["series"].select("unique_id", "item_id", "tags").rows() == [
        ("milk", "milk", ["cold"]),
        ("tea", "tea", ["hot", "leaf"]),
    ]
    assert manifest["tables"] == {"events": 4, "items": 3, "users": 4, "demand": 2, "series": 2}
    assert manifest["cleaning"] == {
        "duplicates": 1,
        "non_positive_quantity": 1,
        "bulk_units": 1,
        "rare_items": 0,
        "outlier_users": 0,
        "short_users": 0,
    }
    assert (manifest["source"], manifest["event_types"]) == ("tables", ["purchase"])
    assert (manifest["first_event"], manifest["last_event"]) == ("2019-05-01T00:00:00", "2019-05-01T06:00:00")
    assert manifest["defaults"] == {
        "test_start": None,
        "validation_days": None,
        "min_item_users": 0,
        "feature_ignore": ["launched"],
    }
    assert [step["removed"] for step in out["quality"]["cleaning"]] == [1, 1, 1, 0, 0, 0]


def test_events_alone_are_enough(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    (folder / "events.csv").write_text(
        "user_id,item_id,event_type,timestamp\n01, x,view,2019-05-01T10:00:00+02:00\n01,y,click,1556704800\n"
    )
    out = run(folder, tmp_path / "out")
    assert out["events"].rows() == [
        ("01", "x", "view", datetime(2019, 5, 1, 8)),
        ("01", "y", "click", datetime(2019, 5, 1, 10)),
    ]
    assert out["items"].rows() == [("x",), ("y",)]
    assert out["users"].rows() == [("01",)]
    assert out["manifest"]["event_types"] == ["click", "view"]
    assert not (tmp_path / "out" / "quarantine").exists()
    assert {check["name"] for check in out["quality"]["checks"]} == {
        "item_id with surrounding spaces",
        "all events belong to a single user",
    }


def test_bad_rows_are_counted_and_set_aside_as_found(tmp_path: Path) -> None:
    tables = shop()
    late = tables["events"].head(1).with_columns(timestamp=pl.lit(NOW + timedelta(days=400)))
    nobody = tables["events"].head(1).with_columns(user_id=pl.lit(None, pl.String))
    tables["events"] = pl.concat([tables["events"], late, nobody]).with_columns(reason=pl.lit("gift"))
    out = run(write(tmp_path / "in", tables), tmp_path / "out")
    bad = pl.read_parquet(tmp_path / "out" / "quarantine" / "events.parquet")
    assert bad["__reason"].to_list() == ["timestamp in the future", "missing user_id"]
    assert bad["reason"].to_list() == ["gift", "gift"]  # the shop's own column of that name
    assert bad["source_row"].to_list() == [8, 9]
    assert out["events"]["reason"].unique().to_list() == ["gift"]
    read = {table["name"]: table for table in out["quality"]["tables"]}["events"]
    # nothing is lost: read = set aside + removed by cleaning + written
    assert read["rows"] == 9 == read["quarantined"] + sum(out["manifest"]["cleaning"].values()) + out["events"].height


def test_the_fingerprint_follows_the_content(tmp_path: Path) -> None:
    original = run(write(tmp_path / "in", shop()), tmp_path / "out")["manifest"]["fingerprint"]
    shuffled = shop()
    shuffled["events"] = shuffled["events"].reverse().select(reversed(shuffled["events"].columns))
    assert run(write(tmp_path / "in", shuffled), tmp_path / "out")["manifest"]["fingerprint"] == original
    changed = shop()
    changed["users"] = changed["users"].with_columns(age=pl.Series([40, 51]))
    assert run(write(tmp_path / "in", changed), tmp_path / "out")["manifest"]["fingerprint"] != original


def test_csv_and_parquet_agree(tmp_path: Path) -> None:
    tables = {name: table for name, table in shop().items() if name != "items"}  # CSV knows no lists
    first = run(write(tmp_path / "in", tables), tmp_path / "parquet")
    (tmp_path / "csv").mkdir()
    for name, table in tables.items():
        table.write_csv(tmp_path / "csv" / f"{name}.csv")
    second = run(tmp_path / "csv", tmp_path / "out")
    # numbers in CSV have no type, so quantity is written as a float
    assert second["events"].cast({"quantity": pl.Int64}).equals(first["events"])
    assert second["users"].equals(first["users"])


def test_too_many_bad_rows_are_an_error(tmp_path: Path) -> None:
    tables = shop()
    unknown = pl.when(pl.int_range(pl.len()) > 1).then("user_id")
    tables["events"] = tables["events"].with_columns(unknown)
    folder = write(tmp_path / "in", tables)
    with pytest.raises(InputError, match=r"29% of the rows cannot be used \(missing user_id: 2"):
        run(folder, tmp_path / "out", max_quarantine_share=0.2)
    assert siblings(folder) == ["in"]
    assert run(folder, tmp_path / "out", max_quarantine_share=0.3)["events"].height > 0


@pytest.mark.parametrize("failure", [OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)), KeyboardInterrupt()])
def test_a_failure_while_writing_leaves_the_old_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failure: BaseException
) -> None:
    folder, out = write(tmp_path / "in", shop()), tmp_path / "out"
    run(folder, out)
    before = {path: path.read_bytes() for path in out.rglob("*.*")}

    def fail(*arguments: object) -> None:
        raise failure

    monkeypatch.setattr(module, "write_json", fail)  # after the tables
    code = main(["--source", "tables", "--input", str(folder), "--out", str(out)])
    assert code == (130 if isinstance(failure, KeyboardInterrupt) else 2)
    assert {path: path.read_bytes() for path in out.rglob("*.*")} == before
    assert siblings(out) == ["in", "out"]


def test_only_prepared_folders_are_replaced(tmp_path: Path) -> None:
    folder, out = write(tmp_path / "in", shop()), tmp_path / "home"
    out.mkdir()
    (out / "thesis.txt").write_text("years of work")
    with pytest.raises(InputError, match="holds other files than prepared data"):
        run(folder, out)
    with pytest.raises(InputError, match="holds other files"):
        run(folder, folder)
    run(folder, tmp_path / "out")
    inside = write(tmp_path / "out" / "raw", shop())
    with pytest.raises(InputError, match="would replace --input"):
        run(inside, tmp_path / "out")
    assert (out / "thesis.txt").exists()


def test_a_million_items(tmp_path: Path) -> None:
    tables = shop()
    ids = pl.int_range(10**6, eager=True).cast(pl.String)
    tables["items"] = pl.DataFrame({"item_id": ids, "price": pl.int_range(10**6, eager=True) / 100})
    out = run(write(tmp_path / "in", tables), tmp_path / "out")
    assert out["items"].height == 10**6 + 2  # milk and tea
    assert out["items"]["item_id"].is_sorted()


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder, out = write(tmp_path / "in", shop()), tmp_path / "out"
    settings = tmp_path / "settings.yaml"
    settings.write_text("drop_duplicates: false\nmin_user_events: 2\n")
    arguments = ["--source", "tables", "--input", str(folder), "--out", str(out), "--config", str(settings)]
    assert main([*arguments, "--set", "drop_non_positive_quantity=false"]) == 0
    printed = capsys.readouterr().err
    assert f"supplytower train recommender --data {out}" in printed
    assert "duplicate item_id: 1 (20.0%)" in printed
    cleaning = json.loads((out / "manifest.json").read_text())["cleaning"]
    # only b has a single event once fuel is gone: 4 events of a, 1 of b, 2 of c
    assert {name: count for name, count in cleaning.items() if count} == {"bulk_units": 1, "short_users": 1}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--source", "tables"], "--out"),
        (["--source", "tables", "--out", "x"], "needs --input"),
        (["--source", "warehouse", "--out", "x"], "invalid choice: 'warehouse'"),
        (["--source", "tables", "--out", "x", "--set", "min_user_event=2"], "did you mean 'min_user_events'?"),
        (["--source", "tables", "--out", "x", "--set", "min_user_events=two"], "must be integer"),
    ],
)
def test_mistakes_are_one_line(arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments) == 2
    printed = capsys.readouterr().err
    assert message in printed
    assert printed.count("\n") == 1


def test_help_lists_settings_and_examples(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    printed = capsys.readouterr().out
    assert "bulk_median_quantity: number = 50.0" in printed
    assert "supplytower data prepare --source complete-journey --out" in printed


def test_the_default_data_set(journey: tuple[Path, QualityReport]) -> None:
    folder, report = journey
    # Published size: 1,469,307 transactions, 92,331 products, 801 households with demographics, 27 campaigns sent 6,589
    # times, 116,204 pairs of coupon and product, 2,102 redemptions
    campaigns = {"campaigns": 27, "exposures": 6_589, "offers": 116_204, "outcomes": 2_102}
    read = {table.name: table.rows for table in report.tables}
    assert read == {"events": 1_469_307, "items": 92_331, "users": 801} | campaigns
    assert all(check.severity is Severity.WARNING for check in report.checks)
    manifest = json.loads((folder / "manifest.json").read_text())
    # 8,869 lines with quantity 0; 13,520 purchases of items by the millilitre, all but a few of them petrol
    assert {name: count for name, count in manifest["cleaning"].items() if count} == {
        "non_positive_quantity": 8_869,
        "bulk_units": 13_520,
    }
    sizes = {"events": 1_446_918, "items": 92_310, "users": 2_467, "promotions": 1_184_798}
    assert manifest["tables"] == sizes | campaigns | {"demand": 1_031_671, "series": 68_236}
    # campaign 18: 30 October to 24 December in New York, where clocks change on 5 November
    eighteenth = pl.read_parquet(folder / "campaigns.parquet").filter(campaign_id="18").row(0)
    assert eighteenth == ("18", "Type A", datetime(2017, 10, 30, 4), datetime(2017, 12, 25, 5))
    demand = manifest["demand"]
    assert (demand["first_day"], demand["last_day"]) == ("2017-01-01", "2017-12-31")
    assert demand["closed_days"] == ["2017-12-25"]  # the one day without a sale
    events = pl.scan_parquet(folder / "events.parquet")
    units = events.select(pl.col("quantity").sum()).collect().item()
    assert pl.read_parquet(folder / "demand.parquet")["y"].sum() == units
    # week 48 ends at 05:00 UTC on 27 November: no event lies between its last and the first of week 49
    gap = pl.col("timestamp").is_between(datetime(2017, 11, 27, 4, 28, 7), datetime(2017, 11, 27, 5, 8, 55))
    assert events.filter(gap).collect().is_empty()
    key = ["user_id", "timestamp", "item_id"]
    assert events.select(pl.struct(key).is_sorted()).collect().item()
    shares = pl.scan_parquet(folder / "promotions.parquet").select("display_share", "mailer_share")
    assert shares.max().collect().row(0) == pytest.approx((107 / 112, 110 / 112))
