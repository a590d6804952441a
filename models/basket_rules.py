"""Association rules: who has these things in the basket often has those too.

For a rule A → C over n baskets, with n(S) the baskets that hold all of S:

    support     n(A ∪ C) / n                     confidence  n(A ∪ C) / n(A)
    lift        confidence / (n(C) / n)          leverage    support − n(A) n(C) / n²
    conviction  (1 − n(C) / n) / (1 − confidence)

References: Agrawal, Imieliński & Swami, "Mining Association Rules between Sets of Items in Large Databases", SIGMOD
1993; Brin et al., "Dynamic Itemset Counting and Implication Rules for Market Basket Data", SIGMOD 1997 (lift,
conviction); Piatetsky-Shapiro, "Discovery, Analysis, and Presentation of Strong Rules", 1991 (leverage).
"""

from dataclasses import dataclass, fields, replace
from itertools import combinations

import numpy as np
import numpy.typing as npt

from data_pipelines.schema import InputError
from models.frequent_sets import NOTHING, FrequentSets, LongArray

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Rules:
    """Rules A → C and the counts behind them.

    Args:
        antecedent: `[r, width]` items of A, ascending, filled up with `NOTHING`.
        consequent: `[r, width]` items of C, likewise.
        baskets: `[r]` baskets that hold A and C.
        antecedent_baskets: `[r]` baskets that hold A.
        consequent_baskets: `[r]` baskets that hold C.
        n_baskets: all baskets.
    """

    antecedent: LongArray
    consequent: LongArray
    baskets: LongArray
    antecedent_baskets: LongArray
    consequent_baskets: LongArray
    n_baskets: int

    def __len__(self) -> int:
        return len(self.baskets)

    def take(self, index: npt.NDArray[np.bool_ | np.integer]) -> "Rules":
        """Some of the rules, by mask or by place."""
        arrays = {field.name: getattr(self, field.name)[index] for field in fields(self) if field.name != "n_baskets"}
        return replace(self, **arrays)

    @property
    def antecedent_size(self) -> LongArray:
        """`[r]` items of A."""
        return (self.antecedent != NOTHING).sum(axis=1).astype(np.int64)

    @property
    def consequent_size(self) -> LongArray:
        """`[r]` items of C."""
        return (self.consequent != NOTHING).sum(axis=1).astype(np.int64)

    @property
    def size(self) -> LongArray:
        """`[r]` items of A and C together."""
        return self.antecedent_size + self.consequent_size

    @property
    def support(self) -> FloatArray:
        """`[r]` share of all baskets that hold A and C."""
        return self.baskets / self.n_baskets

    @property
    def confidence(self) -> FloatArray:
        """`[r]` share of the baskets with A that hold C too."""
        return self.baskets / self.antecedent_baskets

    @property
    def lift(self) -> FloatArray:
        """`[r]` how many times as often as if A and C had nothing to do with each other."""
        return self.confidence / (self.consequent_baskets / self.n_baskets)

    @property
    def leverage(self) -> FloatArray:
        """`[r]` share of all baskets by which A and C are together more often than by chance."""
        return self.support - self.antecedent_baskets * self.consequent_baskets / self.n_baskets**2

    @property
    def conviction(self) -> FloatArray:
        """`[r]` how many times as often A would be without C by chance; infinite for a rule without exception."""
        missing = self.antecedent_baskets - self.baskets
        by_chance = (1 - self.consequent_baskets / self.n_baskets) * self.antecedent_baskets
        return np.divide(by_chance, missing, out=np.full(len(self), np.inf), where=missing > 0)


def association_rules(sets: FrequentSets, max_consequent: int = 1) -> Rules:
    """Every way to divide the frequent sets into antecedent and consequent.

    Args:
        sets: frequent sets with all their parts.
        max_consequent: items of the largest consequent.

    Raises:
        InputError: if `max_consequent` is below 1.
    """
    if max_consequent < 1:
        raise InputError(f"max_consequent={max_consequent}: must be at least 1")
    width = len(sets.items)
    antecedents, consequents = [np.zeros((0, width), np.int64)], [np.zeros((0, width), np.int64)]
    for size, items in enumerate(sets.items[1:], start=2):
        for n_then in range(1, min(max_consequent, size - 1) + 1):
            for then in combinations(range(size), n_then):
                antecedents.append(padded(np.delete(items, then, axis=1), width))
                consequents.append(padded(items[:, then], width))
    antecedent, consequent = np.concatenate(antecedents), np.concatenate(consequents)
    return Rules(
        antecedent=antecedent,
        consequent=consequent,
        baskets=sets.count(union(antecedent, consequent)),
        antecedent_baskets=sets.count(antecedent),
        consequent_baskets=sets.count(consequent),
        n_baskets=sets.n_baskets,
    )


def padded(items: LongArray, width: int) -> LongArray:
    """`[r, k]` filled up with `NOTHING` to `[r, width]`."""
    return np.pad(items, ((0, 0), (0, width - items.shape[1])), constant_values=NOTHING)


def union(some: LongArray, others: LongArray) -> LongArray:
    """The items of two rows without a common one, ascending, `[r, width]`; both `[r, width]`, together no wider."""
    last = np.iinfo(np.int64).max
    both = np.concatenate([some, others], axis=1)
    both = np.sort(np.where(both == NOTHING, last, both), axis=1)[:, : some.shape[1]]
    return np.where(both == last, NOTHING, both)


def without(items: LongArray, position: int) -> LongArray:
    """Rows `[r, width]` without the item at a position, filled up with `NOTHING` again."""
    return padded(np.delete(items, position, axis=1), items.shape[1])
