"""The online store of production: Redis, shared by any number of gateways.

Per user two sorted sets: the history by event time, whose members begin with the order of arrival, and the event ids by
arrival. A batch is one Lua script, so it is stored whole or not at all, in one round trip.

Durability: run Redis with `appendonly yes`. With `appendfsync everysec` acknowledged events survive a kill -9 of the
gateway and of Redis; a power cut may lose the last second. `appendfsync always` loses nothing. `maxmemory-policy` must
be `noeviction`. Scripts touch the keys of several users: one primary with replicas, not a cluster.

What was erased stays in the append-only file until Redis rewrites it: it is asked to, once a minute at the most. RDB
snapshots and backups keep it until they are replaced.

References: https://redis.io/docs/latest/operate/oss_and_stack/management/persistence/,
https://redis.io/docs/latest/develop/programmability/eval-intro/
"""

import asyncio
import json
import logging
import time
from collections.abc import Awaitable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from data_pipelines.schema import InputError
from serving.gateway.event_store import ArrivalClock, Clock, Event, StoreError, UserHistory, as_history, ids_kept

DAY_MS = 86_400_000
PREFIX = "supplytower:"
CONNECT_SECONDS, TIMEOUT_SECONDS = 1.0, 2.0
"""Each twice, as there is a second try: still within the gateway's own time for an answer."""
REWRITE_AGAIN_SECONDS = 60.0
ARRIVAL_DIGITS, ARRIVED_DIGITS = 20, 14
"""Members are ordered as text where times are equal: arrival, arrived_ms, then the event as JSON."""

APPEND = """
local now, expired, ttl, length, kept = ARGV[1], ARGV[2], ARGV[3], tonumber(ARGV[4]), tonumber(ARGV[5])
local new, at = 0, 6
for key = 1, #KEYS, 2 do
  local history, ids = KEYS[key], KEYS[key + 1]
  if redis.call('ZREMRANGEBYSCORE', ids, '-inf', expired) > 0 then
    for _, member in ipairs(redis.call('ZRANGE', history, 0, -1)) do
      if tonumber(string.sub(member, 21, 34)) <= tonumber(expired) then redis.call('ZREM', history, member) end
    end
  end
  local last = at + 3 * tonumber(ARGV[at])
  for event = at + 1, last, 3 do
    if redis.call('ZADD', ids, 'NX', now, ARGV[event]) == 1 then
      redis.call('ZADD', history, ARGV[event + 1], ARGV[event + 2])
      new = new + 1
    end
  end
  at = last + 1
  redis.call('ZREMRANGEBYRANK', history, 0, -length - 1)
  redis.call('ZREMRANGEBYRANK', ids, 0, -kept - 1)
  redis.call('PEXPIRE', history, ttl)
  redis.call('PEXPIRE', ids, ttl)
end
return new
"""
# One text of all events: the client parses one reply rather than hundreds.
READ = """
local expired, length, users = tonumber(ARGV[1]), tonumber(ARGV[2]), {}
for key = 1, #KEYS do
  local events = {}
  for _, member in ipairs(redis.call('ZRANGE', KEYS[key], -length, -1)) do
    if tonumber(string.sub(member, 21, 34)) > expired then events[#events + 1] = string.sub(member, 35) end
  end
  users[key] = '[' .. table.concat(events, ',') .. ']'
end
return '[' .. table.concat(users, ',') .. ']'
"""
ERASE = "local n = redis.call('ZCARD', KEYS[1]); redis.call('DEL', KEYS[1], KEYS[2]); return n"
logger = logging.getLogger(__name__)


