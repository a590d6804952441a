"""The columns of a given demand table: what describes a series, what varies, and what is planned.

Columns of text (or flags) that are the same in all rows of a series describe it; text that varies is a categorical
covariate; flags that vary, and numbers, are numeric ones.
"""

from datetime import date

import polars as pl
from polars import selectors

from data_pipelines.demand_repairs import Repairs
from data_pipelines.schema import DS, IN_STOCK, SOURCE_ROW, UNIQUE_ID, InputError, Y

TEXT = selectors.string() | selectors.categorical() | selectors.enum()
COVARIATE = ~selectors.by_name(UNIQUE_ID, DS, Y, IN_STOCK, SOURCE_ROW, require_all=False)


def numeric_names(table: pl.DataFrame) -> tuple[str, ...]:
    """The numeric covariates of a divided table."""
    return tuple(table.select(selectors.numeric() & COVARIATE).columns)


def categorical_names(table: pl.DataFrame) -> tuple[str, ...]:
    """The categorical covariates of a divided table."""
    return tuple(table.select(selectors.string() & COVARIATE).columns)


def divide(table: pl.DataFrame, last_known: date, repairs: Repairs) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Part what describes a series from what varies.

    Args:
        table: the demand table.
        last_known: the last day of demand; what a series is must show until then.
        repairs: where columns that are neither are counted.

    Returns:
        The table without the columns that describe a series, and these, one row per series.
    """
    usable = selectors.numeric() | selectors.boolean() | TEXT
    odd = table.select(COVARIATE & ~usable).columns
    action = "left out; covariates are numbers, flags or text"
    repairs.add(f"columns of other types ({', '.join(odd)})", len(odd), action)
    table = _trimmed(table.drop(odd))
    candidates = table.select((selectors.string() | selectors.boolean()) & COVARIATE).columns
    # a null is a value here: an event that is there on some days only is no property of the series
    values = table.filter(pl.col(DS) <= last_known).group_by(UNIQUE_ID).agg(pl.col(candidates).n_unique())
    static = [name for name in candidates if values[name].max() == 1]
    series = table.group_by(UNIQUE_ID).agg(pl.col(static).drop_nulls().first()).sort(UNIQUE_ID)
    return _numbers(table.drop(static)), series


def with_attributes(static: pl.DataFrame, given: pl.DataFrame | None, repairs: Repairs) -> pl.DataFrame:
    """Join the attributes of a given series table.

    Args:
        static: one row per series, with what the demand table says of it.
        given: the series table, if there is one; its columns win.
        repairs: where rows without a counterpart are counted.

    Returns:
        One row per series of `static`.
    """
    if given is None:
        return static
    given = given.drop(SOURCE_ROW)
    unknown = given.join(static, on=UNIQUE_ID, how="anti").height
    repairs.add("rows of series without demand", unknown, "left out")
    lacking = static.join(given, on=UNIQUE_ID, how="anti").height
    repairs.add("series that the series table lacks", lacking, "kept, some attributes are unknown")
    static = static.drop(name for name in given.columns if name != UNIQUE_ID and name in static.columns)
    return static.join(given, on=UNIQUE_ID, how="left").sort(UNIQUE_ID)


def future_rows(
    given: pl.DataFrame, demand: pl.DataFrame, last_known: date, origin: str, repairs: Repairs
) -> pl.DataFrame:
    """What a given table `future` says of the days after the last one.

    Args:
        given: the table, one row per series and step.
        demand: the divided demand table.
        last_known: the last day of demand.
        origin: file of the table, for messages.
        repairs: where rows that are left out, and values that are missing, are counted.

    Returns:
        `unique_id`, `ds` and those covariates of `demand` that the table has.

    Raises:
        InputError: if a covariate is of another kind than in `demand`.
    """
    given = _numbers(_trimmed(given))
    numeric, categorical = numeric_names(demand), categorical_names(demand)
    names = [name for name in (*numeric, *categorical) if name in given.columns]
    for name in names:
        if given.schema[name].is_numeric() != (name in numeric):
            held, other = ("text", "numbers") if name in numeric else ("numbers", "text")
            raise InputError(f"{origin}: column {name!r} holds {held}; it must hold {other}, as in demand")
    ahead = given.filter(pl.col(DS) > last_known)
    repairs.add("rows of future that demand covers", given.height - ahead.height, "left out")
    known = ahead.join(demand, on=UNIQUE_ID, how="semi")
    repairs.add("rows of future for series without demand", ahead.height - known.height, "left out")
    missing = sum(known[name].null_count() for name in names if name in numeric)
    repairs.add("missing covariates of the future", missing, "taken as last known")
    lacking = [name for name in numeric if name not in names]
    action = "taken as not planned: the last value stands for the future; add them to the table future"
    repairs.add(f"covariates that future lacks ({', '.join(lacking)})", len(lacking), action)
    return known.select(UNIQUE_ID, DS, *names)


def _trimmed(table: pl.DataFrame) -> pl.DataFrame:
    """Text without spaces around it; empty text is none."""
    table = table.with_columns((TEXT & COVARIATE).cast(pl.String).str.strip_chars())
    text = selectors.string() & COVARIATE
    return table.with_columns(pl.when(text != "").then(text))


def _numbers(table: pl.DataFrame) -> pl.DataFrame:
    """Flags and numbers as float32, null where they are not finite."""
    table = table.with_columns((selectors.boolean() & COVARIATE).cast(pl.Float32))
    numbers = selectors.numeric() & COVARIATE
    return table.with_columns(pl.when(numbers.cast(pl.Float64).is_finite()).then(numbers.cast(pl.Float32)))
