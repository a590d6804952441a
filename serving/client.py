"""The client of TensorFlow Serving, or of the local model server, which speaks the same protocols.

    with Client("grpc://localhost:8500", popular=best_sellers) as client:
        [best] = client.recommend([History("u1", ["milk"], ["purchase"], [1512345600])], k=10, label="stable")

Over `http://` it needs no TensorFlow. Inputs are checked against the model's signature before they are sent. A call has
one deadline; in it, what fails for a passing reason is sent again. When the server is away, `recommend` answers with
popular items and says so.
Reference: https://www.tensorflow.org/tfx/guide/serving
"""

import weakref
from collections.abc import Callable, Coroutine, Sequence
from functools import wraps
from types import TracebackType
from typing import Any, Concatenate, ParamSpec, Self, TypeVar

from prometheus_client import REGISTRY, CollectorRegistry

from serving.async_client import AsyncClient
from serving.client_settings import ClientSettings
from serving.event_loop_thread import EventLoopThread
from serving.model_requests import DemandForecast, History, Recommendations
from serving.serving_error import (
    DeadlineExceeded,
    InvalidRequest,
    NotFound,
    ServingError,
    Unavailable,
    UnexpectedAnswer,
)
from serving.signatures import Signature, Signatures, TensorSpec, VersionState

__all__ = [
    "AsyncClient",
    "Client",
    "ClientSettings",
    "DeadlineExceeded",
    "DemandForecast",
    "History",
    "InvalidRequest",
    "NotFound",
    "Recommendations",
    "ServingError",
    "Signature",
    "Signatures",
    "TensorSpec",
    "Unavailable",
    "UnexpectedAnswer",
    "VersionState",
]
P = ParamSpec("P")
T = TypeVar("T")


def _blocking(
    method: Callable[Concatenate[AsyncClient, P], Coroutine[Any, Any, T]],
) -> Callable[Concatenate["Client", P], T]:
    """The same method for callers that wait."""

    @wraps(method)
    def wait(self: "Client", /, *args: P.args, **kwargs: P.kwargs) -> T:
        return self._thread.run(lambda: method(self._client, *args, **kwargs))

    return wait


class Client:
    """The client for plain functions: an `AsyncClient` in a thread of its own, with the same methods and arguments.

    Threads can share it, and it works inside a running event loop, e.g. in a notebook. Fork before its first call.

    Args:
        address: `grpc://host:8500`, `grpcs://…`, `http://host:8501` or `https://…`.
        settings: deadlines, retries, TLS; the defaults if None.
        popular: item ids, most popular first: what `recommend` answers with when the server is away. Empty: it raises.
        registry: where the Prometheus metrics are registered.

    Raises:
        InputError: if the address or a file of TLS cannot be used.
    """

    def __init__(
        self,
        address: str,
        settings: ClientSettings | None = None,
        *,
        popular: Sequence[str] = (),
        registry: CollectorRegistry = REGISTRY,
    ):
        self._client = AsyncClient(address, settings, popular=popular, registry=registry)
        self._thread = EventLoopThread("supplytower-client")
        # of a client that nobody closes, the thread ends with it
        weakref.finalize(self, self._thread.close, self._client.close, wait=False).atexit = False

    predict = _blocking(AsyncClient.predict)
    metadata = _blocking(AsyncClient.metadata)
    status = _blocking(AsyncClient.status)
    recommend = _blocking(AsyncClient.recommend)
    score = _blocking(AsyncClient.score)
    embed = _blocking(AsyncClient.embed)
    embed_items = _blocking(AsyncClient.embed_items)
    forecast = _blocking(AsyncClient.forecast)

    def close(self) -> None:
        """Close all connections; calls that are running end with a `RuntimeError`."""
        self._thread.close(self._client.close)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
