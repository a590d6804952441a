"""From a prepared folder to the panel that forecasters read: which series, and their demand on one grid of days.

The demand table is sparse; here days without a row become zeros, from each series' first row on. What is not known
stays NaN: before that row, out of stock, closed days, long holes. Which series are loaded, and what a unit is worth, is
decided on the days before the test only.
"""

from dataclasses import dataclass, replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from data_pipelines.console import console
from data_pipelines.demand_covariates import COLUMN, ROW, Covariates, Grid, covariates, statics
from data_pipelines.panel import FloatArray, Panel
from data_pipelines.prepared_tables import read_table, scan_table
from data_pipelines.schema import DEMAND, DS, FUTURE, IN_STOCK, PRICE, SERIES, UNIQUE_ID, InputError, Y
from data_pipelines.splits import read_manifest

MAX_FUTURE_DAYS = 366
"""Plans beyond this are not loaded."""


@dataclass(frozen=True)
class DemandConfig:
    """Which demand series are read, and how far ahead."""

    max_series: int = 2_000
    """So many series are read: those with the highest revenue (without prices: units) before the test. 0: all."""
    test_days: int = 28
    """Length of the test at the end of the data. What happens in it decides neither which series are read nor what a
    unit is worth."""
    min_history_days: int = 1
    """Leave out series that begin fewer days before the test."""
    future_days: int = 28
    """How far covariates must at least reach beyond the last day: planned ones from the table `future`, else their last
    value."""
    holiday_country: str | None = None
    """ISO code of the country whose holidays models know of, e.g. US or DE-BY; without one, the data's own; empty for
    none."""

    def __post_init__(self) -> None:
        for name, least in (("max_series", 0), ("test_days", 0), ("min_history_days", 1), ("future_days", 0)):
            if getattr(self, name) < least:
                raise InputError(f"{name}={getattr(self, name)} is too small; it must be at least {least}")


def demand_facts(data: Path) -> dict[str, Any]:
    """What `data prepare` recorded of the demand series.

    Raises:
        InputError: if the folder holds none.
    """
    return _facts(read_manifest(data), data)


def _facts(manifest: dict[str, Any], data: Path) -> dict[str, Any]:
    facts: dict[str, Any] | None = manifest.get("demand")
    if not facts:
        raise InputError(
            f"{data}: holds no demand series; they need purchases in events, or a table demand: "
            "run `supplytower data prepare` again"
        )
    return facts


