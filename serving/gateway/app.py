"""The gateway as an ASGI application.

From outside to inside: access log and request ids, keys, bodies, load, the routes.
"""

import logging
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.requests import Request
from starlette.responses import JSONResponse

from serving.gateway.access_control import AccessControl
from serving.gateway.access_log import AccessLog
from serving.gateway.ads.route import ads_router
from serving.gateway.ads.snapshot import AdSnapshots
from serving.gateway.bought_together import BasketRuleFiles
from serving.gateway.catalogue import CatalogueFiles
from serving.gateway.event_store import EventStore, StoreError
from serving.gateway.experiment_files import ExperimentFiles
from serving.gateway.gateway import Gateway
from serving.gateway.limits import BodyLimit, LoadShedding
from serving.gateway.metrics import Metrics
from serving.gateway.model_client import ModelClient, answer_for
from serving.gateway.problem import Problem, printable, problem, retry_later
from serving.gateway.profiles import ProfileFiles
from serving.gateway.routes_bought_together import bought_together_router
from serving.gateway.routes_demand import demand_router
from serving.gateway.routes_events import events_router
from serving.gateway.routes_experiments import experiments_router
from serving.gateway.routes_health import health_router
from serving.gateway.routes_inventory import inventory_router
from serving.gateway.routes_profiles import profiles_router
from serving.gateway.routes_recommendations import recommendations_router
from serving.gateway.security import KeyRing
from serving.gateway.settings import GatewaySettings

DESCRIPTION = """\
Post what customers do, and ask what to recommend them: an event posted now changes the very next answer. Ask who a
customer is, which variant of an experiment they see, and which campaign to show now. Forecast demand, and plan orders.
Errors are `{"detail": ...}`; every answer has an `X-Request-Id`.
"""
LOCKED = {401: "no valid key", 403: "the key lacks the role", 429: "too many requests with this key"}
LIMITED = {
    400: "no JSON",
    408: "the body is too slow",
    413: "the body is too large",
    502: "the model server failed",
    503: "try again later",
    504: "not in time",
}
SCHEMES = {
    "bearer": {"type": "http", "scheme": "bearer"},
    "x-api-key": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
}
logger = logging.getLogger(__name__)


def create_app(
    settings: GatewaySettings,
    store: EventStore,
    client: ModelClient,
    catalogue: CatalogueFiles | None = None,
    *,
    keys: KeyRing | None = None,
    clock: Callable[[], float] = time.time,
    metrics: Metrics | None = None,
    popular: Sequence[str] = (),
    profiles: ProfileFiles | None = None,
    experiments: ExperimentFiles | None = None,
    ads: AdSnapshots | None = None,
    rules: BasketRuleFiles | None = None,
) -> FastAPI:
    """Build the gateway.

    Args:
        settings: limits and models.
        store: of events; opened and closed with the application.
        client: of the model server; closed with it.
        catalogue: items and stock; None: nothing is known of them.
        keys: API keys; None lets everybody in.
        clock: seconds since 1970.
        metrics: to count in; new ones if None.
        popular: items to recommend where there is no model, best first.
        profiles: of the customers; None if there are none.
        experiments: that run; None if there are none.
        ads: campaigns and what they need to know; None: nothing is advertised.
        rules: of what is bought together; None if there are none.

    Returns:
        The application; its `state.gateway` is what the routes work with.
    """
    catalogue, metrics = catalogue or CatalogueFiles(), metrics or Metrics()
    gateway = Gateway(settings, store, client, catalogue, clock, metrics, popular, profiles, experiments, ads, rules)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        for notice in await store.open():
            logger.warning("store", extra={"notice": notice})
        yield
        await client.close()
        await store.close()

    app = FastAPI(
        title="supplytower gateway", version="1", description=DESCRIPTION, lifespan=lifespan, redirect_slashes=False
    )
    app.state.gateway = gateway
    told = {status: {"model": Problem, "description": text} for status, text in (LIMITED | LOCKED).items()}
    customers = (events_router, recommendations_router, ads_router, profiles_router, experiments_router)
    for router in (*customers, demand_router, inventory_router, bought_together_router):
        app.include_router(router(gateway), responses=told)  # type: ignore[arg-type]
    app.include_router(health_router(gateway))
    _document_keys(app)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(StoreError, _no_store)
    app.add_exception_handler(RuntimeError, _model_failed)
    app.add_middleware(LoadShedding, settings=settings, metrics=gateway.metrics)
    app.add_middleware(BodyLimit, settings=settings)
    app.add_middleware(AccessControl, keys=keys)
    app.add_middleware(AccessLog, metrics=gateway.metrics, draining=lambda: gateway.draining)
    return app


async def _invalid(request: Request, error: Exception) -> JSONResponse:
    """What is wrong and where, without repeating what was sent: it may be a customer's."""
    assert isinstance(error, RequestValidationError)
    told = [
        {
            "loc": [printable(part) if isinstance(part, str) else part for part in one["loc"]],
            "msg": printable(one["msg"]),
            "type": one["type"],
        }
        for one in error.errors()[:20]
    ]
    return JSONResponse({"detail": told}, 422)


async def _no_store(request: Request, error: Exception) -> JSONResponse:
    logger.error("the event store does not answer", extra={"request_id": request.state.request_id})
    return retry_later(503, "the event store does not answer; try again")


async def _model_failed(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RuntimeError)
    answer = answer_for(error)
    if answer is None:
        raise error
    status, detail = answer
    logger.log(
        logging.INFO if status == 422 else logging.ERROR,
        "the model did not answer",
        extra={"request_id": request.state.request_id, "code": getattr(error, "code", None)},
    )
    if status == 422:
        return JSONResponse({"detail": [{"loc": ["body"], "msg": printable(detail), "type": "model"}]}, 422)
    return retry_later(status, detail) if status == 503 else problem(status, detail)


def _document_keys(app: FastAPI) -> None:
    """Say in the documentation that /v1 takes a key, in either header."""
    original = app.openapi

    def openapi() -> dict[str, object]:
        schema = original()
        schema.setdefault("components", {})["securitySchemes"] = SCHEMES
        for path, methods in schema["paths"].items():
            for method in methods.values():
                if path.startswith("/v1"):
                    method["security"] = [{name: []} for name in SCHEMES]
        return schema

    app.openapi = openapi  # type: ignore[method-assign]
