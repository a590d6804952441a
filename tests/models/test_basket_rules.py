"""Rules and their measures, by the textbook, by mlxtend and by what must always hold."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from mlxtend import frequent_patterns
from scipy import sparse

from data_pipelines.schema import InputError
from models.basket_rules import Rules, association_rules
from models.frequent_sets import NOTHING, frequent_sets
from tests.models.baskets import TAN_STEINBACH_KUMAR, contents, random_contents

Sides = tuple[frozenset[int], frozenset[int]]


def sides(rules: Rules) -> list[Sides]:
    both = zip(rules.antecedent.tolist(), rules.consequent.tolist(), strict=True)
    return [(frozenset(a) - {NOTHING}, frozenset(c) - {NOTHING}) for a, c in both]


def textbook(*words: str) -> tuple[Rules, int]:
    """The rules of Tan, Steinbach and Kumar, and the place of `words[:-1] → words[-1]`."""
    table, things = contents(TAN_STEINBACH_KUMAR)
    rules = association_rules(frequent_sets(table, 1, 4), max_consequent=2)
    *antecedent, consequent = (things.index(word) for word in words)
    return rules, sides(rules).index((frozenset(antecedent), frozenset([consequent])))


def test_milk_and_diapers_call_for_beer():
    # Section 6.1: support count 2 of 5 transactions, {milk, diapers} in 3: s = 2/5 = 0.4, c = 2/3 = 0.67.
    # Beer is in 3 of 5: lift = (2/3) / (3/5) = 10/9, leverage = 2/5 − 3/5 · 3/5 = 0.04,
    # conviction = (1 − 3/5) / (1 − 2/3) = 1.2
    rules, place = textbook("milk", "diapers", "beer")
    assert rules.support[place] == pytest.approx(0.4)
    assert rules.confidence[place] == pytest.approx(0.67, abs=0.005)
    assert rules.lift[place] == pytest.approx(10 / 9)
    assert rules.leverage[place] == pytest.approx(0.04)
    assert rules.conviction[place] == pytest.approx(1.2)


def test_a_rule_without_exception_has_infinite_conviction():
    # Beer is never bought without diapers.
    rules, place = textbook("beer", "diapers")
    assert rules.confidence[place] == 1
    assert rules.conviction[place] == np.inf


@pytest.mark.parametrize("seed", [0, 1])
def test_the_same_rules_as_mlxtend(seed):
    table = random_contents(seed, 60, [0.5, 0.4, 0.6, 0.3, 0.7, 0.2])
    frame = pd.DataFrame(table.toarray())
    theirs = frequent_patterns.association_rules(
        frequent_patterns.fpgrowth(frame, min_support=0.05), metric="support", min_threshold=0
    )
    rules = association_rules(frequent_sets(table, 3, 6), max_consequent=5)
    place = {pair: row for row, pair in enumerate(sides(rules))}
    rows = [place[pair] for pair in zip(theirs["antecedents"], theirs["consequents"], strict=True)]
    assert sorted(rows) == list(range(len(rules)))
    assert len(rules) > 100
    for measure in ("support", "confidence", "lift", "leverage", "conviction"):
        np.testing.assert_allclose(getattr(rules, measure)[rows], theirs[measure], atol=1e-15)


@given(
    table=st.lists(st.lists(st.booleans(), min_size=5, max_size=5), min_size=2, max_size=20).map(np.array),
    max_consequent=st.integers(1, 3),
)
def test_what_measures_must_fulfil(table, max_consequent):
    rules = association_rules(frequent_sets(sparse.csr_matrix(table), 1, 4), max_consequent)
    for (antecedent, consequent), baskets in zip(sides(rules), rules.baskets, strict=True):
        assert not antecedent & consequent
        assert 1 <= len(consequent) <= max_consequent
        assert table[:, sorted(antecedent | consequent)].all(axis=1).sum() == baskets
    assert len(set(sides(rules))) == len(rules)
    assert ((rules.support > 0) & (rules.support <= rules.confidence) & (rules.confidence <= 1)).all()
    np.testing.assert_array_equal(rules.lift > 1 + 1e-12, rules.leverage > 1e-12)


def test_no_consequent_is_refused():
    with pytest.raises(InputError, match="max_consequent=0: must be at least 1"):
        association_rules(frequent_sets(contents(["a b"])[0], 1, 2), 0)


def test_single_items_make_no_rule():
    assert len(association_rules(frequent_sets(contents(["a", "b"])[0], 1, 3))) == 0
