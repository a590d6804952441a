"""Real requests, as a client would send them: what an export is verified with, warmed up with, and shown by."""

from typing import Any

import numpy as np
import numpy.typing as npt

from data_pipelines.schema import (
    CANDIDATE_ITEM_ID,
    EXCLUDE_ITEM_ID,
    FIRST_KNOWN,
    HISTORY_EVENT_TYPE,
    HISTORY_ITEM_ID,
    HISTORY_TIMESTAMP,
    ITEM_EMBEDDING,
    ITEM_ID,
    SCORE_SIGNATURE,
    SERVING_DEFAULT,
    TIMESTAMP,
    UNKNOWN,
    USER_EMBEDDING,
    USER_ID,
    K,
)
from data_pipelines.splits import Split
from data_pipelines.timelines import Queries, histories

Arrays = dict[str, npt.NDArray[Any]]
Requests = dict[str, Arrays]
"""Inputs by signature."""


def typical_queries(split: Split, count: int) -> Queries:
    """Questions at the end of the log by `count` users, from the shortest history to the longest, and an unknown user."""
    timelines = split.timelines
    lengths = np.diff(timelines.offsets)[FIRST_KNOWN:]
    by_length = np.argsort(lengths, kind="stable") + FIRST_KNOWN
    chosen = by_length[np.linspace(0, len(by_length) - 1, min(count, len(by_length))).astype(int)]
    user = np.append(chosen, UNKNOWN).astype(np.int32)
    time = np.full(len(user), timelines.time.max() + 1)
    no_targets = np.zeros(len(user) + 1, np.int64), np.zeros(0, np.int32)
    return Queries(user, timelines.offsets[user + 1], time, *no_targets)


def make_requests(split: Split, queries: Queries, k: int, candidates: npt.NDArray[np.int32]) -> Requests:
    """One request per signature.

    Args:
        split: the data.
        queries: `n` questions, asked in one batch.
        k: items to recommend.
        candidates: item indices to score, and to embed.
    """
    rows, query = histories(split.timelines, queries)
    counts = np.bincount(query, minlength=len(queries))
    column = np.arange(len(rows)) - np.repeat(np.cumsum(counts) - counts, counts)
    shape = (len(queries), int(counts.max(initial=0)))

    def padded(values: npt.NDArray[Any]) -> npt.NDArray[Any]:
        matrix = np.zeros(shape, values.dtype)  # zero is "" for strings
        matrix[query, column] = values
        return matrix

    timelines, items = split.timelines, np.asarray(split.items.ids)
    history = {
        USER_ID: np.asarray(split.users.ids)[queries.user],
        TIMESTAMP: queries.time,
        HISTORY_ITEM_ID: padded(items[timelines.item[rows]]),
        HISTORY_EVENT_TYPE: padded(np.asarray(split.event_types)[timelines.event_type[rows]]),
        HISTORY_TIMESTAMP: padded(timelines.time[rows]),
    }
    nothing = np.zeros((len(queries), 0), np.str_)
    every = np.broadcast_to(items[candidates], (len(queries), len(candidates)))
    return {
        SERVING_DEFAULT: {**history, K: np.array(k, np.int32), EXCLUDE_ITEM_ID: nothing},
        SCORE_SIGNATURE: {**history, CANDIDATE_ITEM_ID: every},
        USER_EMBEDDING: history,
        ITEM_EMBEDDING: {ITEM_ID: items[candidates]},
    }