class RedisStore:
    """Events in Redis.

    Args:
        url: `redis://`, `rediss://` (TLS) or `unix://`.
        history_length: events of a user that are kept.
        ttl_days: days until an event is forgotten.
        clock: seconds since 1970.

    Raises:
        InputError: if the package `redis` is not installed, or the URL is none.
    """

    def __init__(self, url: str, *, history_length: int, ttl_days: float, clock: Clock = time.time):
        try:
            from redis.asyncio import Redis
            from redis.asyncio.retry import Retry
            from redis.backoff import ConstantBackoff
        except ImportError:
            raise InputError(
                f"--store {_without_password(url)}: needs the package redis; run `pip install 'supplytower[redis]'`"
            ) from None
        self._length, self._ids = history_length, ids_kept(history_length)
        self._ttl_ms, self._arrivals = int(ttl_days * DAY_MS), ArrivalClock(clock)
        self._rewriting: asyncio.Task[None] | None = None
        self._erased = False
        try:
            # once more, for a connection that Redis has closed meanwhile; appending twice stores once
            self._redis: Any = Redis.from_url(
                url,
                decode_responses=True,
                socket_timeout=TIMEOUT_SECONDS,
                socket_connect_timeout=CONNECT_SECONDS,
                retry=Retry(ConstantBackoff(0.02), 1),
            )
        except ValueError as error:
            raise InputError(f"--store {_without_password(url)}: {error}; e.g. redis://127.0.0.1:6379/0") from None
        self._append, self._read, self._erase = map(self._redis.register_script, (APPEND, READ, ERASE))

    async def open(self) -> list[str]:
        """Connect, and look whether the server keeps what it is given."""
        await self.ping()
        try:
            found = await self._redis.config_get("appendonly", "maxmemory-policy")
        except Exception as error:
            return [f"Redis does not show its configuration ({error}): see that appendonly is yes"]
        wanted = {"appendonly": "yes", "maxmemory-policy": "noeviction"}
        return [
            f"Redis: {name} is {found[name]}; set it to {value}, or acknowledged events may be lost"
            for name, value in wanted.items()
            if found.get(name, value) != value
        ]

    async def append(self, events: Sequence[Event]) -> int:
        """Store events with one script; returns how many were new."""
        if not events:
            return 0
        now = self._arrivals.now_ms()
        by_user: dict[str, list[str | int]] = {}
        for event in events:
            text = json.dumps((event.item_id, event.event_type, event.time_ms))
            member = f"{self._arrivals.next():0{ARRIVAL_DIGITS}d}{now:0{ARRIVED_DIGITS}d}{text}"
            by_user.setdefault(event.user_id, []).extend((event.event_id, event.time_ms, member))
        arguments: list[str | int] = [now, now - self._ttl_ms, self._ttl_ms, self._length, self._ids]
        for told in by_user.values():
            arguments += [len(told) // 3, *told]
        keys = [key for user_id in by_user for key in _keys(user_id)]
        return int(await self._ask(self._append(keys=keys, args=arguments)))

    async def history(self, user_ids: Sequence[str]) -> list[UserHistory]:
        """The latest events of each user."""
        if not user_ids:
            return []
        arguments = (self._arrivals.now_ms() - self._ttl_ms, self._length)
        answer = await self._ask(self._read(keys=[_keys(user_id)[0] for user_id in user_ids], args=arguments))
        return [as_history(rows) for rows in json.loads(answer)]

    async def erase(self, user_id: str) -> int:
        """Remove all of a user, soon also from the append-only file."""
        erased = int(await self._ask(self._erase(keys=_keys(user_id))))
        self._erased = True
        if self._rewriting is None or self._rewriting.done():
            self._rewriting = asyncio.create_task(self._rewrite())
        return erased

    async def _rewrite(self) -> None:
        while self._erased:
            await self._ask_for_rewrite()
            await asyncio.sleep(REWRITE_AGAIN_SECONDS)

    async def _ask_for_rewrite(self) -> None:
        """Have the append-only file written anew, for all that was erased until now."""
        from redis.exceptions import ResponseError

        self._erased = False
        try:
            if (await self._ask(self._redis.info("persistence"))).get("aof_enabled"):
                await self._ask(self._redis.bgrewriteaof())
        except StoreError as error:
            # one that is under way may have begun before the erasure
            self._erased = "in progress" in str(error.__cause__) or not isinstance(error.__cause__, ResponseError)
            remedy = "asked again soon" if self._erased else "have it rewritten (BGREWRITEAOF)"
            logger.warning("erased, but still in Redis's append-only file; %s", remedy, extra={"reason": str(error)})

    async def ping(self) -> None:
        """Return if Redis answers."""
        await self._ask(self._redis.ping())

    async def close(self) -> None:
        """Close the connections."""
        if self._rewriting is not None and not self._rewriting.done():
            self._rewriting.cancel()  # perhaps before it had asked
            await self._ask_for_rewrite()
        await self._redis.aclose()

    async def _ask(self, question: Awaitable[Any]) -> Any:
        with _clear_errors():
            return await question


def _keys(user_id: str) -> tuple[str, str]:
    return f"{PREFIX}history:{user_id}", f"{PREFIX}ids:{user_id}"


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
