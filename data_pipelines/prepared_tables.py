"""The tables of a prepared data folder, or in one line why they cannot be read."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import polars as pl
from polars.exceptions import PolarsError

from data_pipelines.schema import InputError


def scan_table(data: Path, name: str, required: Sequence[str] = ()) -> pl.LazyFrame:
    """A table, lazily.

    Args:
        data: folder written by `supplytower data prepare`.
        name: of the table.
        required: columns that it must have.

    Raises:
        InputError: if it is missing, damaged or lacks a column.
    """
    path = data / f"{name}.parquet"
    with _readable(path):
        table = pl.scan_parquet(path)
        known = table.collect_schema().names()
    if missing := [column for column in required if column not in known]:
        raise InputError(f"{path}: column {missing[0]!r} is missing; run `supplytower data prepare` again")
    return table


def read_table(data: Path, name: str, columns: Sequence[str] | None = None) -> pl.DataFrame:
    """A table, or some columns of it, in memory; arguments and errors as for `scan_table`."""
    table = scan_table(data, name, columns or ())
    with _readable(data / f"{name}.parquet"):
        return (table if columns is None else table.select(columns)).collect()


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, PolarsError) as error:
        reason = str(error).partition("\n")[0]
        raise InputError(
            f"{path}: not readable ({reason}); run `supplytower data prepare --out {path.parent}`"
        ) from None
