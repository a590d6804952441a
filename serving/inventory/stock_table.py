"""What is in stock and what products cost: the table `stock`, with documented defaults for all that it does not say."""

from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
import polars as pl

from data_pipelines.schema import (
    CAPACITY,
    HOLDING_COST,
    LEAD_TIME_DAYS,
    MOQ,
    ON_HAND,
    ON_ORDER,
    ORDER_COST,
    PACK_SIZE,
    PRICE,
    REVIEW_DAYS,
    SHELF_LIFE_DAYS,
    STOCK,
    STOCKOUT_COST,
    UNIQUE_ID,
    UNIT_COST,
    VOLUME,
    InputError,
)
from serving.inventory.demand_distribution import FloatArray
from serving.inventory.dynamic_programming import Terms
from serving.inventory.policies import ServiceTarget
from serving.inventory.simulator import NO_EXPIRY, Shop
from serving.inventory.tables import as_numbers, read_table

DAYS_IN_YEAR = 365.0
AT_LEAST_ONE = (REVIEW_DAYS, PACK_SIZE)


@dataclass(frozen=True)
class StockDefaults:
    """What holds where the stock table says nothing. Money is in the currency of the prices."""

    on_hand: float = 0.0
    """Units in stock."""
    on_order: float = 0.0
    """Units ordered that arrive within the lead time."""
    lead_time_days: int = 7
    """Days from an order to its arrival; 0 arrives before the demand of the same day."""
    review_days: int = 1
    """Days between two occasions to order."""
    price: float = 1.0
    """What a customer pays for a unit."""
    margin: float = 0.3
    """Share of the price that remains when the unit is paid for; gives unit_cost where only the price is known."""
    holding_rate: float = 0.25
    """Share of the unit cost that holding a unit for a year costs."""
    stockout_factor: float = 1.0
    """A missing unit costs so many times what would have been earned with it (price less unit cost), every day."""
    order_cost: float = 0.0
    """Cost of placing an order, whatever its size."""
    moq: float = 0.0
    """Units that an order has at least."""
    pack_size: int = 1
    """Orders are multiples of so many units."""
    capacity: float = float("inf")
    """Units that there is room for, in stock and on order."""
    shelf_life_days: int = 0
    """Days until a unit spoils; 0: it does not. No more is ordered than is likely enough to be sold before."""
    volume: float = 1.0
    """Room that a unit takes, in the unit of --volume."""
    lost_sales: bool = False
    """Whether a customer who finds nothing goes elsewhere rather than waits."""
    service_level: float = 0.0
    """Share of the demand to serve, instead of weighing what missing units cost; 0: weigh the costs."""
    service_measure: str = "cycle"
    """cycle: share of the times between two orders in which nothing is missing; fill: share of the units."""

    def __post_init__(self) -> None:
        """Refuse what cannot be."""
        for field in fields(StockDefaults):
            if isinstance(field.default, str):
                continue
            if getattr(self, field.name) < (1 if field.name in (REVIEW_DAYS, PACK_SIZE) else 0):
                raise InputError(f"{field.name}={getattr(self, field.name)}: is too small")
        if not self.margin < 1:
            raise InputError(f"margin={self.margin}: must be below 1")
        if not self.service_level < 1:
            raise InputError(f"service_level={self.service_level}: must be below 1, e.g. 0.95")
        if self.service_measure not in ("cycle", "fill"):
            raise InputError(f"service_measure={self.service_measure}: must be cycle or fill")

    @property
    def target(self) -> ServiceTarget | None:
        """The service level, if there is one."""
        return ServiceTarget(self.service_level, self.service_measure == "fill") if self.service_level else None


@dataclass(frozen=True)
class Stock:
    """Products in the order that was asked for.

    Args:
        shop: terms, stock, review and shelf life.
        price: `[n]` money per unit.
        volume: `[n]` room per unit.
        notices: what had to be assumed, in sentences.
    """

    shop: Shop
    price: FloatArray
    volume: FloatArray
    notices: tuple[str, ...]


def read_stock(
    path: Path | None,
    ids: list[str],
    defaults: StockDefaults,
    horizon: int,
    prices: pl.DataFrame | None = None,
    step_days: int = 1,
) -> Stock:
    """Read what is in stock.

    Args:
        path: the table; None takes the defaults for all.
        ids: the products that are forecast.
        defaults: for what is not said.
        horizon: steps that are forecast.
        prices: `unique_id` and `price` of a catalogue, for products whose stock row has none.
        step_days: of a step of the forecast; lead times, reviews and costs by the day become those of steps.

    Raises:
        InputError: naming file, product, column and value, if a number is impossible, an id is there twice, or an order
            cannot be placed.
    """
    given = None if path is None else read_table(path, (UNIQUE_ID,))
    return stock_of(given, path or "the defaults", ids, defaults, horizon, prices, step_days)


