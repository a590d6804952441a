"""Real requests to every signature: what an export is verified with, warmed up with, and shown by."""

from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl

from data_pipelines.schema import (
    CANDIDATE_ITEM_ID,
    EXCLUDE_ITEM_ID,
    FIRST_KNOWN,
    ITEM_EMBEDDING,
    ITEM_ID,
    SCORE_SIGNATURE,
    SERVING_DEFAULT,
    UNKNOWN,
    USER_EMBEDDING,
    K,
)
from data_pipelines.splits import Split
from data_pipelines.timelines import Queries
from training.user_requests import Arrays, UserRequests, read_events

Requests = dict[str, Arrays]
"""Inputs by signature."""


def typical_queries(split: Split, count: int) -> Queries:
    """Questions at the end of the log: `count` users, from the shortest history to the longest, and an unknown one."""
    timelines = split.timelines
    by_length = np.argsort(np.diff(timelines.offsets)[FIRST_KNOWN:], kind="stable") + FIRST_KNOWN
    chosen = by_length[np.linspace(0, len(by_length) - 1, min(count, len(by_length))).astype(int)]
    user = np.append(chosen, UNKNOWN).astype(np.int32)
    time = np.full(len(user), timelines.time.max() + 1)
    no_targets = np.zeros(len(user) + 1, np.int64), np.zeros(0, np.int32)
    return Queries(user, timelines.offsets[user + 1], time, *no_targets)


def make_requests(data: Path, split: Split, queries: Queries, k: int, candidates: npt.NDArray[np.int32]) -> Requests:
    """The questions in one batch, to every signature, from the raw log.

    Args:
        data: the prepared data folder.
        split: its division.
        queries: `n` questions at the end of the log, as `typical_queries` poses them.
        k: items to recommend.
        candidates: item indices to score, and to embed.
    """
    users = pl.Series(np.asarray(split.users.ids)[queries.user].tolist(), dtype=pl.String)
    asked = UserRequests(read_events(data), users, k).make(np.arange(len(users)))
    history = {name: array for name, array in asked.items() if name not in (K, EXCLUDE_ITEM_ID)}
    items = np.asarray(split.items.ids)[candidates]
    return {
        SERVING_DEFAULT: asked,
        SCORE_SIGNATURE: {**history, CANDIDATE_ITEM_ID: np.tile(items, (len(users), 1))},
        USER_EMBEDDING: history,
        ITEM_EMBEDDING: {ITEM_ID: items},
    }
