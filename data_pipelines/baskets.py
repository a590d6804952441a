"""What lay together in one basket, as a sparse table of baskets and things, for basket rules.

A basket is a user's `basket_id` (tills count from 1 again and again); where there is none, what a user did at one time.
Baskets are made of purchases where there are any, else of all events. A thing is an item, or a category of items; it
counts once however often it was bought.
"""

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl
from scipy import sparse

from data_pipelines.prepared_tables import scan_table
from data_pipelines.schema import (
    BASKET_ID,
    CATEGORY,
    EVENT_TYPE,
    EVENTS,
    ITEM_ID,
    ITEMS,
    TIMESTAMP,
    USER_ID,
    EventType,
    InputError,
)

CATEGORY_COLUMNS = (CATEGORY, "product_category", "department")
"""Columns of the catalogue that say what an item is, the most usual name first."""
LongArray = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Baskets:
    """Baskets in order of their time.

    Args:
        contents: sparse CSR `[n_baskets, n_things]`, true where the basket holds the thing. A basket of nothing that is
            known (items without a category) has an empty row: it was a shopping trip.
        things: `[n_things]` ids of the items or names of the categories.
        customer: `[n_baskets]` number of the user, from 0.
        time: `[n_baskets]` when the basket began, UTC.
    """

    contents: Any
    things: npt.NDArray[np.str_]
    customer: LongArray
    time: npt.NDArray[np.datetime64]

    def __len__(self) -> int:
        return len(self.customer)


def read_events(data: Path, until: datetime | None = None) -> pl.DataFrame:
    """The events that baskets are made of: basket_id, user_id, item_id, timestamp.

    Args:
        data: folder written by `supplytower data prepare`.
        until: leave out what happened at this time (UTC) or later.

    Raises:
        InputError: if the folder has no events, or none before `until`.
    """
    table = scan_table(data, EVENTS.name, [USER_ID, ITEM_ID, EVENT_TYPE, TIMESTAMP])
    wanted = [name for name in (BASKET_ID, USER_ID, ITEM_ID, TIMESTAMP) if name in table.collect_schema()]
    # of a log of views, the purchases alone are read
    events = table.filter(pl.col(EVENT_TYPE) == EventType.PURCHASE).select(wanted).collect()
    if events.is_empty():
        events = table.select(wanted).collect()
    if until is not None:
        first = events[TIMESTAMP].min()
        events = events.filter(pl.col(TIMESTAMP) < until)
        if events.is_empty():
            raise InputError(f"until={until.isoformat()}: no basket is older; the first is of {first!s}")
    if events.is_empty():
        raise InputError(
            f"{data / EVENTS.name}.parquet: no rows; run `supplytower data prepare` again with data that has some"
        )
    moment = pl.format("at {}", TIMESTAMP)
    key = pl.coalesce(BASKET_ID, moment) if BASKET_ID in events.columns else moment
    return events.select(key.alias(BASKET_ID), USER_ID, ITEM_ID, TIMESTAMP)


def make_baskets(events: pl.DataFrame, categories: pl.DataFrame | None = None) -> Baskets:
    """Lay events into baskets.

    Args:
        events: from `read_events`.
        categories: `item_id` and `category`, to make baskets of categories; items without one are left out.
    """
    basket = [USER_ID, BASKET_ID]
    trips = events.group_by(basket).agg(pl.col(TIMESTAMP).min()).sort(TIMESTAMP, *basket).with_row_index("row")
    thing = ITEM_ID if categories is None else CATEGORY
    lines = events if categories is None else events.join(categories, on=ITEM_ID, how="inner").drop_nulls(CATEGORY)
    lines = lines.select(*basket, thing).unique().join(trips, on=basket)
    things = lines[thing].unique().sort()
    column = lines[thing].cast(pl.Enum(things)).to_physical().to_numpy()
    contents = sparse.csr_matrix(
        (np.ones(lines.height, bool), (lines["row"].to_numpy(), column)), shape=(trips.height, len(things))
    )
    customer = trips[USER_ID].rank("dense").to_numpy().astype(np.int64) - 1
    return Baskets(contents, things.to_numpy().astype(np.str_), customer, trips[TIMESTAMP].to_numpy())


def item_categories(items: pl.DataFrame, column: str | None = None) -> pl.DataFrame:
    """The category of every item.

    Args:
        items: the items table.
        column: which column says it; by default the first of `CATEGORY_COLUMNS` that is there.

    Returns:
        `item_id` and `category`.

    Raises:
        InputError: if there is no such column.
    """
    if column is None:
        found = next((name for name in CATEGORY_COLUMNS if name in items.columns), None)
        if found is None:
            raise InputError(
                f"{ITEMS.name}: no column {', '.join(CATEGORY_COLUMNS)}; name the one of the categories with "
                "--set category=COLUMN, or ask for --level item"
            )
        column = found
    if column not in items.columns or column == ITEM_ID:
        others = ", ".join(name for name in items.columns if name != ITEM_ID)
        raise InputError(f"category={column}: not a column of {ITEMS.name}; it has {others or 'none but the id'}")
    if items.schema[column].is_nested():
        raise InputError(f"category={column}: holds {items.schema[column]}; name a column with one value per item")
    return items.select(ITEM_ID, pl.col(column).cast(pl.String).alias(CATEGORY))
