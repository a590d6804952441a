"""What a client would ask an exported model for users: their whole history, one second after the end of the log."""

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from data_pipelines.prepared_tables import read_table
from data_pipelines.schema import (
    EVENT_TYPE,
    EVENTS,
    EXCLUDE_ITEM_ID,
    HISTORY_EVENT_TYPE,
    HISTORY_ITEM_ID,
    HISTORY_TIMESTAMP,
    ITEM_ID,
    TIMESTAMP,
    USER_ID,
    K,
)

BATCH_SIZE = 256
BATCH_EVENTS, BATCH_SCORES = 500_000, 25_000_000
"""Events (padding included), and scores of items, in one batch at the most: bounds memory."""
LONGEST_HISTORY = 16_384
"""Events of a user that are sent at the most, the most recent ones: far more than models look at."""
Arrays = dict[str, npt.NDArray[Any]]
IndexArray = npt.NDArray[np.int64]


class UserRequests:
    """Inputs of the signature `serving_default` for many users.

    Args:
        events: the log, sorted by user and time.
        users: who is asked for; whoever has no events is sent with an empty history.
        k: items per user.
        exclude_seen: name every item of a user's events as one not to recommend.
        n_items: size of the catalogue: a batch is smaller where every row of its scores is long.
    """

    def __init__(self, events: pl.DataFrame, users: pl.Series, k: int, *, exclude_seen: bool = False, n_items: int = 0):
        self.users, self.k, self.events = users.to_numpy().astype(np.str_), k, events
        self.batch_size = int(np.clip(BATCH_SCORES // max(n_items, 1), 1, BATCH_SIZE))
        self.event_time = events[TIMESTAMP].dt.epoch("s")
        self.now = int(self.event_time.to_numpy().max(initial=0)) + 1
        first, count = _spans(events, users)
        self.count = np.minimum(count, LONGEST_HISTORY)
        self.first = first + count - self.count
        self.seen = events.select(USER_ID, ITEM_ID).unique(maintain_order=True)  # sorted by user still
        first, count = _spans(self.seen, users)
        self.first_seen, self.count_seen = first, count if exclude_seen else np.zeros_like(count)

    def batches(self) -> list[IndexArray]:
        """Positions in `users`, those with short histories first, so that batches hold little padding."""
        order = np.argsort(self.count, kind="stable")
        batches, start = [], 0
        while start < len(order):
            longest = self.count[order[min(start + self.batch_size, len(order)) - 1]]
            size = int(np.clip(BATCH_EVENTS // max(longest, 1), 1, self.batch_size))
            batches.append(order[start : start + size])
            start += size
        return batches

    def make(self, rows: IndexArray) -> Arrays:
        """One request for the users at the positions `rows` `[batch]`; histories are padded on the right."""
        event = _positions(self.first[rows], self.count[rows])
        seen = _positions(self.first_seen[rows], self.count_seen[rows])
        return {
            USER_ID: self.users[rows],
            TIMESTAMP: np.full(len(rows), self.now, np.int64),
            HISTORY_ITEM_ID: _strings(self.events[ITEM_ID], event),
            HISTORY_EVENT_TYPE: _strings(self.events[EVENT_TYPE], event),
            HISTORY_TIMESTAMP: _gather(self.event_time, event, 0).astype(np.int64),
            EXCLUDE_ITEM_ID: _strings(self.seen[ITEM_ID], seen),
            K: np.array(self.k, np.int32),
        }


def read_events(data: Path) -> pl.DataFrame:
    """The log of a prepared data folder."""
    return read_table(data, EVENTS.name, [USER_ID, ITEM_ID, EVENT_TYPE, TIMESTAMP])


def first_line(error: Exception) -> str:
    """What an error of a library says, without its explanations."""
    return str(error).partition("\n")[0]


def _spans(table: pl.DataFrame, users: pl.Series) -> tuple[IndexArray, IndexArray]:
    """First row and number of rows of every user in a table sorted by user."""
    spans = table.with_row_index("row").group_by(USER_ID).agg(pl.col("row").min(), pl.len())
    found = users.rename(USER_ID).to_frame().join(spans, on=USER_ID, how="left", maintain_order="left").fill_null(0)
    return found["row"].to_numpy().astype(np.int64), found["len"].to_numpy().astype(np.int64)


def _positions(first: IndexArray, count: IndexArray) -> IndexArray:
    """Row numbers `[batch, longest]`, -1 for padding on the right."""
    column = np.arange(count.max(initial=0))
    return np.where(column < count[:, None], first[:, None] + column, -1)


def _gather(values: pl.Series, position: IndexArray, padding: Any) -> npt.NDArray[Any]:
    taken = values.gather(np.maximum(position, 0).ravel()).to_numpy().reshape(position.shape)
    return np.where(position < 0, padding, taken)


def _strings(values: pl.Series, position: IndexArray) -> npt.NDArray[np.str_]:
    return _gather(values, position, "").astype(np.str_)
