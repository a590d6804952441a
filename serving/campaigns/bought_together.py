"""What goes with what a customer bought: association rules between products as a source of offers.

A rule {pasta} → {sauce} speaks to a customer who bought all of its antecedent lately and its consequent not. Rules are
ranked by confidence · √lift, as suggestions beside a basket are; a product is offered for the best rule that speaks for
it, and the decision says which one that was. The tables are those of `supplytower rules mine`.

Reference: Agrawal, Imielinski and Swami, "Mining association rules between sets of items in large databases", SIGMOD
1993.
"""

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

import numpy as np
import polars as pl

from data_pipelines.schema import (
    ANTECEDENT,
    CONFIDENCE,
    CONSEQUENT,
    EVENT_TYPE,
    LIFT,
    TIMESTAMP,
    EventType,
    InputError,
)
from serving.basket_rules import ANTECEDENT_NAME, MINE, RULE
from serving.campaigns.allocation import BoolArray, IntArray
from serving.campaigns.campaign import Campaign
from serving.campaigns.tables import positions

BOUGHT_TOGETHER = "bought_together"
LATELY_DAYS = 28
"""Days for which a purchase calls for what goes with it."""
CUSTOMERS_AT_ONCE = 20_000
"""Whose purchases are laid out beside all products of the rules: a byte for each pair."""
UNKNOWN, NOTHING = -1, -2
"""An item that the shop does not have, and a place in an antecedent that is not used."""
CALLED = {"user": pl.Int64, "campaign": pl.Int64, "item": pl.Int64, RULE: pl.Int64}


def require_rules(rules: Path | None, campaigns: Sequence[Campaign]) -> None:
    """Refuse campaigns that go by rules where there are none.

    Raises:
        InputError: naming the first one.
    """
    asking = [campaign.id for campaign in campaigns if campaign.offers == BOUGHT_TOGETHER]
    if asking and rules is None:
        raise InputError(f"campaign {asking[0]!r}: offers: {BOUGHT_TOGETHER} needs --rules RULES; {MINE}")


def suggestions(
    rules: pl.DataFrame | None,
    items: pl.Series,
    events: pl.DataFrame,
    at: datetime,
    campaigns: Sequence[Campaign],
    passed: BoolArray,
    assortment: BoolArray,
    most: int,
) -> pl.DataFrame | None:
    """What rules call for, for everybody whom a campaign may address that goes by them.

    Args:
        rules: from `serving.basket_rules.read_rules`.
        items: ids.
        events: the log before `at`, with `user` and `item` as numbers.
        at: UTC.
        campaigns: in order.
        passed: `[users, campaigns]` pairs worth looking at.
        assortment: `[campaigns, items]` what may be offered.
        most: products for a customer and campaign.

    Returns:
        user, campaign, item and the number of the best rule, each triple once; None where no campaign asks.
    """
    asking = [number for number, campaign in enumerate(campaigns) if campaign.offers == BOUGHT_TOGETHER]
    if rules is None or not asking:
        return None
    lately = pl.col(TIMESTAMP) >= pl.lit(at) - pl.duration(days=LATELY_DAYS)
    bought = events.filter(lately & (pl.col(EVENT_TYPE) == EventType.PURCHASE)).select("user", "item")
    needs, gives = numbered(rules, items)
    found = [pl.DataFrame(schema=CALLED)]
    for number in asking:
        usable = np.flatnonzero((needs != UNKNOWN).all(axis=1) & (gives >= 0))
        usable = usable[assortment[number, gives[usable]]]
        users = np.flatnonzero(passed[:, number])
        for start in range(0, len(users), CUSTOMERS_AT_ONCE):
            some = users[start : start + CUSTOMERS_AT_ONCE]
            row = positions(bought["user"], pl.Series(some))
            pairs = row[row >= 0], bought["item"].to_numpy()[row >= 0]
            who, rule = _speaking(needs[usable], gives[usable], pairs, (len(some), len(items)), most)
            rule = usable[rule]
            columns = {"user": some[who], "campaign": np.full(len(who), number), "item": gives[rule], RULE: rule}
            found.append(pl.DataFrame(columns, schema_overrides=CALLED))
    return pl.concat(found)


