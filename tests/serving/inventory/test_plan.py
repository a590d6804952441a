"""From tables to orders, and what cannot be planned."""

from datetime import date, timedelta

import numpy as np
import polars as pl
import pytest
from scipy import stats

from data_pipelines.schema import InputError
from serving.inventory.demand_distribution import poisson
from serving.inventory.dynamic_programming import Terms
from serving.inventory.forecast_table import read_forecast
from serving.inventory.orders import find_orders
from serving.inventory.policies import ServiceTarget
from serving.inventory.simulator import Shop
from serving.inventory.stock_table import StockDefaults, read_stock
from supplytower import main

DAYS = 14
LEVELS = (0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99)
RATES = {"bread": 10.0, "milk": 4.0, "tea": 0.5, "never": 0.0}


def forecast_table(**changes) -> pl.DataFrame:
    rows = []
    for name, rate in RATES.items():
        quantiles = {f"q{level:g}": float(stats.poisson(rate).ppf(level)) if rate else 0.0 for level in LEVELS}
        for day in range(DAYS):
            rows.append({"unique_id": name, "ds": date(2024, 5, 1) + timedelta(day), "y_hat": rate} | quantiles)
    return pl.DataFrame(rows).with_columns(**changes)


def stock_table(**columns) -> pl.DataFrame:
    base = {"unique_id": list(RATES), "on_hand": [80, 3, 0, 7], "lead_time_days": [3, 3, 7, 3], "price": [2.0, 1, 9, 5]}
    return pl.DataFrame(base | columns)


@pytest.fixture
def files(tmp_path):
    forecast_table().write_parquet(tmp_path / "forecast.parquet")
    stock_table().write_csv(tmp_path / "stock.csv")
    return tmp_path


def plan(files, *words: str, out: str = "plan.parquet") -> int:
    sources = ["--forecast", str(files / "forecast.parquet"), "--stock", str(files / "stock.csv")]
    return main(["inventory", "plan", *sources, "--out", str(files / out), *words])


def rows(files, name: str = "plan.parquet") -> dict[str, dict]:
    table = pl.read_parquet(files / name) if name.endswith("parquet") else pl.read_csv(files / name)
    return {row["unique_id"]: row for row in table.iter_rows(named=True)}


def test_what_is_short_is_ordered_and_what_is_plenty_is_not(files, capsys):
    assert plan(files) == 0
    found = rows(files)
    assert found["bread"]["order"] == 0  # 80 last eight days, an order takes three
    assert found["bread"]["days_of_cover"] == 8
    assert found["bread"]["reason"] == "80 in stock and 0 on order last about 8 days"
    # milk: 3 on hand, 12 asked for until an order arrives. h = 0.7 x 0.25 / 365, p = 0.3: the 99.8 % quantile of 4 days
    assert found["milk"]["order_up_to"] == pytest.approx(stats.poisson(16).ppf(0.9984), abs=2)
    assert found["milk"]["order"] == found["milk"]["order_up_to"] - 3
    assert found["milk"]["stockout_probability"] == pytest.approx(stats.poisson(12).sf(3), abs=0.02)
    assert found["milk"]["demand_until_arrival"] == pytest.approx(12, abs=0.6)
    assert "or less, up to" in found["milk"]["reason"]
    assert found["never"]["order"] == 0
    assert found["never"]["reason"] == "no demand is expected"
    printed = capsys.readouterr().err
    assert "2 of 4 products to order today" in printed


def test_a_budget_is_kept_and_spent_where_it_saves_most(files, capsys):
    assert plan(files) == 0
    free = pl.read_parquet(files / "plan.parquet")["order_value"].sum()
    assert plan(files, "--budget", str(free / 3), out="cut.csv") == 0
    cut = pl.read_csv(files / "cut.csv")
    assert cut["order_value"].sum() <= free / 3
    assert cut["order_value"].sum() > free / 4
    assert cut["reason"].str.contains("the limits allow").any()
    assert "a perfect plan would cost at most" in capsys.readouterr().err
    whole = pl.read_parquet(files / "plan.parquet")
    assert cut["expected_cost"].sum() > whole["expected_cost"].sum()
    assert plan(files, "--budget", "0", out="none.csv") == 0
    assert pl.read_csv(files / "none.csv")["order"].sum() == 0


