"""Both ledgers keep the contract of `serving.gateway.ledger`."""

import asyncio
import math
import subprocess
import sys
from itertools import chain
from pathlib import Path

from serving.gateway.event_store import Event
from serving.gateway.ledger import DAY_MS, Entry, Ledger, Spend
from serving.gateway.open_store import open_store

ROOT = Path(__file__).parents[3]
MAIL = Entry("ann", "contact", "1", 1000, '{"campaign_id": "mail"}')


def with_ledger(store_url, clock, work, record_days=400.0):
    """Run `work(ledger, store)` on a new connection to a store."""

    async def run():
        store = open_store(store_url, history_length=5, ttl_days=1, record_days=record_days, clock=clock)
        await store.open()
        try:
            return await work(store.ledger, store)
        finally:
            await store.close()

    return asyncio.run(run())


async def _collected(ledger: Ledger, topic: str) -> list[Entry]:
    return list(chain.from_iterable([part async for part in ledger.collect(topic)]))


def test_the_first_entry_of_an_id_stands(store_url, clock):
    again = Entry("ann", "contact", "1", 2000, '{"campaign_id": "other"}')
    earlier, elsewhere = Entry("ann", "contact", "0", 500), Entry("ann", "experiment/é", "1", 3)

    async def work(ledger, store):
        assert await ledger.add([MAIL, again]) == [MAIL, MAIL]
        assert await ledger.add([again, earlier, elsewhere]) == [MAIL, earlier, elsewhere]
        assert await ledger.entries("ann", "contact") == [earlier, MAIL]
        assert await ledger.entries("bob", "contact") == []
        assert await ledger.add([]) == []

    with_ledger(store_url, clock, work)


def test_a_claim_needs_that_nothing_came_between(store_url, clock):
    second = Entry("ann", "contact", "2", 2000)

    async def work(ledger, store):
        assert await ledger.claim(MAIL, [], 0) == MAIL
        assert await ledger.claim(second, [], 0) is None  # somebody has added one
        assert await ledger.entries("ann", "contact") == [MAIL]
        assert await ledger.claim(second, [], 1) == second

    with_ledger(store_url, clock, work)


def test_a_claim_spends_once_and_never_beyond_a_budget(store_url, clock):
    def of(number):
        return Entry(f"user{number}", "contact", "1", number)

    async def work(ledger, store):
        day, flight = Spend("mail/day", 0.1, 0.3), Spend("mail", 0.1, 10.0)
        assert [await ledger.claim(of(number), [day, flight], 0) is not None for number in range(4)] == [True] * 3 + [
            False
        ]  # 0.1 + 0.1 + 0.1 is a little more than 0.3 in binary
        assert await ledger.claim(of(0), [day, flight], 0) == of(0)
        found = await ledger.spent(["mail/day", "mail", "never"])
        assert all(math.isclose(amount, wanted) for amount, wanted in zip(found, (0.3, 0.3, 0), strict=True))
        assert await ledger.spent([]) == []

    with_ledger(store_url, clock, work)


def test_a_topic_is_collected_whole(store_url, clock):
    wanted = [Entry(f"user:{number % 700}", "experiment/a*[b]", str(number), number) for number in range(2100)]

    async def work(ledger, store):
        await ledger.add([*wanted, Entry("user:1", "experiment/a1b", "x", 1), MAIL])
        found = await _collected(ledger, "experiment/a*[b]")
        assert sorted(found, key=lambda entry: entry.time_ms) == wanted
        assert await _collected(ledger, "nothing") == []

    with_ledger(store_url, clock, work)


def test_erasing_leaves_nothing_of_a_customer(store_url, clock):
    async def work(ledger, store):
        await ledger.add([MAIL, Entry("ann", "experiment/e", "1", 1), Entry("anna", "contact", "1", 1)])
        await store.append([Event("ann", "1", "item", "view", 1)])
        assert await ledger.erase("ann") == 2
        assert await ledger.entries("ann", "contact") == await ledger.entries("ann", "experiment/e") == []
        assert [entry.user_id for entry in await _collected(ledger, "contact")] == ["anna"]
        assert await ledger.erase("ann") == 0

    with_ledger(store_url, clock, work)


def test_sqlite_forgets_old_entries_and_budgets(tmp_path, clock):
    url = f"sqlite:///{tmp_path / 'a.sqlite'}"

    async def work(ledger, store):
        await ledger.claim(MAIL, [Spend("mail", 1.0, 1.0)], 0)
        clock.now += 1.9 * DAY_MS / 1000
        await ledger.add([Entry("bob", "contact", "1", 1)])
        assert await ledger.entries("ann", "contact") == [MAIL]
        clock.now += 0.2 * DAY_MS / 1000
        assert await ledger.claim(Entry("bob", "contact", "2", 1), [], 1)
        assert await ledger.entries("ann", "contact") == []
        assert await ledger.spent(["mail"]) == [0.0]
        assert len(await ledger.entries("bob", "contact")) == 2

    with_ledger(url, clock, work, record_days=2.0)


CLAIM = """
import asyncio, sys
from serving.gateway.ledger import Entry, Spend
from serving.gateway.open_store import open_store

async def work(url, name):
    store = open_store(url, history_length=10, ttl_days=2.0)
    claimed = 0
    for number in range(60):
        user = f"user{number % 20}"
        known = len(await store.ledger.entries(user, "contact"))
        if known < 2:  # a cap of two contacts
            entry = Entry(user, "contact", f"{name}-{number}", number)
            claimed += await store.ledger.claim(entry, [Spend("mail", 1.0, 30.0)], known) is not None
    print(claimed)
    await store.close()

asyncio.run(work(*sys.argv[1:]))
"""


def test_processes_that_share_a_store_break_no_cap_and_no_budget_together(store_url, clock):
    workers = [
        subprocess.Popen([sys.executable, "-c", CLAIM, store_url, name], cwd=ROOT, stdout=subprocess.PIPE, text=True)
        for name in "ab"
    ]
    claimed = sum(int(worker.communicate(timeout=60)[0]) for worker in workers)

    async def work(ledger, store):
        assert claimed == 30  # 20 customers might have had two each
        assert await ledger.spent(["mail"]) == [30.0]
        per_user = [len(await ledger.entries(f"user{number}", "contact")) for number in range(20)]
        assert max(per_user) <= 2
        assert sum(per_user) == 30

    with_ledger(store_url, clock, work)


def test_acknowledged_entries_survive_a_kill(store_url, clock):
    program = (
        "import asyncio, os, sys\n"
        "from serving.gateway.ledger import Entry, Spend\n"
        "from serving.gateway.open_store import open_store\n"
        "async def work(url):\n"
        "    store = open_store(url, history_length=10, ttl_days=2.0)\n"
        "    entry = Entry('ann', 'contact', '1', 1)\n"
        "    assert await store.ledger.claim(entry, [Spend('mail', 2.0, 9.0)], 0) == entry\n"
        "    os.kill(os.getpid(), 9)\n"
        "asyncio.run(work(sys.argv[1]))\n"
    )
    assert subprocess.run([sys.executable, "-c", program, store_url], cwd=ROOT, check=False).returncode == -9

    async def work(ledger, store):
        assert [entry.entry_id for entry in await ledger.entries("ann", "contact")] == ["1"]
        assert await ledger.spent(["mail"]) == [2.0]

    with_ledger(store_url, clock, work)
