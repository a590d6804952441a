"""Every customer and every campaign of a day: whether it is sent, and why or why not.

First the tests that need no offer: audience, consent, holdout, quiet hours, earlier contacts. Then every offer (customer,
campaign, product, probability) is weighed, and each pair of customer and campaign keeps its best one. Last `allocation`
spends the budgets. Everything before the budgets is independent of them.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from enum import IntEnum

import numpy as np
import numpy.typing as npt
import polars as pl

from data_pipelines.schema import ITEM_ID, OVERSTOCKED, STOCKOUT_PROBABILITY
from serving.campaigns.allocation import Allocation, BoolArray, FloatArray, IntArray, Problem, allocate
from serving.campaigns.campaign import Campaign
from serving.campaigns.caps import History, Times
from serving.campaigns.holdout import holdout_point
from serving.campaigns.pacing import budget_of_day
from serving.campaigns.policy import ANY_CHANNEL, Policy
from serving.campaigns.stock_limits import SPARE_UNITS
from serving.campaigns.value import expected_value, worth_of_sale

ROUNDS = 4
"""Times that customers are moved to another product when one would be advertised to too many."""
OFFER = {"user": pl.Int64, "campaign": pl.Int64, "item": pl.Int64, "probability": pl.Float64}
NO_ITEM = -1


class Reason(IntEnum):
    """Why a customer gets a campaign, or the first test that says no."""

    CHOSEN = 0
    AUDIENCE = 1
    CONSENT = 2
    HOLDOUT = 3
    QUIET_HOURS = 4
    CONTACTED = 5
    FREQUENCY_CAP = 6
    NO_OFFER = 7
    STOCK = 8
    NO_PRICE = 9
    VALUE = 10
    DIVERSITY = 11
    TOO_MANY = 12
    OUTRANKED = 13
    BUDGET = 14


@dataclass(frozen=True)
class Situation:
    """What is known on the day, customers and campaigns in a fixed order.

    Args:
        day: of the flight, UTC.
        users: `[users]` ids, all different.
        campaigns: that run on that day.
        audience: `[users, campaigns]` whether the customer is in it.
        channels: names.
        consent: `[users, channels]`.
        send_at: `[users]` when each may be addressed first, UTC.
        history: what was sent before.
        spent: `[campaigns]` money of the flight so far.
        uplift: `[users, campaigns]`.
        items: item_id, price, category and what the stock plan says.
        category: `[items]` number of each item's category.
    """

    day: date
    users: pl.Series
    campaigns: Sequence[Campaign]
    audience: BoolArray
    channels: Sequence[str]
    consent: BoolArray
    send_at: Times
    history: History
    spent: FloatArray
    uplift: FloatArray
    items: pl.DataFrame
    category: IntArray

    @property
    def channel(self) -> IntArray:
        """`[campaigns]` number of each one's channel."""
        return np.array([self.channels.index(campaign.channel) for campaign in self.campaigns], np.int64)


@dataclass(frozen=True)
class Screening:
    """What the tests that need no offer say, `[users, campaigns]` where nothing else is said.

    Args:
        reason: the first that says no; `CHOSEN` where none does.
        holdout: the customer's point, held out below the campaign's share.
        contacts: of the campaign in the flight.
        room: `[users, channels]` contacts that the caps leave.
        slots: `[users]` contacts of all channels that caps and the plan leave.
    """

    reason: npt.NDArray[np.int8]
    holdout: FloatArray
    contacts: IntArray
    room: IntArray
    slots: IntArray


@dataclass(frozen=True)
class Outcome:
    """What was decided.

    Args:
        screening: before the offers.
        offer: one row per pair of customer and campaign that had offers: its best, see `weigh`.
        reason: `[users, campaigns]`.
        allocation: of the budgets.
        budget: `[campaigns]` money of the day.
    """

    screening: Screening
    offer: pl.DataFrame
    reason: npt.NDArray[np.int8]
    allocation: Allocation
    budget: FloatArray


