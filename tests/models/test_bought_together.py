"""Suggestions beside a basket."""

import numpy as np
import pytest
from scipy import sparse

from models.basket_rules import association_rules
from models.bought_together import FALLBACK, BoughtTogether
from models.frequent_sets import frequent_sets
from tests.models.baskets import contents
from tests.models.test_basket_rules import sides

BASKETS = ["a b c", "a b c", "a b", "a c", "b", "c d"]


def suggest(*baskets: str) -> np.ndarray:
    """Scores `[baskets, a b c d]` by the rules a → c and a b → c alone."""
    table, things = contents(BASKETS)
    rules = association_rules(frequent_sets(table, 1, 3))
    wanted = {(frozenset([0]), frozenset([2])), (frozenset([0, 1]), frozenset([2]))}
    source = BoughtTogether(rules.take(np.array([pair in wanted for pair in sides(rules)])), np.array([4, 4, 4, 1]))
    asked = np.array([[thing in basket for thing in things] for basket in baskets])
    return source.score(sparse.csr_matrix(asked))


def test_rules_speak_by_confidence_and_lift():
    # c is in 4 of 6. a → c: 3 of 4, lift (3/4) / (4/6) = 9/8. a b → c: 2 of 3, lift 1.
    a, ab = 3 / 4 * np.sqrt(9 / 8), 2 / 3
    scores = suggest("a", "a b", "b")
    assert scores[0, 2] == pytest.approx(a + FALLBACK)
    assert scores[1, 2] == pytest.approx(a + ab + FALLBACK)
    assert scores[2, 2] == pytest.approx(FALLBACK)  # b alone is no antecedent


def test_popularity_decides_where_no_rule_speaks():
    scores = suggest("b", "")
    assert scores[0].tolist() == [FALLBACK, -np.inf, FALLBACK, FALLBACK / 4]
    assert scores[1].tolist() == [FALLBACK, FALLBACK, FALLBACK, FALLBACK / 4]


def test_what_is_in_the_basket_is_not_suggested():
    assert suggest("a b c")[0, :3].tolist() == [-np.inf] * 3
