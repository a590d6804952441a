"""Tests by the book, and what they promise, kept on thousands of shops without any association."""

import numpy as np
import pytest
from scipy import sparse, stats

from data_pipelines.schema import InputError
from models.basket_rules import Rules, association_rules
from models.frequent_sets import FrequentSets, frequent_sets
from models.rule_significance import (
    adjusted_p_values,
    hypotheses,
    improvement_p_values,
    independence_p_values,
    rule_p_values,
)
from tests.models.baskets import random_contents
from tests.models.test_basket_rules import sides

LEVEL = 0.05
SHOPS = 400
THREE_STANDARD_ERRORS = 3 * (LEVEL * (1 - LEVEL) / SHOPS) ** 0.5  # 0.033


def mined(table: sparse.csr_matrix, min_baskets: int = 5) -> tuple[Rules, FrequentSets]:
    sets = frequent_sets(table, min_baskets, 3)
    return association_rules(sets), sets


def accepted(rules: Rules, sets: FrequentSets, correction: str) -> np.ndarray:
    possible = hypotheses(sets.n_frequent_items, 3)
    return adjusted_p_values(rule_p_values(rules, sets), rules.size, possible, correction) <= LEVEL  # type: ignore[arg-type]


def fisher(rows: np.ndarray, columns: np.ndarray) -> float:
    counts = [[(rows & columns).sum(), (rows & ~columns).sum()], [(~rows & columns).sum(), (~rows & ~columns).sum()]]
    return float(stats.fisher_exact(counts, alternative="greater").pvalue)


def test_the_lady_tasting_tea():
    # Fisher, "The Design of Experiments", 1935: of 8 cups, 4 with milk first; she names 4 and is right about 3.
    # P(at least 3) = (C(4,3) C(4,1) + C(4,4) C(4,0)) / C(8,4) = 17/70
    table = sparse.csr_matrix(np.array([[1, 1]] * 3 + [[1, 0], [0, 1]] + [[0, 0]] * 3, bool))
    rules, _ = mined(table, 1)
    np.testing.assert_allclose(independence_p_values(rules), 17 / 70)


def test_p_values_are_those_of_fishers_exact_test():
    table = random_contents(5, 150, [0.5, 0.4, 0.3, 0.6])
    held = table.toarray()
    rules, sets = mined(table)
    independence, improvement = independence_p_values(rules), improvement_p_values(rules, sets)
    for row, (antecedent, consequent) in enumerate(sides(rules)):
        first, then = held[:, sorted(antecedent)].all(axis=1), held[:, sorted(consequent)].all(axis=1)
        assert independence[row] == pytest.approx(fisher(first, then))
        expected = 0.0
        for item in antecedent if len(antecedent) > 1 else ():
            among = held[:, sorted(antecedent - {item})].all(axis=1)
            expected = max(expected, fisher(held[among, item], then[among]))
        assert improvement[row] == pytest.approx(expected)
    assert rules.size.tolist().count(3) == 12


def test_possible_rules_are_counted():
    # Of 5 items: pairs 10, each with 2 consequents; triples 10, each with 3 single consequents and 3 of two.
    assert hypotheses(5, 3) == {2: 20, 3: 30}
    assert hypotheses(5, 3, max_consequent=2) == {2: 20, 3: 60}
    assert hypotheses(2, 3) == {2: 2, 3: 0}


def test_layers_share_the_level():
    # Two sizes: p · 2 · 20 for pairs, p · 2 · 30 for triples.
    adjusted = adjusted_p_values(np.array([0.001, 0.001, 0.5]), np.array([2, 3, 2]), {2: 20, 3: 30})
    assert adjusted.tolist() == pytest.approx([0.04, 0.06, 1.0])


def test_rules_that_were_not_found_count_as_one():
    p = np.array([0.004, 0.00001, 0.0002, 0.0002])
    expected = stats.false_discovery_control(np.concatenate([p, np.ones(46)]), method="by")[:4]
    found = adjusted_p_values(p, np.full(4, 2), {2: 20, 3: 30}, "false-discovery")
    np.testing.assert_allclose(found, expected)
    np.testing.assert_array_equal(adjusted_p_values(p, np.full(4, 2), {2: 20, 3: 30}, "none"), p)


def test_an_unknown_correction():
    with pytest.raises(InputError, match="correction='bonferroni': unknown; it is layered, false-discovery or none"):
        adjusted_p_values(np.ones(1), np.full(1, 2), {2: 1}, "bonferroni")  # type: ignore[arg-type]


def test_a_shop_without_association_has_no_rule():
    # Ten items, 300 baskets, nothing belongs together: 0.05 of such shops may show any rule, at most.
    any_rule = {"layered": 0, "false-discovery": 0, "none": 0}
    for seed in range(SHOPS):
        rules, sets = mined(random_contents(seed, 300, np.linspace(0.1, 0.6, 10).tolist()))
        for correction in any_rule:
            any_rule[correction] += accepted(rules, sets, correction).any()
    assert any_rule["layered"] / SHOPS <= LEVEL + THREE_STANDARD_ERRORS
    assert any_rule["false-discovery"] / SHOPS <= LEVEL + THREE_STANDARD_ERRORS
    assert any_rule["none"] / SHOPS > 0.9  # what the correction is for


def test_what_rides_along_earns_nothing():
    # 0 and 1 do belong together; all rules that put a third, idle thing into the antecedent are chance.
    false_rule, found = 0, 0
    for seed in range(SHOPS):
        table = random_contents(seed, 300, [0.4, 0.4, 0.3, 0.3, 0.3, 0.3, 0.3]).tolil()
        joined = np.random.default_rng(10_000 + seed).random(300) < 0.5
        table[joined, 1] = table[joined, 0].toarray()
        rules, sets = mined(table.tocsr())
        believed = {pair for pair, good in zip(sides(rules), accepted(rules, sets, "layered"), strict=True) if good}
        true = {(frozenset([0]), frozenset([1])), (frozenset([1]), frozenset([0]))}
        found += true <= believed
        false_rule += bool(believed - true)
    assert found / SHOPS > 0.99
    assert false_rule / SHOPS <= LEVEL + THREE_STANDARD_ERRORS
