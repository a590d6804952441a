"""Who the customers are: the users, what their events say, and, if there is one, the table of profiles."""

from datetime import datetime
from pathlib import Path

import polars as pl

from data_pipelines.schema import (
    BASKET_ID,
    BASKET_VALUE,
    EVENT_TYPE,
    FIRST_SEEN_DAYS,
    FREQUENCY,
    ITEM_ID,
    MONETARY,
    PRICE,
    PROFILES_FILE,
    QUANTITY,
    RECENCY_DAYS,
    SEGMENT,
    TIMESTAMP,
    TOP_CATEGORY,
    USER_ID,
    EventType,
    InputError,
)
from serving.campaigns.tables import read_table

CATEGORY = "category"
CATEGORIES = (CATEGORY, "product_category", "department")
LATER = "\0later"
SECONDS_IN_DAY = 86_400.0


def derive_profiles(events: pl.DataFrame, items: pl.DataFrame, at: datetime) -> pl.DataFrame:
    """What the purchases before a moment say of every customer.

    Args:
        events: the log; what happened at `at` or later is not looked at.
        items: item_id and category.
        at: UTC.

    Returns:
        user_id, recency_days and first_seen_days (of purchases), frequency (baskets; days with purchases where there
        are none), monetary (money spent), basket_value, top_category. Customers without purchases are not in it.
    """
    bought = events.filter((pl.col(EVENT_TYPE) == EventType.PURCHASE) & (pl.col(TIMESTAMP) < at))
    basket = pl.col(BASKET_ID) if BASKET_ID in bought.columns else pl.col(TIMESTAMP).dt.date()
    price = pl.col(PRICE).fill_null(0.0) if PRICE in bought.columns else pl.lit(0.0)
    quantity = pl.col(QUANTITY).fill_null(1) if QUANTITY in bought.columns else pl.lit(1)
    profiles = bought.group_by(USER_ID).agg(
        _days(at, pl.col(TIMESTAMP).max()).alias(RECENCY_DAYS),
        _days(at, pl.col(TIMESTAMP).min()).alias(FIRST_SEEN_DAYS),
        basket.n_unique().alias(FREQUENCY),
        (price * quantity).sum().alias(MONETARY),
    )
    favourite = (
        bought.select(USER_ID, ITEM_ID)
        .join(items.select(ITEM_ID, CATEGORY).drop_nulls(), on=ITEM_ID)
        .group_by(USER_ID, CATEGORY)
        .len()
        .sort("len", CATEGORY, descending=[True, False])
        .unique(USER_ID, keep="first", maintain_order=True)
        .select(USER_ID, pl.col(CATEGORY).alias(TOP_CATEGORY))
    )
    profiles = profiles.with_columns((pl.col(MONETARY) / pl.col(FREQUENCY)).alias(BASKET_VALUE))
    return profiles.join(favourite, on=USER_ID, how="left")


def join_customers(users: pl.DataFrame, derived: pl.DataFrame, profiles: pl.DataFrame | None) -> pl.DataFrame:
    """All that is known of every customer, sorted by id.

    Of columns that are in several tables, what the events say counts first, as it is of now and profiles may be older;
    then profiles, then users.
    """
    ids = pl.concat([table.select(USER_ID) for table in (users, derived)]).unique().sort(USER_ID)
    for table in (derived, profiles, users):
        if table is None:
            continue
        again = [name for name in table.columns if name in ids.columns and name != USER_ID]
        kinds = {name: ids.schema[name] for name in again}
        ids = ids.join(
            table.unique(USER_ID, keep="first"), on=USER_ID, how="left", suffix=LATER, maintain_order="left"
        ).with_columns(pl.coalesce(name, pl.col(name + LATER).cast(kinds[name], strict=False)) for name in again)
        ids = ids.drop(name + LATER for name in again)
    return ids if SEGMENT in ids.columns else ids.with_columns(pl.lit(None, pl.String).alias(SEGMENT))


def read_profiles(path: Path) -> pl.DataFrame:
    """Read the table that `supplytower profile build` wrote, or the folder it is in.

    Raises:
        InputError: if it cannot be read, or a customer is there twice.
    """
    file = path / PROFILES_FILE if path.is_dir() else path
    table = read_table(file, (USER_ID,), "see `supplytower profile build --help`")
    if (twice := table[USER_ID].filter(table[USER_ID].is_duplicated())).len():
        raise InputError(f"{file}: {USER_ID} {twice[0]!r} is there twice; keep one row for each customer")
    return table


def with_category(items: pl.DataFrame, column: str) -> pl.DataFrame:
    """Items with a column `category`, copied from the one that says it; null where there is none.

    Raises:
        InputError: if the column that is asked for is not there.
    """
    if column and column not in items.columns:
        raise InputError(f"category_column={column}: no such column of the items; there are {', '.join(items.columns)}")
    found = column or next((name for name in CATEGORIES if name in items.columns), None)
    said = pl.lit(None, pl.String) if found is None else pl.col(found).cast(pl.String)
    return items.with_columns(said.alias(CATEGORY))


def _days(at: datetime, then: pl.Expr) -> pl.Expr:
    return (pl.lit(at) - then).dt.total_seconds() / SECONDS_IN_DAY
