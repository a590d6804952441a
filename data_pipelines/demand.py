"""Demand series from the event log: units sold per item (or item and store) and day (or week).

The table is sparse: a day without a row is a day without a sale. 92,000 items times a year would be 33 million rows, of
which one in thirty says anything. `demand_panel.load_panel` puts the zeros in for the series that are looked at.

Only purchases count, after cleaning (so without returns and without bulk items such as fuel). A day is a local one.
"""

from datetime import date, datetime, timedelta

import narwhals as nw
import numpy as np
import polars as pl

from data_pipelines.demand_manifest import DemandTables
from data_pipelines.demand_outliers import cap_outliers
from data_pipelines.demand_settings import DemandSeriesConfig
from data_pipelines.frames import Lazy, materialise, rows
from data_pipelines.local_days import local_time, time_zone
from data_pipelines.report import DemandProfile
from data_pipelines.schema import (
    DEMAND,
    DS,
    EVENT_TYPE,
    ITEM_ID,
    PRICE,
    QUANTITY,
    SERIES,
    STORE_ID,
    TIMESTAMP,
    UNIQUE_ID,
    EventType,
    InputError,
    Y,
)
from data_pipelines.trading_days import TradingDays, trading_days

UTC_NAME = "UTC"
NO_STORE = "unknown"
"""Stands for the store of a sale that names none."""


