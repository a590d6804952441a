"""Tables that commands write: Parquet or CSV, by the suffix of --out."""

from pathlib import Path

import polars as pl

from data_pipelines.atomic import replace_file
from data_pipelines.schema import InputError


def require_table(out: Path) -> None:
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
