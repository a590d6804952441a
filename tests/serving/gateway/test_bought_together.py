"""The index of rules beside the model's own scores, on random baskets."""

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

from models.basket_rules import association_rules
from models.bought_together import BoughtTogether
from models.frequent_sets import NOTHING, frequent_sets
from serving.basket_rules import read_rules
from serving.gateway.bought_together import BasketRules
from tests.models.baskets import random_contents
from tests.serving.basket_rules_folder import write_rules

NO_BUNDLES = pl.DataFrame(schema={"items": pl.List(pl.String)})
N_ITEMS = 7


@pytest.fixture(scope="module")
def mined():
    """Rules with one and two items in the antecedent."""
    contents = random_contents(3, 300, [0.3, 0.5, 0.4, 0.2, 0.6, 0.3, 0.1])
    rules = association_rules(frequent_sets(contents, 2, 3))
    return rules.take(rules.consequent_size == 1)


@pytest.fixture(scope="module")
def index(mined, tmp_path_factory):
    def ids(row):
        return [f"i{item}" for item in row if item != NOTHING]

    sides = zip(mined.antecedent, mined.consequent, mined.confidence, mined.lift, strict=True)
    rows = [("item", ids(needed), ids(given), confidence, lift) for needed, given, confidence, lift in sides]
    return BasketRules(read_rules(write_rules(tmp_path_factory.mktemp("rules"), rows)), NO_BUNDLES)


@settings(max_examples=100, deadline=None)
@given(st.sets(st.integers(0, N_ITEMS + 1), max_size=N_ITEMS))
def test_scores_and_order_are_those_of_the_model(mined, index, basket):
    held = sparse.csr_matrix(np.isin(np.arange(N_ITEMS), list(basket)))  # the last two are unknown
    scores = BoughtTogether(mined, np.zeros(N_ITEMS, np.int64)).score(held)[0]
    expected = {f"i{item}": score for item, score in enumerate(scores) if score > 0}
    found = list(index.suggestions(frozenset(f"i{item}" for item in basket)))
    assert {one.item_id: one.score for one in found} == pytest.approx(expected)
    assert [expected[one.item_id] for one in found] == pytest.approx(sorted(expected.values(), reverse=True))
    for one in found:  # its rule is the best of those that speak for it
        rule = index.rule(one.rule)
        needed = [int(item_id[1:]) for item_id in rule.antecedent]
        assert set(needed) <= basket
        for_it = (mined.consequent == int(one.item_id[1:])).any(axis=1)
        speaks = for_it & np.isin(mined.antecedent, [*basket, NOTHING]).all(axis=1)
        weights = (mined.confidence * np.sqrt(mined.lift))[speaks]
        assert rule.confidence * np.sqrt(rule.lift) == pytest.approx(weights.max())


def test_of_equals_the_better_rule_comes_first(tmp_path):
    rows = [("item", ["a"], ["z"], 0.25, 1.0), ("item", ["b"], ["z"], 0.25, 1.0), ("item", ["a"], ["y"], 0.5, 1.0)]
    found = BasketRules(read_rules(write_rules(tmp_path, rows)), NO_BUNDLES).suggestions(frozenset("ab"))
    assert [(one.item_id, one.score) for one in found] == [("y", 0.5), ("z", 0.5)]
