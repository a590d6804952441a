"""What the stock allows: nothing is advertised that will sell out, and what is overstocked is pushed.

From the table of `supplytower inventory plan`: the probability that a product runs out before an order of today can
arrive, for how many days the stock lasts, and how many units are there beyond the demand that is expected anyway. Of a
product that several stores have, the worst store counts.
"""

from collections.abc import Sequence
from pathlib import Path

import polars as pl

from data_pipelines.schema import (
    DAYS_OF_COVER,
    DECIDED,
    ITEM_ID,
    ON_HAND,
    ON_ORDER,
    OVERSTOCKED,
    PROBABILITY,
    STOCKOUT_PROBABILITY,
    UNIQUE_ID,
    UPLIFT,
    InputError,
)
from serving.campaigns.audience import columns
from serving.campaigns.campaign import Campaign
from serving.campaigns.tables import numbers
from serving.inventory.tables import read_table

SPARE_UNITS = "spare_units"
UNTIL_ARRIVAL = "demand_until_arrival"
STOCK = {STOCKOUT_PROBABILITY: pl.Float64, DAYS_OF_COVER: pl.Float64, SPARE_UNITS: pl.Float64}


def require_stock_plan(stock_plan: Path | None, campaigns: Sequence[Campaign]) -> None:
    """Refuse campaigns of what is overstocked where nothing says what is: their day would be decided, with no offer.

    Raises:
        InputError: naming the first one.
    """
    if stock_plan is not None:
        return
    for campaign in campaigns:
        if OVERSTOCKED in columns(campaign.items, f"campaign {campaign.id!r}: items"):
            raise InputError(
                f"campaign {campaign.id!r}: items: {OVERSTOCKED} needs --stock-plan PLAN; write it with "
                "`supplytower inventory plan --stock STOCK --out PLAN`"
            )


def read_stock_plan(path: Path) -> pl.DataFrame:
    """Read what a plan says of every item.

    Returns:
        item_id, stockout_probability, days_of_cover, spare_units; the last two null where the plan does not say.

    Raises:
        InputError: if it cannot be read, or a number is impossible.
    """
    table = read_table(path, (UNIQUE_ID, STOCKOUT_PROBABILITY))
    limits = {STOCKOUT_PROBABILITY: 1.0 + 1e-9} | dict.fromkeys((DAYS_OF_COVER, ON_HAND, ON_ORDER, UNTIL_ARRIVAL), 1e18)
    given = [name for name in limits if name in table.columns]
    table = table.with_columns(numbers(table, name, path, 0.0, limits[name]) for name in given)
    units = {ON_HAND, ON_ORDER, UNTIL_ARRIVAL} <= set(given)
    spare = pl.col(ON_HAND) + pl.col(ON_ORDER) - pl.col(UNTIL_ARRIVAL) if units else pl.lit(None)
    cover = pl.col(DAYS_OF_COVER) if DAYS_OF_COVER in given else pl.lit(None)
    return (
        table.select(
            pl.col(UNIQUE_ID).str.split("@").list.first().alias(ITEM_ID),
            pl.col(STOCKOUT_PROBABILITY),
            cover.cast(pl.Float64).alias(DAYS_OF_COVER),
            spare.cast(pl.Float64).clip(0).alias(SPARE_UNITS),
        )
        .group_by(ITEM_ID, maintain_order=True)
        .agg(pl.col(STOCKOUT_PROBABILITY).max(), pl.col(DAYS_OF_COVER).min(), pl.col(SPARE_UNITS).sum())
        .with_columns(pl.col(SPARE_UNITS) if units else pl.lit(None, pl.Float64).alias(SPARE_UNITS))
    )


def less_promised(items: pl.DataFrame, decided: pl.DataFrame | None) -> pl.DataFrame:
    """Items whose spare units lack what those are expected to buy who got an offer before.

    Args:
        items: item_id, spare_units.
        decided: item_id, probability, uplift and decided, as in the log; None if nothing was.
    """
    if decided is None:
        return items
    units = (pl.col(PROBABILITY) * pl.col(UPLIFT)).clip(0).sum().alias("promised")
    promised = decided.filter(DECIDED).group_by(ITEM_ID).agg(units)
    left = pl.col(SPARE_UNITS) - pl.col("promised").fill_null(0.0)
    items = items.join(promised, on=ITEM_ID, how="left", maintain_order="left")
    return items.with_columns(left.clip(0).alias(SPARE_UNITS)).drop("promised")


def with_stock(
    items: pl.DataFrame, stock: pl.DataFrame | None, limit: float, overstock_days: float, *, only_planned: bool = False
) -> pl.DataFrame:
    """Items with what the plan says of them, and whether they are overstocked.

    Args:
        items: item_id.
        stock: from `read_stock_plan`; None where there is no plan.
        limit: probability of a stock-out, above which nothing is overstocked.
        overstock_days: from which on a stock lasts too long.
        only_planned: whether what the plan does not know counts as sold out; else nothing is known of it (nulls).
    """
    if stock is None:
        items = items.with_columns(pl.lit(None, kind).alias(name) for name, kind in STOCK.items())
    else:
        items = items.drop(STOCK, strict=False).join(stock, on=ITEM_ID, how="left", maintain_order="left")
    if only_planned:
        items = items.with_columns(pl.col(STOCKOUT_PROBABILITY).fill_null(1.0))
    plenty = (pl.col(DAYS_OF_COVER) >= overstock_days) & (pl.col(STOCKOUT_PROBABILITY) <= limit)
    return items.with_columns(plenty.fill_null(False).alias(OVERSTOCKED))
