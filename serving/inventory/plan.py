"""What to order today: `supplytower inventory plan`.

Every product's order is the first decision of the policy of least expected cost over the days that are forecast
(`dynamic_programming`; with lost sales, levels found by simulation, `lost_sales`). With a budget the orders are cut
where that costs least (`allocation`). Writes a row per product: what to order and why, what it will cost, and the
chance that the product runs out before an order of today can arrive.
"""

import argparse
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
from rich.table import Table

from data_pipelines import console as terminal
from data_pipelines.config import describe, resolve
from data_pipelines.result_table import require_table, write_table
from data_pipelines.schema import LEAD_TIME_DAYS, ON_HAND, ON_ORDER, PRICE, SERIES, UNIQUE_ID, InputError
from serving.inventory.allocation import Allocation, allocate
from serving.inventory.demand_distribution import DemandDistribution, FloatArray
from serving.inventory.dynamic_programming import optimize
from serving.inventory.forecast_table import ForecastTable, read_forecast
from serving.inventory.lost_sales import optimize_levels
from serving.inventory.newsvendor import expected_shortage
from serving.inventory.stock_table import Stock, StockDefaults, add_stock_arguments, read_stock

MENU = 12
"""Sizes of an order between nothing and the best one that a budget may choose from."""
SHOWN = 10