def demand_from_events(
    events: Lazy, items: pl.DataFrame, config: DemandSeriesConfig, zone_name: str | None
) -> DemandTables | None:
    """Make demand series from purchases.

    Args:
        events: cleaned events.
        items: the items with their attributes.
        config: the settings.
        zone_name: the source's time zone, for `demand_time_zone` where it is not set.

    Returns:
        The tables; None where nothing was purchased.

    Raises:
        InputError: if series per store are asked for and the events have no stores.
    """
    sales = _sales(events, config, zone_name)
    if sales is None:
        return None
    step_days = config.step_days
    days = _shop_days(sales, step_days)
    demand, capped = cap_outliers(materialise(demand_series(sales, config)), config.demand_outlier_factor)
    table: pl.DataFrame = demand.collect("polars").to_native()
    series = _series(table, items, config.demand_key)
    table = table.drop(name for name in (ITEM_ID, STORE_ID) if name in table.columns).sort(UNIQUE_ID, DS)
    begins = table.group_by(UNIQUE_ID).agg(pl.max_horizontal(pl.col(DS).min(), days.first_day)).to_series(1)
    cells = int(((days.last_day - begins).dt.total_days() // step_days + 1).clip(0).sum())
    inside = table.filter(pl.col(DS).is_between(days.first_day, days.last_day)).height
    profile = DemandProfile(
        origin="events",
        series=series.height,
        step_days=step_days,
        first_day=str(days.first_day),
        last_day=str(days.last_day),
        zero_share=1 - inside / max(cells, 1),
        repairs=(capped,) if capped else (),
        closed_days=tuple(map(str, days.closed)),
        partial_days=tuple(map(str, days.partial)),
    )
    numeric = (PRICE,) if PRICE in table.columns else ()
    tables = {DEMAND.name: table, SERIES.name: series}
    return DemandTables(tables, profile, gaps="zero", key=config.demand_key, numeric=numeric)


# --- from events, on any engine ----------------------------------------------------------------------------------


def demand_series(sales: Lazy, config: DemandSeriesConfig) -> Lazy:
    """Add sales up.

    Args:
        sales: `item_id` (and `store_id`), the local day as `ds`, units as `y`, and `price` if there are any.
        config: the settings.

    Returns:
        `unique_id`, `ds` (first day of the step), `y`, and `price` as the median unit price; and the ids of which
        `unique_id` is made.
    """
    step = _monday(nw.col(DS)) if config.demand_frequency == "weekly" else nw.col(DS)
    key = [ITEM_ID] if config.demand_key == "item" else [ITEM_ID, STORE_ID]
    aggregates = [nw.col(Y).sum()]
    if PRICE in sales.collect_schema():
        aggregates.append(nw.col(PRICE).median())
    added = sales.with_columns(step.alias(DS)).group_by(*key, DS).agg(*aggregates)
    unique_id = nw.col(ITEM_ID) if len(key) == 1 else nw.concat_str(*key, separator="@")
    measured = [name for name in (Y, PRICE) if name in added.collect_schema()]
    return added.select(unique_id.alias(UNIQUE_ID), DS, *measured, *key)


def _sales(events: Lazy, config: DemandSeriesConfig, zone_name: str | None) -> Lazy | None:
    """Purchases with their local day and units; None if there are none."""
    names = events.collect_schema().names()
    purchases = events.filter(nw.col(EVENT_TYPE) == nw.lit(EventType.PURCHASE.value))
    keep = [ITEM_ID]
    if config.demand_key == "item@store":
        if STORE_ID not in names:
            raise InputError("demand_key=item@store needs the column 'store_id' in events; add it, or use item")
        purchases = purchases.with_columns(nw.col(STORE_ID).fill_null(NO_STORE))
        keep.append(STORE_ID)
    units = nw.lit(1.0)
    if QUANTITY in names:
        units = nw.col(QUANTITY).cast(nw.Float64).fill_null(1.0)
    span = rows(purchases.select(first=nw.col(TIMESTAMP).min(), last=nw.col(TIMESTAMP).max()))[0]
    if span["first"] is None:
        return None
    zone = time_zone(config.demand_time_zone or zone_name or UTC_NAME)
    day = local_time(TIMESTAMP, zone, span["first"], span["last"]).dt.date()
    price = [PRICE] if PRICE in names else []
    sales = purchases.select(*keep, *price, day.alias(DS), units.alias(Y))
    return materialise(sales.filter(nw.col(Y) > 0))


def _monday(day: nw.Expr) -> nw.Expr:
    """The Monday on or before a day."""
    since = (day.dt.weekday() - 1).cast(nw.Int64) * nw.lit(timedelta(days=1))
    return (day.cast(nw.Datetime("us")) - since).dt.date()


# --- the shop as a whole -----------------------------------------------------------------------------------------


def _shop_days(sales: Lazy, step_days: int) -> TradingDays:
    """Judge the days of an event log, where a day without events is one without sales."""
    sold = {row[DS]: float(row[Y]) for row in rows(sales.group_by(DS).agg(nw.col(Y).sum()))}
    sold = {(day.date() if isinstance(day, datetime) else day): units for day, units in sold.items()}
    first, last = min(sold), max(sold)
    days = _range(first, last, 1)
    units = np.array([sold.get(day, 0.0) for day in days])
    if step_days == 1:
        return trading_days(days, units, 1)
    mondays = _range(first - timedelta(days=first.weekday()), last, 7)
    week = np.array([(day - mondays[0]).days // 7 for day in days])
    found = trading_days(mondays, np.bincount(week, units, len(mondays)).astype(np.float64), 7)
    return _whole_weeks(found, first, last)


def _whole_weeks(found: TradingDays, first: date, last: date) -> TradingDays:
    """Leave out a first and last week of which the log holds a part only."""
    week = timedelta(days=7)
    first_week, last_week, partial = found.first_day, found.last_day, set(found.partial)
    if first_week < first and first_week < last_week:
        partial.add(first_week)
        first_week += week
    if last_week + week - timedelta(days=1) > last and first_week < last_week:
        partial.add(last_week)
        last_week -= week
    closed = tuple(day for day in found.closed if first_week <= day <= last_week)
    return TradingDays(first_week, last_week, closed, tuple(sorted(partial)))


def _range(first: date, last: date, step_days: int) -> list[date]:
    return [first + timedelta(days=day) for day in range(0, (last - first).days + 1, step_days)]


def _series(demand: pl.DataFrame, items: pl.DataFrame, key: str) -> pl.DataFrame:
    """One row per series: its ids and the attributes of its item."""
    ids = [UNIQUE_ID, ITEM_ID, *((STORE_ID,) if key != "item" else ())]
    series = demand.select(ids).unique()
    if series[UNIQUE_ID].n_unique() < series.height:
        twice = series.filter(pl.col(UNIQUE_ID).is_duplicated())[UNIQUE_ID].min()
        raise InputError(f"unique_id {twice!r} stands for two pairs of item and store; rename ids that contain '@'")
    attributes = items.drop(name for name in (UNIQUE_ID, STORE_ID) if name in items.columns)
    return series.join(attributes, on=ITEM_ID, how="left").sort(UNIQUE_ID)
