"""A connection to Redis that stores share.

Durability: run Redis with `appendonly yes`. With `appendfsync everysec` what was acknowledged survives a kill -9 of the
gateway and of Redis; a power cut may lose the last second. `appendfsync always` loses nothing. `maxmemory-policy` must
be `noeviction`. Scripts touch the keys of several users: one primary with replicas, not a cluster.

What was erased stays in the append-only file until Redis rewrites it: it is asked to, once a minute at the most. RDB
snapshots and backups keep it until they are replaced.

References: https://redis.io/docs/latest/operate/oss_and_stack/management/persistence/,
https://redis.io/docs/latest/develop/programmability/eval-intro/
"""

import asyncio
import logging
from collections.abc import Awaitable, Iterator
from contextlib import contextmanager
from typing import Any

from data_pipelines.schema import InputError
from serving.gateway.event_store import StoreError

CONNECT_SECONDS, TIMEOUT_SECONDS = 1.0, 2.0
"""Each twice, as there is a second try: still within the gateway's own time for an answer."""
REWRITE_AGAIN_SECONDS = 60.0
logger = logging.getLogger(__name__)


class RedisConnection:
    """A pool of connections.

    Args:
        url: `redis://`, `rediss://` (TLS) or `unix://`.

    Raises:
        InputError: if the package `redis` is not installed, or the URL is none.
    """

    def __init__(self, url: str):
        try:
            from redis.asyncio import Redis
            from redis.asyncio.retry import Retry
            from redis.backoff import ConstantBackoff
        except ImportError:
            raise InputError(
                f"--store {_without_password(url)}: needs the package redis; run `pip install 'supplytower[redis]'`"
            ) from None
        self._rewriting: asyncio.Task[None] | None = None
        self._erased = False
        try:
            # once more, for a connection that Redis has closed meanwhile; what is sent twice is stored once
            self.redis: Any = Redis.from_url(
                url,
                decode_responses=True,
                socket_timeout=TIMEOUT_SECONDS,
                socket_connect_timeout=CONNECT_SECONDS,
                retry=Retry(ConstantBackoff(0.02), 1),
            )
        except ValueError as error:
            raise InputError(f"--store {_without_password(url)}: {error}; e.g. redis://127.0.0.1:6379/0") from None

    def scripts(self, *texts: str) -> list[Any]:
        """Lua scripts as functions of `keys` and `args`, for `ask`."""
        return [self.redis.register_script(text) for text in texts]

    async def open(self) -> list[str]:
        """Connect, and look whether the server keeps what it is given."""
        await self.ping()
        try:
            found = await self.redis.config_get("appendonly", "maxmemory-policy")
        except Exception as error:
            return [f"Redis does not show its configuration ({error}): see that appendonly is yes"]
        wanted = {"appendonly": "yes", "maxmemory-policy": "noeviction"}
        return [
            f"Redis: {name} is {found[name]}; set it to {value}, or acknowledged events may be lost"
            for name, value in wanted.items()
            if found.get(name, value) != value
        ]

    async def ask(self, question: Awaitable[Any]) -> Any:
        """Wait for an answer.

        Raises:
            StoreError: if there is none.
        """
        with _clear_errors():
            return await question

    async def ping(self) -> None:
        """Return if Redis answers."""
        await self.ask(self.redis.ping())

    def rewrite_soon(self) -> None:
        """Have what was erased removed from the append-only file, too."""
        self._erased = True
        if self._rewriting is None or self._rewriting.done():
            self._rewriting = asyncio.create_task(self._rewrite())

    async def close(self) -> None:
        """Close the connections."""
        if self._rewriting is not None and not self._rewriting.done():
            self._rewriting.cancel()  # perhaps before it had asked
            await self._ask_for_rewrite()
        await self.redis.aclose()

    async def _rewrite(self) -> None:
        while self._erased:
            await self._ask_for_rewrite()
            await asyncio.sleep(REWRITE_AGAIN_SECONDS)

    async def _ask_for_rewrite(self) -> None:
        """Have the append-only file written anew, for all that was erased until now."""
        from redis.exceptions import ResponseError

        self._erased = False
        try:
            if (await self.ask(self.redis.info("persistence"))).get("aof_enabled"):
                await self.ask(self.redis.bgrewriteaof())
        except StoreError as error:
            # one that is under way may have begun before the erasure
            self._erased = "in progress" in str(error.__cause__) or not isinstance(error.__cause__, ResponseError)
            remedy = "asked again soon" if self._erased else "have it rewritten (BGREWRITEAOF)"
            logger.warning("erased, but still in Redis's append-only file; %s", remedy, extra={"reason": str(error)})


def _without_password(url: str) -> str:
    scheme, separator, rest = url.partition("://")
    return f"{scheme}{separator}{rest.rpartition('@')[2].partition('?')[0]}"


@contextmanager
def _clear_errors() -> Iterator[None]:
    from redis.exceptions import RedisError

    try:
        yield
    except (RedisError, OSError) as error:
        raise StoreError(f"Redis: {type(error).__name__}") from error
