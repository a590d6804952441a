"""What users take for the first time in the days after a question: dense targets for what is new to them.

The next basket holds few items that are new to its user, the following weeks hold many. Both ask the same of a model,
to rank what the user has not had yet, so it learns from the latter too.
"""

from dataclasses import dataclass

import numpy as np

from data_pipelines.timelines import SECONDS_PER_DAY, IntArray, LongArray, Queries, Timelines


@dataclass(frozen=True)
class Discoveries:
    """Further targets of `n` questions.

    Args:
        begin: `[n]` the discoveries of question `q` are `item[begin[q]:end[q]]`.
        end: `[n]`.
        item: item indices, distinct within a question, none of them in the question's visible history.
    """

    begin: LongArray
    end: LongArray
    item: IntArray

    def take(self, index: LongArray) -> "Discoveries":
        """Those of the questions at the positions `index` `[m]`, in that order."""
        return Discoveries(self.begin[index], self.end[index], self.item)


def find_discoveries(timelines: Timelines, queries: Queries, days: float) -> Discoveries:
    """Collect the targets, of a question and of its user's later ones within `days`, that are new to the user.

    Args:
        timelines: the events.
        queries: the training questions, sorted by user and time. Only their own targets are looked at, so nothing that
            is held out can show.
        days: how far to look ahead from each question; 0 looks no further than the question itself.
    """
    owner = np.repeat(np.arange(len(queries)), np.diff(queries.target_offsets))
    n_items = int(max(timelines.item.max(initial=0), queries.target_item.max(initial=0))) + 1
    pairs, first = np.unique(timelines.user.astype(np.int64) * n_items + timelines.item, return_index=True)
    pair = queries.user[owner].astype(np.int64) * n_items + queries.target_item
    new = first[np.searchsorted(pairs, pair)] >= queries.end[owner]  # rows of a user are in the order of time
    offsets = np.concatenate([[0], np.cumsum(np.bincount(owner[new], minlength=len(queries)))])
    earliest = queries.time.min(initial=0)
    span = int(queries.time.max(initial=0) - earliest + days * SECONDS_PER_DAY) + 1
    key = queries.user * np.int64(span) + queries.time - earliest
    last = np.searchsorted(key, key + int(days * SECONDS_PER_DAY), side="right")
    return Discoveries(offsets[:-1], offsets[last], queries.target_item[new])
