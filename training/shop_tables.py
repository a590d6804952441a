"""A prepared data folder as customer profiles read it: lazily, and with what its columns mean."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import narwhals as nw
import polars as pl

from data_pipelines import schema as s
from data_pipelines.customer_features import FeatureColumns, ShopTables
from data_pipelines.frames import Lazy
from data_pipelines.prepared_tables import scan_table
from data_pipelines.splits import read_manifest
from training.profile_config import ProfileConfig

DISCOUNT = "disc"


@dataclass(frozen=True)
class ShopLog:
    """A shop up to a moment.

    Args:
        tables: its tables.
        columns: what their columns mean.
        until: naive UTC, itself excluded.
        fingerprint: content hash of the folder.
        notices: what had to be assumed, in sentences for the user.
    """

    tables: ShopTables
    columns: FeatureColumns
    until: datetime
    fingerprint: str
    notices: tuple[str, ...] = ()


def read_shop(data: Path, config: ProfileConfig, until: datetime | None = None) -> ShopLog:
    """Look into a folder.

    Args:
        data: written by `supplytower data prepare`.
        config: which columns to take.
        until: naive UTC; None for the second after the last event.

    Raises:
        InputError: if the folder is not a prepared one, lacks a column that the settings name, or has no event
            before `until`.
    """
    manifest = read_manifest(data)
    events, items, users = (
        scan_table(data, table.name, list(table.required)) for table in (s.EVENTS, s.ITEMS, s.USERS)
    )
    promotions = data / f"{s.PROMOTIONS}.parquet"
    kinds, attributes = events.collect_schema(), items.collect_schema()
    if until is None:
        last = events.select(pl.col(s.TIMESTAMP).max()).collect().item()
        until = (last or datetime(1970, 1, 1)) + timedelta(seconds=1)
    before = events.filter(pl.col(s.TIMESTAMP) < until)
    types = before.select(pl.col(s.EVENT_TYPE).unique()).collect().to_series().to_list()
    if not types:
        first = events.select(pl.col(s.TIMESTAMP).min()).collect().item()
        if first is None:
            raise s.InputError(
                f"{data / 'events.parquet'}: no rows; run `supplytower data prepare` on data that has some"
            )
        raise s.InputError(f"--until {until}: no event before it in {data}; the first one is of {first}")
    bought, notices = _bought(types, config)
    defaults = manifest.get("defaults", {})
    discounts = config.discount_columns
    if discounts is None:
        discounts = tuple(name for name, kind in kinds.items() if DISCOUNT in name and kind.is_numeric())
        if discounts:
            notices += (f"taken for money off a line: {', '.join(discounts)}; name others with discount_columns",)
    _require(discounts, kinds, "discount_columns", data / "events.parquet", numeric=True)
    category = config.category_column or _category(attributes, defaults)
    brand = config.brand_column or ("brand" if "brand" in _single(attributes) else None)
    for setting, name in (("category_column", category), ("brand_column", brand)):
        _require([name] if name else [], attributes, setting, data / "items.parquet")
    columns = FeatureColumns(
        bought=bought,
        category=category,
        brand=brand,
        discounts=discounts,
        promoted_from=config.promoted_from,
        time_zone=defaults.get("time_zone") or "UTC",
    )
    tables = ShopTables(
        _lazy(events),
        _lazy(items),
        _lazy(users),
        _lazy(scan_table(data, s.PROMOTIONS)) if promotions.exists() else None,
    )
    return ShopLog(tables, columns, until, manifest["fingerprint"], notices)


def _lazy(frame: pl.LazyFrame) -> Lazy:
    return nw.from_native(frame)


def _bought(types: list[str], config: ProfileConfig) -> tuple[tuple[str, ...], tuple[str, ...]]:
    if config.bought:
        for name in config.bought:
            if name not in types:
                raise s.InputError(f"bought={name}: no such event; there are {', '.join(sorted(types))}")
        return config.bought, ()
    if s.EventType.PURCHASE.value in types:
        return (s.EventType.PURCHASE.value,), ()
    return tuple(sorted(types)), ("no purchases in the data: every event counts as one; name others with bought",)


def _category(attributes: pl.Schema, defaults: dict[str, Any]) -> str | None:
    """The column `category`, else the finest of the levels that the source names, except the item itself."""
    return next(
        (name for name in ("category", *reversed(defaults.get("levels", []))) if name in _single(attributes)), None
    )


def _single(attributes: pl.Schema) -> list[str]:
    """Columns with one value per item."""
    return [name for name, kind in attributes.items() if not kind.is_nested()]


def _require(names: Any, kinds: pl.Schema, setting: str, path: Path, *, numeric: bool = False) -> None:
    for name in names:
        if name not in kinds:
            raise s.InputError(f"{setting}={name}: {path} has no such column; it has {', '.join(kinds)}")
        if kinds[name].is_nested():
            raise s.InputError(f"{setting}={name}: holds {kinds[name]} in {path}; give a column of single values")
        if numeric and not kinds[name].is_numeric():
            raise s.InputError(f"{setting}={name}: holds {kinds[name]} in {path}; give a column of numbers")
