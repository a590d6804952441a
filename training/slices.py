"""Parts of a test set that are looked at apart: groups of users, and groups of targets.

An average hides who is served badly. A *slice* is a subset of the queries (users with short histories, a demographic
segment); a *task* keeps the queries but only some of their targets (items bought before, new ones, rare ones).
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from data_pipelines.features import FeatureTable
from data_pipelines.schema import FIRST_KNOWN
from data_pipelines.timelines import Queries, Timelines, histories
from training.ranking_metrics import BoolArray, IntArray, LongArray

HISTORY_BUCKETS = {"none": (0, 0), "1–5": (1, 5), "6–20": (6, 20), "21–50": (21, 50), "51+": (51, None)}
"""Baskets in the visible history, bounds included; `none` are the new users."""

POPULARITY_BUCKETS = ("rare", "medium", "popular")
"""Thirds of the catalogue by the number of events learnt from."""


@dataclass(frozen=True)
class Task:
    """Some targets of some queries.

    Args:
        queries: the queries that still have a target, with those targets only.
        position: `[len(queries)]` their positions in the set they were taken from.
        unseen: whether items of the visible history may not be recommended.
    """

    queries: Queries
    position: LongArray
    unseen: bool = False

    @property
    def targets(self) -> LongArray:
        """`[len(queries)]` number of targets, at least 1."""
        return np.diff(self.queries.target_offsets)


def task(queries: Queries, keep: BoolArray, *, unseen: bool = False) -> Task:
    """Keep the targets for which `keep` `[targets]` holds, and the queries that have one left."""
    kept = np.concatenate([[0], np.cumsum(keep)])[queries.target_offsets]
    fewer = Queries(queries.user, queries.end, queries.time, kept.astype(np.int64), queries.target_item[keep])
    position = np.flatnonzero(np.diff(kept))
    return Task(fewer.take(position), position, unseen)


def seen_targets(timelines: Timelines, queries: Queries) -> BoolArray:
    """`[targets]`, whether each target is already in its query's visible history."""
    rows, query = histories(timelines, queries)
    size = 1 + max(int(timelines.item.max(initial=0)), int(queries.target_item.max(initial=0)))
    asked = np.repeat(np.arange(len(queries)), np.diff(queries.target_offsets))
    return np.isin(asked * size + queries.target_item, query * size + timelines.item[rows])


def history_baskets(timelines: Timelines, queries: Queries) -> LongArray:
    """`[n]` number of baskets (distinct event times) in each query's visible history."""
    rows, query = histories(timelines, queries)
    time = timelines.time[rows]
    first = np.ones(len(rows), bool)
    first[1:] = (time[1:] != time[:-1]) | (query[1:] != query[:-1])
    return np.bincount(query[first], minlength=len(queries)).astype(np.int64)


def history_slices(timelines: Timelines, queries: Queries) -> dict[str, BoolArray]:
    """Queries by the length of their history, `{bucket: [n]}`."""
    baskets = history_baskets(timelines, queries)
    return {
        name: (baskets >= low) & ((baskets <= high) if high is not None else True)
        for name, (low, high) in HISTORY_BUCKETS.items()
    }


def popularity_tercile(popularity: LongArray) -> IntArray:
    """`[items]` 0 for the third of the known items with the fewest events, 2 for the third with the most."""
    rank = np.zeros(len(popularity), np.int64)
    rank[FIRST_KNOWN + np.argsort(popularity[FIRST_KNOWN:], kind="stable")] = np.arange(len(popularity) - FIRST_KNOWN)
    return (rank * len(POPULARITY_BUCKETS) // max(len(popularity) - FIRST_KNOWN, 1)).astype(np.int32)


def segment_slices(
    users: FeatureTable, user: npt.NDArray[np.integer], largest: int = 20
) -> dict[str, dict[str, BoolArray]]:
    """Queries by every categorical user feature with at most `largest` categories, `{feature: {category: [n]}}`."""
    return {
        feature.name: {
            category or "missing": feature.values[user] == code for code, category in enumerate(feature.vocabulary)
        }
        for feature in users.features
        if feature.kind == "categorical" and len(feature.vocabulary) <= largest + 1
    }


def next_basket_tasks(timelines: Timelines, queries: Queries, popularity: LongArray) -> dict[str, Task]:
    """The next basket as a whole, what is bought again and what is new in it, and its targets by popularity.

    Args:
        timelines: the events.
        queries: `n` next-basket queries.
        popularity: `[items]` events of each item in the data learnt from.
    """
    seen = seen_targets(timelines, queries)
    tercile = popularity_tercile(popularity)[queries.target_item]
    return {
        "next_basket": task(queries, np.ones(len(seen), bool)),
        "repeat": task(queries, seen),
        "explore": task(queries, ~seen, unseen=True),
        **{f"{name}_items": task(queries, tercile == code) for code, name in enumerate(POPULARITY_BUCKETS)},
    }
