"""Lift among like baskets: is it the pair, the size of the trip, or the customer?

In a shop nearly everything is "bought together": a large trip holds bread and milk and soap, so all lifts are above 1.
And a household that buys the same two things every week makes a pair that nobody else has. Both go away when baskets
are compared with their like. With groups g of baskets (of the same size, or of the same customer), and n_g(S) the
baskets of the group that hold all of S,

    lift among like baskets = n(A ∪ C) / Σ_g w_g · n_g(A) n_g(C) / n_g

w_g is 1 for customers. In baskets of s things, A leaves fewer places for C: things drawn at random meet

    w_g = E_g[(s)_{a+c}] / (E_g[(s)_a] E_g[(s)_c]),    (s)_a = s (s − 1) … (s − a + 1)

times as often as by independence, with a and c the items of A and C and the mean E_g over the baskets of the group; for
pairs in baskets of one size that is (s − 1) / s.
Reference: Mantel & Haenszel, 1959 (the expected count over strata); Aggarwal & Yu, "A New Framework for Itemset
Generation", PODS 1998 (lift and support mislead on baskets of all sizes).
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import sparse

from models.basket_rules import FloatArray, Rules
from models.frequent_sets import CELLS, NOTHING, LongArray, baskets_holding

MIN_GROUP = 500
"""Baskets of a group of sizes: fewer would make the expected counts noise."""


def lift_among_same_size(rules: Rules, contents: Any) -> FloatArray:
    """Lift among baskets of about the same number of things.

    Args:
        rules: the rules.
        contents: sparse `[n_baskets, n_items]`, true where the basket holds the item.

    Returns:
        `[r]`.
    """
    size = np.diff(sparse.csr_matrix(contents).indptr)
    group = _size_groups(size)
    falling = _falling_means(size, group, int(rules.size.max(initial=0)))
    apart = falling[:, :, None] * falling[:, None, :]
    both = falling[:, np.minimum(np.add.outer(*2 * (np.arange(falling.shape[1]),)), falling.shape[1] - 1)]
    quotient = np.divide(both, apart, out=np.zeros_like(both), where=apart > 0)  # [groups, a, c]

    def room(rows: npt.NDArray[np.integer]) -> FloatArray:
        """`[groups, rows]`, how many times as often as by independence things drawn at random meet."""
        return quotient[:, rules.antecedent_size[rows], rules.consequent_size[rows]]

    return _lift(rules, contents, group, room)


def lift_among_same_customer(rules: Rules, contents: Any, customer: LongArray) -> FloatArray:
    """Lift among each customer's own baskets: 1 where it is only that the same people buy both.

    Args:
        rules: the rules.
        contents: sparse `[n_baskets, n_items]`.
        customer: `[n_baskets]` number of the customer, from 0.

    Returns:
        `[r]`.
    """
    return _lift(rules, contents, customer, lambda rows: np.ones((1, len(rows))))


def customers(rules: Rules, contents: Any, customer: LongArray) -> LongArray:
    """How many customers have had antecedent and consequent in one basket, `[r]`; arguments as above."""
    counts, place = _by_group(contents, customer, np.concatenate([rules.antecedent, rules.consequent], axis=1))
    return np.diff(counts.indptr)[place].astype(np.int64)


def _lift(
    rules: Rules, contents: Any, group: LongArray, room: Callable[[npt.NDArray[np.integer]], FloatArray]
) -> FloatArray:
    baskets = np.bincount(group)  # [groups]
    counts, place = _by_group(contents, group, np.concatenate([rules.antecedent, rules.consequent]))
    first, then = place[: len(rules)], place[len(rules) :]
    expected = np.zeros(len(rules))
    for rows in _blocks(np.arange(len(rules)), len(baskets)):
        product = counts[:, first[rows]].multiply(counts[:, then[rows]]).tocoo()  # [groups, rows]
        weight = np.broadcast_to(room(rows), (len(baskets), len(rows)))[product.row, product.col]
        expected[rows] = np.bincount(product.col, product.data * weight / baskets[product.row], len(rows))
    return np.divide(rules.baskets, expected, out=np.full(len(rules), np.inf), where=expected > 0)


def _by_group(contents: Any, group: LongArray, sets: LongArray) -> tuple[Any, LongArray]:
    """How many baskets of each group hold each set.

    Args:
        contents: sparse `[n_baskets, n_items]`.
        group: `[n_baskets]`.
        sets: `[r, width]` with gaps of `NOTHING`.

    Returns:
        Sparse CSC `[groups, distinct sets]`, and `[r]` which of these each set is.
    """
    by_column = sparse.csc_matrix(contents, dtype=np.int32)
    distinct, place = np.unique(np.sort(sets, axis=1)[:, ::-1], axis=0, return_inverse=True)  # gaps go last
    size = (distinct != NOTHING).sum(axis=1)
    of_basket = sparse.csr_matrix((np.ones(len(group), np.int64), (group, np.arange(len(group)))))
    counts, order = [sparse.csc_matrix((of_basket.shape[0], 0), dtype=np.int64)], [np.zeros(0, np.int64)]
    for k in np.unique(size):
        for rows in _blocks(np.flatnonzero(size == k), len(group)):
            counts.append((of_basket @ baskets_holding(by_column, distinct[rows, :k])).tocsc())
            order.append(rows)
    back = np.argsort(np.concatenate(order))
    return sparse.hstack(counts, format="csc"), back[place.ravel()]


def _blocks(rows: LongArray, height: int) -> list[LongArray]:
    at_once = max(1, CELLS // max(height, 1))
    return [rows[first : first + at_once] for first in range(0, len(rows), at_once)]


def _size_groups(size: npt.NDArray[np.integer]) -> LongArray:
    """Group of each basket, `[n_baskets]`: neighbouring sizes together until a group has `MIN_GROUP` baskets."""
    count = np.bincount(size)
    group_of, group, filled = np.zeros(len(count), np.int64), 0, 0
    for items, baskets in enumerate(count):  # over sizes, some hundred at most
        if filled >= MIN_GROUP and count[items:].sum() >= MIN_GROUP:
            group, filled = group + 1, 0
        group_of[items] = group
        filled += int(baskets)
    return group_of[size]


def _falling_means(size: npt.NDArray[np.integer], group: LongArray, longest: int) -> FloatArray:
    """Mean falling factorials `size (size − 1) …` of 0 to `longest` factors, `[groups, longest + 1]`."""
    factors = np.maximum(size[:, None] - np.arange(longest), 0.0)  # [n_baskets, longest]
    products = np.concatenate([np.ones((len(size), 1)), np.cumprod(factors, axis=1)], axis=1)
    sums = np.stack([np.bincount(group, column) for column in products.T], axis=1)
    return sums / np.bincount(group)[:, None]
