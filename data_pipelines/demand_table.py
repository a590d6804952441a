"""A demand table as the user gives it: checked, repaired in counted steps, and divided by what its columns are.

The format is Nixtla's long one: `unique_id`, `ds`, `y`, and any covariates. Columns of text that are the same in all
rows of a series describe the series (its department, its store); text that varies is a categorical covariate (an
event), numbers are numeric ones (a price, a promotion). All of these are taken as planned, that is, known ahead, unless
a table `future` is given and lacks them.

Reference: https://nixtlaverse.nixtla.io/nixtla/docs/getting-started/data_requirements.html
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import date, datetime, time, timedelta
from typing import Any

import narwhals as nw
import numpy as np
import polars as pl
from polars import selectors

from data_pipelines.demand import STEP_DAYS, DemandSeriesConfig, DemandTables, cap_outliers, demand_facts
from data_pipelines.frames import height, rows
from data_pipelines.local_days import local_time, time_zone
from data_pipelines.quality import CLOCK_SKEW, Checked, check_table
from data_pipelines.report import SAMPLE_ROWS, Check, DemandProfile, Repair, Severity
from data_pipelines.schema import DEMAND, DS, FUTURE, IN_STOCK, REASON, SERIES, SOURCE_ROW, UNIQUE_ID, InputError, Y
from data_pipelines.sources import RawTable
from data_pipelines.trading_days import TradingDays, trading_days

LONGEST_GAP_DAYS = 28
"""A longer hole says that nobody looked, not that nobody bought."""
FREQUENCY_DAYS = 4
"""From this many distinct days on, their distances say how frequent the table is."""


@dataclass
class _Repairs:
    """Counts that are collected on the way."""

    found: list[Repair] = field(default_factory=list)

    def add(self, name: str, count: Any, action: str) -> None:
        if count:
            self.found.append(Repair(name, int(count), action))


def check_demand(raw: RawTable, now: datetime) -> Checked:
    """Check a given demand table.

    Args:
        raw: the table as read.
        now: the present, naive UTC; demand after it is wrong, plans are not.

    Returns:
        As `quality.check_table`. Rows with impossible demand are set aside, and stay with their demand unknown: left
        out altogether, the day would look like one without a sale.

    Raises:
        InputError: if the table cannot be used.
    """
    checked = check_table(DEMAND, raw.frame, raw.origin, now)
    late = (nw.col(DS) > nw.lit(now + CLOCK_SKEW)) & ~nw.col(Y).is_null()
    for name, found, remedy in (
        ("negative y", nw.col(Y) < 0, "taken as not known; book returns apart from sales"),
        ("y in the future", late, f"taken as not known; it is {now:%Y-%m-%d} UTC: correct the clock or the unit"),
    ):
        wrong = checked.good.filter(found).select(SOURCE_ROW)
        if not (count := height(wrong)):
            continue
        as_found = raw.frame.join(wrong, on=SOURCE_ROW, how="semi").with_columns(nw.lit(name).alias(REASON))
        shown = rows(as_found.select(SOURCE_ROW, UNIQUE_ID, DS, Y).sort(SOURCE_ROW).head(SAMPLE_ROWS))
        samples = tuple(
            {("row" if key == SOURCE_ROW else key): None if value is None else str(value) for key, value in row.items()}
            for row in shown
        )
        share = count / checked.profile.rows
        checked = Checked(
            checked.good.with_columns(nw.when(~found.fill_null(False)).then(nw.col(Y)).alias(Y)),
            nw.concat([checked.bad, as_found.select(*checked.bad.collect_schema().names())]),
            replace(checked.profile, quarantined=checked.profile.quarantined + count),
            (*checked.checks, Check(DEMAND.name, name, Severity.QUARANTINED, count, share, remedy, samples)),
        )
    return checked


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
    repairs, step_days = _Repairs(), STEP_DAYS[config.demand_frequency]
    table = _days(_collect(checked[DEMAND.name]), config, origins[DEMAND.name], repairs)
    known = table.filter(pl.col(Y).is_not_null())
    _require_frequency(known[DS], step_days, origins[DEMAND.name])
    last_known: date = known[DS].max()  # type: ignore[assignment]
    table, static = _divide(table, last_known, repairs)
    plans = table.filter(pl.col(DS) > last_known).drop(Y, IN_STOCK, strict=False)
    table = table.filter(pl.col(DS) <= last_known)
    numeric = table.select(selectors.numeric()).drop(Y).columns
    categorical = tuple(table.select(selectors.string()).drop(UNIQUE_ID).columns)
    given = None
    if FUTURE.name in checked:
        given = _days(_collect(checked[FUTURE.name]), config, origins[FUTURE.name], repairs)
    future, planned = _future(plans, given, table, numeric, categorical, last_known, origins, repairs)
    table = _fill(table, numeric, repairs)
    capped, found = cap_outliers(nw.from_native(table.lazy()), config.demand_outlier_factor)
    table = capped.collect("polars").to_native().sort(UNIQUE_ID, DS)
    repairs.add("outliers", found, f"lowered to {config.demand_outlier_factor:g} times the series' 99th percentile")
    table = _stock(table, repairs)
    _count_series(table, repairs)
    zero_share = _count_gaps(table, step_days, config, repairs)
    days = _shop_days(table, step_days)
    series = _series(static, _collect(checked[SERIES.name]) if SERIES.name in checked else None, repairs)
    profile = DemandProfile(
        origin=origins[DEMAND.name],
        series=series.height,
        step_days=step_days,
        first_day=str(days.first_day),
        last_day=str(days.last_day),
        zero_share=zero_share,
        repairs=tuple(repairs.found),
        closed_days=tuple(map(str, days.closed)),
        partial_days=tuple(map(str, days.partial)),
    )
    facts = demand_facts(
        profile,
        key=None,
        gaps=config.demand_gaps,
        longest_gap_days=LONGEST_GAP_DAYS,
        numeric=numeric,
        planned=planned,
        categorical=categorical,
    )
    tables = {DEMAND.name: table, SERIES.name: series} | ({} if future is None else {FUTURE.name: future})
    return DemandTables(tables, facts, profile)


def _collect(checked: Checked) -> pl.DataFrame:
    table: pl.DataFrame = checked.good.collect("polars").to_native()
    return table


# --- rows --------------------------------------------------------------------------------------------------------


def _days(table: pl.DataFrame, config: DemandSeriesConfig, origin: str, repairs: _Repairs) -> pl.DataFrame:
    """Stamps become the first day of their step, as long as no two of a series fall into one."""
    step_days = STEP_DAYS[config.demand_frequency]
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


def _fill(table: pl.DataFrame, numeric: list[str], repairs: _Repairs) -> pl.DataFrame:
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


def _stock(table: pl.DataFrame, repairs: _Repairs) -> pl.DataFrame:
    if IN_STOCK not in table.columns:
        return table
    repairs.add("in_stock not known", table[IN_STOCK].null_count(), "taken as in stock")
    table = table.with_columns(pl.col(IN_STOCK).fill_null(value=True))
    repairs.add("out of stock", (~table[IN_STOCK]).sum(), "masked: neither learnt as zero demand nor scored")
    return table


# --- columns -----------------------------------------------------------------------------------------------------


def _divide(table: pl.DataFrame, last_known: date, repairs: _Repairs) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Part what describes a series from what varies; numbers become float32, empty text null."""
    reserved = (UNIQUE_ID, DS, Y, IN_STOCK)
    covariates = [name for name in table.columns if name not in reserved]
    usable = selectors.numeric() | selectors.boolean() | selectors.string() | selectors.categorical() | selectors.enum()
    odd = table.select(covariates).drop(table.select(covariates).select(usable).columns).columns
    repairs.add(
        f"columns of other types ({', '.join(odd)})", len(odd), "left out; covariates are numbers, flags or text"
    )
    table = table.drop(odd)
    text = selectors.string() | selectors.categorical() | selectors.enum()
    covariate = ~selectors.by_name(*reserved, require_all=False)
    table = table.with_columns((text & covariate).cast(pl.String).str.strip_chars())
    table = table.with_columns(pl.when((text & covariate) != "").then(text & covariate))
    candidates = table.select((selectors.string() | selectors.boolean()) & covariate).columns
    # a null is a value here: an event that is there on some days only is no property of the series
    varying = (
        table.filter(pl.col(DS) <= last_known)
        .group_by(UNIQUE_ID)
        .agg(pl.col(candidates).n_unique())
        .select(pl.col(candidates).max() > 1)
    )
    static = [name for name in candidates if not varying[name].item()]
    series = table.group_by(UNIQUE_ID).agg(pl.col(static).drop_nulls().first()).sort(UNIQUE_ID)
    table = table.drop(static).with_columns((selectors.boolean() & covariate).cast(pl.Float32))
    numbers = selectors.numeric() & covariate
    table = table.with_columns(pl.when(numbers.cast(pl.Float64).is_finite()).then(numbers.cast(pl.Float32)))
    return table.with_columns(pl.col(Y).cast(pl.Float64)), series


