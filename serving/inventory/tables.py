"""Parquet or CSV tables as the inventory commands read them."""

from collections.abc import Sequence
from pathlib import Path

import polars as pl
from polars.exceptions import PolarsError

from data_pipelines.schema import DS, UNIQUE_ID, InputError


def read_table(path: Path, required: Sequence[str]) -> pl.DataFrame:
    """Read a table whose ids are text.

    Raises:
        InputError: if it cannot be read, is empty, or lacks a column.
    """
    try:
        table = pl.read_csv(path, schema_overrides={UNIQUE_ID: pl.String}) if path.suffix == ".csv" else None
        table = pl.read_parquet(path) if table is None else table
    except (OSError, PolarsError) as error:
        reason = str(error).strip().splitlines()[0]
        raise InputError(f"{path}: cannot be read ({reason}); give a Parquet or CSV file") from None
    if missing := [name for name in required if name not in table.columns]:
        raise InputError(f"{path}: no column {missing[0]!r}; it has {', '.join(table.columns)}")
    if table.is_empty():
        raise InputError(f"{path}: holds no rows")
    return table.with_columns(pl.col(UNIQUE_ID).cast(pl.String))


def as_date(table: pl.DataFrame) -> pl.Expr:
    """The column ds as dates, null where a text is none."""
    day = pl.col(DS).str.to_date(strict=False) if table[DS].dtype == pl.String else pl.col(DS).cast(pl.Date)
    return day.alias(DS)
