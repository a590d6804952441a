"""The embedded online store: one SQLite file, no server to run.

Durability: write-ahead log with `synchronous=FULL`. Events are acknowledged after their transaction was committed and
the log was flushed to the disk (fsync), so neither kill -9 nor a power cut loses an acknowledged event. Requests that
arrive while a flush is under way share the next one (group commit). Several processes may use the same file: a writer
waits for the other's transaction.

Erased rows are overwritten (`secure_delete`), and the log that still has them is emptied as soon as nobody reads in it.

References: https://www.sqlite.org/wal.html, https://www.sqlite.org/pragma.html#pragma_synchronous
"""

import asyncio
import logging
import sqlite3
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from data_pipelines.schema import InputError
from serving.gateway.event_store import ArrivalClock, Clock, Event, StoreError, UserHistory, as_history, ids_kept

T = TypeVar("T")
DAY_MS = 86_400_000
WAIT_SECONDS = 5.0
"""For another process's transaction."""
TRUNCATE_WAIT_SECONDS = 0.05
"""For those who read in the write-ahead log: writers wait meanwhile."""
TRUNCATE_AGAIN_SECONDS = 1.0
PURGED_AT_ONCE = 5000
"""Expired rows deleted with one append at the most, so that no request waits for a large clean-up."""

TABLES = """
CREATE TABLE IF NOT EXISTS history (
    user_id TEXT, time_ms INTEGER, arrival INTEGER, arrived_ms INTEGER, item_id TEXT, event_type TEXT,
    PRIMARY KEY (user_id, time_ms, arrival)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS seen (
    user_id TEXT, event_id TEXT, arrived_ms INTEGER, PRIMARY KEY (user_id, event_id)) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS history_arrived ON history (arrived_ms);
CREATE INDEX IF NOT EXISTS seen_arrived ON seen (arrived_ms);
"""
REMEMBER = """
INSERT INTO seen VALUES (?, ?, ?)
ON CONFLICT DO UPDATE SET arrived_ms = excluded.arrived_ms WHERE seen.arrived_ms <= ?"""
ADD = "INSERT INTO history VALUES (?, ?, ?, ?, ?, ?)"
TRIM = """
DELETE FROM history WHERE user_id = ?1 AND (time_ms, arrival) <= (
    SELECT time_ms, arrival FROM history WHERE user_id = ?1 ORDER BY time_ms DESC, arrival DESC LIMIT 1 OFFSET ?2)"""
LATEST = """
SELECT item_id, event_type, time_ms FROM history WHERE user_id = ? AND arrived_ms > ?
ORDER BY time_ms DESC, arrival DESC LIMIT ?"""
HAS_MORE_IDS = "SELECT 1 FROM seen WHERE user_id = ? LIMIT 1 OFFSET ?"
TRIM_IDS = """
DELETE FROM seen WHERE user_id = ?1 AND arrived_ms < (
    SELECT arrived_ms FROM seen WHERE user_id = ?1 ORDER BY arrived_ms DESC LIMIT 1 OFFSET ?2)"""
PURGE = (
    "DELETE FROM history WHERE (user_id, time_ms, arrival) IN "
    "(SELECT user_id, time_ms, arrival FROM history WHERE arrived_ms <= ? LIMIT ?)",
    "DELETE FROM seen WHERE (user_id, event_id) IN (SELECT user_id, event_id FROM seen WHERE arrived_ms <= ? LIMIT ?)",
)
logger = logging.getLogger(__name__)


