"""Sending again what may succeed a moment later, with exponential backoff and full jitter.

    wait before attempt n + 1  ~  uniform(0, min(max_backoff, backoff · 2^(n - 1)))

Full jitter spreads the clients of a server that comes back, where equal waits would bring them all at once. A server
that names a wait is left alone for at least that long. A budget that all calls share keeps a server that is down or
overloaded from being asked several times as much as usual.
Reference: https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/
and https://github.com/grpc/proposal/blob/master/A6-client-retries.md#throttling-retry-attempts-and-hedged-rpcs
"""

import asyncio
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar

from serving.serving_error import ServingError

T = TypeVar("T")


class RetryBudget:
    """Whether failures are rare enough to send again: while less than half of the tokens is spent.

    Args:
        tokens: how many there are; a failure that may pass spends one.
        refund: how much of one an answer gives back, which is the share of requests that may be sent again for long.
    """

    def __init__(self, tokens: float, refund: float):
        self._tokens, self._refund, self._spent = tokens, refund, 0.0

    @property
    def allows(self) -> bool:
        """Whether a request may be sent again now."""
        return self._spent < self._tokens / 2

    def answered(self) -> None:
        """Count an answer."""
        self._spent = max(0.0, self._spent - self._refund)

    def failed(self) -> None:
        """Count a failure that may pass."""
        self._spent = min(self._tokens, self._spent + 1)


@dataclass(frozen=True)
class RetryPolicy:
    """How often to send, and how long to wait in between.

    Args:
        max_attempts: how often at most.
        backoff_seconds: the longest wait before the second attempt.
        max_backoff_seconds: the longest wait before any.
        budget: of all calls together.
        uniform: draws a wait between two bounds.
    """

    max_attempts: int
    backoff_seconds: float
    max_backoff_seconds: float
    budget: RetryBudget
    uniform: Callable[[float, float], float] = random.uniform

    def wait_seconds(self, attempts: int) -> float:
        """How long to wait after so many attempts."""
        # the exponent is bounded because 2.0 ** 1024 overflows
        return self.uniform(0.0, min(self.max_backoff_seconds, self.backoff_seconds * 2.0 ** min(attempts - 1, 64)))

    async def run(
        self, attempt: Callable[[], Awaitable[T]], deadline: float, on_failure: Callable[[ServingError, bool], None]
    ) -> T:
        """Repeat an attempt until it succeeds, fails for good, or the next one would be too late.

        Args:
            attempt: sends the request once.
            deadline: end of all attempts, on the event loop's clock.
            on_failure: told each failure, and whether there is another attempt.

        Raises:
            ServingError: the last attempt's.
        """
        attempts = 0
        while True:
            attempts += 1
            try:
                answer = await attempt()
                self.budget.answered()
                return answer
            except ServingError as error:
                error.attempts = attempts
                if error.retryable:
                    self.budget.failed()
                wait = error.retry_after_seconds + self.wait_seconds(attempts)
                in_time = asyncio.get_running_loop().time() + wait < deadline
                again = error.retryable and attempts < self.max_attempts and in_time and self.budget.allows
                on_failure(error, again)
                if not again:
                    raise
            await asyncio.sleep(wait)