@dataclass(frozen=True)
class Plan:
    """Orders of today.

    Args:
        order: `[n]` units.
        wanted: `[n]` units without a budget.
        reorder_point: `[n]` units; -inf if one never orders.
        order_up_to: `[n]` units.
        cost: `[n]` expected cost of holding, missing and ordering over the horizon, without what the units cost.
        budget: how the budget was shared; None without one.
    """

    order: FloatArray
    wanted: FloatArray
    reorder_point: FloatArray
    order_up_to: FloatArray
    cost: FloatArray
    budget: Allocation | None


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit status."""
    return terminal.run(_main, argv)


def _main(argv: Sequence[str] | None) -> int:
    parser = terminal.command_parser(
        "supplytower inventory plan",
        "Say what to order today, and why: one row per product.",
        examples=[
            "supplytower inventory plan --models build/models --data build/data --out plan.parquet",
            "supplytower inventory plan --forecast forecast.parquet --stock stock.csv --budget 5000 --out plan.csv",
            "supplytower inventory plan --forecast f.parquet --data build/data --set order_cost=20 --out plan.csv",
        ],
        settings=describe(StockDefaults),
    )
    add_sources(parser)
    parser.add_argument("--budget", type=float, help="money for the orders of today")
    parser.add_argument("--out", type=Path, required=True, help="table to write, .parquet or .csv")
    arguments = parser.parse_args(argv)
    require_table(arguments.out)
    defaults = resolve(StockDefaults, file=arguments.config, overrides=arguments.set)
    if arguments.budget is not None and not arguments.budget >= 0:
        raise InputError(f"--budget {arguments.budget:g}: must be at least 0")
    forecast, stock = load(arguments.models, arguments.data, arguments.forecast, arguments.stock, defaults)
    with terminal.console.status("planning"):
        demand = forecast.distribution()
        plan = make_plan(demand, stock, arguments.budget)
        table = to_table(forecast, demand, stock, plan)
    write_table(table, arguments.out)
    for notice in (*stock.notices, *(f"{count:,} {what} mended" for what, count in forecast.repairs.items())):
        terminal.console.print(f"Note: {notice}", soft_wrap=True)
    _report(table, plan, arguments.budget, arguments.out)
    return 0


def add_sources(parser: argparse.ArgumentParser) -> None:
    """Give a command the options that say what is forecast, what is in stock, and what holds else."""
    parser.add_argument("--models", type=Path, help="folder written by `supplytower export forecaster`")
    parser.add_argument("--data", type=Path, help="folder written by `supplytower data prepare`")
    parser.add_argument("--forecast", type=Path, help="table of forecasts, instead: unique_id, ds, y_hat, q0.05, ...")
    add_stock_arguments(parser)


def load(
    models: Path | None, data: Path | None, forecast: Path | None, stock: Path | None, defaults: StockDefaults
) -> tuple[ForecastTable, Stock]:
    """Read or make the forecast, and read the stock.

    Args:
        models: exported models, with `data`.
        data: the prepared data; beside a table of forecasts only for its prices.
        forecast: a table of forecasts instead of the models.
        stock: the stock table; None takes the defaults.
        defaults: for what the stock table does not say.

    Raises:
        InputError: if neither or both of models and forecast are given, or something cannot be read.
    """
    if (forecast is None) == (models is None) or (models is not None and data is None):
        raise InputError("give either --models and --data, or --forecast (with --data for the prices, if you like)")
    if forecast is not None:
        table = read_forecast(forecast)
    else:
        with tempfile.TemporaryDirectory() as folder:
            table = read_forecast(_forecast(Path(str(models)), Path(str(data)), Path(folder) / "forecast.parquet"))
    prices = None
    if data is not None and (series := data / f"{SERIES.name}.parquet").exists():
        catalogue = pl.read_parquet(series)
        prices = catalogue.select(UNIQUE_ID, PRICE) if PRICE in catalogue.columns else None
    return table, read_stock(stock, table.ids, defaults, len(table.days), prices)


def _forecast(models: Path, data: Path, out: Path) -> Path:
    """Forecast with the exported model, in a process of its own: planning needs no TensorFlow."""
    command = [sys.executable, "-m", "training.forecast", "--models", str(models), "--data", str(data)]
    done = subprocess.run([*command, "--out", str(out)], capture_output=True, text=True)
    if done.returncode:
        raise InputError(done.stderr.strip().splitlines()[-1].removeprefix("error: "))
    return out


def make_plan(demand: DemandDistribution, stock: Stock, budget: float | None = None) -> Plan:
    """The orders of today.

    Args:
        demand: of the days that are forecast.
        stock: of the same products.
        budget: money for all orders together; None for as much as it takes.

    Raises:
        InputError: if a budget is asked for with lost sales.
    """
    terms = stock.shop.terms
    position = stock.shop.position
    if stock.shop.lost_sales:
        if budget is not None:
            raise InputError("--budget: not together with lost_sales=true; leave out one of them")
        found = optimize_levels(demand, stock.shop)
        order = found.policy(0, position[:, None])[:, 0]
        point, level = found.policy.reorder_point[:, 0], found.policy.order_up_to[:, 0]
        return Plan(order, order, point, level, found.cost, None)
    policy = optimize(demand, terms, position)
    units = terms.unit_cost * (demand.mean().sum(axis=1) - position)  # bought in any case, now or in the end
    shared, order, cost = None, policy.order, policy.cost
    if budget is not None:
        packs = np.floor(policy.order[:, None] / terms.pack[:, None] * np.linspace(0, 1, MENU + 1))
        menu = np.asarray(packs * terms.pack[:, None], float)
        menu[:, -1] = policy.order
        menu = np.where(menu < terms.least_order[:, None], 0.0, menu)
        costs = optimize(demand, terms, position, menu=menu).menu_cost
        shared = allocate(costs, (menu * terms.unit_cost[:, None])[..., None], np.array([budget]))
        rows = np.arange(len(menu))
        order, cost = menu[rows, shared.choice], costs[rows, shared.choice]
    return Plan(order, policy.order, policy.reorder_point[:, 0], policy.order_up_to[:, 0], cost - units, shared)


def to_table(forecast: ForecastTable, demand: DemandDistribution, stock: Stock, plan: Plan) -> pl.DataFrame:
    """A row per product, the dearest orders first."""
    shop = stock.shop
    terms, position = shop.terms, shop.position
    waiting = np.maximum(terms.lead_time, 1)  # days before an order of today can help
    until = demand.sums(waiting, starts=1)
    short = chance_of_more(until, position)
    cumulated = np.cumsum(demand.mean(), axis=1)
    cover = (cumulated <= position[:, None] + 1e-9).sum(axis=1)
    days = demand.probability.shape[1]
    table = pl.DataFrame(
        {
            UNIQUE_ID: forecast.ids,
            "order": plan.order,
            "order_value": plan.order * terms.unit_cost,
            ON_HAND: shop.on_hand,
            ON_ORDER: shop.on_order,
            LEAD_TIME_DAYS: terms.lead_time,
            "demand_until_arrival": until.mean()[:, 0],
            "missing_until_arrival": expected_shortage(until, position[:, None])[:, 0],
            "stockout_probability": short,
            "days_of_cover": cover,
            "reorder_point": np.where(np.isfinite(plan.reorder_point), plan.reorder_point, np.nan),
            "order_up_to": np.where(np.isfinite(plan.order_up_to), plan.order_up_to, np.nan),
            "expected_cost": plan.cost,
            "wanted": plan.wanted,
        }
    ).fill_nan(None)
    have = pl.format("{} in stock and {} on order", _number(ON_HAND), _number(ON_ORDER))
    last = (
        pl.when(pl.col("days_of_cover") >= days)
        .then(pl.lit(f"{days} days or more"))
        .when(pl.col("days_of_cover") == 0)
        .then(pl.lit("less than a day"))
        .otherwise(pl.format("about {} days", pl.col("days_of_cover")))
    )
    cut = pl.when(pl.col("order") < pl.col("wanted")).then(
        pl.format("; {} would be best, the budget allows {}", _number("wanted"), _number("order"))
    )
    filled = pl.format(
        "{} last {}; order at {} or less, up to {}", have, last, _number("reorder_point"), _number("order_up_to")
    )
    reason = (
        pl.when(pl.lit(cumulated[:, -1] <= 0))
        .then(pl.lit("no demand is expected"))
        .when(pl.col("wanted") > 0)
        .then(filled + cut.otherwise(pl.lit("")))
        .otherwise(pl.format("{} last {}", have, last))
    )
    return table.with_columns(reason=reason).drop("wanted").sort("order_value", UNIQUE_ID, descending=[True, False])


def _number(name: str) -> pl.Expr:
    return pl.col(name).round(0).cast(pl.Int64)


def chance_of_more(demand: DemandDistribution, units: FloatArray) -> FloatArray:
    """Probability that the first period's demand exceeds so many units, `[n]`."""
    value = np.arange(demand.probability.shape[-1]) * demand.width[:, None]
    return np.asarray((demand.probability[:, 0] * (value > units[:, None] + 1e-9)).sum(axis=1))


