"""Rules that say nothing new: another one says the same with less, or more from the same, or nearly as much.

A → C is redundant if there is a rule A' → C' with A' ⊆ A and C ⊆ C' of the same support and the same confidence. It has
to be looked for one item away only: counts change monotonically, so if a far relative has the same, the near one has.
    a shorter antecedent   some x of A is in every basket that holds the rest of A (A is no *generator*)
    a longer consequent    some y outside is in every basket that holds A ∪ C (A ∪ C is not *closed*)
Exactly the same is rare in real baskets. A rule is *idle* if a shorter antecedent has nearly the same lift (Bayardo's
improvement, as a quotient): `bread, pasta → sauce` says nothing that `pasta → sauce` does not.
References: Bastide et al., "Mining Minimal Non-redundant Association Rules Using Frequent Closed Itemsets", CL 2000;
Zaki, "Generating Non-Redundant Association Rules", KDD 2000; Bayardo, Agrawal & Gunopulos, "Constraint-Based Rule
Mining in Large, Dense Databases", ICDE 1999.
"""

import numpy as np

from models.basket_rules import BoolArray, FloatArray, Rules, padded, union, without
from models.frequent_sets import NOTHING, FrequentSets


def redundant(rules: Rules, sets: FrequentSets, max_consequent: int = 1) -> BoolArray:
    """Which rules another rule makes superfluous.

    Args:
        rules: the rules.
        sets: the frequent sets that they came from.
        max_consequent: items of the largest consequent that rules may have.

    Returns:
        `[r]`.
    """
    found = np.zeros(len(rules), bool)
    for position in range(rules.antecedent.shape[1]):
        rows = np.flatnonzero((rules.antecedent_size > 1) & (rules.antecedent[:, position] != NOTHING))
        shorter = sets.count(without(rules.antecedent[rows], position))
        found[rows] |= shorter == rules.antecedent_baskets[rows]
    growing = np.flatnonzero(rules.consequent_size < max_consequent)
    whole = union(rules.antecedent[growing], rules.consequent[growing])
    found[growing] |= _has_equal_superset(whole, sets)
    return found


def idle(rules: Rules, lift: FloatArray, min_improvement: float) -> BoolArray:
    """Which rules are not much better than one whose antecedent lacks one item.

    Args:
        rules: all rules of some frequent sets, from `association_rules`.
        lift: `[r]` by which they are compared.
        min_improvement: quotient that is asked for.

    Returns:
        `[r]`.
    """
    found = np.zeros(len(rules), bool)
    whole = np.concatenate([rules.antecedent, rules.consequent], axis=1)  # tells rules apart
    distinct, place = np.unique(whole, axis=0, return_inverse=True)
    row_of = np.zeros(len(distinct), np.int64)
    row_of[place.ravel()] = np.arange(len(rules))
    for position in range(rules.antecedent.shape[1]):
        rows = np.flatnonzero((rules.antecedent_size > 1) & (rules.antecedent[:, position] != NOTHING))
        shorter = np.concatenate([without(rules.antecedent[rows], position), rules.consequent[rows]], axis=1)
        # Every part of a frequent set is frequent, so the shorter rule is among them.
        found_at = np.unique(np.concatenate([distinct, shorter]), axis=0, return_inverse=True)[1].ravel()
        found[rows] |= lift[rows] < min_improvement * lift[row_of[found_at[len(distinct) :]]]
    return found


def _has_equal_superset(whole: np.ndarray, sets: FrequentSets) -> BoolArray:
    """Whether a set with one more item is in as many baskets, `[r]`; sets as for `FrequentSets.count`."""
    size = (whole != NOTHING).sum(axis=1)
    found = np.zeros(len(whole), bool)
    for k in range(1, len(sets.items)):
        open_sets = np.zeros(len(sets.items[k - 1]), bool)
        for position in range(k + 1):
            part = np.delete(sets.items[k], position, axis=1)
            equal = sets.count(padded(part, len(sets.items))) == sets.baskets[k]
            open_sets[sets.place(part[equal])] = True
        rows = np.flatnonzero(size == k)
        found[rows] = open_sets[sets.place(whole[rows, :k])]
    return found
