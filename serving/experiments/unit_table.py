"""The table an analysis reads: a row per unit with its variant and outcomes, checked before anything is computed."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl

from data_pipelines.schema import EXPOSED_AT, LAST_SEEN_AT, OUTCOME_AT, PROPENSITY, InputError
from serving.table_file import read_file, require_columns

FloatArray = npt.NDArray[np.float64]
TOLERANCE = 1e-6
LARGEST = 1e60
FEWEST = 2
"""Units that a variant needs: of one nobody knows how units differ."""


@dataclass(frozen=True)
class UnitTable:
    """The units of an experiment.

    Args:
        frame: their table.
        source: what messages call it.
        variants: names, the control first.
        variant: `[n]` number of each unit's variant.
        weights: `[n]` 1 / propensity, None where each variant has one propensity.
    """

    frame: pl.DataFrame
    source: str
    variants: tuple[str, ...]
    variant: npt.NDArray[np.intp]
    weights: FloatArray | None

    @property
    def units(self) -> tuple[int, ...]:
        """Units of each variant."""
        return tuple(int(count) for count in np.bincount(self.variant, minlength=len(self.variants)))

    def numbers(self, name: str) -> FloatArray:
        """A column as numbers, `[n]`.

        Raises:
            InputError: if it is missing, or holds something else somewhere.
        """
        return column_of_numbers(self.frame, name, self.source)

    def times(self, name: str) -> pl.Series:
        """A column as times in UTC.

        Raises:
            InputError: if it is missing or holds something else.
        """
        return column_of_times(self.frame, name, self.source)

    def exposed_before(self, name: str) -> pl.Series:
        """Exposures as precise as another column of times: where that holds days, the days on which they were."""
        exposed = self.times(EXPOSED_AT)
        return exposed.dt.truncate("1d") if self.frame[name].dtype == pl.Date else exposed


def read_frame(path: Path, text: Sequence[str]) -> pl.DataFrame:
    """Read a Parquet or CSV table.

    Args:
        path: the file.
        text: columns that must be there, and are read as text.

    Raises:
        InputError: if it cannot be read, is empty or lacks a column, or ids are fractions: 1.0 is another text than 1.
    """
    frame = read_file(path, text, infer_schema_length=None, try_parse_dates=True)
    for name in text:
        require_columns(frame, (name,), path)
        if frame[name].dtype.is_float() or frame[name].dtype.is_decimal():
            raise InputError(f"{path}: {name} holds {frame[name].dtype}; give text or whole numbers")
        empty = (frame[name].is_null() | (frame[name].cast(pl.String) == "")).arg_true()
        if len(empty):
            raise InputError(f"{path}: row {empty[0] + 1} has no {name}; give every row one")
    if frame.is_empty():
        raise InputError(f"{path}: holds no rows")
    return frame.with_columns(pl.col(name).cast(pl.String) for name in text)


def check_units(
    frame: pl.DataFrame, source: str, *, unit: str, variant: str, variants: Sequence[str], control: str | None
) -> UnitTable:
    """Check a table of units.

    Args:
        frame: the table; units and variants are text.
        source: what messages call it.
        unit: column of the units.
        variant: column of the variants.
        variants: those that there should be, the control first; none for those that there are.
        control: the control, if it is not the first.

    Raises:
        InputError: naming the first thing that is wrong.
    """
    _one_row_each(frame, source, unit, variant)
    present = frame[variant].unique().sort().to_list()
    names = list(variants) or present
    if control is not None and control not in names:
        raise InputError(f"control {control!r}: {source} has the variants {', '.join(names)}; name one of them")
    names = sorted(names, key=lambda name: name != (control or names[0]))
    for name in present:
        if name not in names:
            row = frame[variant].index_of(name)
            raise InputError(f"{source}: row {_row(row)}: unknown variant {name!r}; there are {', '.join(names)}")
    if len(names) < 2:
        raise InputError(f"{source}: all units have variant {names[0]!r}; there is nothing to compare it with")
    numbers = frame[variant].replace_strict(names, range(len(names)), return_dtype=pl.Int64).to_numpy()
    table = UnitTable(frame, source, tuple(names), numbers, _weights(frame, source, numbers))
    for name, count in zip(names, table.units, strict=True):
        if count < FEWEST:
            held = "no units" if count == 0 else "a single unit"
            raise InputError(f"{source}: variant {name!r} has {held}; at least {FEWEST} are needed to compare it")
    return table


def drawn_shares(table: UnitTable) -> dict[str, float]:
    """Variants with the shares that their propensities say; empty if these are unknown or do not add up to 1."""
    if PROPENSITY not in table.frame.columns or table.weights is not None:
        return {}
    propensity = table.numbers(PROPENSITY)
    shares = {name: float(propensity[table.variant == number][0]) for number, name in enumerate(table.variants)}
    return shares if abs(math.fsum(shares.values()) - 1) < TOLERANCE else {}


def check_times(table: UnitTable, first: date | None, last: date | None) -> None:
    """Refuse outcomes before exposure, and exposures outside the experiment's days.

    Args:
        table: with or without columns of times; rows without a time pass.
        first: the experiment's first day, if known.
        last: its last day, if known.
    """
    columns = table.frame.columns
    if EXPOSED_AT not in columns:
        if named := [name for name in (OUTCOME_AT, LAST_SEEN_AT) if name in columns]:
            raise InputError(
                f"{table.source}: has {named[0]} but no {EXPOSED_AT}; give the time of each unit's exposure"
            )
        return
    exposed = table.times(EXPOSED_AT)
    for name in (OUTCOME_AT, LAST_SEEN_AT):
        if name in columns and len(
            rows := (table.times(name) < table.exposed_before(name)).fill_null(False).arg_true()
        ):
            row = rows[0]
            raise InputError(
                f"{table.source}: row {row + 1}: {name} {table.times(name)[row]:%Y-%m-%d %H:%M} lies before "
                f"{EXPOSED_AT} {exposed[row]:%Y-%m-%d %H:%M} ({len(rows):,} rows); leave out what happened "
                "before a unit was exposed"
            )
    days = exposed.dt.date()
    outside = (days < (first or date.min)) | (days > (last or date.max))
    if len(rows := outside.fill_null(False).arg_true()):
        raise InputError(
            f"{table.source}: row {rows[0] + 1}: {EXPOSED_AT} {days[rows[0]]} lies outside the experiment's days "
            f"{first or '…'} to {last or '…'} ({len(rows):,} rows); leave these units out"
        )


def column_of_numbers(frame: pl.DataFrame, name: str, source: str) -> FloatArray:
    """A column as numbers, `[n]`, finite and not so large that their fourth powers are not; flags are 0 and 1.

    Raises:
        InputError: naming the row of the first value that is none.
    """
    require_columns(frame, (name,), source)
    column = frame[name]
    if not (column.dtype.is_numeric() or column.dtype in (pl.Boolean, pl.String, pl.Null)):
        raise InputError(f"{source}: {name} holds {column.dtype}; give numbers")
    numbers = column.cast(pl.Float64, strict=False)
    if len(wrong := (~((numbers.abs() < LARGEST).fill_null(False))).arg_true()):
        row, value = wrong[0], column[wrong[0]]
        said = "is empty" if value is None else f"is {value!r}"
        raise InputError(
            f"{source}: row {row + 1}: {name} {said} ({len(wrong):,} rows); give numbers, 0 where nothing happened"
        )
    return numbers.to_numpy()


def column_of_times(frame: pl.DataFrame, name: str, source: str) -> pl.Series:
    """A column as times in UTC; a time without zone is one.

    Raises:
        InputError: if it is missing or holds something else.
    """
    require_columns(frame, (name,), source)
    column = frame[name]
    if column.dtype in (pl.Date, pl.Null):
        column = column.cast(pl.Datetime("us"))
    if not isinstance(column.dtype, pl.Datetime):
        raise InputError(f"{source}: {name} holds {column.dtype}; give times, 2024-05-31T12:00:00")
    if column.dtype.time_zone is None:
        return column.cast(pl.Datetime("us")).dt.replace_time_zone("UTC")
    return column.cast(pl.Datetime("us", column.dtype.time_zone)).dt.convert_time_zone("UTC")


def _one_row_each(frame: pl.DataFrame, source: str, unit: str, variant: str) -> None:
    repeated = frame[unit].is_duplicated().arg_true()
    if not len(repeated):
        return
    name = frame[unit][repeated[0]]
    seen = frame.filter(pl.col(unit) == name)[variant].unique().sort().to_list()
    if len(seen) > 1:
        raise InputError(f"{source}: unit {name!r} is in the variants {' and '.join(seen)}; a unit has one variant")
    raise InputError(
        f"{source}: unit {name!r} has {frame[unit].eq(name).sum()} rows; give one row per unit, and sums as its "
        "outcomes (a rate of several events is --ratio EVENTS/TRIALS)"
    )


def _weights(frame: pl.DataFrame, source: str, variant: npt.NDArray[np.intp]) -> FloatArray | None:
    """1 / propensity where propensities differ within a variant."""
    if PROPENSITY not in frame.columns:
        return None
    propensity = column_of_numbers(frame, PROPENSITY, source)
    if len(wrong := np.flatnonzero((propensity <= 0) | (propensity > 1))):
        raise InputError(
            f"{source}: row {wrong[0] + 1}: {PROPENSITY} is {propensity[wrong[0]]:g}; it must lie above 0, up to 1"
        )
    constant = all(np.ptp(propensity[variant == one]) < 1e-9 for one in np.unique(variant))
    return None if constant else 1 / propensity


def _row(index: int | None) -> int:
    return 0 if index is None else index + 1
