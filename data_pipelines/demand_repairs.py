"""What was put right in a given demand table, and what says little although it is right: counted for the report."""

from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import polars as pl

from data_pipelines.demand_settings import DemandSeriesConfig
from data_pipelines.report import Repair
from data_pipelines.schema import DS, UNIQUE_ID, Y

LONGEST_GAP_DAYS = 28
"""A longer hole says that nobody looked, not that nobody bought."""


@dataclass
class Repairs:
    """Counts that are collected on the way."""

    found: list[Repair] = field(default_factory=list)

    def add(self, name: str, count: Any, action: str) -> None:
        """Note what was found, unless it was nothing."""
        if count:
            self.found.append(Repair(name, int(count), action))


def count_series(table: pl.DataFrame, repairs: Repairs) -> None:
    """Count the series from which little can be learnt."""
    y = pl.col(Y).drop_nulls()
    kinds = table.group_by(UNIQUE_ID).agg(n=y.len(), low=y.min(), high=y.max())
    counts = kinds.select(
        unknown=(pl.col("n") == 0).sum(),
        one=(pl.col("n") == 1).sum(),
        zero=((pl.col("n") > 1) & (pl.col("high") == 0)).sum(),
        constant=((pl.col("n") > 1) & (pl.col("low") == pl.col("high")) & (pl.col("high") > 0)).sum(),
    ).row(0, named=True)
    repairs.add("series without known demand", counts["unknown"], "kept; nothing can be learnt from them")
    repairs.add("series with a single value", counts["one"], "kept")
    repairs.add("all-zero series", counts["zero"], "kept")
    repairs.add("constant series", counts["constant"], "kept")


def count_gaps(table: pl.DataFrame, config: DemandSeriesConfig, repairs: Repairs) -> float:
    """Count steps without a row, up to the last day of the whole table.

    Args:
        table: sorted by series and day.
        config: the settings.
        repairs: where they are counted.

    Returns:
        The share of known steps that are zero.
    """
    step_days, last = config.step_days, table[DS].max()
    following = pl.col(DS).shift(-1).over(UNIQUE_ID).fill_null(pl.lit(last) + timedelta(days=step_days))
    gap = table.select(days=(following - pl.col(DS)).dt.total_days() - step_days)["days"]
    long = gap > LONGEST_GAP_DAYS
    short_steps, long_steps = (int(gap.filter(part).sum()) // step_days for part in (~long, long))
    zero = config.demand_gaps == "zero"
    action = "taken as zero demand" if zero else "taken as not known"
    repairs.add("steps without a row", short_steps, f"{action} (demand_gaps={config.demand_gaps})")
    repairs.add("holes of more than four weeks", int(long.sum()), f"{long_steps:,} steps, taken as not known")
    known = table[Y].drop_nulls()
    zeros = int((known == 0).sum()) + (short_steps if zero else 0)
    return zeros / max(known.len() + (short_steps if zero else 0), 1)
