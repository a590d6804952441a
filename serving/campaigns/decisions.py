"""The table of decisions: one row for every customer and campaign of a day, with what every test said.

`decision_id` is campaign/day/customer: deciding again gives the same ids, and whoever sends can tell what was sent.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
import polars as pl

from data_pipelines.schema import (
    ANTECEDENT,
    CAMPAIGN_ID,
    CHANNEL,
    CONFIDENCE,
    COST,
    DECIDED,
    DECISION_ID,
    ITEM_ID,
    LIFT,
    OVERSTOCKED,
    SEND_AT,
    STOCKOUT_PROBABILITY,
    UPLIFT,
    USER_ID,
    VALUE,
)
from serving.campaigns.bought_together import told
from serving.campaigns.decide import Outcome, offered
from serving.campaigns.policy import Policy
from serving.campaigns.situation import Reason, Situation

SENTENCES = {
    Reason.AUDIENCE: "not in the audience",
    Reason.CONSENT: "did not agree to be addressed by {channel}",
    Reason.HOLDOUT: "held out, to measure the effect",
    Reason.QUIET_HOURS: "quiet hours last beyond the end of the campaign",
    Reason.CONTACTED: "addressed by this campaign before",
    Reason.FREQUENCY_CAP: "addressed too often lately",
    Reason.NO_OFFER: "no product to offer",
    Reason.STOCK: "the products are likely to sell out",
    Reason.NO_PRICE: "the price of the product is not known",
    Reason.VALUE: "a contact costs more than it brings",
    Reason.DIVERSITY: "another campaign has a better offer of the category",
    Reason.TOO_MANY: "the stock that can be spared goes to customers who are likelier to buy",
    Reason.OUTRANKED: "other campaigns are worth more to this customer",
    Reason.BUDGET: "the budget goes to customers who are worth more",
}
KEYS = {reason: reason.name.lower() for reason in Reason}
PLANNED: dict[Reason, str] = {Reason.CHOSEN: "sent"} | SENTENCES
WORTH = (Reason.CHOSEN, Reason.VALUE, Reason.DIVERSITY, Reason.TOO_MANY, Reason.OUTRANKED, Reason.BUDGET)
"""Reasons after an offer was weighed: its value explains them."""


def to_table(
    situation: Situation, outcome: Outcome, policy: Policy, words: Mapping[Reason, str] = PLANNED
) -> pl.DataFrame:
    """One row per customer and campaign, customers in order.

    Args:
        situation: what was known.
        outcome: what was decided.
        policy: its limits stand beside the values.
        words: what is said for each reason.
    """
    users, campaigns = len(situation.users), len(situation.campaigns)
    shape, screening = (users, campaigns), outcome.screening

    def each(values: Sequence[object], kind: pl.DataType | type[pl.DataType] = pl.String) -> pl.Expr:
        """A value per campaign."""
        return pl.lit(pl.Series(values, dtype=kind)).gather(pl.col("campaign"))

    def flat(values: npt.NDArray[np.generic]) -> npt.NDArray[np.generic]:
        """A value per pair, `[users, campaigns] -> [users * campaigns]`."""
        return np.broadcast_to(values, shape).reshape(-1)

    channel = situation.channel
    pairs = pl.DataFrame(
        {
            "user": flat(np.arange(users)[:, None]),
            "campaign": flat(np.arange(campaigns)),
            SEND_AT: flat(situation.send_at[:, None]),
            "code": flat(outcome.reason).astype(np.int8),
            "holdout_point": flat(screening.holdout),
            "contacts": flat(screening.contacts),
            "room": flat(screening.room[:, channel]),
            "slots": flat(screening.slots[:, None]),
        }
    )
    best = outcome.offer.select(
        "user",
        "campaign",
        offered(outcome, situation).alias(ITEM_ID),
        "probability",
        UPLIFT,
        "worth",
        "freshness",
        VALUE,
        STOCKOUT_PROBABILITY,
        OVERSTOCKED,
        "offers",
        *told(outcome.offer, situation.rules),
    )
    chosen, ids = pl.col("code") == int(Reason.CHOSEN), [one.id for one in situation.campaigns]
    table = pairs.join(best, on=["user", "campaign"], how="left", maintain_order="left").with_columns(
        each(ids).alias(CAMPAIGN_ID),
        pl.lit(situation.users).gather(pl.col("user")).alias(USER_ID),
        each([one.channel for one in situation.campaigns]).alias(CHANNEL),
        each([one.creative for one in situation.campaigns]).alias("creative"),
        each([one.cost for one in situation.campaigns], pl.Float64).alias(COST),
        each([one.holdout for one in situation.campaigns], pl.Float64).alias("holdout"),
        each([one.contacts_per_customer for one in situation.campaigns], pl.Int64).alias("contacts_limit"),
        each(list(outcome.allocation.price), pl.Float64).alias("contact_price"),
        each(list(outcome.budget), pl.Float64).alias("budget_of_day"),
        pl.lit(policy.stockout_limit).alias("stockout_limit"),
        pl.lit(situation.day).alias("day"),
        chosen.alias(DECIDED),
        pl.col("code")
        .replace_strict({int(key): name for key, name in KEYS.items()}, return_dtype=pl.String)
        .alias("reason"),
    )
    return table.select(
        pl.format("{}/{}/{}", CAMPAIGN_ID, "day", USER_ID).alias(DECISION_ID),
        CAMPAIGN_ID,
        USER_ID,
        "day",
        ITEM_ID,
        CHANNEL,
        "creative",
        pl.when(chosen).then(SEND_AT).alias(SEND_AT),
        VALUE,
        COST,
        DECIDED,
        "reason",
        _sentence(words).alias("reasons"),
        "offers",
        ANTECEDENT,
        CONFIDENCE,
        LIFT,
        "probability",
        UPLIFT,
        "worth",
        "freshness",
        STOCKOUT_PROBABILITY,
        "stockout_limit",
        OVERSTOCKED,
        "holdout_point",
        "holdout",
        "contacts",
        "contacts_limit",
        "room",
        "slots",
        "contact_price",
        "budget_of_day",
    )


def _sentence(words: Mapping[Reason, str]) -> pl.Expr:
    """The reason in words, with the sum behind it where there is one."""
    said = {int(reason): text.replace("{channel}", "this channel") for reason, text in words.items()}
    in_words = pl.col("code").replace_strict(said, return_dtype=pl.String)
    amount = [pl.col(name).round(4) for name in (VALUE, "probability", UPLIFT, "worth", "freshness", COST)]
    summed = pl.format(
        "{}: worth {} = probability {} × uplift {} × sale {} × freshness {} - cost {}",
        in_words,
        *amount,
    )
    weighed = pl.col("code").is_in([int(reason) for reason in WORTH]) & pl.col(VALUE).is_not_null()
    return pl.when(weighed).then(summed).otherwise(in_words)
