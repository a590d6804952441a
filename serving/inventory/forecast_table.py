"""A table of forecasts, from this package or any other: unique_id, ds, y_hat and quantiles `q0.05`, `q0.5`, ..."""

import re
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl

from data_pipelines.schema import DS, UNIQUE_ID, Y_HAT, InputError
from serving.inventory.demand_distribution import DemandDistribution, FloatArray, from_quantiles, poisson
from serving.inventory.tables import as_dates, as_numbers, read_table

LEVEL, PERCENT = re.compile(r"q(0?\.\d+)"), re.compile(r"[qp]\d+")


@dataclass(frozen=True)
class ForecastTable:
    """Forecasts of products over the same days.

    Args:
        ids: `[n]` unique ids, in order.
        days: `[horizon]` dates, the first of each step.
        step_days: of a step.
        mean: `[n, horizon]` expected units.
        levels: quantile levels, ascending; empty if there are none.
        quantiles: `[n, horizon, n_levels]` units.
        repairs: what was mended, and how often.
    """

    ids: list[str]
    days: npt.NDArray[np.datetime64]
    step_days: int
    mean: FloatArray
    levels: tuple[float, ...]
    quantiles: FloatArray
    repairs: dict[str, int]

    def until(self, days: int) -> "ForecastTable":
        """The first so many days."""
        return replace(self, days=self.days[:days], mean=self.mean[:, :days], quantiles=self.quantiles[:, :days])

    def distribution(self) -> DemandDistribution:
        """Demand of every day; Poisson around the mean where there are no quantiles."""
        if not self.levels:
            return poisson(self.mean)
        return from_quantiles(self.levels, self.quantiles)


def read_forecast(path: Path) -> ForecastTable:
    """Read a table of forecasts.

    Quantiles that cross are sorted, negative numbers become zero; both are counted.

    Raises:
        InputError: if the table cannot be read, a column is missing, a number is none, a product has a day twice or
            another number of days than the others.
    """
    table = read_table(path, (UNIQUE_ID, DS, Y_HAT))
    table = table.with_columns(as_dates(table, path))
    if (bad := table[DS].is_null().arg_true()).len():
        raise InputError(f"{path}: {DS} of {table[UNIQUE_ID][bad[0]]!r} is no date; write 2024-05-31")
    table = table.sort(UNIQUE_ID, DS)
    levels = sorted((float(found[1]), name) for name in table.columns if (found := LEVEL.fullmatch(name)))
    names = [Y_HAT, *(name for _, name in levels)]
    if len({level for level, _ in levels}) != len(levels) or len(levels) == 1:
        raise InputError(f"{path}: quantiles {', '.join(names[1:])}; give at least two levels, each once, or none")
    if not levels and (unread := [name for name in table.columns if PERCENT.fullmatch(name)]):
        raise InputError(f"{path}: {unread[0]} looks like a quantile; levels are shares, e.g. q0.5 for the median")
    for name in names:
        values = as_numbers(table, name, path)
        if (bad := (~values.is_finite().fill_null(False)).arg_true()).len():
            row = table.row(bad[0], named=True)
            raise InputError(
                f"{path}: {name} of {row[UNIQUE_ID]!r} on {row[DS]} is {row[name]}; {bad.len():,} such values; "
                "forecasts must be numbers"
            )
    if (twice := table.filter(table.select(UNIQUE_ID, DS).is_duplicated())).height:
        row = twice.row(0, named=True)
        raise InputError(f"{path}: {row[UNIQUE_ID]!r} has {row[DS]} twice; give one forecast for each day")
    ids = table[UNIQUE_ID].unique(maintain_order=True)
    days = table[DS].unique().sort()
    if table.height != len(ids) * len(days):
        counts = table.group_by(UNIQUE_ID, maintain_order=True).len()
        short = counts.filter(pl.col("len") < len(days)).row(0)
        raise InputError(
            f"{path}: {short[0]!r} has {short[1]} days, others up to {len(days)}; forecast the same days for all"
        )
    steps = np.unique(np.diff(days.to_numpy().astype("datetime64[D]")).astype(int))
    if len(steps) > 1:
        raise InputError(
            f"{path}: {DS} goes on by {steps[0]} and by {steps[-1]} days; forecast every day, or every week"
        )
    shape = (len(ids), len(days))
    mean = table[Y_HAT].cast(pl.Float64).to_numpy().reshape(shape)
    quantiles = table.select(pl.col(name).cast(pl.Float64) for _, name in levels).to_numpy().reshape(*shape, -1)
    repairs = {
        "negative forecasts": int((mean < 0).sum() + (quantiles < 0).sum()),
        "crossing quantiles": int((np.diff(quantiles, axis=-1) < 0).any(axis=-1).sum()),
    }
    return ForecastTable(
        ids.cast(pl.String).to_list(),
        days.to_numpy().astype("datetime64[D]"),
        int(steps[0]) if len(steps) else 1,
        np.maximum(mean, 0.0),
        tuple(level for level, _ in levels),
        np.sort(np.maximum(quantiles, 0.0), axis=-1),
        {what: count for what, count in repairs.items() if count},
    )
