"""A second try for slow requests: when there is no answer for a while, ask again and take the first answer.

Reference: Dean and Barroso, The Tail at Scale, CACM 2013, https://research.google/pubs/the-tail-at-scale/
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from serving.serving_error import ServingError

T = TypeVar("T")


async def first_answer(attempt: Callable[[], Awaitable[T]], after_seconds: float, on_hedge: Callable[[], None]) -> T:
    """The first answer of an attempt and, should it take long, of a second one; the other is cancelled.

    Args:
        attempt: sends the request once.
        after_seconds: how long to wait before the second is sent.
        on_hedge: told when it is.

    Raises:
        ServingError: if one says that the request is wrong, or both fail.
    """
    tasks = [asyncio.ensure_future(attempt())]
    try:
        await asyncio.wait(tasks, timeout=after_seconds)
        if not tasks[0].done():
            on_hedge()
            tasks.append(asyncio.ensure_future(attempt()))
        pending = set(tasks)
        while True:
            done, pending = await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
            for task in sorted(done, key=lambda task: task.exception() is not None):
                if not pending or not _may_still_succeed(task):
                    return task.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _may_still_succeed(failed: "asyncio.Future[T]") -> bool:
    error = failed.exception()
    return isinstance(error, ServingError) and error.retryable
