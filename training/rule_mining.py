"""From baskets to the rules that are believed, step by step, with what is left after each step."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from data_pipelines.baskets import Baskets
from models.basket_rules import BoolArray, FloatArray, Rules, association_rules
from models.frequent_sets import FrequentSets, LongArray, frequent_sets
from models.like_baskets import customers, lift_among_same_size
from models.rule_pruning import idle, redundant
from models.rule_significance import adjusted_p_values, hypotheses, rule_p_values
from training.rules_config import RulesConfig


@dataclass(frozen=True)
class Mined:
    """All rules of one level and what is known of each.

    Args:
        level: `item` or `category`.
        sets: the frequent sets.
        rules: every rule of the frequent sets.
        p_value: `[r]`.
        p_adjusted: `[r]`.
        lift_same_size: `[r]` lift among baskets of the same size.
        customers: `[r]` customers with antecedent and consequent in one basket; 0 for rules that fail elsewhere.
        believed: `[r]` significant, by enough customers, and more than a matter of large trips, at any confidence.
        accepted: `[r]` the rules to write.
        funnel: what is left after each step, by its name in words.
    """

    level: str
    sets: FrequentSets
    rules: Rules
    p_value: FloatArray
    p_adjusted: FloatArray
    lift_same_size: FloatArray
    customers: LongArray
    believed: BoolArray
    accepted: BoolArray
    funnel: dict[str, int]

    def best_first(self) -> LongArray:
        """Places of the accepted rules: those that say most about most baskets first.

        The weight is baskets · log(lift among same size), what the rule adds to the likelihood of the baskets (the term
        of a G-test); pairs stand side by side, the surer direction first.
        """
        rows = np.flatnonzero(self.accepted)
        weight = self.rules.baskets[rows] * np.log(np.maximum(self.lift_same_size[rows], 1e-9))
        # Rounded: the two directions of a pair must tie.
        return rows[np.lexsort((rows, -self.rules.confidence[rows], -np.round(weight, 6)))]


def mine(
    baskets: Baskets, level: str, config: RulesConfig, advance: Callable[[float], None] = lambda share: None
) -> Mined:
    """Find the rules of one level.

    Args:
        baskets: of things of that level.
        level: `item` or `category`.
        config: what is looked for and believed.
        advance: told now and then what share of the sets of a size is done.
    """
    least = config.least_baskets(level, len(baskets))
    sets = frequent_sets(baskets.contents, least, config.max_length, algorithm=config.algorithm, advance=advance)
    rules = association_rules(sets, config.max_consequent)
    p_value = rule_p_values(rules, sets)
    possible = hypotheses(sets.n_frequent_items, config.max_length, config.max_consequent)
    p_adjusted = adjusted_p_values(p_value, rules.size, possible, config.correction)
    same_size = lift_among_same_size(rules, baskets.contents)
    needed = ~idle(rules, same_size, config.min_improvement)
    # The dearest count last, where it can still decide.
    open_rules = np.flatnonzero(
        (rules.lift >= config.min_lift)
        & (p_adjusted <= config.significance)
        & (same_size >= config.min_lift_same_size)
        & needed
    )
    who = np.zeros(len(rules), np.int64)
    who[open_rules] = customers(rules.take(open_rules), baskets.contents, baskets.customer)
    steps = {
        f"confidence ≥ {config.min_confidence:g} and lift ≥ {config.min_lift:g}": (
            (rules.confidence >= config.min_confidence) & (rules.lift >= config.min_lift)
        ),
        f"significant after correction (p ≤ {config.significance:g})": p_adjusted <= config.significance,
        "not redundant": ~redundant(rules, sets, config.max_consequent),
        f"lift among baskets of the same size ≥ {config.min_lift_same_size:g}": same_size >= config.min_lift_same_size,
        "no idle part in the antecedent": needed,
        f"of at least {config.min_customers} customers": who >= config.min_customers,
    }
    accepted = np.ones(len(rules), bool)
    funnel = {f"sets in at least {least:,} baskets": len(sets), "rules of these": len(rules)}
    for name, passed in steps.items():
        accepted = accepted & passed
        funnel[name] = int(accepted.sum())
    return Mined(
        level=level,
        sets=sets,
        rules=rules,
        p_value=p_value,
        p_adjusted=p_adjusted,
        lift_same_size=same_size,
        customers=who,
        believed=np.logical_and.reduce([(rules.lift >= config.min_lift), *list(steps.values())[1:]]),
        accepted=accepted,
        funnel=funnel,
    )
