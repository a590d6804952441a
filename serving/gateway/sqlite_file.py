"""A SQLite file that stores share: one thread writes, another reads.

Durability: write-ahead log with `synchronous=FULL`. What `write` returns was committed and the log was flushed to the
disk (fsync), so neither kill -9 nor a power cut loses it. Several processes may use the same file: a writer waits for
the other's transaction.

Erased rows are overwritten (`secure_delete`), and the log that still has them is emptied as soon as nobody reads in it.

References: https://www.sqlite.org/wal.html, https://www.sqlite.org/pragma.html#pragma_synchronous
"""

import asyncio
import logging
import sqlite3
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from data_pipelines.schema import InputError
from serving.gateway.event_store import StoreError

T = TypeVar("T")
WAIT_SECONDS = 5.0
"""For another process's transaction."""
BETWEEN_TRIES_SECONDS = 0.01
TRUNCATE_WAIT_SECONDS = 0.05
"""For those who read in the write-ahead log: writers wait meanwhile."""
TRUNCATE_AGAIN_SECONDS = 1.0
logger = logging.getLogger(__name__)


class SqliteFile:
    """A SQLite file.

    Args:
        path: the file; made if it is not there.
        tables: SQL that makes what is not there.

    Raises:
        InputError: if the file cannot be opened, or holds other things.
    """

    def __init__(self, path: Path, tables: str):
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._write_connection, self._read_connection = _connect(path), _connect(path)
            self._write_connection.executescript(tables)
        except (sqlite3.Error, OSError) as error:
            raise InputError(f"--store {path}: cannot be opened ({error}); name a file that can be written") from None
        # A connection is used by one thread only; readers do not wait for the disk's flushes.
        self._writer, self._reader = ThreadPoolExecutor(1, "store-write"), ThreadPoolExecutor(1, "store-read")
        self._truncating: asyncio.Task[None] | None = None

    async def write(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Do work in a transaction.

        Raises:
            StoreError: if it failed; then nothing of it was done.
        """
        return await self._run(self._writer, _in_transaction, self._write_connection, work)

    async def read(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Do work that changes nothing.

        Raises:
            StoreError: if it failed.
        """
        return await self._run(self._reader, work, self._read_connection)

    async def empty_log(self) -> None:
        """Remove from the write-ahead log what was erased, now or as soon as nobody reads in it."""
        if await self._emptied() or (self._truncating is not None and not self._truncating.done()):
            return
        logger.warning("erased rows may still be in the write-ahead log: somebody reads in it; tried again")
        self._truncating = asyncio.create_task(self._empty_until_done())

    async def close(self) -> None:
        """Finish what is under way and close the file."""
        if self._truncating is not None:
            self._truncating.cancel()  # SQLite does it when the last one closes the file
        for thread, connection in ((self._writer, self._write_connection), (self._reader, self._read_connection)):
            thread.submit(connection.close)
            thread.shutdown()

    async def _empty_until_done(self) -> None:
        await asyncio.sleep(TRUNCATE_AGAIN_SECONDS)
        while not await self._emptied():
            await asyncio.sleep(TRUNCATE_AGAIN_SECONDS)
        logger.info("write-ahead log emptied")

    async def _emptied(self) -> bool:
        return await self._run(self._writer, _truncate, self._write_connection)

    async def _run(self, thread: ThreadPoolExecutor, work: Callable[..., T], *arguments: object) -> T:
        try:
            return await asyncio.get_running_loop().run_in_executor(thread, work, *arguments)
        except (sqlite3.Error, RuntimeError) as error:  # RuntimeError: closed
            raise StoreError(f"SQLite: {error}") from error


def _in_transaction(connection: sqlite3.Connection, work: Callable[[sqlite3.Connection], T]) -> T:
    connection.execute("BEGIN IMMEDIATE")
    try:
        result = work(connection)
        connection.execute("COMMIT")
    except BaseException:
        connection.rollback()
        raise
    return result


def _truncate(connection: sqlite3.Connection) -> bool:
    """Empty the write-ahead log, unless somebody reads in it."""
    _wait_at_most(connection, TRUNCATE_WAIT_SECONDS)
    try:
        busy, _, _ = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    except sqlite3.OperationalError:  # e.g. another process's transaction
        return False
    finally:
        _wait_at_most(connection, WAIT_SECONDS)
    return not busy


def _wait_at_most(connection: sqlite3.Connection, seconds: float) -> None:
    connection.execute(f"PRAGMA busy_timeout = {round(seconds * 1000)}").fetchall()


def _connect(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, timeout=WAIT_SECONDS, isolation_level=None, check_same_thread=False)
    last = time.monotonic() + WAIT_SECONDS
    while True:
        try:
            connection.execute("PRAGMA journal_mode=WAL").fetchall()
            break
        except sqlite3.OperationalError:  # who makes the file at the same time is not waited for by SQLite itself
            if time.monotonic() > last:
                raise
            time.sleep(BETWEEN_TRIES_SECONDS)
    for pragma in ("synchronous=FULL", "secure_delete=ON"):
        connection.execute(f"PRAGMA {pragma}").fetchall()
    return connection
