"""The embedded online store: one SQLite file, no server to run.

Durability: write-ahead log with `synchronous=FULL`. Events are acknowledged after their transaction was committed and
the log was flushed to the disk (fsync), so neither kill -9 nor a power cut loses an acknowledged event. Requests that
arrive while a flush is under way share the next one (group commit). Erased rows are overwritten (`secure_delete`).
Several processes may use the same file: a writer waits for the other's transaction.

References: https://www.sqlite.org/wal.html, https://www.sqlite.org/pragma.html#pragma_synchronous
"""

import asyncio
import sqlite3
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from data_pipelines.schema import InputError
from serving.gateway.event_store import ArrivalClock, Clock, Event, StoreCounts, StoreError, UserHistory, as_history

T = TypeVar("T")
DAY_MS = 86_400_000
WAIT_SECONDS = 5.0
"""For another process's transaction."""
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
PURGE = (
    "DELETE FROM history WHERE (user_id, time_ms, arrival) IN "
    "(SELECT user_id, time_ms, arrival FROM history WHERE arrived_ms <= ? LIMIT ?)",
    "DELETE FROM seen WHERE (user_id, event_id) IN (SELECT user_id, event_id FROM seen WHERE arrived_ms <= ? LIMIT ?)",
)


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
        self._length, self._ttl_ms, self._arrivals = history_length, int(ttl_days * DAY_MS), ArrivalClock(clock)
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

    async def open(self) -> list[str]:
        """Nothing is left to do."""
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
        while self._waiting:
            group, self._waiting = self._waiting, []
            try:
                counts: list[int | StoreError] = list(await self._run(self._write, [events for events, _ in group]))
            except StoreError as error:
                counts = [error] * len(group)
            for (_, done), count in zip(group, counts, strict=True):
                if done.done():  # whoever asked has gone
                    continue
                done.set_exception(count) if isinstance(count, StoreError) else done.set_result(count)
        self._flushing = None

    async def history(self, user_ids: Sequence[str]) -> list[UserHistory]:
        """The latest events of each user."""
        return await self._run(self._read, user_ids, thread=self._reader)

    async def erase(self, user_id: str) -> int:
        """Remove all of a user, also from the write-ahead log."""
        return await self._run(self._erase, user_id)

    async def counts(self) -> StoreCounts:
        """How much there is."""
        return await self._run(self._count, thread=self._reader)

    async def ping(self) -> None:
        """Return if the file can be read."""
        await self._run(self._read, [""], thread=self._reader)

    async def close(self) -> None:
        """Finish what is under way and close the file."""
        while self._flushing is not None:
            await asyncio.wait([self._flushing])
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
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        return erased

    def _count(self) -> StoreCounts:
        one = self._read_connection.execute(
            "SELECT (SELECT count(DISTINCT user_id) FROM history), (SELECT count(*) FROM history), "
            "(SELECT count(*) FROM seen)"
        ).fetchone()
        return StoreCounts(*one)


def _connect(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, timeout=WAIT_SECONDS, isolation_level=None, check_same_thread=False)
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "secure_delete=ON"):
        connection.execute(f"PRAGMA {pragma}").fetchall()
    return connection
