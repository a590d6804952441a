"""Connections that send no request: limited in time and number, so that nobody can fill a server with them.

uvicorn waits for a request's head without end, and where its own limit of connections is reached it refuses health
probes, too. Here a head has a time limit, and a connection too many takes the place of one that waits: first of those
whose first head is still to come, then of idle ones, then of any; the oldest first.

Reference: https://www.rfc-editor.org/rfc/rfc9112#section-9.5 (a server may close a connection at any time)
"""

from asyncio import TimerHandle, Transport
from functools import partial
from typing import Any, cast

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol


class LimitedProtocol(HttpToolsProtocol):
    """HTTP/1.1 with such limits; uvicorn makes one for each connection.

    Args:
        most_connections: that are open.
        head_timeout_seconds: in which a request's head must be here.
        uvicorns: what uvicorn passes.
    """

    def __init__(self, *, most_connections: int, head_timeout_seconds: float, **uvicorns: Any):
        super().__init__(**uvicorns)
        self._most, self._head_timeout_seconds, self._since = most_connections, head_timeout_seconds, self.loop.time()
        self._head_timer: TimerHandle | None = None

    def connection_made(self, transport: Transport) -> None:  # type: ignore[override]
        """Begin to wait for a head."""
        if len(self.connections) >= self._most:
            min(cast(set[LimitedProtocol], self.connections), key=LimitedProtocol._rank).give_up()
        super().connection_made(transport)
        self._expect_head()

    def data_received(self, data: bytes) -> None:
        """Read; whatever is not in answer to a request must become the next head in time."""
        super().data_received(data)
        if self._head_timer is None and not self._busy():
            self._expect_head()

    def on_headers_complete(self) -> None:
        """A request's head is here."""
        self._forget_timer()
        super().on_headers_complete()

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is closed."""
        self._forget_timer()
        super().connection_lost(exc)

    def give_up(self) -> None:
        """Close at once: who sends no request may not read, either."""
        self.connections.discard(self)
        self.transport.abort()

    def _expect_head(self) -> None:
        self._head_timer = self.loop.call_later(self._head_timeout_seconds, self.give_up)

    def _forget_timer(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _busy(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    def _rank(self) -> tuple[bool, bool, float]:
        return self._busy(), self._head_timer is None, self._since


def limited_protocol(most_connections: int, head_timeout_seconds: float) -> Any:
    """The protocol with these limits, for `uvicorn.Config(http=...)`."""
    return partial(LimitedProtocol, most_connections=most_connections, head_timeout_seconds=head_timeout_seconds)
