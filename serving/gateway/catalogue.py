"""What the shop sells and has: attributes to filter and explain by, and what is out of stock.

Items and stock are tables on disk that other programs replace, see `watched_files`.
"""

from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from data_pipelines.item_names import item_names
from data_pipelines.schema import ITEM_ID, ITEM_NAME, ON_HAND, UNIQUE_ID, InputError
from serving.gateway.json_table import json_table
from serving.gateway.watched_files import WatchedFiles
from serving.table_file import read_file, require_columns

Mask = npt.NDArray[np.bool_]
Scalar = str | int | float | bool
MASKS = 64
"""Filters whose items are remembered."""
LEAST_TELLING = 3
"""Distinct values of an attribute that is worth mentioning."""


class UnknownAttributeError(ValueError):
    """A filter names an attribute that the items do not have."""


class Catalogue:
    """A snapshot of items and stock.

    Args:
        items: `item_id` and attributes; None if they are not known: then nothing can be filtered.
        stock: `unique_id` (an item, or `item@store`) and `on_hand`; None: everything is in stock.
    """

    def __init__(self, items: pl.DataFrame | None = None, stock: pl.DataFrame | None = None):
        table = pl.DataFrame({ITEM_ID: []}) if items is None else json_table(items)
        table = table.with_columns(pl.col(ITEM_ID).cast(pl.String))
        self.known = items is not None
        self.attributes = tuple(name for name in table.columns if name != ITEM_ID)
        self.size = table.height
        self._row = {item_id: row for row, item_id in enumerate(table[ITEM_ID])}
        self._read: dict[str, dict[str, Any]] = {}  # rows are taken out of the table once: that wakes its threads
        self._table = table if ITEM_NAME in table.columns else table.join(item_names(table), on=ITEM_ID, how="left")
        self.telling = _telling(table)
        self._out_of_stock = _out_of_stock(stock, self._row)
        self._mask = lru_cache(MASKS)(self._find)

    def passes(
        self, item_ids: Sequence[str], filters: Mapping[str, Scalar | Sequence[Scalar]], in_stock_only: bool
    ) -> list[bool]:
        """Whether each item has the attributes and is in stock; an unknown item passes where nothing is filtered."""
        absent = self._out_of_stock if in_stock_only else frozenset()
        if not filters:
            return [item_id not in absent for item_id in item_ids]
        mask = self._mask(_key(filters))
        rows = [self._row.get(item_id, -1) for item_id in item_ids]
        return [row >= 0 and bool(mask[row]) and item not in absent for row, item in zip(rows, item_ids, strict=True)]

    def share(self, filters: Mapping[str, Scalar | Sequence[Scalar]], in_stock_only: bool) -> float:
        """About which share of the items passes: how many more must be asked for."""
        share = float(self._mask(_key(filters)).mean()) if filters and self.size else 1.0
        if in_stock_only and self.size:
            share *= max(1.0 - len(self._out_of_stock) / self.size, 0.0)
        return share

    def describe(self, item_ids: Iterable[str]) -> dict[str, dict[str, Any]]:
        """Name and attributes of the items that are known."""
        known = [item_id for item_id in item_ids if item_id in self._row]
        if unread := [item_id for item_id in known if item_id not in self._read]:
            found = self._table[[self._row[item_id] for item_id in unread]].to_dicts()
            self._read.update(zip(unread, found, strict=True))
        return {item_id: self._read[item_id] for item_id in known}

    def _find(self, key: tuple[tuple[str, tuple[str, ...]], ...]) -> Mask:
        mask = np.ones(self.size, bool)
        for name, values in key:
            if name not in self.attributes:
                raise UnknownAttributeError(
                    f"filters: no attribute {name!r}; there are: {', '.join(self.attributes) or '(none)'}"
                )
            mask &= _any_of(self._table[name], values)
        return mask


def _key(filters: Mapping[str, Scalar | Sequence[Scalar]]) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """Filters as a key of a cache, in the texts that are compared: True and 1 must not share one."""
    listed = {name: [value] if isinstance(value, Scalar) else list(value) for name, value in filters.items()}
    return tuple((name, tuple(_text(value) for value in values)) for name, values in sorted(listed.items()))


