"""The ledger in the SQLite file of the events."""

import sqlite3
from collections.abc import AsyncIterator, Sequence
from functools import partial

from serving.gateway.event_store import Clock
from serving.gateway.ledger import DAY_MS, Entry, Spend
from serving.gateway.sqlite_file import SqliteFile

PART, PURGED_AT_ONCE = 10_000, 1000
TABLES = """
CREATE TABLE IF NOT EXISTS ledger (
    number INTEGER PRIMARY KEY, user_id TEXT, topic TEXT, entry_id TEXT, time_ms INTEGER, body TEXT, arrived_ms INTEGER,
    UNIQUE (user_id, topic, entry_id));
CREATE TABLE IF NOT EXISTS spent (budget TEXT PRIMARY KEY, amount REAL, changed_ms INTEGER) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS ledger_topic ON ledger (topic, number);
CREATE INDEX IF NOT EXISTS ledger_arrived ON ledger (arrived_ms);
"""
COLUMNS = "user_id, topic, entry_id, time_ms, body"
ADD = f"INSERT INTO ledger ({COLUMNS}, arrived_ms) VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING"
FIND = f"SELECT {COLUMNS} FROM ledger WHERE user_id = ? AND topic = ? AND entry_id = ?"
OF_TOPIC = f"SELECT {COLUMNS} FROM ledger WHERE user_id = ? AND topic = ? ORDER BY time_ms, number"
COUNT = "SELECT count(*) FROM ledger WHERE user_id = ? AND topic = ?"
COLLECT = f"SELECT number, {COLUMNS} FROM ledger WHERE topic = ? AND number > ? ORDER BY number LIMIT ?"
SPENT = "SELECT amount FROM spent WHERE budget = ?"
SPEND = """
INSERT INTO spent VALUES (?, ?, ?)
ON CONFLICT DO UPDATE SET amount = amount + excluded.amount, changed_ms = excluded.changed_ms"""
PURGE = "DELETE FROM ledger WHERE number IN (SELECT number FROM ledger WHERE arrived_ms <= ? LIMIT ?)"
PURGE_SPENT = "DELETE FROM spent WHERE changed_ms <= ?"


class SqliteLedger:
    """A ledger in a SQLite file that has its tables.

    Args:
        file: the file.
        ttl_days: days for which entries are kept.
        clock: seconds since 1970.
    """

    def __init__(self, file: SqliteFile, *, ttl_days: float, clock: Clock):
        self._file, self._ttl_ms, self._clock = file, int(ttl_days * DAY_MS), clock

    async def add(self, entries: Sequence[Entry]) -> list[Entry]:
        """Store entries; returns those on record."""
        return await self._file.write(partial(self._add, entries)) if entries else []

    async def claim(self, entry: Entry, spends: Sequence[Spend], known: int) -> Entry | None:
        """Add an entry and spend its money, if nothing has changed and the money suffices."""
        return await self._file.write(partial(self._claim, entry, spends, known))

    async def entries(self, user_id: str, topic: str) -> list[Entry]:
        """A customer's entries of a topic, oldest first."""
        return await self._file.read(
            lambda connection: [Entry(*row) for row in connection.execute(OF_TOPIC, (user_id, topic))]
        )

    async def spent(self, budgets: Sequence[str]) -> list[float]:
        """What was spent of each budget."""
        return await self._file.read(lambda connection: [_spent(connection, budget) for budget in budgets])

    async def collect(self, topic: str) -> AsyncIterator[list[Entry]]:
        """All entries of a topic, in parts."""
        last = 0
        while rows := await self._file.read(partial(_part, topic, last)):
            last = rows[-1][0]
            yield [Entry(*row[1:]) for row in rows]

    async def erase(self, user_id: str) -> int:
        """Remove all of a customer, also from the write-ahead log."""
        erased = await self._file.write(
            lambda connection: connection.execute("DELETE FROM ledger WHERE user_id = ?", (user_id,)).rowcount
        )
        await self._file.empty_log()
        return erased

    def _add(self, entries: Sequence[Entry], connection: sqlite3.Connection) -> list[Entry]:
        now = self._purge(connection)
        return [_record(connection, entry, now) for entry in entries]

    def _claim(self, entry: Entry, spends: Sequence[Spend], known: int, connection: sqlite3.Connection) -> Entry | None:
        if found := connection.execute(FIND, (entry.user_id, entry.topic, entry.entry_id)).fetchone():
            return Entry(*found)
        if connection.execute(COUNT, (entry.user_id, entry.topic)).fetchone()[0] != known:
            return None
        if any(_spent(connection, one.budget) + one.amount > one.most for one in spends):
            return None
        now = self._purge(connection)
        connection.executemany(SPEND, [(one.budget, one.amount, now) for one in spends])
        return _record(connection, entry, now)

    def _purge(self, connection: sqlite3.Connection) -> int:
        """Forget what is old; returns milliseconds since 1970."""
        now = int(self._clock() * 1000)
        connection.execute(PURGE, (now - self._ttl_ms, PURGED_AT_ONCE))
        connection.execute(PURGE_SPENT, (now - self._ttl_ms,))
        return now


def _record(connection: sqlite3.Connection, entry: Entry, now: int) -> Entry:
    row = (entry.user_id, entry.topic, entry.entry_id, entry.time_ms, entry.body)
    if connection.execute(ADD, (*row, now)).rowcount:
        return entry
    return Entry(*connection.execute(FIND, row[:3]).fetchone())


def _spent(connection: sqlite3.Connection, budget: str) -> float:
    found = connection.execute(SPENT, (budget,)).fetchone()
    return found[0] if found else 0.0


def _part(topic: str, after: int, connection: sqlite3.Connection) -> list[tuple[int, str, str, str, int, str]]:
    return connection.execute(COLLECT, (topic, after, PART)).fetchall()
