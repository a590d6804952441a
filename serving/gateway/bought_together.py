"""What goes with what lies in a basket, looked up in the rules and bundles of `supplytower rules mine`.

Every rule whose antecedent lies in the basket speaks for its consequent with confidence · √lift, and voices add up: the
scores of `models.bought_together`, without its popularity, so that nothing is suggested where no rule speaks.
An index from product to rules makes a question cost what the basket's own rules cost, not all of them.
"""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import polars as pl

from data_pipelines.schema import ANTECEDENT, BUNDLE_ITEMS, CONFIDENCE, CONSEQUENT, LIFT
from serving.basket_rules import bundles_file, read_bundles, read_rules, rules_file
from serving.campaigns.tables import positions
from serving.gateway.json_table import json_table
from serving.gateway.watched_files import WatchedFiles

IntArray = npt.NDArray[np.int64]


class Rule(NamedTuple):
    """The rule that speaks most for a suggestion."""

    antecedent: list[str]
    confidence: float
    lift: float


class Suggestion(NamedTuple):
    """A product that goes with the basket; `rule` is the number of the best one that speaks for it."""

    item_id: str
    score: float
    rule: int


class BasketRules:
    """A snapshot of rules and bundles.

    Args:
        rules: the best first, from `serving.basket_rules.read_rules`.
        bundles: the best first, from `serving.basket_rules.read_bundles`.
    """

    def __init__(self, rules: pl.DataFrame, bundles: pl.DataFrame):
        items = rules[CONSEQUENT].unique(maintain_order=True)
        self._items, self._gives = items.to_list(), positions(rules[CONSEQUENT], items)
        self._needed = rules[ANTECEDENT].list.len().to_numpy()
        self._weight = (rules[CONFIDENCE] * rules[LIFT].sqrt()).to_numpy()
        self._rules = list(zip(rules[ANTECEDENT].to_list(), rules[CONFIDENCE], rules[LIFT], strict=True))
        self._bundles = json_table(bundles).to_dicts()
        self._rules_with, self._bundles_with = _rows_by_item(rules[ANTECEDENT]), _rows_by_item(bundles[BUNDLE_ITEMS])

    def suggestions(self, held: frozenset[str]) -> Iterator[Suggestion]:
        """What goes with a basket and does not lie in it, best first; of equals, what has the better rule.

        Args:
            held: item ids; what no rule knows is passed over.
        """
        met, count = np.unique(_rows(self._rules_with, held), return_counts=True)
        rules = met[count == self._needed[met]]
        gives, best = self._gives[rules], np.empty(len(self._items), np.int64)
        scores = np.bincount(gives, self._weight[rules], len(self._items))
        best[gives[::-1]] = rules[::-1]  # the first one, which is written last
        things = np.flatnonzero(scores)
        things = things[np.argsort(-scores[things], kind="stable")]
        found = zip(things.tolist(), scores[things].tolist(), best[things].tolist(), strict=True)
        named = (Suggestion(self._items[thing], score, rule) for thing, score, rule in found)
        return (one for one in named if one.item_id not in held)

    def rule(self, number: int) -> Rule:
        """A rule by its number."""
        return Rule(*self._rules[number])

    def bundles(self, held: frozenset[str]) -> Iterator[dict[str, Any]]:
        """Bundles, best first, of which some parts lie in a basket and others do not."""
        rows = np.unique(_rows(self._bundles_with, held)).tolist()
        return (self._bundles[row] for row in rows if not held.issuperset(self._bundles[row][BUNDLE_ITEMS]))


def _rows_by_item(lists: pl.Series) -> dict[str, IntArray]:
    """In which lists each item stands."""
    rows = pl.DataFrame({"item": lists}).with_row_index("row").explode("item").group_by("item").agg(pl.col("row"))
    return {item: np.array(found, np.int64) for item, found in rows.iter_rows()}


def _rows(rows_by_item: Mapping[str, IntArray], items: Iterable[str]) -> IntArray:
    """In which lists the items stand, once for each of them."""
    return np.concatenate([np.zeros(0, np.int64), *(rows_by_item[item] for item in items if item in rows_by_item)])


class BasketRuleFiles(WatchedFiles[BasketRules]):
    """The current snapshot of a folder of rules, which may be mined anew while the gateway runs.

    Args:
        path: the folder, or its table of rules.
        reload_seconds: how often it is looked at.

    Raises:
        InputError: if it cannot be read at the start.
    """

    def __init__(self, path: Path, *, reload_seconds: float = 5.0):
        rules = rules_file(path)
        super().__init__(
            "rules",
            [rules, bundles_file(rules)],
            lambda: BasketRules(read_rules(rules), read_bundles(rules)),
            reload_seconds=reload_seconds,
        )