def _text(value: Scalar) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _any_of(column: pl.Series, values: Sequence[str]) -> Mask:
    """Rows with one of the values; of a list-valued attribute, rows of which any value is."""
    if column.dtype != pl.List:
        return _is_one_of(column, values)
    rows = pl.DataFrame({"row": pl.int_range(len(column), eager=True), "value": column})
    single = rows.filter(pl.col("value").list.len() > 0).explode("value")
    mask = np.zeros(len(column), bool)
    mask[single["row"].to_numpy()[_is_one_of(single["value"], values)]] = True
    return mask


def _is_one_of(column: pl.Series, values: Sequence[str]) -> Mask:
    """Numbers are compared as numbers, all else as text."""
    kind = pl.Float64 if column.dtype.is_numeric() else pl.String
    wanted = pl.Series(values, dtype=pl.String).cast(kind, strict=False).drop_nulls()
    matches: Mask = column.cast(kind).is_in(wanted.implode()).fill_null(False).to_numpy()
    return matches


def _telling(items: pl.DataFrame) -> tuple[str, ...]:
    """Text attributes that say what an item is, the most specific first: no codes, no sizes, no single values."""
    found = []
    for name, kind in items.schema.items():
        if kind != pl.String or name == ITEM_ID:
            continue
        values = items[name].drop_nulls()
        distinct = values.n_unique()
        with_digits = int(values.str.contains(r"\d").sum())
        if LEAST_TELLING <= distinct < items.height / 2 and with_digits <= len(values) / 2:
            found.append((-distinct, name))
    return tuple(name for _, name in sorted(found))


def _out_of_stock(stock: pl.DataFrame | None, items: Mapping[str, int]) -> frozenset[str]:
    """Items of which no store has any; what the table does not name is taken to be there."""
    if stock is None:
        return frozenset()
    unit = pl.col(UNIQUE_ID).cast(pl.String)
    before_store = unit.str.replace(r"@[^@]*$", "")
    per_item = (
        stock.select(
            pl.when(unit.is_in(list(items))).then(unit).otherwise(before_store).alias(ITEM_ID),
            pl.col(ON_HAND).cast(pl.Float64).fill_null(0.0),
        )
        .group_by(ITEM_ID)
        .agg(pl.col(ON_HAND).max())
    )
    return frozenset(per_item.filter(pl.col(ON_HAND) <= 0)[ITEM_ID])


def read_catalogue(items: Path | None, stock: Path | None) -> Catalogue:
    """Read the tables.

    Args:
        items: table of `item_id` and attributes, Parquet or CSV.
        stock: table of `unique_id` and `on_hand`, e.g. one that `supplytower inventory plan` wrote.

    Raises:
        InputError: if one cannot be read, lacks a column, or names an item twice.
    """
    table = None if items is None else _read(items, (ITEM_ID,))
    if table is not None and (twice := table[ITEM_ID].filter(table[ITEM_ID].is_duplicated())).len():
        raise InputError(f"{items}: item_id {twice[0]!r} is there twice; keep one row for each item")
    return Catalogue(table, None if stock is None else _read(stock, (UNIQUE_ID, ON_HAND)))


def _read(path: Path, required: Sequence[str]) -> pl.DataFrame:
    table = read_file(path, (ITEM_ID, UNIQUE_ID))
    require_columns(table, required, path)
    return table


class CatalogueFiles(WatchedFiles[Catalogue]):
    """The current snapshot of tables that may be replaced while the gateway runs.

    Args:
        items: see `read_catalogue`.
        stock: see `read_catalogue`.
        reload_seconds: how often they are looked at.

    Raises:
        InputError: if they cannot be read at the start.
    """

    def __init__(self, items: Path | None = None, stock: Path | None = None, *, reload_seconds: float = 5.0):
        paths = [path for path in (items, stock) if path is not None]
        super().__init__("catalogue", paths, lambda: read_catalogue(items, stock), reload_seconds=reload_seconds)