def screen(situation: Situation, policy: Policy) -> Screening:
    """Ask everything that needs no offer."""
    users, campaigns = len(situation.users), situation.campaigns
    most = len(campaigns)
    caps, history = policy.frequency_caps, situation.history
    room = np.zeros((users, len(situation.channels)), np.int64)
    for number, channel in enumerate(situation.channels):
        room[:, number] = history.room(channel, caps, most)
    slots = np.minimum(history.room(ANY_CHANNEL, caps, most), policy.offers_per_customer)
    point, contacts = np.zeros((users, most)), np.zeros((users, most), np.int64)
    reason = np.zeros((users, most), np.int8)
    for column, campaign in enumerate(campaigns):
        channel = situation.channels.index(campaign.channel)
        begin, end = np.datetime64(campaign.start, "us"), np.datetime64(campaign.end + timedelta(1), "us")
        point[:, column] = holdout_point(situation.users, policy.salt, campaign.id) if campaign.holdout else 1.0
        contacts[:, column] = history.of_campaign(campaign.id, (begin, end))
        said = {
            Reason.AUDIENCE: ~situation.audience[:, column],
            Reason.CONSENT: ~situation.consent[:, channel],
            Reason.HOLDOUT: point[:, column] < campaign.holdout,
            Reason.QUIET_HOURS: situation.send_at >= end,
            Reason.CONTACTED: contacts[:, column] >= campaign.contacts_per_customer,
            Reason.FREQUENCY_CAP: np.minimum(room[:, channel], slots) < 1,
        }
        reason[:, column] = np.select(list(said.values()), [int(key) for key in said], int(Reason.CHOSEN))
    return Screening(reason, point, contacts, room, slots)


def decide(situation: Situation, policy: Policy, screening: Screening, offers: pl.DataFrame) -> Outcome:
    """Decide who gets what.

    Args:
        situation: what is known.
        policy: what holds for all campaigns.
        screening: from `screen`.
        offers: user, campaign and item as numbers, and probability; pairs that the tests refuse are left out.
    """
    users, campaigns = len(situation.users), len(situation.campaigns)
    passed = screening.reason[offers["user"].to_numpy(), offers["campaign"].to_numpy()] == Reason.CHOSEN
    offer = weigh(situation, policy, offers.filter(pl.Series(passed)))
    row, column = offer["user"].to_numpy(), offer["campaign"].to_numpy()
    said, reason = offer["reason"].to_numpy(), screening.reason.copy()
    reason[(reason == Reason.CHOSEN)] = Reason.NO_OFFER
    reason[row, column] = said
    value = np.full((users, campaigns), -1.0)
    value[row, column] = np.where(said == Reason.CHOSEN, offer["value"].to_numpy(), -1.0)
    budget = np.array(
        [
            budget_of_day(campaign, situation.day, spent)
            for campaign, spent in zip(situation.campaigns, situation.spent, strict=True)
        ]
    )
    cost = np.array([campaign.cost for campaign in situation.campaigns])
    contacts = np.where(cost > 0, budget / np.where(cost > 0, cost, 1.0), np.inf)
    found = allocate(Problem(value, situation.channel, contacts, screening.room, screening.slots))
    refused = (value > 0) & ~found.chosen
    reason[refused] = np.where(value - found.price > 0, Reason.OUTRANKED, Reason.BUDGET)[refused]
    return Outcome(screening, offer, reason, found, budget)


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
    worth = np.array([worth_of_sale(one, situation.items, policy.margin) for one in situation.campaigns])
    cost = np.array([one.cost for one in situation.campaigns])
    freshness = (1.0 - policy.fatigue) ** situation.history.load(policy.fatigue_half_life_days)
    stock = situation.items.select(STOCKOUT_PROBABILITY, OVERSTOCKED, SPARE_UNITS)
    at = {"uplift": situation.uplift[row, column], "worth": worth[column, item], "freshness": freshness[row]}
    value = expected_value(offers["probability"].to_numpy(), *at.values(), cost[column])
    said = {
        Reason.STOCK: pl.col(STOCKOUT_PROBABILITY) > policy.stockout_limit,
        Reason.NO_PRICE: pl.col("worth").is_nan(),
        Reason.VALUE: ~(pl.col("value") > 0),
    }
    reason = pl.coalesce(
        *(pl.when(test.fill_null(False)).then(pl.lit(int(key), pl.Int8)) for key, test in said.items()),
        pl.lit(int(Reason.CHOSEN), pl.Int8),
    )
    weighed = (
        offers.with_columns(**at, value=value, category=situation.category[item])
        .hstack(stock[item])
        .with_columns(reason=reason, offers=pl.len().over("user", "campaign"))
        .sort("value", "user", "campaign", "item", descending=[True, False, False, False], nulls_last=True)
    )
    weighed = _at_most_of_category(weighed, policy.offers_per_category)
    weighed = _within_spare_units(weighed)
    return _best(weighed)


