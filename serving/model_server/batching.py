"""Dynamic batching: requests that wait for the same signature are run as one call.

While the model is idle a request runs at once. While it is busy requests queue up, and whatever can be joined with the
first of them is the next batch. Those whom a joined batch has answered are likely to ask again, so the next batch waits
for as many: up to the timeout, and no longer than the last batch took. A batch that fails is run request by request:
nobody gets the error of another.
Reference: https://github.com/tensorflow/serving/blob/master/tensorflow_serving/batching/README.md
"""

import asyncio
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from serving.model_server.batch_plan import BatchPlan, Rows
from serving.model_server.servable import Arrays, Signature

InThread = Callable[..., "asyncio.Future[Any]"]


@dataclass(eq=False)
class _Request:
    fed: Arrays
    rows: Rows
    answer: "asyncio.Future[Arrays]"


class Batcher:
    """One signature of one version, for many callers at a time; all of them in the same event loop.

    Args:
        signature: the function.
        in_thread: runs a function of given arguments in a thread, so that the event loop goes on.
        max_rows: rows of the largest batch.
        timeout_seconds: how long a request under load waits for others.
        parallel: batches that run at a time.
    """

    def __init__(
        self, signature: Signature, in_thread: InThread, *, max_rows: int, timeout_seconds: float, parallel: int
    ):
        self._run, self._in_thread = signature.run, in_thread
        self._plan = BatchPlan(signature.inputs, signature.outputs)
        self._max_rows, self._timeout, self._parallel = max_rows, timeout_seconds, parallel
        self._queue: list[_Request] = []
        self._workers: set[asyncio.Task[None]] = set()  # the event loop itself keeps no task alive
        self._running = 0
        self._last = 0  # rows of the last batch, if it was joined
        self._awaited = 0  # rows in the queue that a worker waits for; 0 if none does
        self._enough = asyncio.Event()
        self._took = 0.0  # seconds of the last batch
        self._separable = True

    async def __call__(self, fed: Arrays) -> Arrays:
        """Answer one request.

        Args:
            fed: its checked inputs.

        Returns:
            Arrays by output name, as if the request had been run alone.

        Raises:
            RequestError: if the model refuses it.
        """
        rows = self._plan.rows(fed) if self._separable else None
        if rows is None or rows.count >= self._max_rows:
            alone: Arrays = await self._in_thread(self._run, fed)
            return alone
        request = _Request(fed, rows, asyncio.get_running_loop().create_future())
        self._queue.append(request)
        if self._awaited:
            if self._queued() >= self._awaited:
                self._enough.set()
        elif self._running < self._parallel:
            self._running += 1
            worker = asyncio.create_task(self._work())
            self._workers.add(worker)
            worker.add_done_callback(self._workers.discard)
        return await request.answer

    async def _work(self) -> None:
        """Run batches until nothing waits any more."""
        while self._queue:
            await self._gather()
            batch = self._take()
            began = time.monotonic()
            try:
                answers = await self._in_thread(self._answer, batch) if batch else []
            except Exception as error:  # no thread, because the server stops
                answers = [error] * len(batch)
            self._took = time.monotonic() - began
            for request, answer in zip(batch, answers, strict=True):
                if request.answer.done():  # nobody waits for it any more
                    continue
                if isinstance(answer, Exception):
                    request.answer.set_exception(answer)
                else:
                    request.answer.set_result(answer)
        self._running -= 1

    async def _gather(self) -> None:
        """Wait for company where it is likely to come."""
        expected = min(self._queued() + self._last, self._max_rows)
        if not self._last or self._awaited or self._queued() >= expected:
            return
        self._awaited = expected
        self._enough.clear()
        with suppress(TimeoutError):
            async with asyncio.timeout(min(self._timeout, self._took)):
                await self._enough.wait()
        self._awaited = 0

    def _take(self) -> list[_Request]:
        """The first in the queue and all that can be joined with it."""
        waiting = [request for request in self._queue if not request.answer.done()]
        taken: list[_Request] = []
        left: list[_Request] = []
        count = 0
        for request in waiting:
            fits = not taken or (request.rows.key == taken[0].rows.key and count + request.rows.count <= self._max_rows)
            (taken if fits else left).append(request)
            count += request.rows.count if fits else 0
        self._queue, self._last = left, count if len(taken) > 1 else 0
        return taken

    def _queued(self) -> int:
        return sum(waiting.rows.count for waiting in self._queue)

    def _answer(self, batch: Sequence[_Request]) -> list[Arrays | Exception]:
        if len(batch) > 1 and (joined := self._answer_joined(batch)) is not None:
            return [*joined]
        answers: list[Arrays | Exception] = []
        for request in batch:
            try:
                answers.append(self._run(request.fed))
            except Exception as error:  # it is raised where the request came from
                answers.append(error)
        return answers

    def _answer_joined(self, batch: Sequence[_Request]) -> list[Arrays] | None:
        """The answers of one call to all; None if that cannot be had."""
        try:
            outputs = self._run(self._plan.join([request.fed for request in batch]))
        except Exception:  # one of them is to blame; each is run alone to see which
            return None
        parts = self._plan.split(outputs, [request.rows.count for request in batch])
        self._separable = parts is not None
        return parts
