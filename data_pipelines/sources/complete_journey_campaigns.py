"""Complete Journey's coupon campaigns in the data contract: 27 campaigns, who got them, their coupons and redemptions.

Campaigns and redemptions have days only, so a redemption stands at the first moment of its day, and what happened on
the day on which a campaign begins is not known when it begins.
"""

from pathlib import Path

import narwhals as nw
import polars as pl

from data_pipelines.schema import (
    CAMPAIGN_ID,
    CAMPAIGN_TYPE,
    CAMPAIGNS,
    ENDS_AT,
    EXPOSURES,
    ITEM_ID,
    OFFER_ID,
    OFFERS,
    OUTCOMES,
    SOURCE_ROW,
    STARTS_AT,
    TIMESTAMP,
    USER_ID,
)
from data_pipelines.sources.source import RawTable, load, opening

FILES = {
    CAMPAIGNS.name: "campaign_descriptions",
    EXPOSURES.name: "campaigns",
    OFFERS.name: "coupons",
    OUTCOMES.name: "coupon_redemptions",
}
"""Table of the contract to file of the package."""


def campaign_tables(folder: Path, zone: str) -> dict[str, RawTable]:
    """Read the campaigns.

    Args:
        folder: of the package's Parquet files.
        zone: the shop's time zone, in which its days begin.

    Returns:
        The tables of `schema.MARKETING`; none where the folder has no campaigns.

    Raises:
        InputError: if some of the files are there and others missing or broken.
    """
    paths = {table: folder / f"{name}.parquet" for table, name in FILES.items()}
    if not any(path.exists() for path in paths.values()):
        return {}

    def midnight(day: pl.Expr) -> pl.Expr:
        local = day.dt.date().cast(pl.Datetime("us")).dt.replace_time_zone(zone)
        return local.dt.convert_time_zone("UTC").dt.replace_time_zone(None)

    columns = {
        CAMPAIGNS.name: (
            pl.col("campaign_id").alias(CAMPAIGN_ID),
            pl.col("campaign_type").alias(CAMPAIGN_TYPE),
            midnight(pl.col("start_date")).alias(STARTS_AT),
            midnight(pl.col("end_date").dt.offset_by("1d")).alias(ENDS_AT),
        ),
        EXPOSURES.name: (pl.col("household_id").alias(USER_ID), pl.col("campaign_id").alias(CAMPAIGN_ID)),
        OFFERS.name: (
            pl.col("campaign_id").alias(CAMPAIGN_ID),
            pl.col("product_id").alias(ITEM_ID),
            pl.col("coupon_upc").alias(OFFER_ID),
        ),
        OUTCOMES.name: (
            pl.col("household_id").alias(USER_ID),
            pl.col("campaign_id").alias(CAMPAIGN_ID),
            midnight(pl.col("redemption_date")).alias(TIMESTAMP),
            pl.col("coupon_upc").alias(OFFER_ID),
        ),
    }
    tables = {}
    for table, path in paths.items():
        with opening(path):
            frame = pl.scan_parquet(path, row_index_name=SOURCE_ROW, row_index_offset=1)
            tables[table] = load(nw.from_native(frame.select(SOURCE_ROW, *columns[table])), path)
    return tables
