"""Dynamic batching: requests that wait for the same signature are run as one call.

While the model is idle a request runs at once. While it is busy requests queue up, and whoever is done hands on to the
first in the queue, which takes along all that can be joined with it. Callers run the batches: there are no threads to
start or stop. After a joined batch more requests are expected, so the next one waits up to the timeout for as many as
came before. A batch that fails is run request by request: nobody gets the error of another.
Reference: https://github.com/tensorflow/serving/blob/master/tensorflow_serving/batching/README.md
"""

import threading
from dataclasses import dataclass, field

from serving.model_server.batch_plan import BatchPlan, Rows
from serving.model_server.servable import Arrays, Signature


@dataclass(eq=False)
class _Request:
    fed: Arrays
    rows: Rows
    outputs: Arrays | None = None
    error: Exception | None = None
    leads: bool = False
    turn: threading.Event = field(default_factory=threading.Event)


class Batcher:
    """One signature of one version, for many callers at a time.

    Args:
        signature: the function.
        max_rows: rows of the largest batch.
        timeout_seconds: how long a request under load waits for others.
        parallel: batches that run at a time.
    """

    def __init__(self, signature: Signature, max_rows: int, timeout_seconds: float, parallel: int):
        self._run = signature.run
        self._plan = BatchPlan(signature.inputs, signature.outputs)
        self._max_rows, self._timeout, self._parallel = max_rows, timeout_seconds, parallel
        self._enough = threading.Condition()
        self._queue: list[_Request] = []
        self._running = 0
        self._last = 1  # rows of the last batch
        self._awaited = 0  # rows in the queue that a gathering leader waits for; 0 if none does
        self._separable = True

    def __call__(self, fed: Arrays) -> Arrays:
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
            return self._run(fed)
        request = _Request(fed, rows)
        with self._enough:
            if self._running < self._parallel and not self._awaited:
                self._running += 1
                request.leads = True
            else:
                self._queue.append(request)
                if self._awaited and self._queued() >= self._awaited:
                    self._enough.notify()
        if not request.leads:
            request.turn.wait()
        if request.leads:
            self._lead(request)
        if request.error is not None:
            raise request.error
        assert request.outputs is not None
        return request.outputs

    def _lead(self, request: _Request) -> None:
        """Run a batch that starts with the request, then hand on to the first in the queue."""
        batch = [request]
        try:
            with self._enough:
                batch += self._companions(request)
            self._answer(batch)
        finally:
            with self._enough:
                if self._queue:
                    following = self._queue.pop(0)
                    following.leads = True
                    following.turn.set()
                else:
                    self._running -= 1
            for other in batch[1:]:
                other.turn.set()

    def _companions(self, request: _Request) -> list[_Request]:
        """Take those out of the queue that can be joined with the request."""
        if self._last > 1 and not self._awaited:
            self._awaited = max(min(self._last, self._max_rows) - request.rows.count, 1)
            if self._queued() < self._awaited:
                self._enough.wait(self._timeout)
            self._awaited = 0
        taken, count = [], request.rows.count
        for waiting in self._queue:
            if waiting.rows.key == request.rows.key and count + waiting.rows.count <= self._max_rows:
                taken.append(waiting)
                count += waiting.rows.count
        self._queue = [waiting for waiting in self._queue if waiting not in taken]
        self._last = count if taken else 1
        return taken

    def _queued(self) -> int:
        return sum(waiting.rows.count for waiting in self._queue)

    def _answer(self, batch: list[_Request]) -> None:
        if len(batch) > 1 and self._answer_joined(batch):
            return
        for request in batch:
            try:
                request.outputs = self._run(request.fed)
            except Exception as error:  # it is raised where the request came from
                request.error = error

    def _answer_joined(self, batch: list[_Request]) -> bool:
        """Whether one call has answered all."""
        try:
            outputs = self._run(self._plan.join([request.fed for request in batch]))
        except Exception:  # one of them is to blame; each is run alone to see which
            return False
        parts = self._plan.split(outputs, [request.rows.count for request in batch])
        if parts is None:
            self._separable = False
            return False
        for request, part in zip(batch, parts, strict=True):
            request.outputs = part
        return True
