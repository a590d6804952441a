"""Every offer's value, and the best that each pair of customer and campaign may have.

Not what is likely to sell out, nothing that costs more than it brings, so many of a category for a customer, and of a
product no more than the stock can spare. None of this looks at budgets.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl

from data_pipelines.schema import OVERSTOCKED, PROBABILITY, STOCKOUT_PROBABILITY, UPLIFT, VALUE
from serving.campaigns.allocation import BoolArray, FloatArray, IntArray
from serving.campaigns.policy import Policy
from serving.campaigns.situation import Reason, Situation
from serving.campaigns.stock_limits import SPARE_UNITS
from serving.campaigns.value import expected_value, worth_of_sales

ROUNDS = 4
"""Times that customers are moved to another product when one would be advertised to too many."""


def weigh(situation: Situation, policy: Policy, offers: pl.DataFrame) -> pl.DataFrame:
    """The best offer of every pair that has any, with its value, or why even the best must not be.

    Args:
        situation: what is known.
        policy: what holds for all campaigns.
        offers: user, campaign, item, probability.

    Returns:
        A row per pair: the columns of `offers`, uplift, worth, freshness, value, stockout_probability, overstocked,
        offers (how many there were) and reason.
    """
    row, column, item = (offers[name].to_numpy() for name in ("user", "campaign", "item"))
    probability = offers[PROBABILITY].to_numpy()
    worth = worth_of_sales(situation.campaigns, situation.items, policy.margin)[column, item]
    cost = np.array([one.cost for one in situation.campaigns])[column]
    freshness = (1.0 - policy.fatigue) ** situation.history.load(policy.fatigue_half_life_days)[row]
    uplift = situation.uplift[row, column]
    value = expected_value(probability, uplift, worth, freshness, cost)
    numbers = situation.items.select(pl.col(STOCKOUT_PROBABILITY, SPARE_UNITS).cast(pl.Float64).fill_null(np.nan))
    sells_out, spare = (numbers[name].to_numpy()[item] for name in (STOCKOUT_PROBABILITY, SPARE_UNITS))
    refused = {
        Reason.STOCK: sells_out > policy.stockout_limit,
        Reason.NO_PRICE: np.isnan(worth),
        Reason.VALUE: ~(value > 0) | (worth < 0),  # a customer who is driven away from a loss is no gain
    }
    reason = np.select(list(refused.values()), [int(key) for key in refused], int(Reason.CHOSEN)).astype(np.int8)
    pair = row * len(situation.campaigns) + column
    order = np.lexsort((item, pair, -value))  # the most valuable first; equal ones in the order of customers
    ranked = _Ranked(row[order], pair[order], item[order], situation.category[item[order]], reason[order])
    if policy.offers_per_customer > policy.offers_per_category:  # else nobody gets too many of one anyway
        ranked.limit_categories(policy.offers_per_category)
    ranked.limit_units(np.maximum(probability * uplift, 0.0)[order], spare[order])
    best = ranked.best_of_all()
    chosen = order[best]
    return offers[chosen].with_columns(
        pl.Series(UPLIFT, uplift[chosen]),
        pl.Series("worth", worth[chosen]),
        pl.Series("freshness", freshness[chosen]),
        pl.Series(VALUE, value[chosen]).fill_nan(None),
        situation.items[STOCKOUT_PROBABILITY].gather(item[chosen]),
        situation.items[OVERSTOCKED].gather(item[chosen]),
        pl.Series("offers", np.bincount(pair)[pair[chosen]] if len(pair) else pair),
        pl.Series("reason", ranked.reason[best]),
    )


@dataclass(frozen=True)
class _Ranked:
    """Offers, the most valuable first, all `[offers]`; `reason` changes as they are refused."""

    user: IntArray
    pair: IntArray
    item: IntArray
    category: IntArray
    reason: npt.NDArray[np.int8]

    def limit_categories(self, most: int) -> None:
        """Leave so many offers of a category to every customer, the best; a campaign's own compete for one place."""
        fine = np.flatnonzero(self.reason == Reason.CHOSEN)
        key = self.pair * (int(self.category.max(initial=0)) + 1) + self.category
        _, first, number = np.unique(key[fine], return_index=True, return_inverse=True)
        rows = fine[first]  # the best of each campaign and category
        taken = np.sort(rows)
        customer = self.user * (int(self.category.max(initial=0)) + 1) + self.category
        beaten = np.zeros(len(key), bool)
        beaten[taken] = running_sum(np.ones(len(taken)), customer[taken]) > most
        self._refuse(fine[beaten[rows][number]], Reason.DIVERSITY)

    def limit_units(self, units: FloatArray, spare: FloatArray) -> None:
        """Advertise a product to so few that they are not expected to buy more than the stock can spare.

        Those who are too many are moved to their next best product, a few times; then they are left out.

        Args:
            units: that the customer is expected to buy.
            spare: units of the product, NaN where it is not known.
        """
        if np.isnan(spare).all():
            return
        # what even one customer is too many for is no next best product of anybody
        self._refuse(np.flatnonzero((self.reason == Reason.CHOSEN) & (units > spare)), Reason.TOO_MANY)
        for last in (*[False] * ROUNDS, True):
            best = self._best(self.reason == Reason.CHOSEN)
            over = best[running_sum(units[best], self.item[best]) > spare[best]]
            if not over.size:
                return
            if last:
                beyond = np.zeros(int(self.pair.max()) + 1, bool)
                beyond[self.pair[over]] = True
                over = np.flatnonzero(beyond[self.pair] & (self.reason == Reason.CHOSEN))
            self._refuse(over, Reason.TOO_MANY)

    def best_of_all(self) -> IntArray:
        """The best row of every pair, of those that may be if there are any."""
        fine = self._best(self.reason == Reason.CHOSEN)
        without = np.ones(int(self.pair.max(initial=0)) + 1, bool)
        without[self.pair[fine]] = False
        return np.concatenate([fine, self._best(without[self.pair])])

    def _best(self, among: BoolArray) -> IntArray:
        """The first row of every pair among some, the most valuable first."""
        rows = np.flatnonzero(among)
        found = np.full(int(self.pair.max(initial=0)) + 1, -1)
        found[self.pair[rows[::-1]]] = rows[::-1]  # what is written last stands
        return np.sort(found[found >= 0])

    def _refuse(self, rows: IntArray, reason: Reason) -> None:
        self.reason[rows] = int(reason)


def running_sum(values: FloatArray, group: IntArray) -> FloatArray:
    """Sum of the values of the same group up to and with each row."""
    order = np.argsort(group, kind="stable")
    total, sorted_group = np.cumsum(values[order]), group[order]
    begins = np.concatenate([[True], sorted_group[1:] != sorted_group[:-1]]) if len(group) else np.zeros(0, bool)
    before = (total - values[order])[begins]
    found = np.empty_like(total)
    found[order] = total - before[np.cumsum(begins) - 1]
    return found
