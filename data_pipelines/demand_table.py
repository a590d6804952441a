"""A demand table as the user gives it: checked, repaired in counted steps, and divided by what its columns are.

The format is Nixtla's long one: `unique_id`, `ds`, `y`, and any further columns. Those that vary are covariates:
events, prices, promotions. All are taken as planned, that is, known ahead, unless a table `future` is given and lacks
them.

Reference: https://nixtlaverse.nixtla.io/nixtla/docs/getting-started/data_requirements.html
"""

from collections.abc import Mapping
from datetime import date, datetime, time

import narwhals as nw
import numpy as np
import polars as pl

from data_pipelines.demand_columns import categorical_names, divide, future_rows, numeric_names, with_attributes
from data_pipelines.demand_manifest import DemandTables
from data_pipelines.demand_outliers import cap_outliers
from data_pipelines.demand_repairs import LONGEST_GAP_DAYS, Repairs, count_gaps, count_series
from data_pipelines.demand_settings import DemandSeriesConfig
from data_pipelines.local_days import local_time, time_zone
from data_pipelines.quality import Checked
from data_pipelines.report import DemandProfile
from data_pipelines.schema import DEMAND, DS, FUTURE, IN_STOCK, SERIES, SOURCE_ROW, UNIQUE_ID, InputError, Y
from data_pipelines.trading_days import TradingDays, trading_days

FREQUENCY_DAYS = 4
"""From this many distinct days on, their distances say how frequent the table is."""


def demand_from_table(
    checked: Mapping[str, Checked], origins: Mapping[str, str], config: DemandSeriesConfig
) -> DemandTables:
    """Make demand series of a given table.

    Args:
        checked: `demand`, and `series` and `future` where they are given.
        origins: where each of them comes from, for messages.
        config: the settings.

    Returns:
        The tables.

    Raises:
        InputError: if the rows are not one per day (or week), or `future` does not fit `demand`.
    """
    repairs, origin = Repairs(), origins[DEMAND.name]
    table = _days(_collect(checked[DEMAND.name]), config, origin, repairs)
    known = table.filter(pl.col(Y).is_not_null())[DS]
    _require_frequency(known, config.step_days, origin)
    last_known: date = known.max()  # type: ignore[assignment]
    table, static = divide(table, last_known, repairs)
    numeric = numeric_names(table)
    # without a word about the future all covariates count as planned: that is how backtests use them
    planned = numeric
    plans = [table.filter(pl.col(DS) > last_known).drop(Y, IN_STOCK, strict=False)]
    table = table.filter(pl.col(DS) <= last_known).with_columns(pl.col(Y).cast(pl.Float64))
    if FUTURE.name in checked:
        given = _days(_collect(checked[FUTURE.name]), config, origins[FUTURE.name], repairs)
        plans.insert(0, future_rows(given, table, last_known, origins[FUTURE.name], repairs))
        planned = tuple(name for name in numeric if name in plans[0].columns)
    table = _fill(table, numeric, repairs)
    capped, outliers = cap_outliers(nw.from_native(table.lazy()), config.demand_outlier_factor)
    table = _stock(capped.collect("polars").to_native().sort(UNIQUE_ID, DS), repairs)
    count_series(table, repairs)
    zero_share = count_gaps(table, config, repairs)
    series = with_attributes(static, _collect(checked[SERIES.name]) if SERIES.name in checked else None, repairs)
    days = _shop_days(table, config.step_days)
    profile = DemandProfile(
        origin=origin,
        series=series.height,
        step_days=config.step_days,
        first_day=str(days.first_day),
        last_day=str(days.last_day),
        zero_share=zero_share,
        repairs=(*((outliers,) if outliers else ()), *repairs.found),
        closed_days=tuple(map(str, days.closed)),
        partial_days=tuple(map(str, days.partial)),
    )
    future = pl.concat(plans, how="diagonal").unique([UNIQUE_ID, DS], keep="first", maintain_order=True)
    tables = {DEMAND.name: table, SERIES.name: series}
    if not future.is_empty():
        tables[FUTURE.name] = future.sort(UNIQUE_ID, DS)
    return DemandTables(
        tables,
        profile,
        gaps=config.demand_gaps,
        longest_gap_days=LONGEST_GAP_DAYS,
        numeric=numeric,
        planned=planned,
        categorical=categorical_names(table),
    )


