"""What an audience is asked about: one customer's row, with what was done since the tables were made.

Profiles and users count first, as in `supplytower campaigns plan`. Days since the last purchase are those of the live
events, if these hold a purchase. Who is in no table, or had not bought by then, is described by the live events; who
has never bought is new: frequency and monetary are 0, and so is first_seen_days.
"""

from datetime import datetime, timedelta
from typing import Any

import polars as pl

from data_pipelines.schema import (
    BASKET_VALUE,
    EVENT_TYPE,
    FIRST_SEEN_DAYS,
    FREQUENCY,
    ITEM_ID,
    MONETARY,
    PRICE,
    RECENCY_DAYS,
    TIMESTAMP,
    TOP_CATEGORY,
    USER_ID,
    EventType,
)
from serving.campaigns.customers import CATEGORY, SECONDS_IN_DAY, derive_profiles
from serving.gateway.ads.snapshot import AdSnapshot

NEW: dict[str, Any] = {FREQUENCY: 0, MONETARY: 0.0, FIRST_SEEN_DAYS: 0.0}
DERIVED = (RECENCY_DAYS, FIRST_SEEN_DAYS, FREQUENCY, MONETARY, BASKET_VALUE, TOP_CATEGORY)
INSTANT = timedelta(microseconds=1)
"""What happens at the very moment of the request counts."""


def customer_row(snapshot: AdSnapshot, user_id: str, events: pl.DataFrame, at: datetime) -> pl.DataFrame:
    """A row with the columns of the customers' table.

    Args:
        snapshot: the tables.
        user_id: whose; nobody need know it.
        events: the live ones: item as a row number of the snapshot's items, event_type, timestamp.
        at: now.
    """
    row = snapshot.customers.of(user_id)
    if not row.height:
        row = snapshot.customers.table.clear(1).with_columns(pl.lit(user_id).alias(USER_ID))
    if row[FREQUENCY][0] is None:
        found = _derived(snapshot, user_id, events, at)
    else:
        last = events.filter((pl.col(EVENT_TYPE) == EventType.PURCHASE) & (pl.col(TIMESTAMP) <= at))[TIMESTAMP].max()
        found = {RECENCY_DAYS: (at - last).total_seconds() / SECONDS_IN_DAY} if isinstance(last, datetime) else {}
    return row.with_columns(
        pl.lit(value, dtype=row.schema[name]).alias(name) for name, value in found.items() if name in row.columns
    )


def _derived(snapshot: AdSnapshot, user_id: str, events: pl.DataFrame, at: datetime) -> dict[str, Any]:
    bought = events.filter(pl.col(EVENT_TYPE) == EventType.PURCHASE)
    if not bought.height:
        return NEW
    items = snapshot.items[bought["item"].unique()]
    priced = snapshot.items[bought["item"]].select(ITEM_ID, PRICE)
    named = bought.select(pl.lit(user_id).alias(USER_ID), EVENT_TYPE, TIMESTAMP).hstack(priced)
    found = derive_profiles(named, items.select(ITEM_ID, CATEGORY), at + INSTANT)
    return NEW if not found.height else found.select(DERIVED).row(0, named=True)
