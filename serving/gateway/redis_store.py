"""The online store of production: Redis, shared by any number of gateways.

Per user two sorted sets: the history by event time, whose members begin with the order of arrival, and the event ids by
arrival. A batch is one Lua script, so it is stored whole or not at all, in one round trip.

For what survives, see `redis_connection`.
"""

import json
import time
from collections.abc import Sequence

from serving.gateway.event_store import ArrivalClock, Clock, Event, UserHistory, as_history, ids_kept
from serving.gateway.ledger import DAY_MS
from serving.gateway.redis_connection import RedisConnection
from serving.gateway.redis_ledger import RedisLedger

PREFIX = "supplytower:"
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


class RedisStore:
    """Events in Redis.

    Args:
        url: `redis://`, `rediss://` (TLS) or `unix://`.
        history_length: events of a user that are kept.
        ttl_days: days until an event is forgotten.
        record_days: days for which entries of the ledger are kept.
        clock: seconds since 1970.

    Raises:
        InputError: if the package `redis` is not installed, or the URL is none.
    """

    def __init__(self, url: str, *, history_length: int, ttl_days: float, record_days: float, clock: Clock = time.time):
        self._length, self._ids = history_length, ids_kept(history_length)
        self._ttl_ms, self._arrivals = int(ttl_days * DAY_MS), ArrivalClock(clock)
        self._connection = RedisConnection(url)
        self._append, self._read, self._erase = self._connection.scripts(APPEND, READ, ERASE)
        self.ledger = RedisLedger(self._connection, ttl_days=record_days)

    async def open(self) -> list[str]:
        """Connect, and look whether the server keeps what it is given."""
        return await self._connection.open()

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
        return int(await self._connection.ask(self._append(keys=keys, args=arguments)))

    async def history(self, user_ids: Sequence[str]) -> list[UserHistory]:
        """The latest events of each user."""
        if not user_ids:
            return []
        arguments = (self._arrivals.now_ms() - self._ttl_ms, self._length)
        answer = await self._connection.ask(
            self._read(keys=[_keys(user_id)[0] for user_id in user_ids], args=arguments)
        )
        return [as_history(rows) for rows in json.loads(answer)]

    async def erase(self, user_id: str) -> int:
        """Remove all of a user, soon also from the append-only file."""
        erased = int(await self._connection.ask(self._erase(keys=_keys(user_id))))
        self._connection.rewrite_soon()
        return erased

    async def ping(self) -> None:
        """Return if Redis answers."""
        await self._connection.ping()

    async def close(self) -> None:
        """Close the connections."""
        await self._connection.close()


def _keys(user_id: str) -> tuple[str, str]:
    return f"{PREFIX}history:{user_id}", f"{PREFIX}ids:{user_id}"
