"""Files and directories that appear whole or not at all.

Everything is written under a hidden temporary name beside its target, flushed to the disk, and renamed: POSIX renames
within one file system are atomic, so a reader (TensorFlow Serving polling a models directory, a resumed training run)
never sees half a file, and a crash or a full disk leaves what stood there before.
"""

import errno
import json
import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from data_pipelines.schema import InputError

_FULL = (errno.ENOSPC, errno.EDQUOT)


@contextmanager
def replace_file(target: Path) -> Iterator[Path]:
    """Yield a temporary path to write; at the end of the block it becomes `target`.

    The temporary name ends like the target's, because some writers go by the suffix (`.weights.h5`, `.parquet`).

    Args:
        target: the file to create or replace; missing parent directories are made.

    Yields:
        A path beside `target` that does not exist yet. It is removed if the block raises.

    Raises:
        InputError: if the disk is full or `target` cannot be written.
    """
    with _clear_errors(target):
        if target.is_dir():
            raise InputError(f"cannot write {target}: it is a directory; name a file")
        target.parent.mkdir(parents=True, exist_ok=True)
    temporary = _temporary(target)
    try:
        with _clear_errors(target, body=True):
            yield temporary
        with _clear_errors(target):
            _flush(temporary)
            temporary.replace(target)
            _flush(target.parent)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def replace_directory(target: Path) -> Iterator[Path]:
    """Yield an empty temporary directory to fill; at the end of the block it becomes `target`.

    A directory that stood at `target` is moved aside first and deleted last, so at every instant one whole version
    exists.

    Args:
        target: the directory to create or replace; missing parent directories are made.

    Yields:
        An empty directory beside `target`. It is removed if the block raises.

    Raises:
        InputError: if the disk is full or `target` cannot be written.
    """
    temporary, aside = _temporary(target), _temporary(target)
    with _clear_errors(target):
        if target.exists() and not target.is_dir():
            raise InputError(f"cannot write {target}: it is a file; name a directory")
        target.parent.mkdir(parents=True, exist_ok=True)
        temporary.mkdir()  # not tempfile.mkdtemp: its mode 700 would lock out a server that runs as another user
    try:
        with _clear_errors(target, body=True):
            yield temporary
        with _clear_errors(target):
            for path in temporary.rglob("*"):
                _flush(path)
            if target.exists():
                target.rename(aside)
            temporary.rename(target)
            _flush(target.parent)
    finally:
        if aside.exists() and not target.exists():
            aside.rename(target)
        shutil.rmtree(temporary, ignore_errors=True)
        shutil.rmtree(aside, ignore_errors=True)


def write_bytes(path: Path, data: bytes) -> None:
    """Write `data` to `path`, whole or not at all."""
    with replace_file(path) as temporary:
        temporary.write_bytes(data)


def write_text(path: Path, text: str) -> None:
    """Write `text` to `path` as UTF-8, whole or not at all."""
    write_bytes(path, text.encode())


def write_json(path: Path, value: object) -> None:
    """Write `value` to `path` as indented JSON, whole or not at all.

    Args:
        path: the file.
        value: what `json.dumps` accepts. NaN and infinity are refused: other languages cannot read them.
    """
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def _temporary(target: Path) -> Path:
    return target.parent / f".{uuid.uuid4().hex[:12]}.{target.name}"


def _flush(path: Path) -> None:
    """Force a file's data (or a directory's entries) to the disk before the rename makes it visible."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def _clear_errors(target: Path, *, body: bool = False) -> Iterator[None]:
    """Say what could not be written and what to do; errors of the caller's block that are not about space pass."""
    try:
        yield
    except Exception as error:
        if _is_full(error):
            raise InputError(
                f"no space left to write {target}: nothing was changed; free some disk space or choose another place"
            ) from error
        if isinstance(error, OSError) and not body:
            raise InputError(f"cannot write {target}: {error.strerror or error}; choose another place") from error
        raise


def _is_full(error: Exception) -> bool:
    # HDF5, Polars and TensorFlow wrap the operating system's error and keep only its text
    code = error.errno if isinstance(error, OSError) else None
    return code in _FULL or os.strerror(errno.ENOSPC) in str(error)
