"""What every source returns, and how files are opened so that a broken one is named."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import polars as pl
import pyarrow as pa

from data_pipelines.frames import Lazy, materialise
from data_pipelines.schema import InputError


@dataclass(frozen=True)
class RawTable:
    """One table as found, columns named as in the contract.

    Args:
        frame: the rows, with `schema.SOURCE_ROW`.
        origin: file name (or package) for messages.
    """

    frame: Lazy
    origin: str


@dataclass(frozen=True)
class Source:
    """A data set before checks.

    Args:
        name: as given to `--source`.
        tables: `events`, and `items`, `users` and those of `schema.MARKETING` where there are any; `demand`, `series`
            and `future` likewise.
        extras: further finished tables that are written as they are.
        defaults: settings that fit this data set, for the manifest; see `splits.SplitConfig`. `time_zone` is where the
            shop's days begin and end, `holiday_country` whose holidays it keeps,
            `levels` the sums that its demand forecasts are judged by.
    """

    name: str
    tables: Mapping[str, RawTable]
    defaults: Mapping[str, str | int | list[str] | None]
    extras: Mapping[str, RawTable] = field(default_factory=dict)


def load(frame: Lazy, path: Path) -> RawTable:
    """Compute a table that is read from `path`."""
    with opening(path):
        return RawTable(materialise(frame), str(path))


@contextmanager
def opening(path: Path) -> Iterator[None]:
    """Turn whatever goes wrong while reading `path` into one line that names it."""
    try:
        yield
    except FileNotFoundError as error:
        raise InputError(f"{path}: does not exist") from error
    except (pl.exceptions.PolarsError, pa.ArrowException, OSError) as error:
        cause = str(error).strip().splitlines()[0]
        raise InputError(f"{path}: cannot be read ({cause}); is it complete? Write or copy it again") from error
