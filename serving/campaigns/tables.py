"""Parquet or CSV tables about customers, as the campaign commands read them."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl

from data_pipelines.schema import CAMPAIGN_ID, CHANNEL, ITEM_ID, USER_ID, InputError
from serving.table_file import read_file, require_columns, with_ids

TEXTS = (USER_ID, ITEM_ID, CAMPAIGN_ID)


def read_table(path: Path, required: Sequence[str], remedy: str = "give a Parquet or CSV file") -> pl.DataFrame:
    """Read a table whose ids are text.

    Raises:
        InputError: if it cannot be read, lacks a column, or a row has no id.
    """
    table = read_file(path, TEXTS, remedy, infer_schema_length=None)
    require_columns(table, required, path)
    for name in (name for name in TEXTS if name in required):
        table = with_ids(table, name, path)
    return table


def numbers(table: pl.DataFrame, name: str, path: Path, low: float, high: float = float("inf")) -> pl.Series:
    """A column of numbers within limits, none missing.

    Raises:
        InputError: naming the row and its value.
    """
    values = table[name].cast(pl.Float64, strict=False)
    wrong = ~(values.is_finite() & (values >= low) & (values <= high)).fill_null(False)
    if (bad := wrong.arg_true()).len():
        rule = f"a number from {low:g} to {high:g}" if np.isfinite(high) else f"a number of at least {low:g}"
        rule = "a number" if not np.isfinite(low) else rule
        raise InputError(f"{path}: {name} in row {bad[0] + 1} is {table[name][bad[0]]!r}; it must be {rule}")
    return values


def channel_names(table: pl.DataFrame, path: Path) -> pl.Series:
    """The column of channels in small letters: an opt-out of `Email` is one of email.

    Raises:
        InputError: naming a row without a channel.
    """
    found = table[CHANNEL].cast(pl.String).str.strip_chars().str.to_lowercase()
    if (bad := (found.is_null() | (found == "")).arg_true()).len():
        raise InputError(f"{path}: row {bad[0] + 1} has no {CHANNEL}; give one, or all")
    return found


def times(table: pl.DataFrame, name: str, path: Path) -> pl.Series:
    """A column of moments as UTC without a time zone.

    Raises:
        InputError: naming the row and its value.
    """
    kind, values = table[name].dtype, table[name]
    if isinstance(kind, pl.Datetime):
        values = values.dt.convert_time_zone("UTC") if kind.time_zone else values
        found = values.dt.replace_time_zone(None).cast(pl.Datetime("us"))
    elif kind == pl.Date:
        found = values.cast(pl.Datetime("us"))
    elif kind == pl.String:
        found = values.str.to_datetime(time_unit="us", time_zone="UTC", strict=False).dt.replace_time_zone(None)
    else:
        raise InputError(f"{path}: {name} holds {kind}; give times, 2024-05-31T12:00:00")
    if (bad := found.is_null().arg_true()).len():
        raise InputError(f"{path}: {name} in row {bad[0] + 1} is {table[name][bad[0]]!r}; give 2024-05-31T12:00:00")
    return found


def positions(ids: pl.Series, among: pl.Series) -> npt.NDArray[np.int64]:
    """Where each id stands among others that are all different, -1 where it does not."""
    if not len(ids):
        return np.zeros(0, np.int64)
    name = "id"
    known = among.rename(name).to_frame().with_row_index("position")
    found = ids.rename(name).to_frame().join(known, on=name, how="left", maintain_order="left")["position"]
    return found.cast(pl.Int64).fill_null(-1).to_numpy()
