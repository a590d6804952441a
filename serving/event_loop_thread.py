"""An event loop in a thread of its own, so that plain functions can run coroutines, also inside a running loop."""

import asyncio
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import CancelledError
from typing import Any, TypeVar

T = TypeVar("T")
CLOSED = "the client is closed"


class EventLoopThread:
    """The thread starts with the first coroutine and does not keep the process alive.

    Args:
        name: the thread's.
    """

    def __init__(self, name: str) -> None:
        self._name, self._lock = name, threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._closed = False

    def run(self, function: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """Wait for a coroutine's result; Ctrl-C while waiting cancels it.

        Args:
            function: makes the coroutine, which runs in the thread's loop beside those of other callers.

        Raises:
            RuntimeError: if the thread was closed, also while waiting.
        """
        with self._lock:
            if self._closed:
                raise RuntimeError(CLOSED)
            if self._loop is None:
                self._loop = asyncio.new_event_loop()
                threading.Thread(target=_serve, args=(self._loop,), name=self._name, daemon=True).start()
            future = asyncio.run_coroutine_threadsafe(function(), self._loop)
        try:
            return future.result()
        except CancelledError:
            raise RuntimeError(CLOSED) from None
        except BaseException:
            future.cancel()
            raise

    def close(self, last: Callable[[], Coroutine[Any, Any, None]], *, wait: bool = True) -> None:
        """Cancel what is still running, run a last coroutine and stop.

        Args:
            last: cleans up; not run if nothing ever ran.
            wait: until that is done; not from within the thread, where garbage may be collected too.
        """
        with self._lock:
            self._closed, loop, self._loop = True, self._loop, None
        if loop is not None:
            finished = asyncio.run_coroutine_threadsafe(_finish(last), loop)
            finished.add_done_callback(lambda _: loop.call_soon_threadsafe(loop.stop))
            if wait:
                finished.result()


async def _finish(last: Callable[[], Coroutine[Any, Any, None]]) -> None:
    running = asyncio.all_tasks() - {asyncio.current_task()}
    for task in running:
        task.cancel()
    await asyncio.gather(*running, return_exceptions=True)
    await last()


def _serve(loop: asyncio.AbstractEventLoop) -> None:
    asyncio.set_event_loop(loop)
    try:
        loop.run_forever()
    finally:
        loop.close()