def test_lost_sales_need_less(files):
    assert plan(files, "--set", "stockout_factor=0.002") == 0
    assert plan(files, "--set", "stockout_factor=0.002", "--set", "lost_sales=true", out="lost.parquet") == 0
    assert rows(files, "lost.parquet")["milk"]["order_up_to"] <= rows(files)["milk"]["order_up_to"]


def test_packs_and_least_orders(files):
    stock_table(moq=[0, 50, 0, 0], pack_size=[1, 1, 12, 1]).write_csv(files / "stock.csv")
    assert plan(files) == 0
    found = rows(files)
    assert found["milk"]["order"] >= 50
    assert found["tea"]["order"] % 12 == 0 < found["tea"]["order"]


def test_without_a_stock_table_and_with_the_mean_alone(files, capsys):
    forecast_table().select("unique_id", "ds", "y_hat").write_csv(files / "mean.csv")
    words = ["--forecast", str(files / "mean.csv"), "--out", str(files / "plan.csv")]
    assert main(["inventory", "plan", *words]) == 0
    assert "no --stock: on_hand=0 and the other defaults hold for all products" in capsys.readouterr().err
    order = rows(files, "plan.csv")["bread"]["order"]
    assert order == pytest.approx(stats.poisson(80).ppf(0.9984), abs=2)  # eight days


def test_quantiles_that_cross_are_mended_and_counted(files, capsys):
    forecast_table(**{"q0.5": pl.col("q0.9") + 1}).write_parquet(files / "forecast.parquet")
    assert plan(files) == 0
    assert "56 crossing quantiles mended" in capsys.readouterr().err


def test_the_order_of_rows_does_not_matter(files):
    assert plan(files) == 0
    first = rows(files)
    forecast_table().sample(fraction=1.0, shuffle=True, seed=1).write_parquet(files / "forecast.parquet")
    stock_table().reverse().write_csv(files / "stock.csv")
    assert plan(files) == 0
    assert rows(files) == first


