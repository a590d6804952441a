"""Alarms that are raised, and those that are not."""

import json

import polars as pl
import pytest

from supplytower import main
from tests.serving.inventory.test_plan import RATES, forecast_table, stock_table
from tests.serving.inventory.test_replay import FIRST, demand_table


@pytest.fixture
def files(tmp_path):
    forecast_table().write_parquet(tmp_path / "forecast.parquet")
    demand_table(before=120).filter(pl.col("ds") < FIRST).write_csv(tmp_path / "demand.csv")
    return tmp_path


def monitor(files, capsys, *words: str, on_hand=(80, 40, 10, 0), with_demand: bool = True) -> list[dict]:
    stock_table(on_hand=list(on_hand)).write_csv(files / "stock.csv")
    sources = ["--forecast", str(files / "forecast.parquet"), "--stock", str(files / "stock.csv")]
    demand = ["--demand", str(files / "demand.csv")] if with_demand else []
    assert main(["inventory", "monitor", *sources, *demand, "--json", *words]) == 0
    return json.loads(capsys.readouterr().out)


def test_nothing_is_wrong(files, capsys):
    assert monitor(files, capsys) == []


def test_a_product_that_runs_out(files, capsys):
    # milk sells 4 a day and an order takes 3 days: 12 are asked for, with a deviation of 3.5; P(more than 10) = 0.65,
    # and somewhat more where quantiles are whole numbers
    (alert,) = monitor(files, capsys, on_hand=(80, 10, 10, 0))
    assert (alert["unique_id"], alert["kind"], alert["severity"]) == ("milk", "stock-out", "critical")
    assert alert["value"] == pytest.approx(0.65, abs=0.08)
    assert alert["message"].endswith("before an order of today arrives (3 days); 10 units there and under way")
    (alert,) = monitor(files, capsys, on_hand=(80, 13, 10, 0))
    assert alert["severity"] == "warning"
    assert monitor(files, capsys, "--set", "stockout_warning=0.45", on_hand=(80, 13, 10, 0)) == []


def test_too_much(files, capsys):
    alerts = monitor(files, capsys, on_hand=(800, 600, 10, 0))
    assert [(one["unique_id"], one["kind"], one["severity"]) for one in alerts] == [
        ("milk", "overstock", "warning"),
        ("bread", "overstock", "notice"),
    ]
    assert alerts[0]["value"] == pytest.approx(150)
    assert alerts[1]["message"] == "800 units last 80 days"


def test_what_nobody_asks_for(files, capsys):
    kinds = {(one["unique_id"], one["kind"]) for one in monitor(files, capsys, on_hand=(80, 40, 10, 5))}
    assert kinds == {("never", "dead-stock"), ("never", "overstock")}
    without = monitor(files, capsys, on_hand=(80, 40, 10, 5), with_demand=False)
    assert {one["kind"] for one in without} == {"overstock"}


def test_a_forecast_far_from_what_was_asked_for(files, capsys):
    forecast_table(y_hat=pl.when(pl.col("unique_id") == "milk").then(12.0).otherwise("y_hat")).write_parquet(
        files / "forecast.parquet"
    )
    (alert,) = monitor(files, capsys)
    assert (alert["unique_id"], alert["kind"]) == ("milk", "forecast-off")
    assert alert["value"] == pytest.approx(3, rel=0.2)


def test_the_table_and_the_file(files, capsys):
    stock_table(on_hand=[0, 0, 0, 0]).write_csv(files / "stock.csv")
    words = ["--forecast", str(files / "forecast.parquet"), "--stock", str(files / "stock.csv")]
    assert main(["inventory", "monitor", *words, "--out", str(files / "alerts.csv")]) == 0
    printed = capsys.readouterr()
    assert "critical" in printed.out
    assert f"{len(RATES)} products: 3 stock-out" in printed.err
    assert "no --demand: forecast-off and dead-stock are not looked for" in printed.err
    assert pl.read_csv(files / "alerts.csv")["unique_id"].to_list() == ["bread", "milk", "tea"]


def test_impossible_settings(files, capsys):
    words = ["--forecast", str(files / "forecast.parquet"), "--set", "stockout_warning=0.9"]
    assert main(["inventory", "monitor", *words]) == 2
    assert "stockout_warning=0.9, stockout_critical=0.5: must rise" in capsys.readouterr().err


def test_demand_that_ends_before_the_forecast_is_asked_for(files, capsys):
    demand_table(before=0).write_csv(files / "demand.csv")
    words = ["--forecast", str(files / "forecast.parquet"), "--demand", str(files / "demand.csv")]
    assert main(["inventory", "monitor", *words]) == 2
    assert "has no demand before 2024-05-01, where the forecast begins" in capsys.readouterr().err
