"""Parquet or CSV tables that a user gives: read, or refused in one line."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import polars as pl
from polars.exceptions import PolarsError

from data_pipelines.schema import InputError

IDS = (pl.String, pl.Categorical, *pl.datatypes.group.INTEGER_DTYPES)


def read_file(
    path: Path, text: Iterable[str], remedy: str = "give a Parquet or CSV file", **csv_options: Any
) -> pl.DataFrame:
    """Read a table by its suffix.

    Args:
        path: the file; what does not end with .csv is Parquet.
        text: columns that are text in a CSV file, whatever they look like.
        remedy: what to do if it cannot be read.
        csv_options: further ones of `polars.read_csv`.

    Raises:
        InputError: if it cannot be read.
    """
    try:
        if path.suffix == ".csv":
            return pl.read_csv(path, schema_overrides=dict.fromkeys(text, pl.String), **csv_options)
        return pl.read_parquet(path)
    except (OSError, PolarsError) as error:
        reason = str(error).strip().partition("\n")[0]
        raise InputError(f"{path}: cannot be read ({reason}); {remedy}") from None


def require_columns(table: pl.DataFrame, names: Iterable[str], source: Path | str) -> None:
    """Refuse a table that lacks a column.

    Raises:
        InputError: naming the first one.
    """
    if missing := [name for name in names if name not in table.columns]:
        raise InputError(f"{source}: no column {missing[0]!r}; it has {', '.join(table.columns)}")


def with_ids(table: pl.DataFrame, name: str, path: Path) -> pl.DataFrame:
    """The table with a column of ids as text.

    Raises:
        InputError: if it holds anything but text and whole numbers, or a row has none.
    """
    if table[name].dtype not in IDS:
        raise InputError(f"{path}: {name} holds {table[name].dtype}; give text or whole numbers")
    table = table.with_columns(pl.col(name).cast(pl.String))
    if (empty := (table[name].is_null() | (table[name] == "")).arg_true()).len():
        raise InputError(f"{path}: row {empty[0] + 1} has no {name}")
    return table
