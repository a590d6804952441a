"""Which products each customer might be offered: a few hundred at most, to be scored one by one.

For everybody what sells best of the campaign's products, and what the customer took most often of them. A reminder is
about what the customer left in the cart or looked at and did not buy since; where the log has purchases only, about
what the customer buys regularly and would by now: more time has passed since the last purchase than usually does.
What goes with what the customer bought is `bought_together`'s.
"""

from collections.abc import Sequence
from datetime import datetime

import numpy as np
import polars as pl

from data_pipelines.schema import EVENT_TYPE, ITEM_ID, STOCKOUT_PROBABILITY, TIMESTAMP, USER_ID, EventType, InputError
from serving.campaigns.allocation import BoolArray, IntArray
from serving.campaigns.audience import matches, suggestion
from serving.campaigns.best_offers import running_sum
from serving.campaigns.bought_together import BOUGHT_TOGETHER
from serving.campaigns.campaign import Campaign
from serving.campaigns.customers import CATEGORY
from serving.campaigns.policy import Policy
from serving.campaigns.situation import OFFER
from serving.campaigns.tables import positions

INTEREST = (EventType.ADD_TO_CART, EventType.VIEW, EventType.CLICK)
REGULAR, RECENT_DAYS, OVERDUE_AT_MOST = 3, 90, 4.0
"""Purchases that make a habit, days in which a product's sales and a reminder count, and after how many usual gaps a
habit is over."""
SECONDS_IN_DAY = 86_400.0


def products(campaign: Campaign, items: pl.DataFrame) -> BoolArray:
    """Which items a campaign may offer, `[items]`.

    Raises:
        InputError: naming a product, category or column that there is not.
    """
    where = f"campaign {campaign.id!r}"
    for name, wanted, there in (
        ("products", campaign.products, items[ITEM_ID]),
        ("categories", campaign.categories, items[CATEGORY].drop_nulls().unique()),
    ):
        if unknown := [one for one in wanted if one not in set(there)] if wanted else []:
            raise InputError(f"{where}: {name}: no {unknown[0]!r} among the items{suggestion(unknown[0], there)}")
    found = np.asarray(matches(campaign.items, items, f"{where}: items").to_numpy())
    if campaign.products or campaign.categories:
        named = items[ITEM_ID].is_in(list(campaign.products)) | items[CATEGORY].is_in(
            list(campaign.categories)
        ).fill_null(False)
        found = found & named.to_numpy()
    return np.asarray(found, bool)


def sellable(items: pl.DataFrame, limit: float) -> BoolArray:
    """Items that may be advertised: what is not known to sell out, `[items]`."""
    out = (items[STOCKOUT_PROBABILITY] > limit).fill_null(False)
    return np.asarray(~out.to_numpy(), bool)


def scored_offers(
    scores: pl.DataFrame, users: pl.Series, items: pl.DataFrame, passed: BoolArray, assortment: BoolArray
) -> pl.DataFrame:
    """Offers from a table of probabilities: user_id, item_id, probability.

    Args:
        scores: the table.
        users: ids.
        items: with item_id.
        passed: `[users, campaigns]` pairs worth looking at.
        assortment: `[campaigns, items]`.
    """
    row, item = positions(scores[USER_ID], users), positions(scores[ITEM_ID], items[ITEM_ID])
    known = (row >= 0) & (item >= 0)
    row, item, probability = row[known], item[known], scores["probability"].to_numpy()[known]
    found = []
    for campaign, mine in enumerate(assortment):
        fits = mine[item] & passed[row, campaign]
        found.append(_offers([(row[fits], campaign, item[fits])]).with_columns(probability=probability[fits]))
    return pl.concat([pl.DataFrame(schema=OFFER), *found])


def candidates(
    events: pl.DataFrame,
    at: datetime,
    campaigns: Sequence[Campaign],
    policy: Policy,
    passed: BoolArray,
    assortment: Sequence[BoolArray] | BoolArray,
    called: pl.DataFrame | None = None,
    best: Sequence[IntArray] | None = None,
    browsing: bool = False,
) -> pl.DataFrame:
    """Offers to be scored.

    Args:
        events: the log before `at`, with `user` and `item` as numbers.
        at: UTC.
        campaigns: in order.
        policy: how many products are considered.
        passed: `[users, campaigns]` pairs worth looking at.
        assortment: `[campaigns, items]` what may be offered.
        called: what rules call for: user, campaign and item.
        best: what `best_sellers` finds for each campaign; None: in these events.
        browsing: whether the shop's log has views or carts, also where these events have none.

    Returns:
        user, campaign, item, each triple once.
    """
    if best is None:
        popular = popularity(events, at)
        best = [best_sellers(popular, mine, policy.products_per_campaign) for mine in assortment]
    taken = _taken(events)
    reminded = reminders(events, at, browsing) if any(one.offers == "reminder" for one in campaigns) else None
    found: list[tuple[IntArray, int, IntArray]] = []
    for number, campaign in enumerate(campaigns):
        users, mine = np.flatnonzero(passed[:, number]), assortment[number]
        if campaign.offers == BOUGHT_TOGETHER:
            continue
        if campaign.offers == "reminder" and reminded is not None:
            own = reminded
        else:
            own, everybody = taken, best[number]
            found.append((np.repeat(users, len(everybody)), number, np.tile(everybody, len(users))))
        user, item = own["user"].to_numpy(), own["item"].to_numpy()
        fits = passed[user, number] & mine[item]
        user, item = user[fits], item[fits]
        first = running_sum(np.ones(len(user)), user) <= policy.products_per_customer
        found.append((user[first], number, item[first]))
    triple = ("user", "campaign", "item")
    offers = _offers(found)
    return (offers if called is None else pl.concat([offers, called.select(triple)])).unique().sort(triple)