def numbered(rules: pl.DataFrame, items: pl.Series) -> tuple[IntArray, IntArray]:
    """Item numbers of antecedents `[rules, longest]`, padded with `NOTHING`, and of consequents `[rules]`."""
    longest = int(rules[ANTECEDENT].list.len().max())  # type: ignore[arg-type]
    parts = [rules[ANTECEDENT].list.get(place, null_on_oob=True) for place in range(longest)]
    needs = [np.where(part.is_null(), NOTHING, positions(part, items)) for part in parts]
    return np.stack(needs, axis=1), positions(rules[CONSEQUENT], items)


def _speaking(
    needs: IntArray, gives: IntArray, bought: tuple[IntArray, IntArray], shape: tuple[int, int], most: int
) -> tuple[IntArray, IntArray]:
    """Which rules speak to which customers: rule by rule, the best first, each for all customers at once.

    Joining rules with purchases instead takes a hundred times as many rows as offers come of it in a small assortment.

    Args:
        needs: `[rules, longest]` of antecedents, padded with `NOTHING`.
        gives: `[rules]` of consequents.
        bought: customers and items, pair by pair.
        shape: customers and items that there are.
        most: rules for a customer.

    Returns:
        Customers and rules, pair by pair.
    """
    customers, items = shape
    things, place = np.unique(np.concatenate([needs.ravel(), gives]), return_inverse=True)
    place_of = np.full(items, -1)
    place_of[things[things >= 0]] = np.flatnonzero(things >= 0)
    held = np.zeros((len(things), customers), bool)
    held[things == NOTHING] = True
    row, thing = bought[0], place_of[bought[1]]
    held[thing[thing >= 0], row[thing >= 0]] = True
    needs, gives = place[: needs.size].reshape(needs.shape), place[needs.size :]
    settled, left, open_ = held.copy(), np.full(customers, most), np.full(customers, most > 0)
    found = []
    for needed, given in zip(needs, gives, strict=True):
        who = np.flatnonzero(held[needed].all(axis=0) & ~settled[given] & open_)
        settled[given, who] = True
        left[who] -= 1
        open_[who] = left[who] > 0
        found.append(who)
    counts = [len(who) for who in found]
    return np.concatenate([np.zeros(0, np.int64), *found]), np.repeat(np.arange(len(gives)), counts)


def with_rules(offers: pl.DataFrame, called: pl.DataFrame | None, campaigns: Sequence[Campaign]) -> pl.DataFrame:
    """Offers with the rule that each is owed to; campaigns that go by rules keep only what one calls for.

    Args:
        offers: user, campaign and item as numbers.
        called: from `suggestions`.
        campaigns: in order.
    """
    if called is None:
        return offers
    by_rules = pl.Series(np.array([campaign.offers == BOUGHT_TOGETHER for campaign in campaigns], bool))
    joined = offers.join(called, on=["user", "campaign", "item"], how="left", maintain_order="left")
    return joined.filter(~pl.lit(by_rules).gather("campaign") | pl.col(RULE).is_not_null())


def told(offers: pl.DataFrame, rules: pl.DataFrame | None) -> list[pl.Series]:
    """The antecedent in words, confidence and lift of the rule that each offer is owed to; null where there is none."""
    kinds = {ANTECEDENT_NAME: pl.String, CONFIDENCE: pl.Float64, LIFT: pl.Float64}
    if rules is None or RULE not in offers.columns:
        columns = [pl.Series(name, [None], dtype=kind).new_from_index(0, offers.height) for name, kind in kinds.items()]
    else:
        columns = [rules[name].gather(offers[RULE]) for name in kinds]
    return [column.alias(name) for column, name in zip(columns, (ANTECEDENT, CONFIDENCE, LIFT), strict=True)]