@pytest.mark.parametrize(
    ("stock", "message"),
    [
        ({"on_hand": [1, -3, 0, 0]}, "on_hand of 'milk' is -3; it must be a number of at least 0"),
        ({"lead_time_days": [1, 2, 20, 3]}, "lead_time_days of 'tea' is 20, but only 14 days are forecast"),
        ({"moq": [0, 0, 9, 0], "capacity": [99, 99, 5, 9]}, "the smallest order of 'tea' is 9 units"),
        ({"pack_size": [1, 0, 1, 1]}, "pack_size of 'milk' is 0; it must be a number of at least 1"),
        ({"unique_id": ["bread", "milk", "milk", "tea"]}, "unique_id 'milk' is there twice"),
        ({"price": ["2", "cheap", "3", "4"]}, "price of 'milk' is 'cheap'"),
        ({"lead_time_days": [1.0, float("inf"), 2.0, 3.0]}, "lead_time_days of 'milk' is inf; it must be a number"),
        ({"pack_size": [1.0, 2.5, 1.0, 1.0]}, "pack_size of 'milk' is 2.5; it must be a number of at least 1, whole"),
        ({"on_hand": [True, False, True, True]}, "on_hand holds Boolean; give numbers"),
        ({"unique_id": ["1", "2", "3", "4"]}, "none of its ids, e.g. '1', is forecast, e.g. 'bread'"),
    ],
)
def test_impossible_stock(files, capsys, stock, message):
    stock_table(**stock).write_csv(files / "stock.csv")
    assert plan(files) == 2
    error = capsys.readouterr().err
    assert message in error.splitlines()[-1]
    assert "stock.csv" in error
    assert not (files / "plan.parquet").exists()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t.drop("y_hat"), "no column 'y_hat'"),
        (lambda t: pl.concat([t, t.head(1)]), "'bread' has 2024-05-01 twice"),
        (lambda t: t.slice(1), "'bread' has 13 days, others up to 14"),
        (
            lambda t: t.with_columns(pl.when(pl.col("unique_id") == "tea").then(None).otherwise("q0.5").alias("q0.5")),
            "q0.5 of 'tea' on 2024-05-01 is None; 14 such values",
        ),
        (lambda t: t.with_columns(y_hat=pl.lit(float("nan"))), "y_hat of 'bread' on 2024-05-01 is nan; 56 such values"),
        (lambda t: t.head(0), "holds no rows"),
        (lambda t: t.select("unique_id", "ds", "y_hat", "q0.5"), "quantiles q0.5; give at least two levels"),
        (lambda t: t.with_columns(pl.col("q0.99").alias("q0.990")), "give at least two levels, each once"),
        (lambda t: t.select("unique_id", "ds", "y_hat", q50=1.0), "q50 looks like a quantile; levels are shares"),
        (lambda t: t.with_columns(ds=20240501), "ds holds Int32; give dates"),
        (lambda t: t.with_columns(ds=pl.lit("soon")), "ds of 'bread' is no date"),
        (lambda t: t.with_columns(y_hat=pl.concat_list("y_hat")), "y_hat holds List(Float64); give numbers"),
        (lambda t: t.with_columns(unique_id=pl.lit("")), "row 1 has no unique_id"),
    ],
)
def test_impossible_forecasts(files, capsys, change, message):
    change(forecast_table()).write_parquet(files / "forecast.parquet")
    assert plan(files) == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--budget", "-1"], "--budget -1: must be at least 0"),
        (["--volume", "50"], "--volume 50: what is in stock and under way takes 90.00, 40.00 more than that"),
        (["--set", "service_level=1"], "service_level=1.0: must be below 1, e.g. 0.95"),
        (["--set", "service_measure=sigma"], "service_measure=sigma: must be cycle or fill"),
        (["--schedule", "days.txt"], "--schedule days.txt: name a file that ends with .parquet or .csv"),
        (["--report", "page.txt"], "--report page.txt: name a file that ends with .html"),
        (["--models", "m", "--data", "d"], "give either --models and --data, or --forecast"),
        (["--set", "margin=1"], "margin=1.0: must be below 1"),
        (["--set", "review_days=0"], "review_days=0: is too small"),
        (["--out", "plan.txt"], "--out plan.txt: name a file that ends with .parquet or .csv"),
    ],
)
def test_impossible_words(files, capsys, words, message):
    assert plan(files, *words) == 2
    assert message in capsys.readouterr().err


def test_missing_values_take_the_defaults():
    stock = read_stock(None, ["a", "b"], StockDefaults(price=10.0, margin=0.4), 14)
    terms = stock.shop.terms
    assert terms.unit_cost.tolist() == [6.0, 6.0]
    assert terms.holding_cost[0] == pytest.approx(6 * 0.25 / 365)
    assert terms.stockout_cost[0] == pytest.approx(4.0)
    assert terms.lead_time.tolist() == [7, 7]


def test_a_row_fills_only_what_it_says(tmp_path):
    path = tmp_path / "stock.parquet"
    pl.DataFrame({"unique_id": ["a", "z"], "unit_cost": [7.0, 1.0], "on_hand": [None, 3.0]}).write_parquet(path)
    prices = pl.DataFrame({"unique_id": ["b"], "price": [20.0]})
    stock = read_stock(path, ["a", "b"], StockDefaults(margin=0.3), 14, prices)
    np.testing.assert_allclose(stock.price, [10.0, 20.0])  # 7 / (1 - 0.3), and the catalogue's
    np.testing.assert_allclose(stock.shop.terms.unit_cost, [7.0, 14.0])
    assert stock.shop.on_hand.tolist() == [0.0, 0.0]
    assert [notice.split(" ")[0] for notice in stock.notices] == ["1", str(path), str(path), "1"]
    # b is not in it; it does not say what is on hand of a, nor any lead time; z is not forecast


