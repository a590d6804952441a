"""A folder of tables in the data contract, each as Parquet or CSV.

Either `events`, optionally with `items`, `users` and the tables of campaigns (`campaigns`, `exposures`, `offers`,
`outcomes`), or `demand`, optionally with `series` and `future`, or both.

Parquet keeps its types and its list-valued attributes. CSV is read as text: the checks convert the contract's columns,
so ids keep their leading zeros and one bad number does not stop the reading. A further column is numeric if all of it
is.
"""

from pathlib import Path

import narwhals as nw
import polars as pl
from polars import selectors
from pyarrow import csv, string

from data_pipelines.schema import DEMAND, EVENTS, FUTURE, ITEMS, MARKETING, SERIES, SOURCE_ROW, USERS, InputError, Table
from data_pipelines.sources.source import RawTable, Source, load, opening
from data_pipelines.timestamps import NUMBER

NAME = "tables"
DEFAULTS = {"test_start": None, "validation_days": None, "min_item_users": 0}
INTEGER = r"^-?\d{1,18}$"
LEADING_ZERO = r"^[+-]?0\d"


def read_tables(folder: Path) -> Source:
    """Read a folder of tables.

    Args:
        folder: holds `events.parquet` or `events.csv`, or the same of `demand`; the other tables likewise, if at all.
            A Parquet table may be a folder of part files, as Spark writes it.

    Returns:
        The tables found.

    Raises:
        InputError: if there is neither an events nor a demand table, a table is there twice, or a file is broken.
    """
    if not folder.is_dir():
        raise InputError(f"{folder}: is not a folder; --input names the one that holds events.parquet or events.csv")
    tables: dict[str, RawTable] = {}
    for main, *others in (EVENTS, ITEMS, USERS, *MARKETING), (DEMAND, SERIES, FUTURE):
        if (raw := _read(folder, main)) is not None:
            tables[main.name] = raw
            tables |= {table.name: raw for table in others if (raw := _read(folder, table)) is not None}
    if not tables:
        found = ", ".join(sorted(path.name for path in folder.iterdir())[:10]) or "nothing"
        raise InputError(
            f"{folder}: holds neither events.parquet nor events.csv, nor a demand table (found {found}); add one"
        )
    return Source(NAME, tables, DEFAULTS)


def _read(folder: Path, table: Table) -> RawTable | None:
    paths = [path for path in (folder / f"{table.name}.parquet", folder / f"{table.name}.csv") if path.exists()]
    if len(paths) > 1:
        raise InputError(f"{folder}: holds both {paths[0].name} and {paths[1].name}; remove one")
    if not paths:
        return None
    path = paths[0]
    with opening(path):
        frame = _read_csv(path, table) if path.suffix == ".csv" else _scan_parquet(path)
        return load(nw.from_native(frame), path)


def _scan_parquet(path: Path) -> pl.LazyFrame:
    parts = path / "*.parquet" if path.is_dir() else path
    frame = pl.scan_parquet(parts, row_index_name=SOURCE_ROW, row_index_offset=1)
    return frame.with_columns(selectors.by_dtype(pl.Null).cast(pl.String))  # a column without any value has no type


def _read_csv(path: Path, table: Table) -> pl.LazyFrame:
    ragged: list[csv.InvalidRow] = []

    def set_aside(row: csv.InvalidRow) -> str:
        ragged.append(row)
        return "skip"

    parse = csv.ParseOptions(newlines_in_values=True, invalid_row_handler=set_aside)
    with csv.open_csv(path, parse_options=parse) as reader:
        header = reader.schema.names
    ragged.clear()
    content = csv.read_csv(
        path,
        csv.ReadOptions(use_threads=False),  # rows have numbers only when read in order
        parse,
        csv.ConvertOptions(column_types=dict.fromkeys(header, string()), strings_can_be_null=True, null_values=[""]),
    )
    if ragged:
        first = ragged[0]
        raise InputError(
            f"{path}: {len(ragged)} rows with a wrong number of fields, the first is row {first.number - 1} with "
            f"{first.actual_columns} where the header has {first.expected_columns} ({first.text[:80]!r}); put values "
            "that contain commas in double quotes"
        )
    frame = pl.DataFrame(content)
    further = [name for name in frame.columns if name not in table.required | table.optional]
    frame = frame.with_columns(_inferred(frame[name]) for name in further)
    return frame.with_row_index(SOURCE_ROW, offset=1).lazy()


def _inferred(text: pl.Series) -> pl.Series:
    """Numbers if all values are (codes such as 01234 are not)."""
    present = text.drop_nulls()
    if present.is_empty() or not present.str.contains(NUMBER).all() or present.str.contains(LEADING_ZERO).any():
        return text
    return text.cast(pl.Int64 if present.str.contains(INTEGER).all() else pl.Float64)
