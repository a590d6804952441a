"""What is visible to a query, as flat arrays: the common input of every baseline.

Events of one user that share a timestamp are one basket, and an item counts once per basket. Items outside the
vocabulary are dropped: they would all be the same item.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import sparse

from data_pipelines.schema import FIRST_KNOWN
from models.recommender import QueriesLike, TimelinesLike

SECONDS_PER_DAY = 86_400


@dataclass(frozen=True)
class History:
    """The visible past of `n` queries, one row per query, basket and item.

    Args:
        user: `[n]` user index of each query.
        n_baskets: `[n]` visible baskets of each query.
        query: `[m]` the query that a row belongs to, ascending.
        item: `[m]` item index, known items only.
        age_days: `[m]` days from the event to the query's time.
        basket: `[m]` position of the basket in the query's history, 0 is the oldest.
    """

    user: npt.NDArray[np.int32]
    n_baskets: npt.NDArray[np.int64]
    query: npt.NDArray[np.int64]
    item: npt.NDArray[np.int32]
    age_days: npt.NDArray[np.float64]
    basket: npt.NDArray[np.int64]

    def matrix(self, n_items: int, weight: npt.NDArray[np.float64] | None = None) -> Any:
        """Sum the rows' weights per query and item.

        Args:
            n_items: vocabulary size.
            weight: `[m]`, 1 per row if None.

        Returns:
            Sparse CSR matrix `[n, n_items]`, float32.
        """
        values = np.ones(len(self.item)) if weight is None else weight
        return sparse.csr_matrix((values, (self.query, self.item)), shape=(len(self.user), n_items), dtype=np.float32)


def visible_history(timelines: TimelinesLike, queries: QueriesLike) -> History:
    """The events that the queries may see.

    Args:
        timelines: the events that the queries point into.
        queries: `n` queries.
    """
    start = timelines.offsets[queries.user]
    length = queries.end - start
    query = np.repeat(np.arange(len(queries)), length)
    row = np.arange(length.sum()) + np.repeat(queries.end - np.cumsum(length), length)
    item, time = timelines.item[row], timelines.time[row]

    opens = np.ones(len(row), bool)  # the first event of a basket
    opens[1:] = (query[1:] != query[:-1]) | (time[1:] != time[:-1])
    n_baskets = np.bincount(query[opens], minlength=len(queries))
    basket = np.cumsum(opens) - 1 - (np.cumsum(n_baskets) - n_baskets)[query]
    repeats = np.zeros(len(row), bool)  # timelines are sorted by item within a basket
    repeats[1:] = ~opens[1:] & (item[1:] == item[:-1])
    keep = ~repeats & (item >= FIRST_KNOWN)
    age_days = (queries.time[query] - time) / SECONDS_PER_DAY
    return History(queries.user, n_baskets, query[keep], item[keep], age_days[keep], basket[keep])


@dataclass(frozen=True)
class _Ends:
    """One query per user, asked at the last event of the log."""

    user: npt.NDArray[np.int32]
    end: npt.NDArray[np.int64]
    time: npt.NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.user)


def whole_history(timelines: TimelinesLike) -> History:
    """Everything each user did, for the users who did something; ages count from the last event of all."""
    user = np.flatnonzero(np.diff(timelines.offsets)).astype(np.int32)
    last = np.full(len(user), timelines.time.max(initial=0))
    return visible_history(timelines, _Ends(user, timelines.offsets[user + 1], last))


def half_life_weight(age_days: npt.NDArray[np.float64], half_life_days: float) -> npt.NDArray[np.float64]:
    """Exponential decay `2 ** (-age / half_life)`."""
    return np.exp2(-age_days / half_life_days)
