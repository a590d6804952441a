"""What policies would have cost on demand that followed: `supplytower inventory simulate`.

Writes a row per policy and product (stock, sales, what was missing, costs by kind) and shows the policies side by side.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import polars as pl
from rich.table import Table

from data_pipelines import console as terminal
from data_pipelines.config import describe, resolve
from data_pipelines.result_table import require_table, write_table
from data_pipelines.schema import DS, UNIQUE_ID, InputError, Y
from serving.inventory.demand_distribution import FloatArray
from serving.inventory.forecast_table import ForecastTable, read_forecast
from serving.inventory.policies import POLICIES, Situation
from serving.inventory.simulator import Outcome, simulate
from serving.inventory.stock_table import StockDefaults, add_stock_arguments, read_stock
from serving.inventory.tables import as_date, read_table

WIDE = 120


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit status."""
    return terminal.run(_main, argv)


def _main(argv: Sequence[str] | None) -> int:
    parser = terminal.command_parser(
        "supplytower inventory simulate",
        "Replay ordering policies on the demand that followed a forecast, and compare what they cost.\n\n"
        f"policies: {', '.join(POLICIES)}",
        examples=[
            "supplytower inventory simulate --demand demand.parquet --forecast forecast.parquet --out sim.parquet",
            "supplytower inventory simulate --demand demand.csv --forecast forecast.csv --stock stock.csv "
            "--policy newsvendor,dynamic-programme --set review_days=7 --out sim.csv",
        ],
        settings=describe(StockDefaults),
    )
    parser.add_argument("--demand", type=Path, required=True, help="table of what was asked for: unique_id, ds, y")
    parser.add_argument("--forecast", type=Path, required=True, help="table of forecasts of those days")
    parser.add_argument("--policy", default="all", help="comma-separated, or all (default: all)")
    add_stock_arguments(parser)
    parser.add_argument("--out", type=Path, required=True, help="table to write, .parquet or .csv")
    arguments = parser.parse_args(argv)
    require_table(arguments.out)
    names = select_policies(arguments.policy)
    defaults = resolve(StockDefaults, file=arguments.config, overrides=arguments.set)
    forecast = read_forecast(arguments.forecast)
    past, future = read_demand(arguments.demand, forecast)
    stock = read_stock(arguments.stock, forecast.ids, defaults, len(forecast.days))
    situation = Situation(forecast.distribution(), stock.shop, past, future)
    if names == tuple(POLICIES) and past.shape[1] < situation.covered.max():
        names = tuple(name for name in names if name != "min-max")
        terminal.console.print(f"Note: {arguments.demand} has too few days before the forecast for min-max")
    try:
        policies = {name: POLICIES[name](situation) for name in names}
    except ValueError as error:
        raise InputError(f"{arguments.demand}: {error}") from None
    outcomes = {name: simulate(future[:, None], stock.shop, policy) for name, policy in policies.items()}
    table = pl.concat([_rows(name, forecast.ids, outcome) for name, outcome in outcomes.items()])
    write_table(table, arguments.out)
    for notice in stock.notices:
        terminal.console.print(f"Note: {notice}", soft_wrap=True)
    terminal.output(WIDE).print(summary_table(outcomes, len(forecast.days)))
    terminal.console.print(f"{table.height:,} rows are in {arguments.out}", soft_wrap=True)
    return 0


def select_policies(names: str) -> tuple[str, ...]:
    """Policies by the value of `--policy`.

    Raises:
        InputError: if a name is unknown.
    """
    chosen = tuple(POLICIES) if names == "all" else tuple(dict.fromkeys(name.strip() for name in names.split(",")))
    for name in chosen:
        if name not in POLICIES:
            raise InputError(f"--policy {name}: unknown; give all, or some of {', '.join(POLICIES)}")
    return chosen


def read_demand(path: Path, forecast: ForecastTable) -> tuple[FloatArray, FloatArray]:
    """Demand before the forecast, `[n, time]`, and in its days, `[n, horizon]`; a day without a row asked for nothing.

    Raises:
        InputError: if the table cannot be read, a number is impossible, or nothing of it lies in the forecast's days.
    """
    table = read_table(path, (UNIQUE_ID, DS, Y)).with_columns(pl.col(Y).cast(pl.Float64, strict=False))
    checked = table.with_columns(as_date(table))
    wrong = ~(checked[Y].is_finite() & (checked[Y] >= 0) & checked[DS].is_not_null()).fill_null(False)
    if (bad := wrong.arg_true()).len():
        row = table.row(bad[0], named=True)
        raise InputError(
            f"{path}: {row[UNIQUE_ID]!r} on {row[DS]}: {Y} is {row[Y]}; give a date and a number of at least 0"
        )
    days = forecast.days.astype("datetime64[D]")
    known = checked.filter(pl.col(UNIQUE_ID).is_in(forecast.ids))
    column = known[DS].to_numpy().astype("datetime64[D]")
    if not np.isin(column, days).any():
        raise InputError(f"{path}: has no demand from {days[0]} to {days[-1]}, the days of the forecast")
    begin = min(column.min(), days[0])
    column, split = (column - begin).astype(int), int((days[0] - begin).astype(int))
    row_of = {name: row for row, name in enumerate(forecast.ids)}
    rows = known[UNIQUE_ID].replace_strict(row_of, return_dtype=pl.Int64).to_numpy()
    inside = column < split + len(days)
    values = np.zeros((len(forecast.ids), split + len(days)))
    np.add.at(values, (rows[inside], column[inside]), known[Y].to_numpy()[inside])
    return values[:, :split], values[:, split:]


def _rows(policy: str, ids: list[str], outcome: Outcome) -> pl.DataFrame:
    columns = {name: getattr(outcome, name) for name in Outcome.__dataclass_fields__ if name != "stock"}
    return pl.DataFrame({"policy": policy, UNIQUE_ID: ids} | {name: part[:, 0] for name, part in columns.items()})


def summary_table(outcomes: dict[str, Outcome], days: int) -> Table:
    """Policies side by side, the cheapest first."""
    table = Table(box=None, pad_edge=False)
    names = ("policy", "cost", "holding", "missing", "ordering", "fill rate", "days served", "mean stock", "spoiled")
    for name in names:
        table.add_column(name, justify="left" if name == "policy" else "right")
    for name, one in sorted(outcomes.items(), key=lambda item: item[1].cost.sum()):
        money = (one.cost, one.holding_cost, one.stockout_cost, one.order_cost)
        table.add_row(
            name,
            *(f"{part.sum():,.2f}" for part in money),
            f"{one.fill_rate():.1%}",
            f"{one.service_level(days):.1%}",
            f"{one.mean_stock.sum():,.0f}",
            f"{one.spoiled.sum():,.0f}",
        )
    return table


if __name__ == "__main__":
    raise SystemExit(main())