def load_panel(data: Path, config: DemandConfig) -> Panel:
    """Read demand series.

    Args:
        data: the folder that `supplytower data prepare` wrote.
        config: which series.

    Returns:
        The panel, series in the order of their ids. Notices on what had to be assumed are printed and stay with it.

    Raises:
        InputError: if the folder holds no demand, or too little of it.
    """
    manifest = read_manifest(data)
    facts = _facts(manifest, data)
    first, last = (date.fromisoformat(facts[name]) for name in ("first_day", "last_day"))
    step_days = int(facts["step_days"])
    time = (last - first).days // step_days + 1
    test = -(-config.test_days // step_days)
    if time <= test:
        unit = "days" if step_days == 1 else "weeks"
        raise InputError(f"{data}: {time} {unit} of demand leave nothing before test_days={config.test_days}; lower it")
    rows = scan_table(data, DEMAND.name).filter(pl.col(DS).is_between(first, last))
    series = read_table(data, SERIES.name)
    test_start = first + timedelta(days=(time - test) * step_days)
    chosen, total = _choose(rows.filter(pl.col(DS) < test_start), series, test_start, config)
    notices = [_chosen_notice(len(chosen), total, config)] if len(chosen) < total else []

    column = ((pl.col(DS) - first).dt.total_days() // step_days).cast(pl.Int32)
    index = chosen.select(UNIQUE_ID).with_row_index(ROW)
    table = rows.join(index.lazy(), on=UNIQUE_ID).with_columns(column.alias(COLUMN)).sort(ROW, COLUMN).collect()
    plans = _plans(data, last).join(index, on=UNIQUE_ID).with_columns(column.alias(COLUMN))
    reach = timedelta(days=min(MAX_FUTURE_DAYS, max(config.future_days, _days_after(plans[DS].max(), last))))
    grid = Grid(first, step_days, len(chosen), time, time + -(-reach.days // step_days))
    series = index.join(series, on=UNIQUE_ID, how="left", maintain_order="left")
    usual = manifest["defaults"].get("holiday_country")
    country = usual if config.holiday_country is None else config.holiday_country
    known = covariates(data, grid, table, plans, series, facts)
    panel = _panel(chosen, grid, _dense(table, grid, facts), known, series, (*notices, *known.notices))
    return replace(panel, country=country or None)


def _panel(
    chosen: pl.DataFrame,
    grid: Grid,
    demand: FloatArray,
    known: Covariates,
    series: pl.DataFrame,
    notices: tuple[str, ...],
) -> Panel:
    for notice in notices:
        console.print(f"Note: {notice}", soft_wrap=True)
    codes, meanings = statics(series)
    return Panel(
        ids=chosen[UNIQUE_ID].to_numpy().astype(np.str_),
        first_day=(grid.first - date(1970, 1, 1)).days,
        demand=demand,
        step_days=grid.step_days,
        numeric=known.numeric,
        numeric_names=known.numeric_names,
        planned=known.planned,
        categorical=known.categorical,
        categories=known.categories,
        static=codes,
        statics=meanings,
        unit_value=chosen["unit_value"].to_numpy().astype(np.float32),
        notices=notices,
    )


def _plans(data: Path, last: date) -> pl.DataFrame:
    """What is known of the days after the last one."""
    if not (data / f"{FUTURE.name}.parquet").exists():
        return pl.DataFrame(schema={UNIQUE_ID: pl.String, DS: pl.Date})
    horizon = last + timedelta(days=MAX_FUTURE_DAYS)
    return scan_table(data, FUTURE.name).filter((pl.col(DS) > last) & (pl.col(DS) <= horizon)).collect()


def _days_after(day: Any, last: date) -> int:
    return 0 if day is None else (day - last).days


# --- which series ------------------------------------------------------------------------------------------------


def _choose(
    before: pl.LazyFrame, series: pl.DataFrame, test_start: date, config: DemandConfig
) -> tuple[pl.DataFrame, int]:
    """The series to read, by id, with the value of a unit; and how many there are in all."""
    y, price = pl.col(Y), pl.col(PRICE) if PRICE in before.collect_schema() else pl.lit(None, pl.Float64)
    paid = price.is_not_null() & y.is_not_null()
    stats = before.group_by(UNIQUE_ID).agg(
        units=y.sum(),
        first=pl.col(DS).min(),
        value=(y * price).filter(paid).sum() / y.filter(paid).sum(),  # NaN where nothing was sold
        price=price.mean(),
    )
    value = pl.when(pl.col("value").is_finite()).then("value")
    found = stats.with_columns(unit_value=pl.coalesce(value, "price")).collect()
    if series.schema.get(PRICE, pl.String()).is_numeric():
        catalogue = series.select(UNIQUE_ID, catalogue=pl.col(PRICE).cast(pl.Float64))
        found = found.join(catalogue, on=UNIQUE_ID, how="left").with_columns(pl.coalesce("unit_value", "catalogue"))
    found = found.with_columns(pl.col("unit_value").fill_null(1.0))
    history = (test_start - pl.col("first")).dt.total_days()
    chosen = found.filter(history >= config.min_history_days)
    if chosen.is_empty():
        raise InputError(
            f"no series begins min_history_days={config.min_history_days} days before the test of "
            f"test_days={config.test_days}; lower one of them"
        )
    if 0 < config.max_series < len(chosen):
        revenue = chosen.with_columns(revenue=pl.col("units") * pl.col("unit_value"))
        chosen = revenue.sort("revenue", UNIQUE_ID, descending=[True, False]).head(config.max_series)
    return chosen.sort(UNIQUE_ID), series.height


def _chosen_notice(n_chosen: int, total: int, config: DemandConfig) -> str:
    if n_chosen == config.max_series:
        return f"{n_chosen:,} of {total:,} series are read, those with the highest revenue (max_series)"
    return f"{n_chosen:,} of {total:,} series are read; the others begin too late (min_history_days)"


# --- demand ------------------------------------------------------------------------------------------------------


def _dense(table: pl.DataFrame, grid: Grid, facts: dict[str, Any]) -> FloatArray:
    """Demand of every step, `[n, time]`.

    Args:
        table: sparse rows with `ROW` and `COLUMN`, sorted by both.
        grid: the steps.
        facts: of the manifest.
    """
    row, column = (table[name].to_numpy() for name in (ROW, COLUMN))
    demand = np.full((grid.n, grid.time), np.nan, np.float32)
    starts = np.flatnonzero(np.diff(row, prepend=-1))
    if facts["gaps"] == "zero":
        first = np.full(grid.n, grid.time)
        first[row[starts]] = column[starts]
        demand[np.arange(grid.time) >= first[:, None]] = 0.0
    if facts["longest_gap_days"] is not None:
        demand[_holes(row, column, grid, int(facts["longest_gap_days"]) // grid.step_days)] = np.nan
    units = table[Y].cast(pl.Float32).fill_null(np.nan).to_numpy().copy()
    if IN_STOCK in table.columns:
        units[~table[IN_STOCK].to_numpy()] = np.nan
    demand[row, column] = units
    masked = [(date.fromisoformat(day) - grid.first).days // grid.step_days for day in facts["closed_days"]]
    demand[:, masked] = np.nan
    return demand


def _holes(row: Any, column: Any, grid: Grid, longest: int) -> Any:
    """True `[n, time]` within stretches of more than `longest` steps without a row, up to the end of the grid."""
    following = np.append(column[1:], 0)
    following[np.append(row[1:] != row[:-1], True)] = grid.time  # behind the last row of a series
    long = following - column - 1 > longest
    change = np.zeros((grid.n, grid.time + 1), np.int8)
    np.add.at(change, (row[long], column[long] + 1), 1)
    np.add.at(change, (row[long], following[long]), -1)
    return np.cumsum(change, axis=1, dtype=np.int8)[:, :-1] > 0
