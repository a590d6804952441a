"""The association rules that speak to one customer, found without looking at the whole shop.

`bought_together` numbers every product of the shop. Of a customer's few purchases only the rules are worth numbering
whose antecedents are all among them.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np
import polars as pl

from data_pipelines.schema import EVENT_TYPE, EventType
from serving.campaigns.allocation import BoolArray, IntArray
from serving.campaigns.bought_together import NOTHING, numbered, suggestions
from serving.campaigns.campaign import Campaign


@dataclass(frozen=True)
class RuleBook:
    """Rules with the row numbers of their products.

    Args:
        rules: from `read_rules`.
        items: `[items]` ids of the shop.
        needs: `[rules, longest]` of antecedents, padded with `NOTHING`.
        gives: `[rules]` of consequents.
    """

    rules: pl.DataFrame
    items: pl.Series
    needs: IntArray
    gives: IntArray

    @classmethod
    def of(cls, rules: pl.DataFrame, items: pl.Series) -> "RuleBook":
        """Number the products of rules."""
        return cls(rules, items, *numbered(rules, items))

    def suggestions(
        self, events: pl.DataFrame, at: datetime, campaigns: Sequence[Campaign], assortment: list[BoolArray], most: int
    ) -> tuple[pl.DataFrame, pl.DataFrame | None]:
        """What rules call for.

        Args:
            events: of one customer, user 0; items as row numbers.
            at: UTC.
            campaigns: that may address the customer.
            assortment: `[campaigns][items]` what may be offered.
            most: products for a campaign.

        Returns:
            Rules that may speak to the customer, and which of them call for what: user, campaign, item, rule.
        """
        bought = events.filter(pl.col(EVENT_TYPE) == EventType.PURCHASE)
        own = np.unique(bought["item"].to_numpy())
        speak = np.flatnonzero((np.isin(self.needs, own) | (self.needs == NOTHING)).all(axis=1) & (self.gives >= 0))
        rules = self.rules[speak]
        if not speak.size:
            return rules, None
        rows = np.union1d(own, self.gives[speak])  # all products that matter, numbered anew
        few = bought.with_columns(item=pl.Series(np.searchsorted(rows, bought["item"].to_numpy()), dtype=pl.Int64))
        mine = np.array([one[rows] for one in assortment])
        passed = np.ones((1, len(campaigns)), bool)
        called = suggestions(rules, self.items.gather(rows), few, at, campaigns, passed, mine, most)
        if called is None:
            return rules, None
        return rules, called.with_columns(item=pl.Series(rows[called["item"].to_numpy()], dtype=pl.Int64))
