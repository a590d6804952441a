"""A name that a person can read for every item, from whatever attributes the shop has."""

from collections.abc import Iterable
from pathlib import Path

import polars as pl

from data_pipelines.schema import ITEM_ID, ITEM_NAME, ITEMS

NAME_COLUMNS = ("name", "title", ITEM_NAME, "product_name", "description")
MAX_PARTS = 2


def item_names(items: pl.DataFrame) -> pl.DataFrame:
    """Name every item.

    Args:
        items: the items table.

    Returns:
        `item_id` and `item_name`: the first of the usual name columns that is there, else the most specific text
        attributes (those with most distinct values that still repeat), else the id.
    """
    text = [name for name, kind in items.schema.items() if kind == pl.String and name != ITEM_ID]
    named = [name for name in NAME_COLUMNS if name in text]
    if named:
        parts = named[:1]
    else:
        distinct = {name: items[name].n_unique() for name in text}
        telling = [name for name in text if distinct[name] < items.height / 2 and not _is_code(items[name])]
        specific = sorted(telling, key=lambda name: -distinct[name])[:MAX_PARTS]
        parts = sorted(specific, key=lambda name: -float(items[name].str.len_chars().mean() or 0))  # type: ignore[arg-type]
    joined = pl.concat_str([pl.col(name) for name in parts], separator=", ", ignore_nulls=True) if parts else pl.lit("")
    return items.select(ITEM_ID, pl.when(joined == "").then(ITEM_ID).otherwise(joined).alias(ITEM_NAME))


def series_names(data: Path, ids: Iterable[str]) -> list[str]:
    """A name for every demand series of a prepared folder: the item's, and the store's id where there are stores."""
    path = data / f"{ITEMS.name}.parquet"
    names = dict(item_names(pl.read_parquet(path)).iter_rows()) if path.exists() else {}

    def name(unique_id: str) -> str:
        item, at, store = unique_id.rpartition("@")
        return names.get(unique_id) or (f"{names[item]} {at} {store}" if item in names else unique_id)

    return [name(str(unique_id)) for unique_id in ids]


def _is_code(values: pl.Series) -> bool:
    """Mostly digits: a number that names nothing."""
    digits = values.drop_nulls().str.contains(r"^\d+$")
    return digits.sum() > len(digits) / 2