class SqliteStore:
    """Events in a SQLite file.

    Args:
        path: the file; made if it is not there.
        history_length: events of a user that are kept.
        ttl_days: days until an event is forgotten.
        clock: seconds since 1970.

    Raises:
        InputError: if the file cannot be opened as such a store.
    """

    def __init__(self, path: Path, *, history_length: int, ttl_days: float, clock: Clock = time.time):
        self._length, self._ids = history_length, ids_kept(history_length)
        self._ttl_ms, self._arrivals = int(ttl_days * DAY_MS), ArrivalClock(clock)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._write_connection, self._read_connection = _connect(path), _connect(path)
            self._write_connection.executescript(TABLES)
        except (sqlite3.Error, OSError) as error:
            raise InputError(f"--store {path}: cannot be opened ({error}); name a file that can be written") from None
        # A connection is used by one thread only; readers do not wait for the disk's flushes.
        self._writer, self._reader = ThreadPoolExecutor(1, "store-write"), ThreadPoolExecutor(1, "store-read")
        self._waiting: list[tuple[Sequence[Event], asyncio.Future[int]]] = []
        self._flushing: asyncio.Task[None] | None = None
        self._truncating: asyncio.Task[None] | None = None

    async def open(self) -> list[str]:
        """Empty the write-ahead log: a process that was killed may have left in it what it erased."""
        await self._empty_log()
        return []

    async def append(self, events: Sequence[Event]) -> int:
        """Store events with the next flush; returns how many were new."""
        if not events:
            return 0
        done: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._waiting.append((events, done))
        if self._flushing is None:
            self._flushing = asyncio.create_task(self._flush())
        return await done

    async def _flush(self) -> None:
        try:
            while self._waiting:
                group, self._waiting = self._waiting, []
                try:
                    counts: list[int | Exception] = list(await self._run(self._write, [events for events, _ in group]))
                except Exception as error:
                    counts = [error] * len(group)
                for (_, done), count in zip(group, counts, strict=True):
                    if done.done():  # whoever asked has gone
                        continue
                    done.set_exception(count) if isinstance(count, Exception) else done.set_result(count)
        finally:
            self._flushing = None

    async def history(self, user_ids: Sequence[str]) -> list[UserHistory]:
        """The latest events of each user."""
        return await self._run(self._read, user_ids, thread=self._reader)

    async def erase(self, user_id: str) -> int:
        """Remove all of a user, also from the write-ahead log."""
        erased = await self._run(self._erase, user_id)
        await self._empty_log()
        return erased

    async def _empty_log(self) -> None:
        if await self._run(self._truncate) or (self._truncating is not None and not self._truncating.done()):
            return
        logger.warning("erased rows may still be in the write-ahead log: somebody reads in it; tried again")
        self._truncating = asyncio.create_task(self._truncate_until_done())

    async def _truncate_until_done(self) -> None:
        await asyncio.sleep(TRUNCATE_AGAIN_SECONDS)
        while not await self._run(self._truncate):
            await asyncio.sleep(TRUNCATE_AGAIN_SECONDS)
        logger.info("write-ahead log emptied")

    async def ping(self) -> None:
        """Return if the file can be read."""
        await self._run(self._read, [""], thread=self._reader)

    async def close(self) -> None:
        """Finish what is under way and close the file."""
        while self._flushing is not None:
            await asyncio.wait([self._flushing])
        if self._truncating is not None:
            self._truncating.cancel()  # SQLite does it when the last one closes the file
        for thread, connection in ((self._writer, self._write_connection), (self._reader, self._read_connection)):
            thread.submit(connection.close)
            thread.shutdown()

    async def _run(self, work: Callable[..., T], *arguments: object, thread: ThreadPoolExecutor | None = None) -> T:
        try:
            return await asyncio.get_running_loop().run_in_executor(thread or self._writer, work, *arguments)
        except (sqlite3.Error, RuntimeError) as error:  # RuntimeError: closed
            raise StoreError(f"SQLite: {error}") from error

    def _write(self, batches: Sequence[Sequence[Event]]) -> list[int]:
        """All batches in one transaction; returns how many of each were new."""
        now = self._arrivals.now_ms()
        expired = now - self._ttl_ms
        connection = self._write_connection
        connection.execute("BEGIN IMMEDIATE")
        try:
            counts = [sum(self._add(event, now, expired) for event in events) for events in batches]
            for user_id in {event.user_id for events in batches for event in events}:
                connection.execute(TRIM, (user_id, self._length))
                if connection.execute(HAS_MORE_IDS, (user_id, self._ids * 5 // 4)).fetchone():  # sorting takes long
                    connection.execute(TRIM_IDS, (user_id, self._ids - 1))
            for statement in PURGE:
                connection.execute(statement, (expired, PURGED_AT_ONCE))
            connection.execute("COMMIT")
        except BaseException:
            connection.rollback()
            raise
        return counts

    def _add(self, event: Event, now: int, expired: int) -> bool:
        user = event.user_id
        if self._write_connection.execute(REMEMBER, (user, event.event_id, now, expired)).rowcount < 1:
            return False
        row = (user, event.time_ms, self._arrivals.next(), now, event.item_id, event.event_type)
        self._write_connection.execute(ADD, row)
        return True

    def _read(self, user_ids: Sequence[str]) -> list[UserHistory]:
        expired, found = self._arrivals.now_ms() - self._ttl_ms, []
        for user_id in user_ids:
            rows = self._read_connection.execute(LATEST, (user_id, expired, self._length)).fetchall()[::-1]
            found.append(as_history(rows))
        return found

    def _erase(self, user_id: str) -> int:
        connection = self._write_connection
        connection.execute("BEGIN IMMEDIATE")
        try:
            erased = connection.execute("DELETE FROM history WHERE user_id = ?", (user_id,)).rowcount
            connection.execute("DELETE FROM seen WHERE user_id = ?", (user_id,))
            connection.execute("COMMIT")
        except BaseException:
            connection.rollback()
            raise
        return erased

    def _truncate(self) -> bool:
        """Empty the write-ahead log, unless somebody reads in it."""
        connection = self._write_connection
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
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "secure_delete=ON"):
        connection.execute(f"PRAGMA {pragma}").fetchall()
    return connection
