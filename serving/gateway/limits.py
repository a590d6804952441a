"""Limits that keep the gateway answering: body size, slow bodies, requests in flight, and time.

Those of connections that send no whole head are in `connections`.

Whatever is over a limit is refused at once, and told so; nothing waits in a queue without end.

    413 body too large   408 body too slow   503 too many in flight   504 not answered in time
"""

import asyncio
import math

from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serving.gateway.metrics import Metrics
from serving.gateway.problem import problem, retry_later
from serving.gateway.settings import GatewaySettings

BODIES_PER_SLOT = 4
"""Bodies that may be on their way for each request that may be in flight."""
UNLIMITED = ("/healthz", "/readyz", "/metrics")
"""Whoever watches the gateway must be answered when as many requests are in flight as may be, too."""
CLOSE = {"Connection": "close"}


class BodyLimit:
    """Reads a request's body before anything is done for it: a slow client takes no place of the others.

    Args:
        app: what is inside.
        settings: the limits.
    """

    def __init__(self, app: ASGIApp, *, settings: GatewaySettings):
        self._app, self._settings, self._reading = app, settings, 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle a request."""
        if scope["type"] != "http" or not scope["path"].startswith("/v1/"):  # nothing else reads a body
            await self._app(scope, receive, send)
            return
        if self._reading >= BODIES_PER_SLOT * self._settings.most_in_flight:
            await retry_later(503, "too many requests; try again")(scope, receive, send)
            return
        limit, body = self._settings.body_limit_bytes, None
        self._reading += 1
        try:
            if _length(scope) <= limit:
                async with asyncio.timeout(self._settings.body_timeout_seconds):
                    body = await _read(receive, limit)
        except TimeoutError:
            await problem(408, "the request's body did not arrive in time", CLOSE)(scope, receive, send)
            return
        except ClientDisconnect:
            return
        finally:
            self._reading -= 1
        if body is None:
            await problem(413, f"the request's body has more than {limit:,} bytes", CLOSE)(scope, receive, send)
            return
        given = False

        async def replay() -> Message:
            nonlocal given
            if given:
                return await receive()
            given = True
            return {"type": "http.request", "body": body, "more_body": False}

        await self._app(scope, replay, send)


def _length(scope: Scope) -> float:
    text = dict(scope["headers"]).get(b"content-length", b"0")
    return int(text) if text.isdigit() else math.inf


async def _read(receive: Receive, limit: int) -> bytes | None:
    """The whole body, None if it is too large."""
    body = bytearray()
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        body += message.get("body", b"")
        if len(body) > limit:
            return None
        if not message.get("more_body", False):
            return bytes(body)


class LoadShedding:
    """Refuses requests where so many are in flight already, and gives up those that take too long.

    Args:
        app: what is inside.
        settings: the limits.
        metrics: to count in.
    """

    def __init__(self, app: ASGIApp, *, settings: GatewaySettings, metrics: Metrics):
        self._app, self._settings, self._metrics, self._in_flight = app, settings, metrics, 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle a request."""
        if scope["type"] != "http" or scope["path"] in UNLIMITED:
            await self._app(scope, receive, send)
            return
        if self._in_flight >= self._settings.most_in_flight:
            await retry_later(503, "too many requests in flight; try again")(scope, receive, send)
            return
        self._in_flight += 1
        self._metrics.in_flight.inc()
        try:
            await self._in_time(scope, receive, send)
        finally:
            self._in_flight -= 1
            self._metrics.in_flight.dec()

    async def _in_time(self, scope: Scope, receive: Receive, send: Send) -> None:
        started = False

        async def send_noted(message: Message) -> None:
            nonlocal started
            started = True
            await send(message)

        planning = scope["path"].startswith("/v1/inventory")
        seconds = self._settings.plan_timeout_seconds if planning else self._settings.timeout_seconds
        try:
            async with asyncio.timeout(seconds) as timer:
                await self._app(scope, receive, send_noted)
        except TimeoutError:
            if started or not timer.expired():
                raise
            await problem(504, f"not answered within {seconds:g} seconds")(scope, receive, send)
