"""The embedded online store: one SQLite file, no server to run.

Requests that arrive while a flush is under way share the next one (group commit). For what survives, see `sqlite_file`.
"""

import asyncio
import sqlite3
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from serving.gateway import sqlite_ledger
from serving.gateway.event_store import ArrivalClock, Clock, Event, UserHistory, as_history, ids_kept
from serving.gateway.ledger import DAY_MS
from serving.gateway.sqlite_file import SqliteFile
from serving.gateway.sqlite_ledger import SqliteLedger

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


class SqliteStore:
    """Events in a SQLite file.

    Args:
        path: the file; made if it is not there.
        history_length: events of a user that are kept.
        ttl_days: days until an event is forgotten.
        record_days: days for which entries of the ledger are kept.
        clock: seconds since 1970.

    Raises:
        InputError: if the file cannot be opened as such a store.
    """

    def __init__(
        self, path: Path, *, history_length: int, ttl_days: float, record_days: float, clock: Clock = time.time
    ):
        self._length, self._ids = history_length, ids_kept(history_length)
        self._ttl_ms, self._arrivals = int(ttl_days * DAY_MS), ArrivalClock(clock)
        self._file = SqliteFile(path, TABLES + sqlite_ledger.TABLES)
        self.ledger = SqliteLedger(self._file, ttl_days=record_days, clock=clock)
        self._waiting: list[tuple[Sequence[Event], asyncio.Future[int]]] = []
        self._flushing: asyncio.Task[None] | None = None

    async def open(self) -> list[str]:
        """Empty the write-ahead log: a process that was killed may have left in it what it erased."""
        await self._file.empty_log()
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
                    counts: list[int | Exception] = list(
                        await self._file.write(partial(self._write, [events for events, _ in group]))
                    )
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
        return await self._file.read(partial(self._read, user_ids))

    async def erase(self, user_id: str) -> int:
        """Remove all of a user, also from the write-ahead log."""
        erased = await self._file.write(partial(_erase, user_id))
        await self._file.empty_log()
        return erased

    async def ping(self) -> None:
        """Return if the file can be read."""
        await self._file.read(partial(self._read, [""]))

    async def close(self) -> None:
        """Finish what is under way and close the file."""
        while self._flushing is not None:
            await asyncio.wait([self._flushing])
        await self._file.close()

    def _write(self, batches: Sequence[Sequence[Event]], connection: sqlite3.Connection) -> list[int]:
        """All batches in one transaction; returns how many of each were new."""
        now = self._arrivals.now_ms()
        expired = now - self._ttl_ms
        counts = [sum(self._add(connection, event, now, expired) for event in events) for events in batches]
        for user_id in {event.user_id for events in batches for event in events}:
            connection.execute(TRIM, (user_id, self._length))
            if connection.execute(HAS_MORE_IDS, (user_id, self._ids * 5 // 4)).fetchone():  # sorting takes long
                connection.execute(TRIM_IDS, (user_id, self._ids - 1))
        for statement in PURGE:
            connection.execute(statement, (expired, PURGED_AT_ONCE))
        return counts

    def _add(self, connection: sqlite3.Connection, event: Event, now: int, expired: int) -> bool:
        user = event.user_id
        if connection.execute(REMEMBER, (user, event.event_id, now, expired)).rowcount < 1:
            return False
        row = (user, event.time_ms, self._arrivals.next(), now, event.item_id, event.event_type)
        connection.execute(ADD, row)
        return True

    def _read(self, user_ids: Sequence[str], connection: sqlite3.Connection) -> list[UserHistory]:
        expired, found = self._arrivals.now_ms() - self._ttl_ms, []
        for user_id in user_ids:
            rows = connection.execute(LATEST, (user_id, expired, self._length)).fetchall()[::-1]
            found.append(as_history(rows))
        return found


def _erase(user_id: str, connection: sqlite3.Connection) -> int:
    erased = connection.execute("DELETE FROM history WHERE user_id = ?", (user_id,)).rowcount
    connection.execute("DELETE FROM seen WHERE user_id = ?", (user_id,))
    return erased
