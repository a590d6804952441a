"""The ledger in Redis: a hash per topic and customer, a number per budget, and the set of topics."""

from collections.abc import AsyncIterator, Mapping, Sequence

from serving.gateway.ledger import DAY_MS, Entry, Spend
from serving.gateway.redis_connection import RedisConnection

PREFIX = "supplytower:ledger:"
TOPICS = "supplytower:topics"
PART = 1000
# A member is time, space, body; Redis gives back what is on record, which may be an earlier one of the same id.
ADD = """
local found = {}
for key = 2, #KEYS do
  local at = 3 * (key - 1)
  redis.call('SADD', KEYS[1], ARGV[at - 1])
  redis.call('HSETNX', KEYS[key], ARGV[at], ARGV[at + 1])
  redis.call('PEXPIRE', KEYS[key], ARGV[1])
  found[key - 1] = redis.call('HGET', KEYS[key], ARGV[at])
end
return found
"""
CLAIM = """
local ttl, topic, id, member, known = ARGV[1], ARGV[2], ARGV[3], ARGV[4], tonumber(ARGV[5])
local found = redis.call('HGET', KEYS[2], id)
if found then return found end
if redis.call('HLEN', KEYS[2]) ~= known then return false end
for key = 3, #KEYS do
  local spent = tonumber(redis.call('GET', KEYS[key]) or '0')
  if spent + tonumber(ARGV[2 * key]) > tonumber(ARGV[2 * key + 1]) then return false end
end
for key = 3, #KEYS do
  redis.call('INCRBYFLOAT', KEYS[key], ARGV[2 * key])
  redis.call('PEXPIRE', KEYS[key], ttl)
end
redis.call('SADD', KEYS[1], topic)
redis.call('HSET', KEYS[2], id, member)
redis.call('PEXPIRE', KEYS[2], ttl)
return member
"""
ERASE = """
local erased = 0
for _, topic in ipairs(redis.call('SMEMBERS', KEYS[1])) do
  local key = ARGV[1] .. topic .. ':' .. ARGV[2]
  erased = erased + redis.call('HLEN', key)
  redis.call('DEL', key)
end
return erased
"""


class RedisLedger:
    """A ledger in Redis.

    Args:
        connection: to it.
        ttl_days: days for which entries are kept after the last one of the same topic and customer.
    """

    def __init__(self, connection: RedisConnection, *, ttl_days: float):
        self._connection, self._ttl_ms = connection, int(ttl_days * DAY_MS)
        self._add, self._claim, self._erase = connection.scripts(ADD, CLAIM, ERASE)

    async def add(self, entries: Sequence[Entry]) -> list[Entry]:
        """Store entries; returns those on record."""
        if not entries:
            return []
        keys = [TOPICS, *(_key(entry.topic, entry.user_id) for entry in entries)]
        told = [part for entry in entries for part in (entry.topic, entry.entry_id, _member(entry))]
        found = await self._connection.ask(self._add(keys=keys, args=[self._ttl_ms, *told]))
        return [_entry(one.user_id, one.topic, one.entry_id, text) for one, text in zip(entries, found, strict=True)]

    async def claim(self, entry: Entry, spends: Sequence[Spend], known: int) -> Entry | None:
        """Add an entry and spend its money, if nothing has changed and the money suffices."""
        keys = [TOPICS, _key(entry.topic, entry.user_id), *(_budget(one.budget) for one in spends)]
        money = [part for one in spends for part in (repr(one.amount), repr(one.most))]
        told = [self._ttl_ms, entry.topic, entry.entry_id, _member(entry), known, *money]
        found = await self._connection.ask(self._claim(keys=keys, args=told))
        return _entry(entry.user_id, entry.topic, entry.entry_id, found) if found else None

    async def entries(self, user_id: str, topic: str) -> list[Entry]:
        """A customer's entries of a topic, oldest first."""
        key = _key(topic, user_id)
        return _entries(key, topic, await self._connection.ask(self._connection.redis.hgetall(key)))

    async def spent(self, budgets: Sequence[str]) -> list[float]:
        """What was spent of each budget."""
        if not budgets:
            return []
        found = await self._connection.ask(self._connection.redis.mget([_budget(name) for name in budgets]))
        return [float(amount or 0.0) for amount in found]

    async def collect(self, topic: str) -> AsyncIterator[list[Entry]]:
        """All entries of a topic, in parts."""
        cursor, seen = 0, set[str]()
        pattern = "".join(f"\\{letter}" if letter in "*?[]^-\\" else letter for letter in _key(topic, "")) + "*"
        while True:
            cursor, keys = await self._connection.ask(self._connection.redis.scan(cursor, match=pattern, count=PART))
            new = dict.fromkeys(key for key in keys if key not in seen)  # SCAN may name a key twice
            seen |= new.keys()
            pipeline = self._connection.redis.pipeline(transaction=False)
            for key in new:
                pipeline.hgetall(key)
            found = await self._connection.ask(pipeline.execute())
            yield [entry for key, members in zip(new, found, strict=True) for entry in _entries(key, topic, members)]
            if not cursor:
                return

    async def erase(self, user_id: str) -> int:
        """Remove all of a customer, soon also from the append-only file."""
        erased = int(await self._connection.ask(self._erase(keys=[TOPICS], args=[PREFIX, user_id])))
        self._connection.rewrite_soon()
        return erased


def _entries(key: str, topic: str, members: Mapping[str, str]) -> list[Entry]:
    user_id = key.removeprefix(_key(topic, ""))
    found = (_entry(user_id, topic, entry_id, member) for entry_id, member in members.items())
    return sorted(found, key=lambda entry: entry.time_ms)


def _key(topic: str, user_id: str) -> str:
    return f"{PREFIX}{topic}:{user_id}"


def _budget(name: str) -> str:
    return f"supplytower:spent:{name}"


def _member(entry: Entry) -> str:
    return f"{entry.time_ms} {entry.body}"


def _entry(user_id: str, topic: str, entry_id: str, member: str) -> Entry:
    time_ms, _, body = member.partition(" ")
    return Entry(user_id, topic, entry_id, int(time_ms), body)