def test_a_table_of_forecasts_is_read_in_order_of_its_levels(tmp_path):
    table = forecast_table().select("q0.9", "unique_id", "q0.05", "ds", "y_hat", "q0.5")
    table.write_parquet(tmp_path / "f.parquet")
    found = read_forecast(tmp_path / "f.parquet")
    assert found.levels == (0.05, 0.5, 0.9)
    assert found.ids == sorted(RATES)
    assert found.quantiles.shape == (4, DAYS, 3)
    assert [str(day)[:10] for day in found.days[:2]] == ["2024-05-01", "2024-05-02"]
    with pytest.raises(InputError, match="cannot be read"):
        read_forecast(tmp_path / "none.parquet")


def test_a_service_level_instead_of_costs(files):
    # bread: Poisson 10 a day, three days and one more: 40 expected; 0.5 is about the mean, 0.99 the 99 % quantile
    for level, least in ((0.5, 40), (0.99, stats.poisson(40).ppf(0.99))):
        assert plan(files, "--set", f"service_level={level}") == 0
        assert rows(files)["bread"]["order_up_to"] == pytest.approx(least, abs=2)
    assert plan(files, "--set", "service_level=0.99", "--set", "service_measure=fill") == 0
    assert rows(files)["bread"]["order_up_to"] < least  # few units are missing even where it happens more often


def test_a_budget_too_small_for_the_service_level_says_so(files, capsys):
    words = ["--set", "service_level=0.95", "--budget", "5"]
    assert plan(files, *words) == 0
    printed = capsys.readouterr().err
    assert "less than all orders need" in printed
    assert "service_level=0.95 is not reached for them" in printed
    assert pl.read_parquet(files / "plan.parquet")["order_value"].sum() <= 5


def test_a_budget_too_small_serves_first_what_cannot_be_ordered_again_tomorrow():
    terms = Terms.of(2, lead_time=1, review_every=[1, 7], unit_cost=1.0)
    shop = Shop(terms=terms, on_hand=np.zeros(2), on_order=np.zeros(2))
    demand = poisson(np.full((2, 28), 5.0))
    found = find_orders(demand, shop, target=ServiceTarget(0.95), uses={"money": (np.ones(2), 40.0)})
    assert found.wanted[1] > found.wanted[0] > 10
    assert found.order[1] > 0.8 * 40
    assert found.order.sum() <= 40


def test_a_budget_that_suffices_changes_nothing(files):
    for words in (["--set", "service_level=0.99"], ["--set", "lost_sales=true"], []):
        assert plan(files, *words) == 0
        free = rows(files)
        assert plan(files, *words, "--budget", "1e9") == 0
        assert {name: row["order"] for name, row in rows(files).items()} == {n: row["order"] for n, row in free.items()}


def test_orders_of_large_demand_are_whole_packs(files):
    large = {name: pl.col(name) * 60 for name in forecast_table().columns if name.startswith(("y_", "q"))}
    forecast_table(**large).write_parquet(files / "forecast.parquet")
    stock_table(pack_size=7, capacity=[9000, 1001, 9000, 9000], on_hand=[5, 5, 5, 5]).write_csv(files / "stock.csv")
    assert plan(files) == 0
    for row in rows(files).values():
        assert row["order"] % 7 == 0
    assert rows(files)["milk"]["order"] == 994  # 142 packs, and 5 are there: another one would not fit


