"""Sending again what may succeed a moment later, with exponential backoff and full jitter.

    wait before attempt n + 1  ~  uniform(0, min(max_backoff, backoff · 2^(n - 1)))

Full jitter spreads the clients of a server that comes back, where equal waits would bring them all at once.
Reference: https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/
"""

import asyncio
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar

from serving.serving_error import ServingError

T = TypeVar("T")


@dataclass(frozen=True)
class RetryPolicy:
    """How often to send, and how long to wait in between.

    Args:
        max_attempts: how often at most.
        backoff_seconds: the longest wait before the second attempt.
        max_backoff_seconds: the longest wait before any.
        uniform: draws a wait between two bounds.
    """

    max_attempts: int
    backoff_seconds: float
    max_backoff_seconds: float
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
                return await attempt()
            except ServingError as error:
                error.attempts = attempts
                wait = self.wait_seconds(attempts)
                in_time = asyncio.get_running_loop().time() + wait < deadline
                again = error.retryable and attempts < self.max_attempts and in_time
                on_failure(error, again)
                if not again:
                    raise
            await asyncio.sleep(wait)
