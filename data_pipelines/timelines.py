"""Per-user timelines as flat arrays, and queries that point into them.

A timeline is what one user did, oldest event first. All timelines stand one behind the other in flat arrays, so a
history is a slice, a batch of histories is one gather, and nothing is copied per training window. Events of one user
that share a timestamp are one *basket* (a checkout, or a single click where every event has its own time).
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

IntArray = npt.NDArray[np.int32]
LongArray = npt.NDArray[np.int64]
SECONDS_PER_DAY = 86_400


@dataclass(frozen=True)
class Timelines:
    """Every user's events, sorted by user, then time, then item.

    Args:
        offsets: `[n_users + 1]`; the events of user `u` are the rows `offsets[u]:offsets[u + 1]`. Users 0 (padding) and
            1 (unknown) have none.
        item: `[n_events]` item index, `schema.UNKNOWN` for an item outside the vocabulary.
        time: `[n_events]` seconds since 1970-01-01 UTC.
        event_type: `[n_events]` index into the event type vocabulary.
    """

    offsets: LongArray
    item: IntArray
    time: LongArray
    event_type: IntArray

    @property
    def n_users(self) -> int:
        """Size of the user vocabulary, padding and unknown included."""
        return len(self.offsets) - 1

    @property
    def user(self) -> IntArray:
        """`[n_events]` user index of every event."""
        return np.repeat(np.arange(self.n_users, dtype=np.int32), np.diff(self.offsets))

    def before(self, time: int) -> "Timelines":
        """The same users with only the events earlier than `time` (seconds since 1970-01-01 UTC)."""
        return self.where(self.time < time)

    def where(self, keep: npt.NDArray[np.bool_]) -> "Timelines":
        """The same users with only the events for which `keep` `[n_events]` holds."""
        kept = np.concatenate([[0], np.cumsum(keep)])
        return Timelines(kept[self.offsets].astype(np.int64), self.item[keep], self.time[keep], self.event_type[keep])


@dataclass(frozen=True)
class Queries:
    """Questions "what will this user take next?", each with the history that may be seen and the answer.

    Args:
        user: `[n]` user index.
        end: `[n]` the visible history of query `q` is the rows `offsets[user[q]]:end[q]` of the timelines.
        time: `[n]` seconds since 1970-01-01 UTC at which the question is asked; never before the last visible event.
        target_offsets: `[n + 1]`; the targets of query `q` are `target_item[target_offsets[q]:target_offsets[q + 1]]`.
        target_item: item indices, known and distinct within a query.
    """

    user: IntArray
    end: LongArray
    time: LongArray
    target_offsets: LongArray
    target_item: IntArray

    def __len__(self) -> int:
        return len(self.user)

    def take(self, index: npt.NDArray[np.integer]) -> "Queries":
        """The queries at the positions `index` `[m]`, in that order."""
        counts = np.diff(self.target_offsets)[index]
        offsets = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
        rows = np.arange(offsets[-1]) + np.repeat(self.target_offsets[index] - offsets[:-1], counts)
        return Queries(self.user[index], self.end[index], self.time[index], offsets, self.target_item[rows])


def histories(timelines: Timelines, queries: Queries) -> tuple[LongArray, LongArray]:
    """The visible history of every query as one flat list.

    Args:
        timelines: the events.
        queries: `n` queries.

    Returns:
        `rows` `[m]`, row numbers into the timelines' arrays, and `query` `[m]`, the query each row belongs to.
    """
    start = timelines.offsets[queries.user]
    counts = queries.end - start
    query = np.repeat(np.arange(len(queries)), counts)
    first = np.cumsum(counts) - counts
    rows = np.arange(counts.sum()) + np.repeat(start - first, counts)
    return rows, query
