"""Whether the gateway is alive and ready, and its metrics."""

import asyncio

from fastapi import APIRouter, Response
from prometheus_client import CONTENT_TYPE_LATEST
from starlette.responses import PlainTextResponse

from serving.gateway.event_store import StoreError
from serving.gateway.gateway import Gateway
from serving.gateway.messages import Alive, Readiness
from serving.gateway.model_client import NOT_SERVED

ANSWERS = "answers"
PATIENCE_SECONDS = 2.0


def health_router(gateway: Gateway) -> APIRouter:
    """The routes for whoever watches the gateway; they need no key and hold nothing of a customer."""
    router = APIRouter(tags=["health"])

    @router.get("/healthz", summary="Is the process alive?")
    async def alive() -> Alive:
        """Answered as long as the process runs."""
        return Alive()

    @router.get("/readyz", summary="Should it get requests?", responses={503: {"model": Readiness}})
    async def ready(response: Response) -> Readiness:
        """Whether the store answers, and the gateway is not about to stop.

        While the model server is away events are still taken, and popular items recommended.
        """
        store, server = await asyncio.gather(_store(gateway), _model_server(gateway))
        found = Readiness(
            ready=store == ANSWERS and not gateway.draining,
            store=store,
            model_server=server,
            draining=gateway.draining,
        )
        response.status_code = 200 if found.ready else 503
        return found

    @router.get("/metrics", summary="Metrics for Prometheus", response_class=PlainTextResponse)
    async def metrics() -> Response:
        """Counts and times, without anything of a customer."""
        return Response(gateway.metrics.text(), media_type=CONTENT_TYPE_LATEST)

    return router


async def _store(gateway: Gateway) -> str:
    try:
        async with asyncio.timeout(PATIENCE_SECONDS):
            await gateway.store.ping()
    except (StoreError, TimeoutError):
        return "does not answer"
    return ANSWERS


async def _model_server(gateway: Gateway) -> str:
    recommender, label = gateway.settings.recommender, gateway.settings.label
    try:
        async with asyncio.timeout(PATIENCE_SECONDS):
            # not its status: TensorFlow Serving gives that whatever the label is
            await gateway.client.metadata(recommender, label=label)
    except (RuntimeError, OSError, TimeoutError) as error:
        if getattr(error, "code", None) in NOT_SERVED:
            return f"has no {recommender}" + (f" with the label {label}" if label else "")
        return "does not answer"
    return ANSWERS