def _best(weighed: pl.DataFrame) -> pl.DataFrame:
    """The best row of every pair, of those that may be if there are any; rows are sorted by value."""
    fine = pl.col("reason") == int(Reason.CHOSEN)
    rows = [weighed.filter(fine), weighed.filter(~fine)]
    return pl.concat(rows).unique(["user", "campaign"], keep="first", maintain_order=True)


def _at_most_of_category(weighed: pl.DataFrame, most: int) -> pl.DataFrame:
    """Leave so many offers of a category to every customer, the best; a campaign's own compete for one place."""
    fine = weighed.with_row_index("row").filter(pl.col("reason") == int(Reason.CHOSEN))
    kept = fine.unique(["user", "campaign", "category"], keep="first", maintain_order=True).with_columns(
        rank=pl.int_range(pl.len()).over("user", "category")
    )
    beaten = kept.filter(pl.col("rank") >= most).select("user", "campaign", "category", out=True)
    return (
        weighed.join(beaten, on=["user", "campaign", "category"], how="left", maintain_order="left")
        .with_columns(_but(pl.col("out").fill_null(False), Reason.DIVERSITY))
        .drop("out")
    )


def _within_spare_units(weighed: pl.DataFrame) -> pl.DataFrame:
    """Advertise a product to so few that they are not expected to buy more than the stock can spare."""
    if weighed[SPARE_UNITS].null_count() == weighed.height:
        return weighed
    weighed = weighed.with_row_index("row")
    units = (pl.col("probability") * pl.col("uplift")).clip(0)
    for _ in range(ROUNDS):
        best = _best(weighed).filter(pl.col("reason") == int(Reason.CHOSEN)).sort("row")
        over = best.filter((units.cum_sum().over("item") > pl.col(SPARE_UNITS)).fill_null(False))["row"]
        if over.is_empty():
            break
        weighed = weighed.with_columns(_but(pl.col("row").is_in(over.implode()), Reason.TOO_MANY))
    else:  # moving on and on: whoever is too much now gets nothing
        best = _best(weighed).filter(pl.col("reason") == int(Reason.CHOSEN)).sort("row")
        over = best.filter((units.cum_sum().over("item") > pl.col(SPARE_UNITS)).fill_null(False))
        pairs = over.select("user", "campaign", out=True)
        weighed = (
            weighed.join(pairs, on=["user", "campaign"], how="left", maintain_order="left")
            .with_columns(_but(pl.col("out").fill_null(False), Reason.TOO_MANY))
            .drop("out")
        )
    return weighed.drop("row")


def _but(refused: pl.Expr, reason: Reason) -> pl.Expr:
    """The reason, where there was none yet."""
    first = refused & (pl.col("reason") == int(Reason.CHOSEN))
    return pl.when(first).then(pl.lit(int(reason), pl.Int8)).otherwise(pl.col("reason")).alias("reason")


def no_offers() -> pl.DataFrame:
    """Not a single one."""
    return pl.DataFrame(schema=OFFER)


def offered(outcome: Outcome, situation: Situation) -> pl.Series:
    """The item ids of the best offers, in the order of `outcome.offer`."""
    return situation.items[ITEM_ID].gather(outcome.offer["item"])
