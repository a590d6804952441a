"""One version of a model through its life: start, loading, available, unloading, end.

Requests hold a version while they use it, so that one which is unloaded meanwhile lets them finish first.
Reference: https://github.com/tensorflow/serving/blob/master/tensorflow_serving/apis/get_model_status.proto
"""

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Executor
from enum import IntEnum
from pathlib import Path
from typing import Any

import grpc
import tensorflow as tf

from serving.model_server.batching import Batcher
from serving.model_server.request_error import RequestError, from_tensorflow
from serving.model_server.servable import Arrays, Servable
from serving.model_server.settings import ModelServerSettings
from serving.model_server.warmup import warm_up


class State(IntEnum):
    """ModelVersionStatus.State."""

    START = 10
    LOADING = 20
    AVAILABLE = 30
    UNLOADING = 40
    END = 50


class ServedVersion:
    """A version that is or was in service.

    Args:
        number: the version.
        path: its folder.
        settings: the server's.
        threads: where the model runs.
    """

    def __init__(self, number: int, path: Path, settings: ModelServerSettings, threads: Executor):
        self.number, self.path, self._settings, self._threads = number, path, settings, threads
        self.state = State.START
        self.error: RequestError | None = None
        self._files = _fingerprint(path)
        self._lock = threading.Lock()
        self._users = 0
        self._batchers: dict[str, Batcher] = {}
        self._servable: Servable | None = None

    @property
    def servable(self) -> Servable:
        """The loaded model; only while the version is held."""
        assert self._servable is not None
        return self._servable

    def load(self) -> None:
        """Load and warm up; afterwards the state is AVAILABLE, or END with the error."""
        self.state = State.LOADING
        servable = None
        try:
            servable = Servable(self.path)
            warm_up(servable, self.path)
        except Exception as error:  # whatever a damaged file makes TensorFlow raise, the server goes on
            if servable is not None:
                servable.close()
            self.error, self.state = _reason(error), State.END
            return
        for name, signature in servable.signatures.items():
            self._batchers[name] = Batcher(
                signature,
                self._in_thread,
                max_rows=self._settings.max_batch_size,
                timeout_seconds=self._settings.batch_timeout_ms / 1000,
                parallel=self._settings.batch_threads,
            )
        self._servable, self.state = servable, State.AVAILABLE

    def has_changed(self) -> bool:
        """Whether the files are others than when loading began."""
        return _fingerprint(self.path) != self._files

    def hold(self) -> bool:
        """Keep the version from being freed; False if it is not available any more."""
        with self._lock:
            if self.state != State.AVAILABLE:
                return False
            self._users += 1
            return True

    def release(self) -> None:
        """End a `hold`."""
        with self._lock:
            self._users -= 1
        self._free_if_unused()

    def unload(self) -> None:
        """Take the version out of service; its memory is freed when the last request is done with it."""
        with self._lock:
            self.state = State.UNLOADING
        self._free_if_unused()

    async def predict(self, signature: str, inputs: Arrays) -> Arrays:
        """Answer a request; the caller holds the version.

        Raises:
            RequestError: if there is no such signature, or the inputs are not its inputs.
        """
        if signature not in self._batchers:
            code = grpc.StatusCode.FAILED_PRECONDITION
            raise RequestError(code, f'Serving signature key "{signature}" not found.')
        return await self._batchers[signature](self.servable.signatures[signature].check(inputs))

    def _in_thread(self, function: Callable[..., Any], *arguments: Any) -> "asyncio.Future[Any]":
        """Run a function that uses the model; it is kept in memory until that ends, whoever still waits for it."""
        with self._lock:
            self._users += 1
        try:
            running = self._threads.submit(function, *arguments)
        except RuntimeError:
            self.release()
            raise
        running.add_done_callback(lambda _: self.release())
        return asyncio.wrap_future(running)

    def _free_if_unused(self) -> None:
        with self._lock:
            servable = self._servable
            if self.state != State.UNLOADING or self._users or servable is None:
                return
            self._servable, self._batchers, self.state = None, {}, State.END
        servable.close()


def _fingerprint(path: Path) -> frozenset[tuple[str, int, int]]:
    """Names, sizes and times of all files."""
    found = set()
    for file in path.rglob("*"):
        try:
            status = file.stat()
        except FileNotFoundError:  # it is being written or removed right now
            continue
        found.add((str(file), status.st_size, status.st_mtime_ns))
    return frozenset(found)


def _reason(error: Exception) -> RequestError:
    if isinstance(error, RequestError):
        return error
    if isinstance(error, tf.errors.OpError):
        return from_tensorflow(error)
    return RequestError(grpc.StatusCode.UNKNOWN, " ".join(f"{type(error).__name__}: {error}".split()))
