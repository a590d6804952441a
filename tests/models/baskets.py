"""Baskets written as words, and the textbooks' examples."""

from collections.abc import Sequence

import numpy as np
from scipy import sparse

# Agrawal & Srikant, "Fast Algorithms for Mining Association Rules", VLDB 1994, figure 3: database D
AGRAWAL_SRIKANT = ("1 3 4", "2 3 5", "1 2 3 5", "2 5")

# Tan, Steinbach & Kumar, "Introduction to Data Mining", 2006, table 6.1
TAN_STEINBACH_KUMAR = (
    "bread milk",
    "bread diapers beer eggs",
    "milk diapers beer cola",
    "bread milk diapers beer",
    "bread milk diapers cola",
)


def contents(baskets: Sequence[str]) -> tuple[sparse.csr_matrix, list[str]]:
    """`[n_baskets, n_items]` and the items in alphabetical order."""
    words = [basket.split() for basket in baskets]
    things = sorted({word for basket in words for word in basket})
    row = [number for number, basket in enumerate(words) for _ in basket]
    column = [things.index(word) for basket in words for word in basket]
    return sparse.csr_matrix((np.ones(len(row), bool), (row, column)), shape=(len(baskets), len(things))), things


def random_contents(seed: int, n_baskets: int, shares: Sequence[float]) -> sparse.csr_matrix:
    """Baskets of items that have nothing to do with each other."""
    drawn = np.random.default_rng(seed).random((n_baskets, len(shares))) < np.array(shares)
    return sparse.csr_matrix(drawn)