def _collect(checked: Checked) -> pl.DataFrame:
    table: pl.DataFrame = checked.good.collect("polars").to_native()
    return table


# --- rows --------------------------------------------------------------------------------------------------------


def _days(table: pl.DataFrame, config: DemandSeriesConfig, origin: str, repairs: Repairs) -> pl.DataFrame:
    """Stamps become the first day of their step, as long as no two of a series fall into one."""
    step_days = config.step_days
    if config.demand_time_zone and (table[DS].dt.time() != time.min).any():
        table = _local(table, config.demand_time_zone)
    day = pl.col(DS).dt.date() if step_days == 1 else pl.col(DS).dt.date().dt.truncate("1w")
    floored = table.with_columns(day.alias(DS))
    twice = floored.filter(pl.struct(UNIQUE_ID, DS).is_duplicated())
    if not twice.is_empty():
        first = twice.sort(SOURCE_ROW).row(1 if twice.height > 1 else 0, named=True)
        step, remedy = (
            ("day", "add the hours of a day up") if step_days == 1 else ("week", "add its days up, or use daily")
        )
        raise InputError(
            f"{origin}: row {first[SOURCE_ROW]}: unique_id {first[UNIQUE_ID]!r} has several rows in the {step} of "
            f"{first[DS]}; {remedy}"
        )
    moved = (table[DS] != floored[DS].cast(table.schema[DS])).sum()
    step = "day" if step_days == 1 else "week (Monday)"
    repairs.add("stamps within a step", moved, f"taken as the beginning of their {step}")
    return floored.drop(SOURCE_ROW).sort(UNIQUE_ID, DS)


def _local(table: pl.DataFrame, zone: str) -> pl.DataFrame:
    """Stamps such as local midnight, which is an hour of another day in UTC."""
    first, last = table[DS].min(), table[DS].max()
    assert isinstance(first, datetime)
    assert isinstance(last, datetime)
    local = local_time(DS, time_zone(zone), first, last).alias(DS)
    found: pl.DataFrame = nw.from_native(table).with_columns(local).to_native()
    return found


def _require_frequency(days: pl.Series, step_days: int, origin: str) -> None:
    """Weekly or monthly rows read as daily ones would be drowned in zeros."""
    distinct = days.unique().sort()
    if distinct.len() < FREQUENCY_DAYS:
        return
    apart = distinct.diff().drop_nulls().dt.total_days()
    closest = int(apart.min())  # type: ignore[arg-type]
    if closest <= step_days:
        return
    if (apart % 7 == 0).all() and step_days == 1:
        raise InputError(f"{origin}: the days are weeks apart; set demand_frequency=weekly")
    step = "day" if step_days == 1 else "week"
    raise InputError(f"{origin}: no two dates are closer than {closest} days; give one row per {step}")


def _fill(table: pl.DataFrame, numeric: tuple[str, ...], repairs: Repairs) -> pl.DataFrame:
    """A covariate that is not known keeps its last value; at the beginning, it has its first one."""
    missing = sum(table[name].null_count() for name in numeric)
    if not missing:
        return table
    filled = table.with_columns(pl.col(numeric).forward_fill().over(UNIQUE_ID))
    filled = filled.with_columns(pl.col(numeric).backward_fill().over(UNIQUE_ID))
    left = sum(filled[name].null_count() for name in numeric)
    repairs.add(
        "missing covariates", missing - left, "taken as last known, at the beginning of a series as first known"
    )
    repairs.add("covariates without any value in their series", left, "not known")
    return filled


def _stock(table: pl.DataFrame, repairs: Repairs) -> pl.DataFrame:
    if IN_STOCK not in table.columns:
        return table
    repairs.add("in_stock not known", table[IN_STOCK].null_count(), "taken as in stock")
    table = table.with_columns(pl.col(IN_STOCK).fill_null(value=True))
    repairs.add("out of stock", (~table[IN_STOCK]).sum(), "masked: neither learnt as zero demand nor scored")
    return table


# --- the shop as a whole ----------------------------------------------------------------------------------------


def _shop_days(table: pl.DataFrame, step_days: int) -> TradingDays:
    """Judge the days on which any series has a row."""
    sold = table.filter(pl.col(Y).is_not_null()).group_by(DS).agg(pl.col(Y).sum()).sort(DS)
    return trading_days(sold[DS].to_list(), sold[Y].to_numpy().astype(np.float64), step_days)
