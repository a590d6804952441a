"""Parquet or CSV tables as the inventory commands read and write them."""

from collections.abc import Sequence
from pathlib import Path

import polars as pl
from polars.exceptions import PolarsError

from data_pipelines.atomic import replace_file
from data_pipelines.schema import UNIQUE_ID, InputError


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


def require_writable(out: Path) -> None:
    """Refuse a file that cannot be written as a table, before any work is done.

    Raises:
        InputError: if it does not end with .parquet or .csv, or is a folder.
    """
    if out.suffix not in (".parquet", ".csv") or out.is_dir():
        raise InputError(f"--out {out}: name a file that ends with .parquet or .csv")


def write_table(table: pl.DataFrame, out: Path) -> None:
    """Write a table whole or not at all, in the format of the file's suffix."""
    with replace_file(out) as temporary:
        table.write_csv(temporary) if out.suffix == ".csv" else table.write_parquet(temporary)
