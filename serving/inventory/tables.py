"""Parquet or CSV tables as the inventory commands read them."""

from collections.abc import Sequence
from pathlib import Path

import polars as pl

from data_pipelines.schema import DS, UNIQUE_ID, InputError
from serving.table_file import read_file, require_columns, with_ids


def read_table(path: Path, required: Sequence[str]) -> pl.DataFrame:
    """Read a table whose ids are text.

    Raises:
        InputError: if it cannot be read, is empty, or lacks a column.
    """
    table = read_file(path, (UNIQUE_ID,), infer_schema_length=None)
    require_columns(table, required, path)
    if table.is_empty():
        raise InputError(f"{path}: holds no rows")
    return with_ids(table, UNIQUE_ID, path)


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
