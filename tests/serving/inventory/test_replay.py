"""Policies side by side on demand that followed."""

from datetime import date, timedelta

import numpy as np
import polars as pl
import pytest

from serving.inventory.demand_distribution import from_quantiles
from serving.inventory.policies import POLICIES, Situation, window_sums
from serving.inventory.stock_table import StockDefaults, read_stock
from supplytower import main
from tests.serving.inventory.test_plan import DAYS, LEVELS, RATES, forecast_table, stock_table

FIRST = date(2024, 5, 1)


def demand_table(before: int = 60, seed: int = 0) -> pl.DataFrame:
    generator = np.random.default_rng(seed)
    days = [FIRST + timedelta(day) for day in range(-before, DAYS)]
    return pl.concat(
        pl.DataFrame({"unique_id": name, "ds": days, "y": generator.poisson(rate, len(days)).astype(float)})
        for name, rate in RATES.items()
    )


@pytest.fixture
def files(tmp_path):
    forecast_table().write_parquet(tmp_path / "forecast.parquet")
    stock_table(holding_cost=1.0, stockout_cost=9.0).write_csv(tmp_path / "stock.csv")
    demand_table().write_csv(tmp_path / "demand.csv")
    return tmp_path


def replay(files, *words: str) -> int:
    given = {name: str(files / f"{name}.{kind}") for name, kind in (("demand", "csv"), ("forecast", "parquet"))}
    sources = [word for name, path in given.items() for word in (f"--{name}", path)]
    stock = ["--stock", str(files / "stock.csv"), "--out", str(files / "simulation.parquet")]
    return main(["inventory", "simulate", *sources, *stock, *words])


def test_every_policy_is_replayed_and_stock_is_conserved(files, capsys):
    assert replay(files) == 0
    table = pl.read_parquet(files / "simulation.parquet")
    assert table["policy"].unique(maintain_order=True).to_list() == list(POLICIES)
    assert table.height == len(POLICIES) * len(RATES)
    left = pl.col("opening") + pl.col("received") - pl.col("sold") - pl.col("spoiled") - pl.col("closing")
    assert table.select(left.abs().max()).item() == 0
    asked = demand_table().filter(pl.col("ds") >= FIRST)["y"].sum()
    assert table.group_by("policy").agg(pl.col("demanded").sum())["demanded"].unique().to_list() == [asked]
    cost = {name: pl.col(f"{name}_cost") for name in ("holding", "stockout", "order")}
    total = dict(table.group_by("policy").agg(sum(cost.values()).sum()).iter_rows())
    assert min(total, key=total.get) == "clairvoyant"
    assert total["newsvendor"] < total["min-max"]
    printed = capsys.readouterr().out
    assert printed.index("clairvoyant") < printed.index("min-max")  # the cheapest first


def test_the_clairvoyant_never_lacks_what_it_could_order(files):
    assert replay(files, "--policy", "clairvoyant") == 0
    table = pl.read_parquet(files / "simulation.parquet").filter(pl.col("unique_id") == "bread")
    assert (table["stockout_days"].item(), table["owed"].item()) == (0, 0)


def test_without_a_past_there_are_no_fixed_levels(files, capsys):
    demand_table(before=0).write_csv(files / "demand.csv")
    assert replay(files) == 0
    assert "too few days before the forecast for min-max" in capsys.readouterr().err
    assert "min-max" not in pl.read_parquet(files / "simulation.parquet")["policy"].to_list()
    assert replay(files, "--policy", "min-max") == 2
    assert "min-max needs 8 days of demand before the forecast" in capsys.readouterr().err


def test_without_order_costs_the_programme_is_the_newsvendors():
    demand = forecast_table()
    quantiles = demand.select(pl.col("^q.*$")).to_numpy().reshape(len(RATES), DAYS, -1)
    distribution = from_quantiles(LEVELS, quantiles)
    shop = read_stock(None, list(RATES), StockDefaults(lead_time_days=2, margin=0.5), DAYS).shop
    situation = Situation(distribution, shop, np.zeros((4, 0)), np.zeros((4, DAYS)))
    programme, base = (POLICIES[name](situation).order_up_to for name in ("dynamic-programme", "newsvendor"))
    known = np.isfinite(programme)
    assert known[:3, : DAYS - 2].all()
    np.testing.assert_allclose(programme[known], base[known], atol=1)


def test_sums_of_days_ahead():
    values = np.array([[1.0, 2, 3]])
    assert window_sums(values, 2).tolist() == [[3, 5, 6]]
    assert window_sums(values, 3, after=0.0).tolist() == [[6, 5, 3]]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t.with_columns(y=-1.0), "'bread' on 2024-03-02: y is -1.0; give a date and a number of at least 0"),
        (lambda t: t.with_columns(ds=pl.lit("soon")), "'bread' on soon: y is"),
        (lambda t: t.filter(pl.col("ds") < FIRST), "has no demand from 2024-05-01 to 2024-05-14"),
        (lambda t: t.drop("y"), "no column 'y'"),
    ],
)
def test_impossible_demand(files, capsys, change, message):
    change(demand_table()).write_csv(files / "demand.csv")
    assert replay(files) == 2
    assert message in capsys.readouterr().err
    assert not (files / "simulation.parquet").exists()


def test_an_unknown_policy(files, capsys):
    assert replay(files, "--policy", "newsvendor,oracle") == 2
    assert "--policy oracle: unknown; give all, or some of min-max" in capsys.readouterr().err
