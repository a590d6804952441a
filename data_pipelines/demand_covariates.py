"""What is known of every series beside its demand, on the panel's grid.

From the demand table: prices, promotions, events; a value stands until the next one. What is the same for all series on
a day (an event) also holds for those without a row. From promotions: the shares of stores with display or mailer, 0
where nothing is on. Plans for the days after the last one come from the table `future`. Where it says nothing, what
followed the day of the month in the past year goes on to do so, else the last value stands; a notice says which.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from data_pipelines.panel import Category, FloatArray, IntArray
from data_pipelines.schema import ITEM_ID, PROMOTIONS, UNIQUE_ID, WEEK_START

ROW, COLUMN = "__row", "__column"
"""Position on the grid, beside the columns of the user."""
LARGEST, START, LENGTH = "__largest", "__start", "__length"
DAYS_IN_YEAR, MOST_DAYS = 365, 31
NONE_WORDS = ("", "none", "null", "nan")
"""Texts (in any case) that say that there is no event."""


@dataclass(frozen=True)
class Grid:
    """The panel's rows and columns.

    Args:
        first: day of the first column.
        step_days: days per column.
        n: series.
        time: columns of demand.
        total: columns of covariates; those after `time` are the future.
    """

    first: date
    step_days: int
    n: int
    time: int
    total: int

    def day(self, column: int) -> date:
        """First day of a column."""
        return self.first + timedelta(days=column * self.step_days)


@dataclass(frozen=True)
class Covariates:
    """Covariates as the panel has them, and what had to be assumed."""

    numeric: FloatArray
    numeric_names: tuple[str, ...]
    planned: tuple[bool, ...]
    categorical: IntArray
    categories: tuple[Category, ...]
    notices: tuple[str, ...]


def covariates(
    data: Path,
    grid: Grid,
    table: pl.DataFrame,
    plans: pl.DataFrame,
    series: pl.DataFrame,
    facts: dict[str, Any],
) -> Covariates:
    """Put all covariates on the grid.

    Args:
        data: the prepared folder, for promotions.
        grid: rows and columns.
        table: demand rows with `ROW` and `COLUMN`.
        plans: rows of the future likewise.
        series: `[n]` rows in the panel's order, with `ROW`.
        facts: of the manifest.
    """
    notices: list[str] = []
    rows = pl.concat([table, plans], how="diagonal_relaxed")
    names = [name for name in facts["numeric"] if name in rows.columns]
    planned = [name in facts["planned"] for name in names]
    layers = [_numeric(rows, name, grid, notices if name in facts["planned"] else []) for name in names]
    for name, layer in _promotions(data, grid, series, notices):
        names.append(name)
        planned.append(True)
        layers.append(layer)
    codes = [_categorical(rows, name, grid, notices) for name in facts["categorical"] if name in rows.columns]
    return Covariates(
        numeric=np.stack(layers, axis=-1) if layers else np.zeros((grid.n, grid.total, 0), np.float32),
        numeric_names=tuple(names),
        planned=tuple(planned),
        categorical=np.stack([code for code, _ in codes], -1) if codes else np.zeros((grid.n, grid.total, 0), np.int32),
        categories=tuple(category for _, category in codes),
        notices=tuple(notices),
    )


def statics(series: pl.DataFrame) -> tuple[IntArray, tuple[Category, ...]]:
    """Encode what never changes.

    Args:
        series: `[n]` rows with attributes.

    Returns:
        `[n, n_static]` codes (0 unknown) and their meaning, columns with few values first. A column with more values
        than half the series has is left out: it names series rather than groups of them.
    """
    names = [name for name, kind in series.schema.items() if kind in (pl.String, pl.Boolean)]
    names = [name for name in names if name not in (UNIQUE_ID, ITEM_ID)]
    found = [
        (name, *_codes(series[name])) for name in reversed(names)
    ]  # of equals the later: tables go from fine to coarse
    kept = [entry for entry in found if 1 <= len(entry[2].vocabulary) - 1 <= series.height / 2]
    kept.sort(key=lambda entry: len(entry[2].vocabulary))
    codes = [entry[1] for entry in kept]
    static = np.stack(codes, axis=-1) if codes else np.zeros((series.height, 0), np.int32)
    return static, tuple(entry[2] for entry in kept)


# --- from the demand table -----------------------------------------------------------------------------------------


def _numeric(rows: pl.DataFrame, name: str, grid: Grid, notices: list[str]) -> FloatArray:
    """One numeric covariate `[n, total]`; a value stands until the next one, the first one also before."""
    rows = rows.filter(pl.col(name).is_finite() & (pl.col(COLUMN) < grid.total))
    values = np.full((grid.n, grid.total), np.nan, np.float32)
    common = _common(rows, name)
    if common is not None:
        values[:, common[COLUMN].to_numpy()] = common[name].to_numpy()
    else:
        values[rows[ROW].to_numpy(), rows[COLUMN].to_numpy()] = rows[name].to_numpy()
    last = int(rows[COLUMN].max()) if not rows.is_empty() else -1  # type: ignore[arg-type]
    if last < grid.total - 1:
        ahead = "its last value stands for the time after"
        if last >= 0 and _continued(values, last + 1, grid):
            ahead = "it followed the day of the month for a year, and is assumed to go on"
        notices.append(f"{name} is planned until {grid.day(last)}; {ahead} (a table future can say better)")
    return _filled(values)


def _continued(values: FloatArray, time: int, grid: Grid) -> bool:
    """Fill in the columns from `time` on, if the year before them is the same on the same days of the month."""
    if grid.step_days != 1 or time < DAYS_IN_YEAR:
        return False
    dates = np.datetime64(grid.first) + np.arange(values.shape[1])
    of_month = (dates - dates.astype("datetime64[M]")).astype(int)
    past, ahead = np.arange(time - DAYS_IN_YEAR, time), np.arange(time, values.shape[1])
    by_day = np.full((values.shape[0], MOST_DAYS), np.nan, np.float32)
    by_day[:, of_month[past]] = values[:, past]  # the last of them stays
    if not (by_day[:, of_month[past]] == values[:, past]).all() or (by_day == by_day[:, :1])[:, : MOST_DAYS - 3].all():
        return False
    values[:, ahead] = by_day[:, of_month[ahead]]
    return True


def _filled(values: FloatArray) -> FloatArray:
    """Carry values forward along time, and the first one backward; rows without any stay NaN."""
    known = np.isfinite(values)
    column = np.where(known, np.arange(values.shape[1], dtype=np.int32), 0)
    np.maximum.accumulate(column, axis=1, out=column)
    np.maximum(column, known.argmax(axis=1)[:, None], out=column, casting="unsafe")
    return np.take_along_axis(values, column, axis=1)


def _categorical(rows: pl.DataFrame, name: str, grid: Grid, notices: list[str]) -> tuple[IntArray, Category]:
    """One categorical covariate `[n, total]`; 0 where there is no row."""
    rows = rows.filter(pl.col(COLUMN) < grid.total)
    last = int(rows[COLUMN].max())  # type: ignore[arg-type]
    if last < grid.total - 1:
        notices.append(
            f"{name} is planned until {grid.day(last)}; none is assumed after (a table future can say better)"
        )
    found, category = _codes(rows[name])
    rows = rows.select(ROW, COLUMN, pl.Series(name, found))
    codes = np.zeros((grid.n, grid.total), np.int32)
    common = _common(rows, name)
    if common is not None:
        codes[:, common[COLUMN].to_numpy()] = common[name].to_numpy()
    else:
        codes[rows[ROW].to_numpy(), rows[COLUMN].to_numpy()] = rows[name].to_numpy()
    return codes, category


def _common(rows: pl.DataFrame, name: str) -> pl.DataFrame | None:
    """`COLUMN` and value, if on every day all series have the same, as far as that can be seen."""
    days = rows.group_by(COLUMN).agg(pl.col(name).min(), pl.col(name).max().alias(LARGEST), pl.len().alias(LENGTH))
    same = days.select((pl.col(name) == pl.col(LARGEST)).all()).item()
    shared = days.select((pl.col(LENGTH) > 1).sum()).item()
    return days.select(COLUMN, name) if same and 2 * shared >= days.height else None


def _codes(values: pl.Series) -> tuple[IntArray, Category]:
    """Codes of text, 0 for none."""
    text = values.cast(pl.String)
    text = text.set(text.str.to_lowercase().is_in(NONE_WORDS).fill_null(value=False), None)
    vocabulary: Sequence[str] = text.drop_nulls().unique().sort().to_list()
    codes = text.cast(pl.Enum(vocabulary)).to_physical().cast(pl.Int32) + 1
    return codes.fill_null(0).to_numpy(), Category(values.name, ("", *vocabulary))


# --- promotions ---------------------------------------------------------------------------------------


def _promotions(data: Path, grid: Grid, series: pl.DataFrame, notices: list[str]) -> list[tuple[str, FloatArray]]:
    """Weekly promotions spread over their days, 0 where there are none."""
    path = data / f"{PROMOTIONS}.parquet"
    if ITEM_ID not in series.columns or not path.exists():
        return []
    table = pl.scan_parquet(path)
    names = [name for name, kind in table.collect_schema().items() if kind.is_numeric()]
    table = table.join(series.lazy().select(ROW, ITEM_ID), on=ITEM_ID)
    # a week ends where the next one begins: the first one of a year may be short
    starts = pl.scan_parquet(path).select(pl.col(WEEK_START).unique().sort()).collect()
    length = (pl.col(WEEK_START).shift(-1) - pl.col(WEEK_START)).dt.total_days().fill_null(7).clip(1, 7)
    since = (pl.col(WEEK_START) - grid.first).dt.total_days()
    weeks = starts.with_columns(length.alias(LENGTH), since.alias(START))
    end = int((weeks[START] + weeks[LENGTH]).max() or 0)  # type: ignore[arg-type]
    if end < grid.total * grid.step_days:
        last = grid.first + timedelta(days=end - 1)
        notices.append(f"{', '.join(names)}: no promotions are planned after {last}; none are assumed")
    found = table.join(weeks.lazy(), on=WEEK_START).collect()
    days = found[LENGTH].to_numpy()
    within = np.arange(days.sum()) - np.repeat(np.cumsum(days) - days, days)
    day = np.repeat(found[START].to_numpy(), days) + within
    column, row = day // grid.step_days, np.repeat(found[ROW].to_numpy(), days)
    inside = (column >= 0) & (column < grid.total)
    layers = []
    for name in names:
        values = np.zeros((grid.n, grid.total), np.float32)
        share = np.repeat(found[name].fill_null(0).to_numpy(), days)[inside] / grid.step_days  # mean over the step
        np.add.at(values, (row[inside], column[inside]), share)
        layers.append((name, values))
    return layers
