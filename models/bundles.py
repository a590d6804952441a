"""Bundles: small sets whose every part calls for the rest, so that they can be offered together.

A rule is one-sided: many who buy the cable bought a telephone, few who buy a telephone need the cable. A bundle is a
frequent set of which *every* rule to one of its things is believed (Webb's self-sufficient item sets, for rules to
single things). It is described by its support, by its lift

    n(S)/n  ÷  Π_i n(i)/n

and by its weakest confidence n(S) / max_i n(i), also known as all-confidence.
References: Webb, "Self-Sufficient Itemsets", TKDD 2010; Omiecinski, "Alternative Interest Measures for Mining
Associations in Databases", TKDE 2003.
"""

from dataclasses import dataclass

import numpy as np

from models.basket_rules import BoolArray, FloatArray, Rules, union
from models.frequent_sets import FrequentSets, LongArray


@dataclass(frozen=True)
class Bundles:
    """Sets of things of one size.

    Args:
        items: `[m, k]` item indices, ascending.
        rule: `[m, k]` the rules to each of its things, places in the list of rules.
        baskets: `[m]` baskets that hold all of it.
        support: `[m]` their share.
        lift: `[m]` how many times as often as if the things had nothing to do with each other.
        weakest_confidence: `[m]` share of the baskets with its most popular thing that hold all of it.
    """

    items: LongArray
    rule: LongArray
    baskets: LongArray
    support: FloatArray
    lift: FloatArray
    weakest_confidence: FloatArray


def find_bundles(sets: FrequentSets, rules: Rules, believed: BoolArray, size: int) -> Bundles:
    """Sets of one size of which all rules to single things are believed.

    Args:
        sets: frequent sets.
        rules: all rules of these, from `association_rules`.
        believed: `[r]` which rules to go by.
        size: things in a bundle.
    """
    chosen = np.flatnonzero((rules.consequent_size == 1) & believed & (rules.size == size))
    some = rules.take(chosen)
    place = sets.place(union(some.antecedent, some.consequent)[:, :size]) if len(chosen) else chosen
    order = np.argsort(place, kind="stable")
    found, count = np.unique(place, return_counts=True)
    whole = found[count == size]
    rule = chosen[order][np.isin(place[order], whole)].reshape(-1, size)
    items = sets.items[size - 1][whole] if len(whole) else np.zeros((0, size), np.int64)
    baskets = sets.baskets[size - 1][whole] if len(whole) else np.zeros(0, np.int64)
    alone = sets.count(items.reshape(-1, 1)).reshape(-1, size)  # [m, size]
    shares = alone / sets.n_baskets
    return Bundles(
        items=items,
        rule=rule,
        baskets=baskets,
        support=baskets / sets.n_baskets,
        lift=baskets / sets.n_baskets / shares.prod(axis=1),
        weakest_confidence=baskets / alone.max(axis=1, initial=1),
    )
