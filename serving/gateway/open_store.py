"""The online store that a URL names."""

import asyncio
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, TypeVar

from data_pipelines.schema import InputError
from serving.gateway.event_store import Clock, EventStore, StoreError
from serving.gateway.ledger import RECORD_DAYS
from serving.gateway.redis_store import RedisStore
from serving.gateway.settings import GatewaySettings
from serving.gateway.sqlite_store import SqliteStore

T = TypeVar("T")
DEFAULT_STORE = "sqlite:///gateway-events.sqlite"


def require_store(url: str) -> None:
    """Refuse a SQLite file that is not there: who only reads would make it, and find nothing.

    Raises:
        InputError: if it is not there.
    """
    file = url.removeprefix("sqlite:///")
    if file != url and not Path(file).is_file():
        raise InputError(f"--store {url}: no such file; name the store of the gateway")


def open_store(
    url: str,
    *,
    history_length: int,
    ttl_days: float,
    record_days: float = RECORD_DAYS,
    clock: Clock = time.time,
) -> EventStore:
    """Open a store.

    Args:
        url: `sqlite:///events.sqlite` (relative), `sqlite:////var/lib/events.sqlite` (absolute), `redis://host:6379/0`.
        history_length: events of a user that are kept.
        ttl_days: days until an event is forgotten.
        record_days: days for which entries of the ledger are kept.
        clock: seconds since 1970.

    Raises:
        InputError: if the URL names no store, or it cannot be opened.
    """
    days = {"ttl_days": ttl_days, "record_days": record_days}
    scheme, separator, rest = url.partition("://")
    if separator and scheme in ("redis", "rediss", "unix"):
        return RedisStore(url, history_length=history_length, clock=clock, **days)
    path = rest.removeprefix("/")
    if scheme == "sqlite" and rest.startswith("/") and path:
        return SqliteStore(Path(path), history_length=history_length, clock=clock, **days)
    raise InputError(f"--store {url!r}: write sqlite:///events.sqlite or redis://127.0.0.1:6379/0")


def store_of(url: str, settings: GatewaySettings) -> EventStore:
    """Open the store of a gateway that has these settings; see `open_store`."""
    return open_store(
        url,
        history_length=settings.history_length,
        ttl_days=settings.ttl_days,
        record_days=settings.record_days,
    )


def ask_store(url: str, settings: GatewaySettings, work: Callable[[EventStore], Coroutine[Any, Any, T]]) -> T:
    """Do some work with the store of a gateway, for a command; the work opens and closes it.

    Raises:
        InputError: if the store does not answer.
    """
    store = store_of(url, settings)
    try:
        return asyncio.run(work(store))
    except StoreError as error:
        raise InputError(f"--store {url.rpartition('@')[2]}: {error}; see that it runs") from None