def _series(static: pl.DataFrame, given: pl.DataFrame | None, repairs: _Repairs) -> pl.DataFrame:
    """Join the attributes of a given series table; its columns win."""
    if given is None:
        return static
    given = given.drop(SOURCE_ROW)
    unknown = given.join(static, on=UNIQUE_ID, how="anti").height
    repairs.add("rows of series without demand", unknown, "left out")
    lacking = static.join(given, on=UNIQUE_ID, how="anti").height
    repairs.add("series that the series table lacks", lacking, "kept, some attributes are unknown")
    static = static.drop(name for name in given.columns if name != UNIQUE_ID and name in static.columns)
    return static.join(given, on=UNIQUE_ID, how="left").sort(UNIQUE_ID)


def _future(
    plans: pl.DataFrame,
    given: pl.DataFrame | None,
    demand: pl.DataFrame,
    numeric: list[str],
    categorical: tuple[str, ...],
    last_known: date,
    origins: Mapping[str, str],
    repairs: _Repairs,
) -> tuple[pl.DataFrame | None, tuple[str, ...]]:
    """What is planned after the last day, and which numeric covariates are.

    Without a word about the future every covariate counts as planned: that is how backtests use them.
    """
    names = [*numeric, *categorical]
    tables = [plans.select(UNIQUE_ID, DS, *names)] if not plans.is_empty() else []
    planned = tuple(numeric)
    if given is not None:
        for name in names:
            if name in given.columns and given.schema[name].is_numeric() != (name in numeric):
                raise InputError(
                    f"{origins[FUTURE.name]}: column {name!r} holds {given.schema[name]}; in demand it differs"
                )
        early = given.filter(pl.col(DS) <= last_known).height
        repairs.add("rows of future that demand covers", early, "left out")
        given = given.filter(pl.col(DS) > last_known)
        unknown = given.join(demand, on=UNIQUE_ID, how="anti").height
        repairs.add("rows of future for series without demand", unknown, "left out")
        given = given.join(demand, on=UNIQUE_ID, how="semi")
        lacking = [name for name in numeric if name not in given.columns]
        action = "taken as not planned: the last value stands for the future; add them to the table future"
        repairs.add(f"covariates that future lacks ({', '.join(lacking)})", len(lacking), action)
        planned = tuple(name for name in numeric if name not in lacking)
        kinds = {name: pl.Float32 if name in numeric else pl.String for name in names}
        tables.insert(
            0,
            given.select(UNIQUE_ID, DS, *(name for name in names if name in given.columns)).cast(
                {name: kinds[name] for name in names if name in given.columns}
            ),
        )
    if not tables:
        return None, planned
    future = pl.concat(tables, how="diagonal").unique([UNIQUE_ID, DS], keep="first", maintain_order=True)
    return future.sort(UNIQUE_ID, DS), planned


# --- counts ------------------------------------------------------------------------------------------------------


def _count_series(table: pl.DataFrame, repairs: _Repairs) -> None:
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


def _count_gaps(table: pl.DataFrame, step_days: int, config: DemandSeriesConfig, repairs: _Repairs) -> float:
    """Count steps without a row; returns the share of known steps that are zero."""
    last = table[DS].max()
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


def _shop_days(table: pl.DataFrame, step_days: int) -> TradingDays:
    """Judge the days on which any series has a row."""
    sold = table.filter(pl.col(Y).is_not_null()).group_by(DS).agg(pl.col(Y).sum()).sort(DS)
    return trading_days(sold[DS].to_list(), sold[Y].to_numpy().astype(np.float64), step_days)