def _taken(events: pl.DataFrame) -> pl.DataFrame:
    """What customers bought, most often first: user, item."""
    bought = events.filter(pl.col(EVENT_TYPE) == EventType.PURCHASE)
    return bought.group_by("user", "item").len().sort("len", "user", "item", descending=[True, False, False])


def is_interest() -> pl.Expr:
    """Events of whoever looks at something or puts it into the cart."""
    return pl.col(EVENT_TYPE).is_in([str(kind) for kind in INTEREST])


def popularity(events: pl.DataFrame, at: datetime) -> IntArray:
    """The items that were bought of late, most often first."""
    recent = pl.col(TIMESTAMP) >= pl.lit(at) - pl.duration(days=RECENT_DAYS)
    bought = events.filter((pl.col(EVENT_TYPE) == EventType.PURCHASE) & recent)
    return bought.group_by("item").len().sort("len", "item", descending=[True, False])["item"].to_numpy()


def best_sellers(popular: IntArray, mine: BoolArray, most: int) -> IntArray:
    """The best items of an assortment.

    Args:
        popular: items, best first.
        mine: `[items]` the assortment.
        most: how many.
    """
    best = popular[mine[popular]]
    if best.size < most:  # what nobody buys may be offered too, e.g. for clearance
        best = np.concatenate([best, np.setdiff1d(np.flatnonzero(mine), best)])
    return best[:most]


def reminders(events: pl.DataFrame, at: datetime, browsing: bool = False) -> pl.DataFrame:
    """What to remind customers of, the most pressing first: user, item."""
    interest = events.filter(is_interest())
    bought = events.filter(pl.col(EVENT_TYPE) == EventType.PURCHASE)
    since = (pl.lit(at) - pl.col("last")).dt.total_seconds() / SECONDS_IN_DAY
    if browsing or interest.height:
        seen = interest.group_by("user", "item").agg(
            pl.col(TIMESTAMP).max().alias("last"), (pl.col(EVENT_TYPE) == EventType.ADD_TO_CART).any().alias("cart")
        )
        sold = bought.group_by("user", "item").agg(pl.col(TIMESTAMP).max().alias("sold"))
        left = seen.join(sold, on=["user", "item"], how="left").filter(
            (pl.col("sold").is_null() | (pl.col("sold") < pl.col("last"))) & (since <= RECENT_DAYS)
        )
        return left.sort("cart", "last", "user", "item", descending=[True, True, False, False]).select("user", "item")
    days = bought.select("user", "item", day=pl.col(TIMESTAMP).dt.date()).unique()
    habits = days.group_by("user", "item").agg(
        times=pl.len(), first=pl.col("day").min(), last=pl.col("day").max().cast(pl.Datetime("us"))
    )
    gap = (pl.col("last") - pl.col("first").cast(pl.Datetime("us"))).dt.total_seconds() / SECONDS_IN_DAY
    late = since / (gap / (pl.col("times") - 1))
    return (
        habits.filter(pl.col("times") >= REGULAR)
        .with_columns(late=late)
        .filter(pl.col("late").is_between(1.0, OVERDUE_AT_MOST))
        .sort("times", "user", "item", descending=[True, False, False])
        .select("user", "item")
    )


def _offers(parts: Sequence[tuple[IntArray, int, IntArray]]) -> pl.DataFrame:
    """Users, a campaign and items, in parts, as a table."""
    none = np.zeros(0, np.int64)
    return pl.DataFrame(
        {
            "user": np.concatenate([none, *(user for user, _, _ in parts)]),
            "campaign": np.repeat(
                np.array([number for _, number, _ in parts], np.int64), [len(user) for user, _, _ in parts]
            ),
            "item": np.concatenate([none, *(item for _, _, item in parts)]),
        },
        schema={name: OFFER[name] for name in ("user", "campaign", "item")},
    )
