"""What commands write: tables as Parquet or CSV, by the suffix of --out, pages, and folders of both."""

import argparse
from collections.abc import Collection, Sequence
from pathlib import Path

import polars as pl

from data_pipelines.atomic import replace_file
from data_pipelines.schema import InputError


def require_table(out: Path, option: str = "--out") -> None:
    """Refuse a file that cannot be written as a table, before any work is done.

    Raises:
        InputError: if it does not end with .parquet or .csv, or is a folder.
    """
    _require_suffix(out, option, (".parquet", ".csv"))


def require_page(report: Path, option: str = "--report") -> None:
    """Refuse a file that cannot be written as a page, before any work is done.

    Raises:
        InputError: if it does not end with .html, or is a folder.
    """
    _require_suffix(report, option, (".html",))


def require_folder(out: Path, what: str, names: Collection[str], option: str = "--out") -> None:
    """Refuse a folder that cannot be replaced, before any work is done: `--out ~` must not empty a home directory.

    Args:
        out: the folder.
        what: a command writes, in words.
        names: of the files that it writes.
        option: that names the folder.

    Raises:
        InputError: if it is a file, or holds any other one.
    """
    if out.exists() and not out.is_dir():
        raise InputError(f"{option} {out}: is a file; name a folder")
    if out.is_dir() and (other := {path.name for path in out.iterdir()} - set(names)):
        raise InputError(f"{option} {out}: holds {min(other)}, not {what} alone; name a new folder")


def require_apart(arguments: argparse.Namespace, *, written: Sequence[str], read: Sequence[str]) -> None:
    """Refuse to write two things into one file, or over what is read.

    Raises:
        InputError: naming both options.
    """
    seen: dict[Path, str] = {}
    for name in (*read, *written):
        path = getattr(arguments, name, None)
        if path is not None and (other := seen.setdefault(path.resolve(), name)) != name and name in written:
            raise InputError(f"--{name} {path}: is the file of --{other}; name another one")


def _require_suffix(path: Path, option: str, suffixes: tuple[str, ...]) -> None:
    if path.suffix not in suffixes or path.is_dir():
        raise InputError(f"{option} {path}: name a file that ends with {' or '.join(suffixes)}")


def write_table(table: pl.DataFrame, out: Path) -> None:
    """Write a table whole or not at all, in the format of the file's suffix."""
    with replace_file(out) as temporary:
        table.write_csv(temporary) if out.suffix == ".csv" else table.write_parquet(temporary)
