"""Which rules are more than chance, though so many were looked at.

Each rule A → C is tested against independence with Fisher's one-sided exact test: given how many of the n baskets hold
A and how many hold C, the number that hold both is hypergeometric. A longer antecedent must also earn each of its items
x: among the baskets with the rest of A, those with x must hold C more often than by chance (a *productive* rule). The
p-value of the rule is the largest of these, which tests the whole claim without any correction (an intersection-union
test).

Corrected is for the rules that could have been found, not for those that were: high support and confidence are chosen
from the same baskets, so the survivors are no fair sample. With m frequent items (their own frequency says nothing
about who stands beside whom) there are s(L) rules of L items, and with layered critical values a rule is accepted if

    p · (number of sizes) · s(L) ≤ level,

which bounds the probability that *any* accepted rule is chance, whatever the dependence between the tests, and stays
true when rules are filtered afterwards. `false-discovery` (Benjamini-Yekutieli, any dependence too) bounds the expected
share of chance among the accepted instead, and no longer does once some of them are dropped for other reasons.
Benjamini-Hochberg is not offered: it needs positive dependence, and rules to rival products are negatively dependent.
The tests take baskets for independent, which those of one customer are not: a rule should also be of several customers
and hold among each one's own baskets, see `models.like_baskets`.
References: Webb, "Discovering Significant Patterns", Machine Learning 2007; Webb, "Layered Critical Values", Machine
Learning 2008; Benjamini & Yekutieli, Annals of Statistics 2001; Berger, Technometrics 1982 (intersection-union).
"""

from math import comb
from typing import Literal

import numpy as np
from scipy.special import digamma
from scipy.stats import hypergeom

from data_pipelines.schema import InputError
from models.basket_rules import FloatArray, Rules, union, without
from models.frequent_sets import NOTHING, FrequentSets

Correction = Literal["layered", "false-discovery", "none"]


def rule_p_values(rules: Rules, sets: FrequentSets) -> FloatArray:
    """`[r]` p-values of the whole claim: A and C belong together, and every item of A is needed."""
    return np.maximum(independence_p_values(rules), improvement_p_values(rules, sets))


def independence_p_values(rules: Rules) -> FloatArray:
    """`[r]` p-values of Fisher's one-sided exact test of A against C over all baskets."""
    return hypergeom.sf(rules.baskets - 1, rules.n_baskets, rules.antecedent_baskets, rules.consequent_baskets)


def improvement_p_values(rules: Rules, sets: FrequentSets) -> FloatArray:
    """Whether every item of the antecedent is needed.

    Args:
        rules: the rules.
        sets: the frequent sets that they came from.

    Returns:
        `[r]` the largest p-value over the antecedent's items; 0 for antecedents of one item, which have nothing to
        improve on but chance.
    """
    largest = np.zeros(len(rules))
    for position in range(rules.antecedent.shape[1]):
        rows = np.flatnonzero((rules.antecedent_size > 1) & (rules.antecedent[:, position] != NOTHING))
        some = rules.take(rows)
        shorter = without(some.antecedent, position)
        alone, with_consequent = sets.count(shorter), sets.count(union(shorter, some.consequent))
        p = hypergeom.sf(some.baskets - 1, alone, some.antecedent_baskets, with_consequent)
        largest[rows] = np.maximum(largest[rows], p)
    return largest


def hypotheses(n_items: int, max_length: int, max_consequent: int = 1) -> dict[int, int]:
    """How many rules there could be, by their number of items: choose them, then the consequent among them.

    Args:
        n_items: frequent items.
        max_length: items of the longest rule.
        max_consequent: items of the largest consequent.
    """
    return {
        size: comb(n_items, size) * sum(comb(size, then) for then in range(1, min(max_consequent, size - 1) + 1))
        for size in range(2, max_length + 1)
    }


def adjusted_p_values(
    p_value: FloatArray, size: np.ndarray, counts: dict[int, int], correction: Correction = "layered"
) -> FloatArray:
    """Correct for all rules that could have been found; those that were not count as p = 1.

    Args:
        p_value: `[r]`.
        size: `[r]` items of each rule.
        counts: possible rules by size, from `hypotheses`.
        correction: `layered` bounds the probability of any false rule, `false-discovery` their expected share.

    Returns:
        `[r]` p-values to compare with the level.

    Raises:
        InputError: if the correction is unknown.
    """
    if correction == "none":
        return p_value
    if correction == "layered":
        layer = np.array([len(counts) * counts.get(length, 0) for length in range(max(counts, default=1) + 1)], float)
        return np.minimum(p_value * layer[size], 1.0)
    if correction == "false-discovery":
        order = np.argsort(p_value, kind="stable")
        total = sum(counts.values())
        harmonic = digamma(total + 1) + np.euler_gamma  # 1 + 1/2 + … + 1/total
        stepped = p_value[order] * total * harmonic / np.arange(1, len(p_value) + 1)
        adjusted = np.empty(len(p_value))
        adjusted[order] = np.minimum(np.minimum.accumulate(stepped[::-1])[::-1], 1.0)
        return adjusted
    raise InputError(f"correction={correction!r}: unknown; it is layered, false-discovery or none")
