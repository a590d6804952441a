"""Frequent item sets: which things stand in at least so many baskets together.

Counted size by size (Apriori: what is contained in a frequent set is frequent), each size by products of sparse
matrices: with X `[baskets, items]` of zeros and ones and C `[baskets, sets]` of the baskets that hold each set, the
baskets that hold set s and item i are

    (C^T X)[s, i]

so that no basket is walked in Python. mlxtend's FP-growth and Apriori find the same sets and can be asked for instead.
References: Agrawal & Srikant, "Fast Algorithms for Mining Association Rules", VLDB 1994; Han, Pei & Yin, "Mining
Frequent Patterns without Candidate Generation", SIGMOD 2000; Raschka, "MLxtend", JOSS 2018.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import sparse

from data_pipelines.schema import InputError

LongArray = npt.NDArray[np.int64]
Algorithm = Literal["matrix", "fp-growth", "apriori"]
ALGORITHMS: tuple[Algorithm, ...] = ("matrix", "fp-growth", "apriori")
NOTHING = -1
"""Fills up rows of sets of several sizes."""
CELLS = 2**24
"""Entries of the largest matrix held at a time: 200 MB at worst."""
MOST_SETS = 2_000_000
"""Sets of one size: some dozen baskets of a thousand things hold billions together, which no memory does."""


@dataclass(frozen=True)
class FrequentSets:
    """Frequent sets of every size, and how many baskets hold each.

    Args:
        items: per size k, `[m_k, k]` item indices, ascending within a row, rows in lexicographic order. Every part of a
            frequent set is among them.
        baskets: per size, `[m_k]` baskets that hold the set.
        n_baskets: all baskets, empty ones too.
        n_items: items of the shop, rare ones too.
    """

    items: tuple[LongArray, ...]
    baskets: tuple[LongArray, ...]
    n_baskets: int
    n_items: int

    def __len__(self) -> int:
        return sum(map(len, self.items))

    @property
    def n_frequent_items(self) -> int:
        """Sets of one item."""
        return len(self.items[0])

    @cached_property
    def _codes(self) -> tuple[LongArray, ...]:
        """Per size, `[m_k]` ascending numbers that tell sets apart: place of all items but the last, and the last."""
        codes = [self.items[0][:, 0]]
        for items in self.items[1:]:
            codes.append(self._place(items[:, :-1], codes) * self.n_items + items[:, -1])
        return tuple(codes)

    def _place(self, sets: LongArray, codes: Any) -> LongArray:
        place = np.searchsorted(codes[0], sets[:, 0])
        for size in range(1, sets.shape[1]):
            place = np.searchsorted(codes[size], place * self.n_items + sets[:, size])
        return place

    def place(self, sets: LongArray) -> LongArray:
        """Where frequent sets of one size, `[r, k]` ascending within rows, stand in `items[k - 1]`, `[r]`."""
        return self._place(sets, self._codes)

    def count(self, sets: LongArray) -> LongArray:
        """Baskets that hold each of some frequent sets, `[r]`.

        Args:
            sets: `[r, width]`, ascending within rows, filled up with `NOTHING`; a row of nothing is in every basket.
        """
        size = (sets != NOTHING).sum(axis=1)
        found = np.full(len(sets), self.n_baskets, np.int64)
        for k in range(1, len(self.items) + 1):
            rows = np.flatnonzero(size == k)
            found[rows] = self.baskets[k - 1][self.place(sets[rows, :k])]
        return found


def frequent_sets(
    contents: Any,
    min_baskets: int,
    max_length: int,
    *,
    algorithm: Algorithm = "matrix",
    advance: Callable[[float], None] = lambda share: None,
) -> FrequentSets:
    """Find all sets that enough baskets hold.

    Args:
        contents: sparse `[n_baskets, n_items]`, true where the basket holds the item.
        min_baskets: baskets that make a set frequent.
        max_length: items of the largest set.
        algorithm: `matrix`, or mlxtend's `fp-growth` or `apriori`, slower and with the same answer.
        advance: told now and then what share of the sets of a size is done.

    Raises:
        InputError: if a threshold is below 1, the algorithm unknown, or more than `MOST_SETS` sets of a size frequent.
    """
    for name, value in (("min_baskets", min_baskets), ("max_length", max_length)):
        if value < 1:
            raise InputError(f"{name}={value}: must be at least 1")
    if algorithm not in ALGORITHMS:
        raise InputError(f"algorithm={algorithm!r}: unknown; it is one of {', '.join(ALGORITHMS)}")
    held = sparse.csr_matrix(contents, dtype=np.int32)
    total = np.bincount(held.indices, minlength=held.shape[1])
    frequent = np.flatnonzero(total >= min_baskets)
    # Rare items are in no frequent set: without them the work shrinks to a fraction.
    table, counts = held[:, frequent], total[frequent].astype(np.int64)
    if algorithm == "matrix":
        by_size = list(_by_products(table, counts, min_baskets, max_length, advance))
    else:
        by_size = list(_by_mlxtend(table, min_baskets, max_length, algorithm))
    items = tuple(frequent[positions].astype(np.int64) for positions, _ in by_size)
    return FrequentSets(items, tuple(baskets for _, baskets in by_size), *map(int, held.shape))


def _by_products(
    table: Any, counts: LongArray, min_baskets: int, max_length: int, advance: Callable[[float], None]
) -> Iterator[tuple[LongArray, LongArray]]:
    """Sets `[m_k, k]` of columns of `table` and their baskets, size by size, at least the single items."""
    n_baskets, n_items = table.shape
    by_column = table.tocsc()
    sets = np.arange(n_items)[:, None]
    yield sets, counts
    at_once = max(1, CELLS // max(n_baskets, n_items, 1))
    for size in range(2, max_length + 1):
        found, n_found = [], 0
        for first in range(0, len(sets), at_once):
            some = sets[first : first + at_once]
            together = (baskets_holding(by_column, some).T.tocsr() @ table).tocoo()  # [some, n_items]
            # Only items after the last one: every set is met once, from its first items.
            keep = (together.data >= min_baskets) & (together.col > some[together.row, -1])
            order = np.lexsort((together.col[keep], together.row[keep]))
            row, column, count = (values[keep][order] for values in (together.row, together.col, together.data))
            found.append((np.column_stack([some[row], column]), count.astype(np.int64)))
            n_found += len(count)
            if n_found > MOST_SETS:
                raise InputError(
                    f"over {MOST_SETS:,} sets of {size} things are in at least {min_baskets:,} baskets, too many for "
                    "rules; raise --min-support, lower --max-length, or leave out baskets of hundreds of things"
                )
            advance((first + len(some)) / len(sets))
        if not n_found:
            return
        sets = np.concatenate([part.reshape(-1, size) for part, _ in found])
        yield sets, np.concatenate([count for _, count in found])


def baskets_holding(by_column: Any, sets: LongArray) -> Any:
    """Which baskets hold which sets.

    Args:
        by_column: sparse CSC `[n_baskets, n_items]` of zeros and ones.
        sets: `[m, k]` columns.

    Returns:
        Sparse CSC `[n_baskets, m]` of zeros and ones.
    """
    held = by_column[:, sets[:, 0]]
    for position in range(1, sets.shape[1]):
        held = held.multiply(by_column[:, sets[:, position]])
    return held.tocsc()


def _by_mlxtend(
    table: Any, min_baskets: int, max_length: int, algorithm: Algorithm
) -> Iterator[tuple[LongArray, LongArray]]:
    """The same from mlxtend."""
    from mlxtend.frequent_patterns import apriori, fpgrowth  # slow to import, and seldom asked for

    n_baskets, n_items = table.shape
    if not n_items:
        yield np.zeros((0, 1), np.int64), np.zeros(0, np.int64)
        return
    frame = pd.DataFrame.sparse.from_spmatrix(table.astype(bool))  # type: ignore[attr-defined]
    # Half a basket below the threshold: a share that is rounded must not decide.
    support = (min_baskets - 0.5) / n_baskets
    if algorithm == "apriori":
        found = apriori(frame, min_support=support, max_len=max_length, low_memory=True)
    else:
        found = fpgrowth(frame, min_support=support, max_len=max_length)
    baskets = np.rint(found["support"].to_numpy() * n_baskets).astype(np.int64)
    sizes = found["itemsets"].map(len).to_numpy()
    for size in range(1, int(sizes.max()) + 1):
        chosen = sizes == size
        sets = np.array([sorted(items) for items in found["itemsets"][chosen]], np.int64)  # [m_k, k]
        order = np.lexsort(sets.T[::-1])
        yield sets[order], baskets[chosen][order]
