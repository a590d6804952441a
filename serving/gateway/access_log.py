"""The outermost layer: request ids, one log line and metrics per request, and the last resort for errors.

A log line holds the route's template, never the path (it may hold a user id), and no query.
"""

import logging
import re
import time
import uuid
from collections.abc import Callable

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serving.gateway.metrics import Metrics
from serving.gateway.problem import problem

REQUEST_ID = re.compile(rb"[A-Za-z0-9._-]{1,64}")
OTHER = "other"
QUIET = ("/healthz", "/readyz", "/metrics")
logger = logging.getLogger(__name__)


class AccessLog:
    """Names, logs and counts requests.

    Args:
        app: what is inside.
        metrics: to count in.
        draining: whether the gateway is about to stop: clients are told to leave their connection.
    """

    def __init__(self, app: ASGIApp, *, metrics: Metrics, draining: Callable[[], bool]):
        self._app, self._metrics, self._draining = app, metrics, draining

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle a request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began, status, request_id = time.perf_counter(), 0, _request_id(scope)
        scope.setdefault("state", {})["request_id"] = request_id.decode()

        async def send_named(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = [*message.get("headers", ()), (b"x-request-id", request_id)]
                message = {**message, "headers": [*headers, (b"connection", b"close")] if self._draining() else headers}
            await send(message)

        try:
            await self._app(scope, receive, send_named)
        except Exception:
            logger.exception("unexpected error", extra={"request_id": request_id.decode()})
            if not status:
                await problem(500, "unexpected error; the log has it by request id")(scope, receive, send_named)
        finally:
            self._tell(scope, status, time.perf_counter() - began)

    def _tell(self, scope: Scope, status: int, seconds: float) -> None:
        route, method = getattr(scope.get("route"), "path", OTHER), scope["method"]
        self._metrics.requests.labels(method if route != OTHER else OTHER, route, str(status)).inc()
        self._metrics.seconds.labels(route).observe(seconds)
        told = {
            "request_id": scope["state"]["request_id"],
            "method": method[:16],
            "route": route,
            "status": status,
            "milliseconds": round(seconds * 1000, 2),
            "key": scope["state"].get("key_name"),
        }
        level = logging.DEBUG if route in QUIET and status < 400 else logging.INFO
        logger.log(level, "request", extra=told)


def _request_id(scope: Scope) -> bytes:
    """The client's, if it looks like one (and not like a customer's name), else a new one."""
    given = next((value for name, value in scope["headers"] if name == b"x-request-id"), b"")
    return given if REQUEST_ID.fullmatch(given) else uuid.uuid4().hex.encode()
