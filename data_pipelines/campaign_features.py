"""What was known of everybody whom a campaign addresses, at the moment it begins.

One row per addressed user: how recently, often and much they bought (RFM), their use of coupons, what earlier campaigns
got from them, how far the campaign's offers are what they buy anyway, who they are, and the campaign itself. All of it
is computed from `CampaignHistory.before(starts_at)` and from what the shop fixes before it sends: whom, which items.
"""

from collections.abc import Iterator
from datetime import datetime

import polars as pl
from polars import selectors

from data_pipelines.campaign_history import SPEND, WITH_COUPON, WITH_DISCOUNT, CampaignHistory
from data_pipelines.schema import (
    BASKET_ID,
    CAMPAIGN_ID,
    CAMPAIGN_TYPE,
    ENDS_AT,
    ITEM_ID,
    OFFER_ID,
    STARTS_AT,
    TIMESTAMP,
    USER_ID,
)

PERIOD_DAYS = 28
"""Rates are per four weeks, so that campaigns early and late in the log compare."""
RATE = "rate"
RECENCY, FREQUENCY, MONETARY = "recency_days", "baskets_per_28_days", "spend_per_28_days"
COUPON_LINES, PAST_OUTCOMES, PAST_ANSWERS = "coupon_lines_per_28_days", "past_outcomes", "past_campaigns_answered"
DIGITS = 6
NEVER_DAYS = 9999.0
"""Days since something that never happened."""


def campaign_features(history: CampaignHistory, campaign: str, recent_days: int = 56) -> pl.DataFrame:
    """Features of the users whom a campaign addresses.

    Args:
        history: all that is known today.
        campaign: its id.
        recent_days: the window of what a customer did lately.

    Returns:
        `user_id` and numeric features, sorted by user.
    """
    about = history.campaigns.row(by_predicate=pl.col(CAMPAIGN_ID) == campaign, named=True)
    start: datetime = about[STARTS_AT]
    past = history.before(start)
    users = history.exposures.filter(pl.col(CAMPAIGN_ID) == campaign).select(USER_ID).sort(USER_ID)
    offers = history.offers.filter(pl.col(CAMPAIGN_ID) == campaign)
    bought = past.purchases.join(users, on=USER_ID, how="semi").with_columns(
        ((start - pl.col(TIMESTAMP)).dt.total_hours() / 24).alias("age_days")
    )
    first = past.purchases[TIMESTAMP].min()
    span = max((start - first).days, 1) if isinstance(first, datetime) else 1
    who = _who(history.users)
    table = users
    for frame in (
        _habits(bought, span, ""),
        _habits(bought.filter(pl.col("age_days") <= recent_days), min(span, recent_days), "_lately"),
        _since(bought),
        _answers(past, users, about),
        _own_items(bought, offers, recent_days),
        *_affinities(bought, offers, history.items),
        who,
    ):
        table = table.join(frame, on=USER_ID, how="left", maintain_order="left")
    days = [name for name in table.columns if name.endswith("_days") and not name.endswith("_28_days")]
    counts = [name for name in table.columns if name not in (USER_ID, *days, *who.columns)]
    # sums of floats differ in the last digits with the order of rows, and trees would split otherwise
    table = table.with_columns(selectors.float().round(DIGITS))
    kinds = history.campaigns[CAMPAIGN_TYPE].unique().sort().to_list()
    n_offers = max(offers[OFFER_ID].n_unique(), 1)
    return table.with_columns(
        pl.col(days).fill_null(NEVER_DAYS).cast(pl.Float64), pl.col(counts).fill_null(0).cast(pl.Float64)
    ).with_columns(
        (pl.col("offers_known") / n_offers).alias("offers_known_share"),
        (pl.col(PAST_ANSWERS) - pl.col("expected_answers")).alias("answers_above_expected"),
        pl.lit(float(kinds.index(about[CAMPAIGN_TYPE]))).alias("campaign_kind"),
        pl.lit(float(n_offers)).alias("campaign_offers"),
        pl.lit(float(offers[ITEM_ID].n_unique())).alias("campaign_items"),
        pl.lit((about[ENDS_AT] - start).days, pl.Float64).alias("campaign_length"),
        pl.lit(float(users.height)).alias("campaign_addressed"),
    )


def _habits(bought: pl.DataFrame, span: int, suffix: str) -> pl.DataFrame:
    """Rates per four weeks over a span of days, and shares of lines."""
    per = span / PERIOD_DAYS
    coupon = pl.col(WITH_COUPON)
    rates = {
        FREQUENCY: pl.col(BASKET_ID).n_unique(),
        MONETARY: pl.col(SPEND).sum(),
        "lines_per_28_days": pl.len(),
        COUPON_LINES: coupon.sum(),
        "coupon_baskets_per_28_days": pl.col(BASKET_ID).filter(coupon).n_unique(),
    }
    shares = {"coupon_share": coupon.mean(), "discount_share": pl.col(WITH_DISCOUNT).mean()}
    named = [(rate / per).alias(name + suffix) for name, rate in rates.items()]
    named += [share.alias(name + suffix) for name, share in shares.items()]
    return bought.group_by(USER_ID).agg(named)


