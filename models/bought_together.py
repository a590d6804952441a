"""Bought together: what to suggest beside a basket that is being filled.

Every rule whose antecedent lies in the basket speaks for its consequent with

    confidence · √lift

Confidence alone suggests what everybody buys anyway, lift alone what hardly anybody does; the mean of both in the
exponent was best on later baskets of a grocery shop. Voices add up; popularity decides where no rule speaks.
"""

from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import sparse

from models.basket_rules import FloatArray, Rules
from models.frequent_sets import NOTHING

FALLBACK = 1e-6
"""Weight of popularity beneath the rules."""


class BoughtTogether:
    """Suggestions from rules.

    Args:
        rules: what to go by.
        popularity: `[n_items]` baskets with each item.
    """

    def __init__(self, rules: Rules, popularity: npt.NDArray[np.integer]) -> None:
        n_items = len(popularity)
        row, column = np.nonzero(rules.antecedent != NOTHING)
        shape = (n_items, len(rules))
        self._needs = sparse.csr_matrix((np.ones(len(row)), (rules.antecedent[row, column], row)), shape=shape)
        self._n_needed = np.bincount(row, minlength=len(rules))
        row, column = np.nonzero(rules.consequent != NOTHING)
        weight = (rules.confidence * np.sqrt(rules.lift))[row]
        self._votes = sparse.csr_matrix((weight, (row, rules.consequent[row, column])), shape=shape[::-1])
        self._popularity = FALLBACK * popularity / max(int(popularity.max(initial=0)), 1)

    def score(self, contents: Any) -> FloatArray:
        """How well every item goes with each basket.

        Args:
            contents: sparse `[n, n_items]`, nonzero where the basket holds the item.

        Returns:
            `[n, n_items]`; `-inf` for what lies in the basket already.
        """
        held = sparse.csr_matrix(contents, dtype=bool).astype(np.float64)
        met = (held @ self._needs).tocoo()  # [n, rules], antecedent items in the basket
        whole = met.data == self._n_needed[met.col]
        speaking = sparse.csr_matrix((np.ones(whole.sum()), (met.row[whole], met.col[whole])), shape=met.shape)
        scores: FloatArray = (speaking @ self._votes).toarray() + self._popularity
        scores[held.nonzero()] = -np.inf
        return scores