def _report(table: pl.DataFrame, plan: Plan, budget: float | None, out: Path) -> None:
    ordered = table.filter(pl.col("order") > 0)
    shown = Table("product", "order", "value", "runs out first", "why", box=None, pad_edge=False)
    for row in ordered.head(SHOWN).iter_rows(named=True):
        chance = f"{row['stockout_probability']:.0%}"
        shown.add_row(row[UNIQUE_ID], f"{row['order']:,.0f}", f"{row['order_value']:,.2f}", chance, row["reason"])
    terminal.console.print(shown)
    terminal.console.print(
        f"{ordered.height:,} of {table.height:,} products to order today: {ordered['order'].sum():,.0f} units for "
        f"{ordered['order_value'].sum():,.2f}; expected cost of holding, missing and ordering "
        f"{table['expected_cost'].sum():,.2f}; the plan is in {out}",
        soft_wrap=True,
        highlight=False,
    )
    if plan.budget is not None and budget is not None:
        terminal.console.print(
            f"budget {budget:,.2f}: {plan.budget.use[0]:,.2f} used; one more would save {plan.budget.price[0]:.3f}; a "
            f"perfect plan would cost at most {plan.budget.gap:,.2f} less",
            soft_wrap=True,
            highlight=False,
        )


if __name__ == "__main__":
    raise SystemExit(main())
