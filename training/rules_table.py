"""The tables that `supplytower rules mine` writes: rules, and bundles with what they cost."""

import numpy as np
import polars as pl

from data_pipelines.baskets import Baskets
from data_pipelines.item_names import item_names
from data_pipelines.schema import (
    ANTECEDENT,
    BASKETS,
    BUNDLE_ITEMS,
    CONFIDENCE,
    CONSEQUENT,
    CONVICTION,
    CUSTOMERS,
    ITEM_ID,
    ITEM_NAME,
    LEVEL,
    LEVERAGE,
    LIFT,
    LIFT_SAME_CUSTOMER,
    LIFT_SAME_SIZE,
    MARGIN,
    P_ADJUSTED,
    P_VALUE,
    PRICE,
    SUPPORT,
    UNIT_COST,
)
from models.bundles import find_bundles
from models.frequent_sets import NOTHING, LongArray
from models.like_baskets import lift_among_same_customer
from training.rule_mining import Mined

BUNDLE_SIZES = (2, 3)


def rules_table(mined: Mined, baskets: Baskets, items: pl.DataFrame) -> pl.DataFrame:
    """The accepted rules of one level, the best first.

    Args:
        mined: all rules.
        baskets: that they were found in.
        items: the catalogue, for names.

    Returns:
        One row per rule: level, antecedent and consequent (lists of ids) with their names, the measures, p-values
        before and after correction, how many baskets and customers hold both, and the lifts among like baskets.
    """
    rows = mined.best_first()
    rules = mined.rules.take(rows)
    frame = pl.DataFrame(
        {
            ANTECEDENT: _lists(rules.antecedent, baskets.things),
            CONSEQUENT: _lists(rules.consequent, baskets.things),
            SUPPORT: rules.support,
            CONFIDENCE: rules.confidence,
            LIFT: rules.lift,
            LEVERAGE: rules.leverage,
            CONVICTION: rules.conviction,
            P_VALUE: mined.p_value[rows],
            P_ADJUSTED: mined.p_adjusted[rows],
            BASKETS: rules.baskets,
            CUSTOMERS: mined.customers[rows],
            LIFT_SAME_SIZE: mined.lift_same_size[rows],
            LIFT_SAME_CUSTOMER: lift_among_same_customer(rules, baskets.contents, baskets.customer),
        }
    )
    named = [_names(frame, side, mined.level, items).alias(f"{side}_name") for side in (ANTECEDENT, CONSEQUENT)]
    return frame.with_columns(*named).select(pl.lit(mined.level).alias(LEVEL), pl.all())


def bundles_table(mined: Mined, baskets: Baskets, items: pl.DataFrame) -> pl.DataFrame:
    """Pairs and triples to offer together, the best first.

    Args:
        mined: all rules of one level.
        baskets: that they were found in.
        items: the catalogue; its price and unit_cost add up where every item of the bundle has one.

    Returns:
        One row per bundle: level, items with their names, support, lift, lift among baskets of the same size and
        adjusted p-value of its weakest rule, weakest confidence, baskets, customers, and price, unit_cost and margin of
        one of each; null where they are not known, as for categories.
    """
    parts = []
    for size in BUNDLE_SIZES:
        found = find_bundles(mined.sets, mined.rules, mined.believed, size)
        part = {
            BUNDLE_ITEMS: _lists(found.items, baskets.things),
            SUPPORT: found.support,
            LIFT: found.lift,
            LIFT_SAME_SIZE: mined.lift_same_size[found.rule].min(axis=1, initial=np.inf),
            "weakest_confidence": found.weakest_confidence,
            P_ADJUSTED: mined.p_adjusted[found.rule].max(axis=1, initial=0.0),
            BASKETS: found.baskets,
            CUSTOMERS: mined.customers[found.rule[:, 0]],
        }
        parts.append(pl.DataFrame(part))
    frame = pl.concat(parts)
    weight = (pl.col(BASKETS) * pl.col(LIFT_SAME_SIZE).log()).round(6)
    frame = frame.sort(weight, pl.col(BASKETS), descending=True, maintain_order=True)
    frame = frame.with_columns(_names(frame, BUNDLE_ITEMS, mined.level, items).alias("names"))
    sums = {name: _sums(frame, items, name if mined.level == "item" else None) for name in (PRICE, UNIT_COST)}
    frame = frame.with_columns(**sums).with_columns((pl.col(PRICE) - pl.col(UNIT_COST)).alias(MARGIN))
    return frame.select(pl.lit(mined.level).alias(LEVEL), pl.all())


def _lists(places: LongArray, things: np.ndarray) -> pl.Series:
    """Rows of ids, without the gaps."""
    lengths = (places != NOTHING).sum(axis=1)
    flat = pl.Series(things[places[places != NOTHING]].tolist(), dtype=pl.String)
    row = pl.Series(np.repeat(np.arange(len(places)), lengths))
    grouped = pl.DataFrame({"row": row, "thing": flat}).group_by("row", maintain_order=True).agg("thing")
    return grouped["thing"].cast(pl.List(pl.String))


def _names(frame: pl.DataFrame, column: str, level: str, items: pl.DataFrame) -> pl.Series:
    """`a + b` in words; categories are their own names, and equal names of different items keep their id."""
    if level != "item":
        return frame[column].list.join(" + ")
    named = item_names(items)
    double = named[ITEM_NAME].is_duplicated() & (named[ITEM_NAME] != named[ITEM_ID])
    shown = pl.when(double).then(pl.format("{} [{}]", ITEM_NAME, ITEM_ID)).otherwise(ITEM_NAME)
    names = dict(named.select(ITEM_ID, shown.alias("shown")).iter_rows())
    return frame[column].list.eval(pl.element().replace(names)).list.join(" + ")


def _sums(frame: pl.DataFrame, items: pl.DataFrame, column: str | None) -> pl.Series:
    """What the items of a bundle cost together, null where it is not known of all."""
    if column is None or column not in items.columns or not frame.height:
        return pl.Series([None] * frame.height, dtype=pl.Float64)
    known = items.select(pl.col(ITEM_ID), pl.col(column).cast(pl.Float64))
    parts = frame.select(BUNDLE_ITEMS).with_row_index("row").explode(BUNDLE_ITEMS)
    parts = parts.join(known, left_on=BUNDLE_ITEMS, right_on=ITEM_ID, how="left").sort("row")
    complete = pl.when(pl.col(column).is_not_null().all()).then(pl.col(column).sum())
    return parts.group_by("row", maintain_order=True).agg(complete.alias("sum"))["sum"]


def best_pairs(table: pl.DataFrame, count: int) -> pl.DataFrame:
    """The first rules; the way back of one that is listed is left out."""
    together = pl.concat_list(ANTECEDENT, CONSEQUENT).list.sort()
    return table.unique(together, keep="first", maintain_order=True).head(count)
