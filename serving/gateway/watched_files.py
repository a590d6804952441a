"""Files that other programs replace while the gateway runs: a change is seen within seconds, and read beside requests.

A snapshot never changes, so one request sees one state. What cannot be read leaves the last good one, and the log says
why.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Generic, TypeVar

from polars.exceptions import PolarsError

from data_pipelines.schema import InputError

T = TypeVar("T")
logger = logging.getLogger(__name__)


class WatchedFiles(Generic[T]):
    """The current snapshot of files.

    Args:
        what: they are, for the log.
        paths: to look at for changes.
        read: makes a snapshot of them.
        reload_seconds: how often they are looked at.

    Raises:
        InputError: if they cannot be read at the start.
    """

    def __init__(self, what: str, paths: Sequence[Path], read: Callable[[], T], *, reload_seconds: float = 5.0):
        self._what, self._paths, self._read, self._reload_seconds = what, paths, read, reload_seconds
        self._versions = self._look()
        self._snapshot = read()
        self._next_look = time.monotonic() + reload_seconds
        self._reading: asyncio.Task[None] | None = None

    def current(self) -> T:
        """The latest snapshot; starts reading a newer one beside the requests."""
        if self._paths and time.monotonic() >= self._next_look and self._reading is None:
            self._reading = asyncio.create_task(self._refresh())
        return self._snapshot

    async def _refresh(self) -> None:
        try:
            versions = await asyncio.to_thread(self._look)
            if versions != self._versions:
                self._versions = versions
                self._snapshot = await asyncio.to_thread(self._read)
                logger.info("%s reloaded", self._what)
        except (InputError, PolarsError) as error:
            logger.error("%s not reloaded, the last one stays", self._what, extra={"reason": str(error)})
        finally:
            self._next_look = time.monotonic() + self._reload_seconds
            self._reading = None

    def _look(self) -> list[tuple[int, int, int] | None]:
        return [_version(path) for path in self._paths]


def _version(path: Path) -> tuple[int, int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino
