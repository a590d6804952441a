"""Would the rules have been of use? One thing is taken out of every later basket, and guessed from the rest.

Rules are mined from the baskets before a date and asked about baskets after it: whatever changed in between counts
against them. Beside them stand popularity and, as a stronger rival without any explanation, the cosine between items
over all baskets (Sarwar et al., 2001; a basket in the place of a user).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl
from rich.progress import Progress
from scipy import sparse

from data_pipelines.baskets import Baskets, make_baskets
from data_pipelines.schema import ITEM_ID, InputError
from models.basket_rules import FloatArray, Rules
from models.bought_together import FALLBACK, BoughtTogether
from models.frequent_sets import LongArray

Score = Callable[[Any], FloatArray]
CELLS = 6_000_000
RARE = 20
"""Baskets below which the cosine does not compare an item: one basket would decide."""


@dataclass(frozen=True)
class Questions:
    """Baskets with one thing missing.

    Args:
        rest: sparse CSR `[n, n_items]`, what is left in the basket.
        target: `[n]` the item that was taken out.
        customer: `[n]` number of the customer, from 0.
    """

    rest: Any
    target: LongArray
    customer: LongArray

    def __len__(self) -> int:
        return len(self.target)


def take_one_out(events: pl.DataFrame, things: npt.NDArray[np.str_], seed: int = 0) -> Questions:
    """Take one known item out of every basket that holds at least two.

    Args:
        events: of the later baskets, from `data_pipelines.baskets.read_events`.
        things: `[n_items]` items that were there before; others are left out, as no model can guess them.
        seed: of the choice.

    Raises:
        InputError: if no basket holds two known items.
    """
    known = events.filter(pl.col(ITEM_ID).is_in(things.tolist()))
    later = make_baskets(known) if known.height else None
    size = np.diff(later.contents.indptr) if later else np.zeros(0, np.int64)
    rows = np.flatnonzero(size >= 2)
    if later is None or not len(rows):
        raise InputError("no later basket holds two items that were sold before; give an earlier --since")
    contents = later.contents[rows]
    column = np.searchsorted(things, later.things)[contents.indices]
    taken = contents.indptr[:-1] + np.random.default_rng(seed).integers(0, size[rows])
    left = np.ones(len(column), bool)
    left[taken] = False
    row = np.repeat(np.arange(len(rows)), size[rows])
    rest = sparse.csr_matrix((np.ones(left.sum(), bool), (row[left], column[left])), shape=(len(rows), len(things)))
    return Questions(rest, column[taken].astype(np.int64), later.customer[rows])


def rivals(baskets: Baskets, rules: Rules) -> Mapping[str, Score]:
    """What is compared: the rules, popularity, and the cosine between items.

    Args:
        baskets: of items, before the date.
        rules: mined from these.
    """
    popularity = np.bincount(baskets.contents.indices, minlength=len(baskets.things))
    return {
        "popularity": lambda rest: _without(rest, np.tile(popularity.astype(float), (rest.shape[0], 1))),
        "basket rules": BoughtTogether(rules, popularity).score,
        "item cosine (no rules)": _cosine(baskets, popularity),
    }


def ranks(score: Score, questions: Questions, progress: Progress, name: str) -> LongArray:
    """How many items were ranked before the one that was taken out, `[n]`; among equals the middle place."""
    at_once = max(1, CELLS // questions.rest.shape[1])
    found = []
    for first in progress.track(range(0, len(questions), at_once), description=name):
        scores = score(questions.rest[first : first + at_once])
        target = questions.target[first : first + at_once, None]
        own = np.take_along_axis(scores, target, axis=1)
        found.append((scores > own).sum(axis=1) + ((scores == own).sum(axis=1) - 1) // 2)
    return np.concatenate(found).astype(np.int64)


def _cosine(baskets: Baskets, popularity: npt.NDArray[np.integer]) -> Score:
    common = np.flatnonzero(popularity >= RARE)
    held = baskets.contents[:, common].astype(np.float32)
    scaled = held @ sparse.diags(1 / np.sqrt(popularity[common])).astype(np.float32)
    similarity = (scaled.T @ scaled).tocoo()
    apart = similarity.row != similarity.col
    similarity = sparse.csr_matrix(
        (similarity.data[apart], (common[similarity.row[apart]], common[similarity.col[apart]])),
        shape=(len(popularity), len(popularity)),
    )
    beneath = FALLBACK * popularity / max(int(popularity.max(initial=0)), 1)
    return lambda rest: _without(rest, (rest.astype(np.float64) @ similarity).toarray() + beneath)


def _without(rest: Any, scores: FloatArray) -> FloatArray:
    scores[rest.nonzero()] = -np.inf
    return scores
