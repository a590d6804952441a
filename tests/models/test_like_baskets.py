"""Lift that large trips and faithful customers do not make."""

import numpy as np
import pytest
from scipy import sparse

from models import like_baskets
from models.basket_rules import association_rules
from models.frequent_sets import frequent_sets
from models.like_baskets import customers, lift_among_same_customer, lift_among_same_size
from tests.models.baskets import contents
from tests.models.test_basket_rules import sides


def pair(rules, first: int, then: int) -> int:
    return sides(rules).index((frozenset([first]), frozenset([then])))


def test_customers_by_hand():
    # Ann (5 baskets): a 3 times, b 2 times, both 2 times; expected 3 · 2 / 5 = 1.2
    # Ben (2 baskets): a once, b once, never together; expected 1 / 2. Cem (1 basket): b.
    table, _ = contents(["a b", "a b", "a", "c", "c", "a", "b", "b"])
    who = np.array([0, 0, 0, 0, 0, 1, 1, 2])
    rules = association_rules(frequent_sets(table, 1, 2))
    place = pair(rules, 0, 1)
    assert lift_among_same_customer(rules, table, who)[place] == pytest.approx(2 / 1.7)
    assert customers(rules, table, who).tolist() == [1, 1]


def test_sizes_by_hand(monkeypatch):
    monkeypatch.setattr(like_baskets, "MIN_GROUP", 1)
    # Baskets of 2: a b, a c, b c: 2 · 2 / 3 by independence, half of it with two places, 2/3 expected.
    # Baskets of 3: a b c, a b d: 2 · 2 / 2 by independence, 2/3 of it, 4/3 expected. Baskets of 1: there is no room.
    table, _ = contents(["a b", "a c", "b c", "a b c", "a b d", "a", "b"])
    rules = association_rules(frequent_sets(table, 1, 2))
    assert lift_among_same_size(rules, table)[pair(rules, 0, 1)] == pytest.approx(3 / (2 / 3 + 4 / 3))


def test_a_longer_rule_by_hand(monkeypatch):
    monkeypatch.setattr(like_baskets, "MIN_GROUP", 1)
    # a b → c. Baskets of 3: a b c, a b d, c d e: n(a b) 2, n(c) 2 of 3; room (3·2·1) / ((3·2) · 3) = 1/3; expected 4/9.
    # Baskets of 4: a b c d: 1 · 1 / 1 times (4·3·2) / ((4·3) · 4) = 1/2.
    table, _ = contents(["a b c", "a b d", "c d e", "a b c d"])
    rules = association_rules(frequent_sets(table, 1, 3))
    place = sides(rules).index((frozenset([0, 1]), frozenset([2])))
    assert lift_among_same_size(rules, table)[place] == pytest.approx(2 / (4 / 9 + 1 / 2))


def test_large_trips_make_lift_but_not_among_their_like():
    # Items drawn at random into baskets of 1 to 20 of 40 things: no two of them belong together.
    rng = np.random.default_rng(0)
    size = rng.integers(1, 21, 12_000)
    order = rng.random((12_000, 40)).argsort(axis=1)
    rules = association_rules(frequent_sets(sparse.csr_matrix(order < size[:, None]), 1, 2))
    # A pair is in 12,000 · E[s (s − 1)] / (40 · 39) = 12,000 · 133 / 1,560 = 1,023 baskets: standard error 0.03
    assert rules.lift.mean() == pytest.approx(133 / 1560 / (10.5 / 40) ** 2, abs=0.01)  # 1.24
    # Out of 40 things, s places hold a pair s (s − 1) / (40 · 39) of the time, not s (s − 1) / 40².
    like = lift_among_same_size(rules, sparse.csr_matrix(order < size[:, None]))
    assert like.mean() == pytest.approx(40 / 39, abs=0.002)
    assert np.abs(like - 40 / 39).max() < 5 * 0.03


def test_the_same_people_are_not_the_same_trip():
    # Half of the customers buy both things, each on every other trip and on its own; the others neither.
    rng = np.random.default_rng(1)
    who = np.repeat(np.arange(400), 30)
    buys = (rng.random((len(who), 2)) < 0.5) & (who % 2 == 0)[:, None]
    rules = association_rules(frequent_sets(sparse.csr_matrix(buys), 1, 2))
    np.testing.assert_allclose(rules.lift, 2, atol=0.1)
    np.testing.assert_allclose(lift_among_same_customer(rules, sparse.csr_matrix(buys), who), 1, atol=0.05)


def test_blocks_change_nothing(monkeypatch):
    table = sparse.csr_matrix(np.random.default_rng(2).random((300, 8)) < 0.4)
    who = np.arange(300) % 7
    rules = association_rules(frequent_sets(table, 5, 3))
    whole = (
        lift_among_same_size(rules, table),
        lift_among_same_customer(rules, table, who),
        customers(rules, table, who),
    )
    monkeypatch.setattr(like_baskets, "CELLS", 1500)  # five rules at a time
    parts = (
        lift_among_same_size(rules, table),
        lift_among_same_customer(rules, table, who),
        customers(rules, table, who),
    )
    for one, other in zip(whole, parts, strict=True):
        np.testing.assert_allclose(one, other)
