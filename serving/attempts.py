"""One call of the client: its deadline, how often its requests are sent, and what is counted of it."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import TypeVar

from serving.client_metrics import ClientMetrics
from serving.client_settings import ClientSettings
from serving.hedging import first_answer
from serving.retry import RetryBudget, RetryPolicy
from serving.serving_error import DEADLINE_EXCEEDED, ServingError, Target

T = TypeVar("T")
CLOSED = "the client is closed"


class Attempts:
    """Sends requests under one client's settings, in the event loop of the first and until the client is closed.

    Args:
        settings: deadline, retries, hedging.
        metrics: where calls, retries and hedges are counted.
        transport: the protocol's name, for the metrics.
    """

    def __init__(self, settings: ClientSettings, metrics: ClientMetrics, transport: str):
        self._settings, self._metrics, self._transport = settings, metrics, transport
        self._policy = RetryPolicy(
            settings.max_attempts,
            settings.backoff_seconds,
            settings.max_backoff_seconds,
            RetryBudget(settings.retry_tokens, settings.retry_refund),
        )
        self._loop: asyncio.AbstractEventLoop | None = None
        self._closed = False

    def close(self) -> None:
        """Take no more calls; those that are running end with the same error."""
        self._closed = True

    @asynccontextmanager
    async def call(self, method: str, target: Target, timeout_seconds: float | None) -> AsyncIterator["Call"]:
        """A call: the block's requests share one deadline.

        Args:
            method: the client's method, for the metrics.
            target: which model is asked.
            timeout_seconds: the time for all; None: as the settings say.

        Raises:
            DeadlineExceeded: if the block takes longer.
            RuntimeError: if the client is closed or belongs to another event loop.
        """
        self._require_usable()
        seconds = self._settings.timeout_seconds if timeout_seconds is None else timeout_seconds
        deadline = asyncio.get_running_loop().time() + seconds
        labels = (target.model, method, self._transport)
        with self._metrics.observe(*labels):
            call = Call(self._settings, self._metrics, self._policy, labels, deadline)
            try:
                async with asyncio.timeout_at(deadline):
                    yield call
            except TimeoutError:
                last = "" if call.last_failure is None else f"; the last attempt ended with {call.last_failure}"
                raise target.error(DEADLINE_EXCEEDED, f"no answer within {seconds:g} s{last}") from call.last_failure
            except (asyncio.CancelledError, Exception) as error:
                task = asyncio.current_task()
                if self._closed and not isinstance(error, ServingError) and not (task and task.cancelling()):
                    raise RuntimeError(CLOSED) from error  # each protocol has its own words, gRPC none
                raise

    def _require_usable(self) -> None:
        loop = asyncio.get_running_loop()
        self._loop = self._loop or loop
        if self._closed:
            raise RuntimeError(CLOSED)
        if loop is not self._loop:
            raise RuntimeError("the client belongs to another event loop; make an AsyncClient in each, or use Client")


class Call:
    """What `Attempts.call` gives: sends requests until the call's deadline."""

    def __init__(
        self,
        settings: ClientSettings,
        metrics: ClientMetrics,
        policy: RetryPolicy,
        labels: tuple[str, str, str],
        deadline: float,
    ):
        self._hedge_after_seconds, self._metrics, self._policy = settings.hedge_after_seconds, metrics, policy
        self._labels, self._deadline = labels, deadline
        self.last_failure: ServingError | None = None

    def seconds_left(self) -> float:
        """The time until the call's deadline."""
        return self._deadline - asyncio.get_running_loop().time()

    async def send(self, request: Callable[[float], Awaitable[T]]) -> T:
        """Send a request until it is answered.

        Args:
            request: sends once; takes the seconds that are left.

        Raises:
            ServingError: the last attempt's.
        """

        def once() -> Awaitable[T]:
            return request(self.seconds_left())

        def attempt() -> Awaitable[T]:
            if self._hedge_after_seconds is None or not self._policy.budget.allows:
                return once()
            return first_answer(once, self._hedge_after_seconds, self._metrics.hedges.labels(*self._labels).inc)

        return await self._policy.run(attempt, self._deadline, self._failed)

    def _failed(self, error: ServingError, again: bool) -> None:
        self.last_failure = error
        if again:
            self._metrics.retries.labels(*self._labels).inc()
