"""Parquet or CSV tables as the inventory commands read them."""

from collections.abc import Sequence
from pathlib import Path

import polars as pl
from polars.exceptions import PolarsError

from data_pipelines.schema import DS, UNIQUE_ID, InputError

IDS = (pl.String, pl.Categorical, *pl.datatypes.group.INTEGER_DTYPES)


def read_table(path: Path, required: Sequence[str]) -> pl.DataFrame:
    """Read a table whose ids are text.

    Raises:
        InputError: if it cannot be read, is empty, or lacks a column.
    """
    try:
        if path.suffix == ".csv":
            table = pl.read_csv(path, schema_overrides={UNIQUE_ID: pl.String}, infer_schema_length=None)
        else:
            table = pl.read_parquet(path)
    except (OSError, PolarsError) as error:
        reason = str(error).strip().splitlines()[0]
        raise InputError(f"{path}: cannot be read ({reason}); give a Parquet or CSV file") from None
    if missing := [name for name in required if name not in table.columns]:
        raise InputError(f"{path}: no column {missing[0]!r}; it has {', '.join(table.columns)}")
    if table.is_empty():
        raise InputError(f"{path}: holds no rows")
    if table[UNIQUE_ID].dtype not in IDS:
        raise InputError(f"{path}: {UNIQUE_ID} holds {table[UNIQUE_ID].dtype}; give text or whole numbers")
    table = table.with_columns(pl.col(UNIQUE_ID).cast(pl.String))
    if (empty := (table[UNIQUE_ID].is_null() | (table[UNIQUE_ID] == "")).arg_true()).len():
        raise InputError(f"{path}: row {empty[0] + 1} has no {UNIQUE_ID}")
    return table


def as_numbers(table: pl.DataFrame, name: str, path: Path | str) -> pl.Series:
    """A column as numbers, null where a text is none.

    Raises:
        InputError: if it holds something else.
    """
    kind = table[name].dtype
    if not (kind.is_numeric() or kind in (pl.String, pl.Null)):
        raise InputError(f"{path}: {name} holds {kind}; give numbers")
    return table[name].cast(pl.Float64, strict=False)


def as_dates(table: pl.DataFrame, path: Path) -> pl.Series:
    """The column ds as dates, null where a text is none; of times the day.

    Raises:
        InputError: if it holds something else.
    """
    kind = table[DS].dtype
    if kind == pl.String:
        return table[DS].str.slice(0, 10).str.to_date("%Y-%m-%d", strict=False)
    if kind == pl.Date or isinstance(kind, pl.Datetime):
        return table[DS].cast(pl.Date)
    raise InputError(f"{path}: {DS} holds {kind}; give dates, 2024-05-31")
