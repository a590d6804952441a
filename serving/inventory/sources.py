"""What the inventory commands begin with: a forecast, the stock, the demand that is known, and names for people."""

import argparse
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl

from data_pipelines import console as terminal
from data_pipelines.item_names import series_names
from data_pipelines.schema import DEMAND, DS, PRICE, SERIES, UNIQUE_ID, InputError, Y
from serving.inventory.demand_distribution import FloatArray, IntArray
from serving.inventory.forecast_table import ForecastTable, read_forecast
from serving.inventory.stock_table import Stock, StockDefaults, read_stock
from serving.inventory.tables import as_dates, as_numbers, read_table

LONGEST_NAME, LONGEST_PAST_DAYS = 40, 731


@dataclass(frozen=True)
class Sources:
    """What a command begins with.

    Args:
        forecast: of the products.
        stock: of the same products.
        names: `[n]` what people call them.
        past: `[n, time]` demand before the forecast; no columns if it is not known.
        future: `[n, days]` demand in its days, for a replay.
    """

    forecast: ForecastTable
    stock: Stock
    names: list[str]
    past: FloatArray
    future: FloatArray

    def notices(self) -> Iterator[str]:
        """What had to be assumed or mended."""
        yield from self.stock.notices
        for what, count in self.forecast.repairs.items():
            yield f"{count:,} {what} mended"


def add_sources(parser: argparse.ArgumentParser) -> None:
    """Give a command the options that say what is forecast, what is in stock, and what holds else."""
    parser.add_argument("--models", type=Path, help="folder written by `supplytower export forecaster`")
    parser.add_argument("--data", type=Path, help="folder written by `supplytower data prepare`")
    parser.add_argument("--forecast", type=Path, help="table of forecasts, instead: unique_id, ds, y_hat, q0.05, ...")
    parser.add_argument("--stock", type=Path, help="table of what is in stock and what products cost")
    parser.add_argument("--config", type=Path, help="YAML file of settings")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="one setting, over the file")


def load(
    arguments: argparse.Namespace, defaults: StockDefaults, demand: Path | None = None, *, replay: bool = False
) -> Sources:
    """Read or make the forecast, and read the stock.

    Args:
        arguments: with the options of `add_sources`.
        defaults: for what the stock table does not say.
        demand: table of what was asked for.
        replay: whether the forecast is of days whose demand is in that table: the models must not see them, and days
            after its end are left out.

    Raises:
        InputError: if neither or both of models and forecast are given, or something cannot be read.
    """
    models, data, given = arguments.models, arguments.data, arguments.forecast
    if (given is None) == (models is None) or (models is not None and data is None):
        raise InputError("give either --models and --data, or --forecast (with --data for the prices, if you like)")
    if data is not None and not data.is_dir():
        raise InputError(f"--data {data}: no such folder; see `supplytower data prepare --help`")
    if given is not None:
        forecast = read_forecast(given)
    else:
        with tempfile.TemporaryDirectory() as folder, terminal.console.status("forecasting"):
            forecast = read_forecast(_forecast(models, data, Path(folder) / "forecast.parquet", replay))
    past, future = np.zeros((2, len(forecast.ids), 0)) if demand is None else read_demand(demand, forecast)
    if replay:
        if not future.shape[1]:
            first, last = forecast.days[[0, -1]]
            raise InputError(f"{demand}: has no demand from {first} to {last}, the days of the forecast")
        forecast = forecast.until(future.shape[1])
    prices, names = None, forecast.ids
    if data is not None:
        names = [name[:LONGEST_NAME] for name in series_names(data, forecast.ids)]
        if (series := data / f"{SERIES.name}.parquet").exists():
            catalogue = pl.read_parquet(series)
            prices = catalogue.select(UNIQUE_ID, PRICE) if PRICE in catalogue.columns else None
    stock = read_stock(arguments.stock, forecast.ids, defaults, len(forecast.days), prices, forecast.step_days)
    return Sources(forecast, stock, names, past, future)


def _forecast(models: Path, data: Path, out: Path, hold_back: bool) -> Path:
    """Forecast with the exported model, in a process of its own: planning needs no TensorFlow."""
    command = [sys.executable, "-m", "training.forecast", "--models", str(models), "--data", str(data)]
    held = ["--hold-back"] if hold_back else []
    done = subprocess.run([*command, *held, "--out", str(out)], capture_output=True, text=True)
    if done.returncode:
        said = done.stderr.strip().splitlines() or [f"the forecast ended with status {done.returncode}"]
        raise InputError(said[-1].removeprefix("error: "))
    return out


def demand_table(arguments: argparse.Namespace) -> Path | None:
    """`--demand`, or what was asked for in the data folder."""
    if arguments.demand is not None or arguments.data is None:
        return arguments.demand  # type: ignore[no-any-return]
    return Path(arguments.data) / f"{DEMAND.name}.parquet"


def read_demand(path: Path, forecast: ForecastTable) -> tuple[FloatArray, FloatArray]:
    """Demand before the forecast, `[n, time]`, and in those of its days that the table reaches to, `[n, days]`.

    A day without a row, or with an empty y, asked for nothing.

    Raises:
        InputError: if the table cannot be read, or a number or a day is impossible.
    """
    table = read_table(path, (UNIQUE_ID, DS, Y))
    checked = table.with_columns(as_dates(table, path), as_numbers(table, Y, path))
    wrong = ~(checked[Y].is_finite() & (checked[Y] >= 0)).fill_null(False) & table[Y].is_not_null()
    if (bad := (wrong | checked[DS].is_null()).arg_true()).len():
        row = table.row(bad[0], named=True)
        raise InputError(
            f"{path}: {row[UNIQUE_ID]!r} on {row[DS]}: {Y} is {row[Y]}; give a date and a number of at least 0"
        )
    known = checked.filter(pl.col(UNIQUE_ID).is_in(forecast.ids))
    if known.is_empty():
        raise InputError(
            f"{path}: none of its ids, e.g. {table[UNIQUE_ID][0]!r}, is forecast; those are e.g. {forecast.ids[0]!r}"
        )
    known = known.filter(pl.col(DS) >= forecast.days[0] - np.timedelta64(LONGEST_PAST_DAYS, "D"))

    def step(days: npt.NDArray[np.datetime64]) -> IntArray:
        found: IntArray = (days.astype("datetime64[D]") - forecast.days[0]).astype(int) // forecast.step_days
        return found  # 0 for the first of the forecast

    last = checked[DS].max() + timedelta(1)  # type: ignore[operator]
    reached = int(np.clip(step(np.array([last]))[0], 0, len(forecast.days)))  # whole steps
    column = step(known[DS].to_numpy())
    split = max(-int(column.min(initial=0)), 0)
    column = column + split
    row_of = {name: row for row, name in enumerate(forecast.ids)}
    rows = known[UNIQUE_ID].replace_strict(row_of, return_dtype=pl.Int64).to_numpy()
    inside = column < split + reached
    values = np.zeros((len(forecast.ids), split + reached))
    np.add.at(values, (rows[inside], column[inside]), known[Y].fill_null(0.0).to_numpy()[inside])
    return values[:, :split], values[:, split:]
