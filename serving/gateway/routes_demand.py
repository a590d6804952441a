"""Demand forecasts by the model."""

from typing import Annotated

import numpy as np
from fastapi import APIRouter, Body

from serving.gateway.demand_request import demand_request, forecast
from serving.gateway.gateway import Gateway
from serving.gateway.messages import DEMAND_EXAMPLES, DemandAnswer, DemandAsked, SeriesForecast
from serving.gateway.problem import invalid
from serving.gateway.settings import GatewaySettings


def demand_router(gateway: Gateway) -> APIRouter:
    """The route of demand forecasts."""
    router = APIRouter(tags=["demand"])

    @router.post("/v1/demand", summary="Forecast demand")
    async def forecast_demand(body: Annotated[DemandAsked, Body(openapi_examples=DEMAND_EXAMPLES)]) -> DemandAnswer:
        """Mean and quantiles of the demand on each of the days after the end of each series."""
        require_sizes("series", [one.demand for one in body.series], body.horizon, gateway.settings)
        asked = demand_request([(one, one.start_date, one.demand) for one in body.series], "series")
        found = await forecast(gateway, asked, body.horizon)
        rows = zip(body.series, asked.first_day, np.asarray(found.mean), np.asarray(found.quantiles), strict=True)
        return DemandAnswer(
            levels=[round(float(level), 6) for level in found.levels],
            series=[
                SeriesForecast(unique_id=one.unique_id, start_date=day, mean=mean.tolist(), quantiles=values.tolist())
                for one, day, mean, values in rows
            ],
        )

    return router


def require_sizes(where: str, demand: list[list[float | None]], horizon: int, settings: GatewaySettings) -> None:
    """Refuse what is too large.

    Raises:
        RequestValidationError: naming the limit.
    """
    if len(demand) > settings.most_series:
        raise invalid((where,), f"has {len(demand):,} entries; send at most {settings.most_series:,} at once")
    if horizon > settings.most_horizon:
        raise invalid(("horizon",), f"is {horizon:,}; ask for at most {settings.most_horizon:,} days")
    if (place := next((at for at, one in enumerate(demand) if len(one) > settings.most_steps), None)) is not None:
        raise invalid((where, place, "demand"), f"is longer than {settings.most_steps:,} steps")