def stock_of(
    given: pl.DataFrame | None,
    where: Path | str,
    ids: list[str],
    defaults: StockDefaults,
    horizon: int,
    prices: pl.DataFrame | None = None,
    step_days: int = 1,
) -> Stock:
    """What is in stock, from a table in memory; see `read_stock`.

    Args:
        given: the table; None takes the defaults for all.
        where: what messages call it.
        ids: the products that are forecast.
        defaults: for what is not said.
        horizon: steps that are forecast.
        prices: of a catalogue.
        step_days: of a step of the forecast.
    """
    table, notices = pl.DataFrame({UNIQUE_ID: ids}), []
    if given is None:
        notices.append(f"no --stock: on_hand={defaults.on_hand:g} and the other defaults hold for all products")
    else:
        given = _checked(given, where)
        table = table.join(given, on=UNIQUE_ID, how="left", maintain_order="left")
        unknown = len(set(ids) - set(given[UNIQUE_ID]))
        if unknown == len(set(ids)):
            raise InputError(f"{where}: none of its ids, e.g. {given[UNIQUE_ID][0]!r}, is forecast, e.g. {ids[0]!r}")
        if unknown:
            notices.append(f"{unknown:,} of {len(ids):,} products are not in {where}: the defaults hold for them")
        for name in (ON_HAND, LEAD_TIME_DAYS):
            empty = given[name].null_count() if name in given.columns else given.height
            if empty:
                default = getattr(defaults, name)
                notices.append(f"{where} does not say {name} of {empty:,} products: {default:g} is taken")
        if unasked := len(set(given[UNIQUE_ID]) - set(ids)):
            notices.append(f"{unasked:,} products of {where} have no forecast and are left out")

    def column(name: str, default: FloatArray | float) -> FloatArray:
        if name not in table.columns:
            return np.broadcast_to(np.asarray(default, float), (len(ids),)).copy()
        values = table[name].cast(pl.Float64).to_numpy()
        return np.where(np.isnan(values), default, values)

    cost = column(UNIT_COST, np.nan)
    usual = np.where(np.isnan(cost), defaults.price, cost / (1.0 - defaults.margin))
    if prices is not None:
        known = pl.DataFrame({UNIQUE_ID: ids}).join(prices, on=UNIQUE_ID, how="left", maintain_order="left")[PRICE]
        listed = known.cast(pl.Float64).to_numpy()
        usual = np.where(np.isnan(listed), usual, listed)
    price = column(PRICE, usual)
    cost = np.where(np.isnan(cost), price * (1.0 - defaults.margin), cost)
    terms = Terms(
        lead_time=np.ceil(column(LEAD_TIME_DAYS, defaults.lead_time_days) / step_days).astype(np.int64),
        holding_cost=step_days * column(HOLDING_COST, cost * defaults.holding_rate / DAYS_IN_YEAR),
        stockout_cost=step_days * column(STOCKOUT_COST, np.maximum(price - cost, 0.0) * defaults.stockout_factor),
        unit_cost=cost,
        order_cost=column(ORDER_COST, defaults.order_cost),
        least_order=column(MOQ, defaults.moq),
        pack=column(PACK_SIZE, defaults.pack_size).astype(np.int64),
        capacity=column(CAPACITY, defaults.capacity),
        review_every=np.ceil(column(REVIEW_DAYS, defaults.review_days) / step_days).astype(np.int64),
        end_holding_cost=-cost,
        end_stockout_cost=cost,
    )
    if (cheap := int((price <= cost).sum())) and STOCKOUT_COST not in table.columns:
        notices.append(f"{cheap:,} products cost as much as they bring: a missing one costs nothing, none is ordered")
    life = column(SHELF_LIFE_DAYS, defaults.shelf_life_days)
    shop = Shop(
        terms,
        column(ON_HAND, defaults.on_hand),
        column(ON_ORDER, defaults.on_order),
        defaults.lost_sales,
        np.where(life > 0, np.maximum(life // step_days, 1), NO_EXPIRY).astype(np.int64) if (life > 0).any() else None,
    )
    if step_days > 1:
        notices.append(f"the forecast is by {step_days} days: lead times and review intervals are rounded up to that")
    _require_possible(shop, ids, where, horizon * step_days, step_days)
    return Stock(shop, price, column(VOLUME, defaults.volume), tuple(notices))


def _checked(table: pl.DataFrame, where: Path | str) -> pl.DataFrame:
    """With numbers that can be."""
    if (twice := table[UNIQUE_ID].filter(table[UNIQUE_ID].is_duplicated())).len():
        raise InputError(f"{where}: unique_id {twice[0]!r} is there twice; keep one row for each product")
    for name in STOCK.optional:
        if name not in table.columns:
            continue
        values = as_numbers(table, name, where)
        least = 1.0 if name in AT_LEAST_ONE else 0.0
        wrong = (values.is_null() & table[name].is_not_null()) | values.is_nan() | (values < least)
        wrong |= values.is_infinite() & (name != CAPACITY)
        wrong |= (values != values.floor()) & (name == PACK_SIZE)
        if (bad := wrong.fill_null(False).arg_true()).len():
            row = table.row(bad[0], named=True)
            raise InputError(
                f"{where}: {name} of {row[UNIQUE_ID]!r} is {row[name]!r}; it must be a number of at least {least:g}"
                + (", whole" if name == PACK_SIZE else "")
            )
        table = table.with_columns(values)
    return table


def _require_possible(shop: Shop, ids: list[str], where: Path | str, days: int, step_days: int) -> None:
    """Orders that can be placed and arrive in time."""
    terms = shop.terms
    if (late := np.flatnonzero(terms.lead_time * step_days >= days)).size:
        row = late[0]
        raise InputError(
            f"{where}: {LEAD_TIME_DAYS} of {ids[row]!r} is {terms.lead_time[row] * step_days}, but only {days} days "
            "are forecast; forecast further ahead or leave the product out"
        )
    smallest = terms.smallest_order
    if (blocked := np.flatnonzero(smallest > terms.capacity)).size:
        row = blocked[0]
        raise InputError(
            f"{where}: the smallest order of {ids[row]!r} is {smallest[row]:g} units ({MOQ}, {PACK_SIZE}), more than "
            f"its {CAPACITY} of {terms.capacity[row]:g}; raise the one or lower the other"
        )