def _since(bought: pl.DataFrame) -> pl.DataFrame:
    return bought.group_by(USER_ID).agg(
        pl.col("age_days").min().alias(RECENCY),
        pl.col("age_days").max().alias("tenure_days"),
        pl.col("age_days").filter(WITH_COUPON).min().alias("last_coupon_days"),
        pl.col(ITEM_ID).n_unique().alias("distinct_items"),
    )


def _answers(past: CampaignHistory, users: pl.DataFrame, about: dict[str, object]) -> pl.DataFrame:
    """What earlier campaigns got from each user, beside what they got from everybody."""
    answers = past.outcomes.group_by(USER_ID, CAMPAIGN_ID).agg(
        pl.len().alias("outcomes"), pl.col(TIMESTAMP).max().alias("last")
    )
    sent = past.exposures.join(past.campaigns, on=CAMPAIGN_ID).join(answers, on=[USER_ID, CAMPAIGN_ID], how="left")
    sent = sent.with_columns(pl.col("outcomes").fill_null(0)).with_columns((pl.col("outcomes") > 0).alias("answered"))
    sent = sent.with_columns(pl.col("answered").mean().over(CAMPAIGN_ID).alias(RATE))
    same = pl.col(CAMPAIGN_TYPE).eq(about[CAMPAIGN_TYPE])
    start = pl.lit(about[STARTS_AT])
    return (
        sent.join(users, on=USER_ID, how="semi")
        .group_by(USER_ID)
        .agg(
            pl.len().alias("past_campaigns"),
            pl.col("answered").sum().alias(PAST_ANSWERS),
            pl.col("outcomes").sum().alias(PAST_OUTCOMES),
            pl.col(RATE).sum().alias("expected_answers"),
            same.sum().alias("past_campaigns_alike"),
            (pl.col("answered") & same).sum().alias("past_campaigns_alike_answered"),
            pl.col("outcomes").filter(same).sum().alias("past_outcomes_alike"),
            (pl.col(ENDS_AT) > start).sum().alias("campaigns_running"),
            (start - pl.col("last").max()).dt.total_days().alias("last_outcome_days"),
        )
    )


def _own_items(bought: pl.DataFrame, offers: pl.DataFrame, recent_days: int) -> pl.DataFrame:
    """Purchases of the very items that the campaign offers."""
    own = bought.join(offers.select(ITEM_ID).unique(), on=ITEM_ID, how="semi")
    covered = own.select(USER_ID, ITEM_ID).unique().join(offers, on=ITEM_ID).group_by(USER_ID)
    return (
        own.group_by(USER_ID)
        .agg(
            pl.len().alias("offered_lines"),
            (pl.col("age_days") <= recent_days).sum().alias("offered_lines_lately"),
            pl.col(ITEM_ID).n_unique().alias("offered_items"),
            pl.col(SPEND).sum().alias("offered_spend"),
            pl.col(WITH_COUPON).sum().alias("offered_coupon_lines"),
            pl.col("age_days").min().alias("last_offered_days"),
        )
        .join(covered.agg(pl.col(OFFER_ID).n_unique().alias("offers_known")), on=USER_ID, how="left")
    )


def _affinities(bought: pl.DataFrame, offers: pl.DataFrame, items: pl.DataFrame) -> Iterator[pl.DataFrame]:
    """For every text attribute (category, brand …): lines with values that the offers have, and with coupon."""
    for name, kind in items.schema.items():
        if kind != pl.String or name == ITEM_ID or not 1 < items[name].n_unique() < items.height / 2:
            continue
        value = items.select(ITEM_ID, name).drop_nulls()
        weight = (
            offers.join(value, on=ITEM_ID)
            .group_by(name)
            .agg((pl.col(OFFER_ID).n_unique() / max(offers[OFFER_ID].n_unique(), 1)).alias("weight"))
        )
        matched = bought.join(value, on=ITEM_ID).join(weight, on=name)
        yield matched.group_by(USER_ID).agg(
            pl.col("weight").sum().alias(f"affinity_{name}"),
            pl.col("weight").filter(WITH_COUPON).sum().alias(f"coupon_affinity_{name}"),
        )


def _who(users: pl.DataFrame) -> pl.DataFrame:
    """Numbers as they are, texts by their place in the alphabet (age and income bands sort), null where not known."""
    texts = [name for name, kind in users.schema.items() if kind == pl.String and name != USER_ID]
    numbers = [name for name, kind in users.schema.items() if kind.is_numeric() or kind == pl.Boolean]
    return users.select(
        USER_ID,
        pl.col(texts).rank("dense").cast(pl.Float64).name.prefix("user_"),
        pl.col(numbers).cast(pl.Float64).name.prefix("user_"),
    )