def test_a_volume_holds_what_is_there_and_what_is_ordered(files):
    stock_table(volume=[1.0, 2.0, 5.0, 1.0]).write_csv(files / "stock.csv")
    there = 80 + 2 * 3 + 7
    assert plan(files, "--volume", str(there + 30)) == 0
    found = rows(files)
    assert 20 <= sum(found[name]["order"] * each for name, each in (("bread", 1), ("milk", 2), ("tea", 5))) <= 30
    assert plan(files, "--volume", "1000") == 0
    assert all(row["order"] == row["wanted"] for row in rows(files).values())


def test_a_budget_with_lost_sales(files):
    assert plan(files, "--set", "lost_sales=true", "--budget", "9") == 0
    assert 0 < pl.read_parquet(files / "plan.parquet")["order_value"].sum() <= 9


def test_no_more_is_ordered_than_is_sold_before_it_spoils(files, capsys):
    # milk: h is small, p = 0.3, c = 0.7: of 4 a day for 3 days and 2 of shelf life, Poisson 20, the 30 % quantile
    stock_table(shelf_life_days=[0, 2, 0, 0], on_hand=[80, 0, 0, 7]).write_csv(files / "stock.csv")
    assert plan(files) == 0
    assert rows(files)["milk"]["order"] == pytest.approx(stats.poisson(20).ppf(0.3), abs=1.5)
    stock_table(shelf_life_days=[0, 2, 0, 0], pack_size=[1, 30, 1, 1]).write_csv(files / "stock.csv")
    assert plan(files) == 0
    assert rows(files)["milk"]["order"] == 0  # 3 there and 30 more: more than its smallest order
    assert "1 products spoil before their smallest order is likely to be sold, e.g. 'milk'" in capsys.readouterr().err


def test_the_days_ahead(files):
    assert plan(files, "--schedule", str(files / "days.csv"), "--set", "review_days=3") == 0
    days = pl.read_csv(files / "days.csv", try_parse_dates=True)
    assert days.height == len(RATES) * DAYS
    bread = days.filter(pl.col("unique_id") == "bread")
    # 80 in stock, 10 a day; an order arrives three days later, on the day that begins then
    assert bread["stock"][0] == pytest.approx(70, abs=1)
    assert bread["order"].to_numpy()[[1, 2, 4, 5]].tolist() == [0, 0, 0, 0]
    assert (bread["stock_q0.05"] <= bread["stock_q0.95"]).all()
    found = rows(files)["bread"]
    assert found["next_review"] == date(2024, 5, 4)
    assert found["next_order"] == pytest.approx(bread["order"][3])


def test_two_outputs_in_one_file_are_refused(files, capsys):
    assert plan(files, "--schedule", str(files / "plan.parquet")) == 2
    assert "plan.parquet: is the file of --out; name another one" in capsys.readouterr().err
    assert plan(files, out="forecast.parquet") == 2
    assert "forecast.parquet: is the file of --forecast; name another one" in capsys.readouterr().err


def test_the_page_stands_alone(files):
    page = files / "plan.html"
    assert plan(files, "--report", str(page)) == 0
    text = page.read_text()
    assert text.count("data:image/png;base64,") == 6  # three pictures, light and dark
    assert "2 of 4" in text
    assert "http" not in text.replace("http-equiv", "")


def test_forecasts_by_the_week(files, capsys):
    weekly = forecast_table().with_columns(ds=pl.lit(date(2024, 5, 1)) + (pl.col("ds") - date(2024, 5, 1)) * 7)
    weekly.write_parquet(files / "forecast.parquet")
    assert plan(files) == 0
    assert "the forecast is by 7 days" in capsys.readouterr().err
    found = rows(files)["bread"]  # 10 a week; what lasts 8 weeks is 56 days; an order takes a week
    assert (found["days_of_cover"], found["lead_time_days"]) == (56, 7)
    forecast_table().filter(pl.col("ds") != date(2024, 5, 3)).write_parquet(files / "forecast.parquet")
    assert plan(files) == 2
    assert "ds goes on by 1 and by 2 days; forecast every day, or every week" in capsys.readouterr().err
