"""What to order: the inventory optimizer over HTTP, as `supplytower inventory plan` does it for tables."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime
from itertools import pairwise
from typing import Annotated

import numpy as np
import polars as pl
from fastapi import APIRouter, Body

from data_pipelines.config import resolve
from data_pipelines.schema import STOCK, UNIQUE_ID, InputError
from serving.gateway.demand_request import demand_request, forecast
from serving.gateway.gateway import Gateway
from serving.gateway.messages import PLAN_EXAMPLES, PlanAnswer, PlanAsked, PlannedOrder
from serving.gateway.problem import invalid
from serving.gateway.routes_demand import require_sizes
from serving.inventory.allocation import InfeasibleError
from serving.inventory.demand_distribution import FloatArray, from_quantiles
from serving.inventory.forecast_table import ForecastTable
from serving.inventory.plan import make_plan
from serving.inventory.sources import Sources
from serving.inventory.stock_table import StockDefaults, stock_of

TERMS = tuple(STOCK.optional)


def inventory_router(gateway: Gateway) -> APIRouter:
    """The route of orders."""
    router = APIRouter(tags=["inventory"])
    # One plan at a time: a plan keeps a core busy, and the others are for the customers.
    planner = ThreadPoolExecutor(1, "plan")

    @router.post("/v1/inventory/plan", summary="Say what to order today")
    async def plan_orders(body: Annotated[PlanAsked, Body(openapi_examples=PLAN_EXAMPLES)]) -> PlanAnswer:
        """Today's order of each product, at the least expected cost, with the reason.

        Products come with forecast quantiles (as `/v1/demand` answers them) or with their demand, which the model then
        forecasts. Terms that are not given have the documented defaults of `supplytower inventory plan`.
        """
        demand = [product.demand or [] for product in body.products]
        require_sizes("products", demand, body.horizon, gateway.settings)
        if twice := {one.unique_id for one in body.products if _count(body, one.unique_id) > 1}:
            raise invalid(("products",), f"unique_id {min(twice)!r} is there twice; send each product once")
        try:
            defaults = resolve(StockDefaults, preset=body.settings)
        except InputError as error:
            raise invalid(("settings",), str(error)) from None
        levels, quantiles = await _quantiles(gateway, body)
        work = asyncio.get_running_loop().run_in_executor(planner, _plan, body, defaults, levels, quantiles)
        try:
            return await work
        except (InputError, InfeasibleError) as error:
            raise invalid(("products",), str(error).removeprefix("--")) from None

    return router


def _count(body: PlanAsked, unique_id: str) -> int:
    return sum(one.unique_id == unique_id for one in body.products)


async def _quantiles(gateway: Gateway, body: PlanAsked) -> tuple[tuple[float, ...], FloatArray]:
    """Levels and quantiles, `[n, days, levels]`, given or forecast."""
    given = [product.quantiles for product in body.products if product.quantiles is not None]
    if not given:
        series = [(one, one.start_date, one.demand) for one in body.products]
        found = await forecast(gateway, demand_request(series, "products"), body.horizon)  # type: ignore[arg-type]
        return tuple(found.levels), np.asarray(found.quantiles, float)
    if len(given) < len(body.products):
        raise invalid(("products",), "give quantiles for all products, or demand for all")
    levels = body.levels
    if levels is None or any(high <= low for low, high in pairwise(levels)):
        raise invalid(("levels",), "give the levels of the quantiles, ascending, e.g. [0.1, 0.5, 0.9]")
    days = len(given[0])
    if not 2 <= days <= gateway.settings.most_horizon:
        raise invalid(("products", 0, "quantiles"), f"give 2 to {gateway.settings.most_horizon} days")
    for place, rows in enumerate(given):
        if len(rows) != days or any(len(row) != len(levels) for row in rows):
            raise invalid(("products", place, "quantiles"), f"give {days} days of {len(levels)} quantiles, as for all")
    return tuple(levels), np.asarray(given, float)


def _plan(body: PlanAsked, defaults: StockDefaults, levels: tuple[float, ...], quantiles: FloatArray) -> PlanAnswer:
    """Compute the plan; takes seconds for a thousand products."""
    ids = [product.unique_id for product in body.products]
    first = np.datetime64(body.first_day or datetime.now(UTC).date(), "D")
    repaired = np.sort(np.maximum(quantiles, 0.0), axis=-1)
    mean = from_quantiles(levels, repaired).mean()
    days = first + np.arange(quantiles.shape[1])
    columns = {name: [getattr(product, name) for product in body.products] for name in TERMS}
    said = {name: values for name, values in columns.items() if any(value is not None for value in values)}
    given = pl.DataFrame({UNIQUE_ID: ids, **said}, schema_overrides=dict.fromkeys(said, pl.Float64))
    stock = stock_of(given, "products", ids, defaults, quantiles.shape[1])
    table = ForecastTable(ids, days, 1, mean, levels, repaired, {})
    nothing = np.zeros((len(ids), 0))
    plan = make_plan(Sources(table, stock, ids, nothing, nothing), defaults, body.budget, body.volume)
    orders = [PlannedOrder.model_validate(_json(row)) for row in plan.table.drop("name").iter_rows(named=True)]
    return PlanAnswer(orders=orders, notices=list(plan.notices))


def _json(row: dict[str, object]) -> dict[str, object]:
    """With values that JSON has."""
    told = {name: value.isoformat() if isinstance(value, date) else value for name, value in row.items()}
    return {name: None if isinstance(v, float) and not np.isfinite(v) else v for name, v in told.items()}
