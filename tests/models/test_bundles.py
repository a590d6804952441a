"""Bundles: sets of which every part calls for the rest."""

import numpy as np
import pytest

from models.basket_rules import association_rules
from models.bundles import find_bundles
from models.frequent_sets import frequent_sets
from tests.models.baskets import TAN_STEINBACH_KUMAR, contents
from tests.models.test_basket_rules import sides


def test_a_bundle_by_hand():
    # beer (3 of 5) and diapers (4 of 5), together in 3: support 3/5, lift (3/5) / (3/5 · 4/5) = 5/4,
    # of the baskets with diapers 3 of 4 hold beer.
    table, things = contents(TAN_STEINBACH_KUMAR)
    sets = frequent_sets(table, 2, 3)
    rules = association_rules(sets)
    found = find_bundles(sets, rules, np.ones(len(rules), bool), 2)
    place = [[things[item] for item in row] for row in found.items].index(["beer", "diapers"])
    assert (found.baskets[place], found.support[place]) == (3, 0.6)
    assert found.lift[place] == pytest.approx(5 / 4)
    assert found.weakest_confidence[place] == pytest.approx(3 / 4)
    assert [sides(rules)[row][0] | sides(rules)[row][1] for row in found.rule[place]] == [
        frozenset(found.items[place].tolist())
    ] * 2
    assert len(find_bundles(sets, rules, np.ones(len(rules), bool), 3).items) == len(sets.items[2])


def test_one_doubtful_rule_is_one_too_many():
    table, _ = contents(TAN_STEINBACH_KUMAR)
    sets = frequent_sets(table, 2, 3)
    rules = association_rules(sets)
    believed = np.ones(len(rules), bool)
    for size in (2, 3):
        every = find_bundles(sets, rules, believed, size)
        for rule in every.rule[0]:
            doubt = believed.copy()
            doubt[rule] = False
            np.testing.assert_array_equal(find_bundles(sets, rules, doubt, size).items, every.items[1:])


def test_nothing_believed_is_no_bundle():
    sets = frequent_sets(contents(TAN_STEINBACH_KUMAR)[0], 2, 3)
    rules = association_rules(sets)
    assert find_bundles(sets, rules, np.zeros(len(rules), bool), 3).items.shape == (0, 3)
    assert find_bundles(sets, rules, np.ones(len(rules), bool), 4).items.shape == (0, 4)
