"""Demand series of requests as the model server's client takes them, with covariates by name."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from math import nan
from typing import Any, Protocol

import numpy as np

from data_pipelines.schema import DEMAND_HISTORY, HORIZON, SERVING_DEFAULT, START_DATE
from serving.gateway.gateway import Gateway
from serving.gateway.messages import Covariate
from serving.gateway.model_client import Forecast, UnusableAnswerError
from serving.gateway.problem import invalid

REQUIRED = (DEMAND_HISTORY, START_DATE, HORIZON)


class Series(Protocol):
    """A series of a request."""

    unique_id: str
    covariates: dict[str, Covariate]


@dataclass(frozen=True)
class DemandRequest:
    """Series as the client takes them, each of its own length.

    Args:
        unique_id: `[n]` products.
        demand: `[n][time]`, NaN where it is not known.
        start_date: `[n]` ISO dates of the first day.
        first_day: `[n]` the day after the last one.
        covariates: by name, `[n][days]` or `[n]`.
    """

    unique_id: list[str]
    demand: list[list[float]]
    start_date: list[str]
    first_day: list[date]
    covariates: dict[str, list[Any]]


def demand_request(series: Sequence[tuple[Series, date, Sequence[float | None]]], where: str) -> DemandRequest:
    """What to ask for series, their first days and their demand.

    Raises:
        RequestValidationError: if series have different covariates.
    """
    names = sorted(series[0][0].covariates)
    for place, (one, _, _) in enumerate(series):
        if sorted(one.covariates) != names:
            raise invalid((where, place, "covariates"), f"all series need the same: {', '.join(names) or '(none)'}")
    covariates = {name: [_known(one.covariates[name]) for one, _, _ in series] for name in names}
    for name, values in covariates.items():
        if len({_kind(value) for value in values}) > 1:
            raise invalid((where, 0, "covariates", name), "must be of the same kind in all series")
    return DemandRequest(
        [one.unique_id for one, _, _ in series],
        [_known(demand) for _, _, demand in series],
        [start.isoformat() for _, start, _ in series],
        [start + timedelta(len(demand)) for _, start, demand in series],
        covariates,
    )


async def _unasked(gateway: Gateway, asked: DemandRequest) -> dict[str, list[Any]]:
    """Covariates that the model takes and the request does not have, by name."""
    settings = gateway.settings
    taken = (
        (await gateway.client.metadata(settings.forecaster, label=settings.label)).signatures[SERVING_DEFAULT].inputs
    )
    missing = {name: spec for name, spec in taken.items() if name not in REQUIRED and name not in asked.covariates}
    known = gateway.catalogue.current().describe(asked.unique_id)
    found: dict[str, list[Any]] = {}
    for name, spec in missing.items():
        unknown: Any = "" if spec.dtype == "string" else nan
        if len(spec.shape or ()) == 2:
            found[name] = [[unknown]] * len(asked.demand)
        else:
            values = [known.get(unique_id, {}).get(name) for unique_id in asked.unique_id]
            found[name] = [unknown if value is None else type(unknown)(value) for value in values]
    return found


def _known(values: Any) -> Any:
    """With NaN for what is not known."""
    return [nan if value is None else value for value in values] if isinstance(values, list) else values


def _kind(values: Any) -> tuple[bool, bool]:
    """Whether there are several, and whether they are text."""
    several = isinstance(values, list)
    return several, any(isinstance(value, str) for value in (values if several else [values]))


async def forecast(gateway: Gateway, asked: DemandRequest, horizon: int) -> Forecast:
    """Ask the model; what it takes and nobody gave is told by the catalogue, or unknown.

    Raises:
        UnusableAnswerError: if a forecast is no number.
    """
    gateway.metrics.model_calls.labels("forecast").inc()
    found = await gateway.client.forecast(
        asked.demand,
        asked.start_date,
        horizon,
        await _unasked(gateway, asked) | asked.covariates,
        step_days=1,
        model=gateway.settings.forecaster,
        label=gateway.settings.label,
    )
    if not (np.isfinite(found.mean).all() and np.isfinite(found.quantiles).all()):
        raise UnusableAnswerError("forecasts are no numbers")
    return found
