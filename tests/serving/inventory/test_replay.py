"""Policies side by side on demand that followed."""

from dataclasses import replace
from datetime import date, timedelta

import numpy as np
import polars as pl
import pytest

from serving.inventory.demand_distribution import DemandDistribution, from_quantiles
from serving.inventory.dynamic_programming import Terms
from serving.inventory.policies import POLICIES, Situation, window_sums
from serving.inventory.simulator import Shop
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


def run_replay(files, *words: str) -> int:
    given = {name: str(files / f"{name}.{kind}") for name, kind in (("demand", "csv"), ("forecast", "parquet"))}
    sources = [word for name, path in given.items() for word in (f"--{name}", path)]
    stock = ["--stock", str(files / "stock.csv"), "--out", str(files / "simulation.parquet")]
    return main(["inventory", "simulate", *sources, *stock, *words])


def test_every_policy_is_replayed_and_stock_is_conserved(files, capsys):
    assert run_replay(files) == 0
    table = pl.read_parquet(files / "simulation.parquet")
    applicable = set(POLICIES) - {"lost-sales", "service-level"}  # nobody asked for these
    assert set(table["policy"]) == applicable
    assert table.height == len(applicable) * len(RATES)
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
    assert run_replay(files, "--policy", "clairvoyant") == 0
    table = pl.read_parquet(files / "simulation.parquet").filter(pl.col("unique_id") == "bread")
    assert (table["stockout_days"].item(), table["owed"].item()) == (0, 0)


def test_nothing_costs_less_than_knowing_the_demand(files):
    costs = {"holding_cost": 1.0, "stockout_cost": 9.0, "order_cost": [7.0, 0, 3, 2]}
    stock_table(**costs, pack_size=[12, 1, 2, 1], moq=[0, 15, 0, 0]).write_csv(files / "stock.csv")
    assert run_replay(files, "--set", "review_days=2") == 0
    table = pl.read_parquet(files / "simulation.parquet")
    money = pl.sum_horizontal("holding_cost", "stockout_cost", "order_cost")
    found = table.with_columns(cost=money).pivot("policy", index="unique_id", values="cost")
    for policy in set(table["policy"]):
        assert (found["clairvoyant"] <= found[policy] + 1e-6).all(), policy


def test_without_a_past_there_are_no_fixed_levels(files, capsys):
    demand_table(before=0).write_csv(files / "demand.csv")
    assert run_replay(files) == 0
    assert "min-max is left out: it needs 8 days of demand before the forecast" in capsys.readouterr().err
    assert "min-max" not in pl.read_parquet(files / "simulation.parquet")["policy"].to_list()
    assert run_replay(files, "--policy", "min-max") == 2
    assert "--policy min-max: needs 8 days of demand before the forecast" in capsys.readouterr().err


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
    assert window_sums(np.repeat(values, 2, axis=0), np.array([1, 3])).tolist() == [[1, 2, 3], [6, 8, 9]]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t.with_columns(y=-1.0), "'bread' on 2024-03-02: y is -1.0; give a date and a number of at least 0"),
        (lambda t: t.with_columns(ds=pl.lit("soon")), "'bread' on soon: y is"),
        (lambda t: t.filter(pl.col("ds") < FIRST), "has no demand from 2024-05-01 to 2024-05-14"),
        (lambda t: t.drop("y"), "no column 'y'"),
        (lambda t: t.with_columns(unique_id=pl.lit("a") + "1"), "none of its ids, e.g. 'a1', is forecast"),
    ],
)
def test_impossible_demand(files, capsys, change, message):
    change(demand_table()).write_csv(files / "demand.csv")
    assert run_replay(files) == 2
    assert message in capsys.readouterr().err
    assert not (files / "simulation.parquet").exists()


def test_an_unknown_policy(files, capsys):
    assert run_replay(files, "--policy", "newsvendor,oracle") == 2
    assert "--policy oracle: unknown; give all, or some of min-max" in capsys.readouterr().err


def test_the_page_compares_policies(files):
    page = files / "page.html"
    assert run_replay(files, "--report", str(page)) == 0
    text = page.read_text()
    assert text.count("data:image/png;base64,") == 6
    assert text.index("<th>clairvoyant</th>") < text.index("<th>seasonal-naive</th>")
    assert "less than seasonal-naive" in text


def test_a_replay_ends_with_the_demand(files):
    demand_table().filter(pl.col("ds") < FIRST + timedelta(9)).write_csv(files / "demand.csv")
    assert run_replay(files, "--policy", "newsvendor") == 0
    asked = demand_table().filter((pl.col("ds") >= FIRST) & (pl.col("ds") < FIRST + timedelta(9)))["y"].sum()
    assert pl.read_parquet(files / "simulation.parquet")["demanded"].sum() == asked


def test_without_a_stock_table_the_usual_stock_is_there(files, capsys):
    given = ["--demand", str(files / "demand.csv"), "--forecast", str(files / "forecast.parquet")]
    assert main(["inventory", "simulate", *given, "--out", str(files / "simulation.parquet")]) == 0
    assert "products begin with the usual demand of a lead time and review" in capsys.readouterr().err
    opening = dict(pl.read_parquet(files / "simulation.parquet").select("unique_id", "opening").iter_rows())
    lately = demand_table().filter((pl.col("unique_id") == "bread") & (pl.col("ds") < FIRST))["y"].tail(28).mean()
    assert opening["bread"] == np.ceil(lately * 8)


def test_lost_sales_and_service_levels_are_compared_where_they_are_asked_for(files):
    assert run_replay(files, "--set", "lost_sales=true", "--set", "service_level=0.9") == 0
    table = pl.read_parquet(files / "simulation.parquet")
    assert set(table["policy"]) == set(POLICIES)
    assert (table["owed"] == 0).all()


def test_an_order_that_must_last_until_the_next_review_weighs_all_its_days():
    # nothing on days 1 to 6 of each week, 10 on the 7th: reviewed weekly, without lead time. What is held for six days
    # is dear: h = 1, p = 2 hold it only where 2 / 3 of the days need it, but for the last day alone it would be held.
    probability = np.zeros((1, 14, 11))
    probability[..., 0] = 1.0
    probability[0, [6, 13]] = np.eye(11)[10]
    shop = Shop(Terms.of(1, review_every=7, holding_cost=1, stockout_cost=2), np.zeros(1), np.zeros(1))
    future = np.zeros((1, 14))
    situation = Situation(DemandDistribution(probability, np.array([1])), shop, np.zeros((1, 0)), future)
    assert POLICIES["newsvendor"](situation).order_up_to[0, 0] == 0
    dear = replace(shop, terms=Terms.of(1, review_every=7, holding_cost=1, stockout_cost=7))
    assert POLICIES["newsvendor"](replace(situation, shop=dear)).order_up_to[0, 0] == 10


def test_weeks_are_weeks():
    # by the week, "last week again" is the last step
    shop = Shop(Terms.of(1, holding_cost=1, stockout_cost=1), np.zeros(1), np.zeros(1))  # z = 0
    past = np.arange(1.0, 21.0)[None]
    demand = DemandDistribution(np.ones((1, 3, 1)), np.array([1]))
    situation = Situation(demand, shop, past, np.zeros((1, 3)), step_days=7)
    assert POLICIES["seasonal-naive"](situation).order_up_to.tolist() == [[20, 20, 20]]
    assert POLICIES["seasonal-naive"](replace(situation, step_days=1)).order_up_to.tolist() == [[14, 15, 16]]
