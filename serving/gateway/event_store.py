"""The online store of what customers did last: the contract that every store fulfils.

- An event is known by its `event_id` within its user; a second one with the same id is a duplicate and is dropped as
  long as the first is remembered. Ids of one user cannot keep out the events of another.
- A user's history is ordered by event time, whatever order events arrive in; events of equal time keep the order of
  their arrival. Only the latest `history_length` are kept.
- An event and its id are forgotten `ttl_days` after the event arrived. Of a user's ids the latest
  `ids_kept(history_length)` are remembered, and a quarter more at the most.
- When `append` returns, the events survive a kill -9 of this process.
- `erase` leaves nothing of a user, ids included, in what the store holds, nor soon after in its log on the disk. Copies
  that others made (snapshots, backups) are not reached.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from serving.gateway.ledger import Ledger

Clock = Callable[[], float]
LEAST_IDS = 5000
"""Several batches of one user must be found when they are sent again."""


def ids_kept(history_length: int) -> int:
    """How many of a user's event ids are remembered, at least."""
    return max(LEAST_IDS, 2 * history_length)


class StoreError(RuntimeError):
    """The store did not answer, or refused; asking again later may help."""


@dataclass(frozen=True, slots=True)
class Event:
    """Something a customer did with an item.

    Args:
        user_id: whose.
        event_id: of this event; the same one again is a duplicate.
        item_id: the item.
        event_type: e.g. view, see `schema.EventType`.
        time_ms: milliseconds since 1970 at which it happened.
    """

    user_id: str
    event_id: str
    item_id: str
    event_type: str
    time_ms: int


@dataclass(frozen=True, slots=True)
class UserHistory:
    """A user's latest events, oldest first; the lists have the same length.

    Args:
        item_id: items.
        event_type: event types.
        time_ms: milliseconds since 1970.
    """

    item_id: list[str] = field(default_factory=list)
    event_type: list[str] = field(default_factory=list)
    time_ms: list[int] = field(default_factory=list)


def as_history(rows: Sequence[Sequence[Any]]) -> UserHistory:
    """A history from rows of item, event type and milliseconds, oldest first."""
    return UserHistory(*map(list, zip(*rows, strict=True))) if rows else UserHistory()


class EventStore(Protocol):
    """An online store; every method raises `StoreError` where the store does not answer."""

    @property
    def ledger(self) -> Ledger:
        """What was done with customers, kept in the same place."""

    async def open(self) -> list[str]:
        """Connect; returns what whoever runs it should know, in sentences."""

    async def append(self, events: Sequence[Event]) -> int:
        """Store events durably, all or none; returns how many were new."""

    async def history(self, user_ids: Sequence[str]) -> list[UserHistory]:
        """The latest events of each user, in the order asked for; empty for unknown users."""

    async def erase(self, user_id: str) -> int:
        """Remove all of a user; returns how many events there were."""

    async def ping(self) -> None:
        """Return if the store answers."""

    async def close(self) -> None:
        """Finish what is under way and let go of files and connections."""


class ArrivalClock:
    """Numbers that grow with every event, also between processes: nanoseconds since 1970, never the same twice.

    Args:
        clock: seconds since 1970.
    """

    def __init__(self, clock: Clock):
        self._clock, self._last = clock, 0

    def now_ms(self) -> int:
        """Milliseconds since 1970."""
        return int(self._clock() * 1000)

    def next(self) -> int:
        """The number of the event that arrived now."""
        self._last = max(self._last + 1, int(self._clock() * 1e9))
        return self._last
