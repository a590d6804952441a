"""The campaigns that a shop has run, and what was known before any of them began.

Reads what `supplytower data prepare` wrote: `campaigns`, `exposures` (who got which), `offers` (which items),
`outcomes` (who answered when), and the purchases. `CampaignHistory.before(moment)` is the one way to look back: nothing
of the moment itself or after it is left in it, so whatever is computed from it cannot know the future.
"""

from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

import polars as pl

from data_pipelines.schema import (
    BASKET_ID,
    CAMPAIGN_ID,
    CAMPAIGN_TYPE,
    CAMPAIGNS,
    COUPON_DISCOUNT,
    ENDS_AT,
    EVENT_TYPE,
    EVENTS,
    ITEM_ID,
    ITEMS,
    MARKETING,
    OFFER_ID,
    PRICE,
    QUANTITY,
    RETAIL_DISCOUNT,
    STARTS_AT,
    TIMESTAMP,
    USER_ID,
    USERS,
    EventType,
    InputError,
)

SPEND = "spend"
WITH_COUPON, WITH_DISCOUNT = "with_coupon", "with_discount"


@dataclass(frozen=True)
class CampaignHistory:
    """Campaigns and purchases.

    Args:
        campaigns: by their beginning: `campaign_id`, `campaign_type`, `starts_at`, `ends_at`.
        exposures: `user_id`, `campaign_id`, one row for everybody who got it.
        offers: `campaign_id`, `item_id`, `offer_id` (the item's own id where the shop has none).
        outcomes: `user_id`, `campaign_id`, `timestamp`; of exposed users only.
        purchases: `user_id`, `item_id`, `basket_id`, `timestamp`, `spend`, `with_coupon`, `with_discount`.
        items: attributes by `item_id`.
        users: attributes by `user_id`.
        notices: what was left out, in words.
    """

    campaigns: pl.DataFrame
    exposures: pl.DataFrame
    offers: pl.DataFrame
    outcomes: pl.DataFrame
    purchases: pl.DataFrame
    items: pl.DataFrame
    users: pl.DataFrame
    notices: tuple[str, ...] = ()

    def before(self, moment: datetime) -> "CampaignHistory":
        """What was known when `moment` came: campaigns that had begun, and purchases and outcomes until then."""
        campaigns = self.campaigns.filter(pl.col(STARTS_AT) < moment)
        begun = campaigns.select(CAMPAIGN_ID)
        return replace(
            self,
            campaigns=campaigns,
            exposures=self.exposures.join(begun, on=CAMPAIGN_ID, how="semi"),
            offers=self.offers.join(begun, on=CAMPAIGN_ID, how="semi"),
            outcomes=self.outcomes.filter(pl.col(TIMESTAMP) < moment).join(begun, on=CAMPAIGN_ID, how="semi"),
            purchases=self.purchases.filter(pl.col(TIMESTAMP) < moment),
        )


def load_campaign_history(data: Path) -> CampaignHistory:
    """Read a prepared folder.

    Args:
        data: written by `supplytower data prepare` from a source with campaigns.

    Raises:
        InputError: if a table is missing, a campaign ends before it begins, or nobody was exposed.
    """
    tables = {table.name: _read(data, table.name) for table in (EVENTS, ITEMS, USERS, *MARKETING)}
    campaigns, exposures, offers, outcomes = (tables[table.name] for table in MARKETING)
    _require_flights(campaigns, data)
    if CAMPAIGN_TYPE not in campaigns.columns:
        campaigns = campaigns.with_columns(pl.lit("").alias(CAMPAIGN_TYPE))
    if OFFER_ID not in offers.columns:
        offers = offers.with_columns(pl.col(ITEM_ID).alias(OFFER_ID))
    campaigns = campaigns.with_columns(pl.col(CAMPAIGN_TYPE).fill_null(""))
    known = campaigns.select(CAMPAIGN_ID)
    exposed = exposures.select(USER_ID, CAMPAIGN_ID).unique().join(known, on=CAMPAIGN_ID, how="semi")
    answered = outcomes.select(USER_ID, CAMPAIGN_ID, TIMESTAMP).join(exposed, on=[USER_ID, CAMPAIGN_ID], how="semi")
    if exposed.is_empty():
        raise InputError(f"{data}: no row of exposures names a campaign of campaigns; are the ids written alike?")
    return CampaignHistory(
        campaigns=campaigns.select(CAMPAIGN_ID, CAMPAIGN_TYPE, STARTS_AT, ENDS_AT).sort(STARTS_AT, CAMPAIGN_ID),
        exposures=exposed.sort(CAMPAIGN_ID, USER_ID),
        offers=offers.select(CAMPAIGN_ID, ITEM_ID, pl.col(OFFER_ID).fill_null(pl.col(ITEM_ID))).unique(),
        outcomes=answered,
        purchases=_purchases(tables[EVENTS.name]),
        items=tables[ITEMS.name],
        users=tables[USERS.name],
        notices=tuple(
            f"{lost:,} {what} left out"
            for lost, what in (
                (exposures.height - exposed.height, "exposures of unknown campaigns, or given twice,"),
                (outcomes.height - answered.height, "outcomes of users whom the campaign did not reach"),
            )
            if lost
        ),
    )


def _read(data: Path, name: str) -> pl.DataFrame:
    path = data / f"{name}.parquet"
    if not path.is_file():
        raise InputError(
            f"{path}: does not exist; run `supplytower data prepare` on a source with the tables "
            f"{', '.join(table.name for table in MARKETING)} (complete-journey has them)"
        )
    return pl.read_parquet(path)


def _require_flights(campaigns: pl.DataFrame, data: Path) -> None:
    wrong = campaigns.filter(pl.col(ENDS_AT) <= pl.col(STARTS_AT))
    if wrong.height:
        one = wrong.row(0, named=True)
        raise InputError(
            f"{data / CAMPAIGNS.name}.parquet: campaign {one[CAMPAIGN_ID]!r} begins {one[STARTS_AT]} and ends "
            f"{one[ENDS_AT]}; a campaign ends after it begins"
        )


def _purchases(events: pl.DataFrame) -> pl.DataFrame:
    """Purchases; without basket ids a day is a basket, without prices spend is 0, without discounts there are none."""
    names = events.columns
    units = pl.col(QUANTITY).fill_null(1.0) if QUANTITY in names else pl.lit(1.0)
    spend = pl.col(PRICE).fill_null(0.0) * units if PRICE in names else pl.lit(0.0)
    day = pl.col(TIMESTAMP).dt.date().cast(pl.String)

    def discounted(column: str) -> pl.Expr:
        return (pl.col(column).fill_null(0.0) != 0) if column in names else pl.lit(False)

    return events.filter(pl.col(EVENT_TYPE) == EventType.PURCHASE.value).select(
        USER_ID,
        ITEM_ID,
        TIMESTAMP,
        pl.col(BASKET_ID).fill_null(day) if BASKET_ID in names else day.alias(BASKET_ID),
        spend.alias(SPEND),
        discounted(COUPON_DISCOUNT).alias(WITH_COUPON),
        discounted(RETAIL_DISCOUNT).alias(WITH_DISCOUNT),
    )
