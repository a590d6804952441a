"""Rules that others make superfluous."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from scipy import sparse

from models.basket_rules import association_rules
from models.frequent_sets import frequent_sets
from models.rule_pruning import idle, redundant
from tests.models.baskets import contents
from tests.models.test_basket_rules import sides


def kept(baskets: list[str], max_consequent: int) -> set[str]:
    table, things = contents(baskets)
    sets = frequent_sets(table, 1, 3)
    rules = association_rules(sets, max_consequent)
    gone = redundant(rules, sets, max_consequent)
    words = (" ".join("".join(sorted(things[item] for item in side)) for side in pair) for pair in sides(rules))
    return {word for word, lost in zip(words, gone, strict=True) if not lost}


def test_who_always_comes_along_is_no_reason():
    # b is in every basket with a, so "a b → c" says what "a → c" says. c is with a in 2 of 3 baskets, with b in 2 of 4.
    baskets = ["a b c", "a b c", "a b", "b", "c"]
    assert kept(baskets, 1) == {"a b", "a c", "b a", "b c", "c a", "c b", "ac b", "bc a"}
    # With longer consequents "c → a b" (2 of 3) says both "c → a" and "c → b", "a → b c" says "a → c", and so on;
    # "a → b" (3 of 3) and "b → a" (3 of 4) stay. "a c → b" (2 of 2) has no equal: c alone is with b in 2 of 3.
    assert kept(baskets, 2) == {"a b", "b a", "a bc", "b ac", "c ab", "ac b", "bc a"}


@given(
    table=st.lists(st.lists(st.booleans(), min_size=4, max_size=4), min_size=2, max_size=12).map(np.array),
    max_consequent=st.integers(1, 3),
)
def test_one_item_away_is_far_enough(table, max_consequent):
    # The definition, over all pairs of rules.
    sets = frequent_sets(sparse.csr_matrix(table), 1, 4)
    rules = association_rules(sets, max_consequent)
    both = sides(rules)
    expected = [
        any(
            (a, c) != (b, d)
            and b <= a
            and c <= d
            and (rules.baskets[i], rules.antecedent_baskets[i]) == (rules.baskets[j], rules.antecedent_baskets[j])
            for j, (b, d) in enumerate(both)
        )
        for i, (a, c) in enumerate(both)
    ]
    assert redundant(rules, sets, max_consequent).tolist() == expected


def test_idle_parts_add_little_to_the_lift():
    table, things = contents(["a b c", "a b c", "a c", "a b", "b", "c"])
    rules = association_rules(frequent_sets(table, 1, 3))
    assert things == ["a", "b", "c"]
    # Any numbers will do: a → c 2, b → c 1, a b → c 2.5: 1.25 times the better of the shorter ones.
    number = {(frozenset([0]), 2): 2.0, (frozenset([1]), 2): 1.0, (frozenset([0, 1]), 2): 2.5}
    lift = np.array([number.get((a, *c), 1.0) for a, c in sides(rules)])
    place = sides(rules).index((frozenset([0, 1]), frozenset([2])))
    assert not idle(rules, lift, 1.25)[place]
    assert idle(rules, lift, 1.26)[place]
    single = np.array([len(a) == 1 for a, _ in sides(rules)])
    assert not idle(rules, lift, 9.0)[single].any()
