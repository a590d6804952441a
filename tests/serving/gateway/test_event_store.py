"""The contract of every store: what it keeps, in which order, how long, and that it forgets."""

import asyncio
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from data_pipelines.schema import InputError
from serving.gateway.event_store import Event, StoreCounts, StoreError, UserHistory
from serving.gateway.open_store import open_store
from tests.serving.gateway.conftest import NOW

DAY, ROOT = 86_400, Path(__file__).parents[3]


def event(event_id: str, time_s: float = NOW, user: str = "ann", item: str | None = None, kind: str = "view") -> Event:
    return Event(user, event_id, item or f"item-{event_id}", kind, round(time_s * 1000))


def with_store(url, clock, work, *, history_length=5, ttl_days=2.0):
    """Run a coroutine function on a store that is closed in the end."""

    async def session():
        store = open_store(url, history_length=history_length, ttl_days=ttl_days, clock=clock)
        await store.open()
        try:
            return await work(store)
        finally:
            await store.close()

    return asyncio.run(session())


def test_a_history_is_in_the_order_of_event_time_whatever_order_events_arrive_in(store_url, clock):
    async def work(store):
        assert await store.append([event("c", NOW - 10), event("a", NOW - 30, kind="click")]) == 2
        assert await store.append([event("b", NOW - 20)]) == 1  # late
        return await store.history(["ann"])

    assert with_store(store_url, clock, work) == [
        UserHistory(
            ["item-a", "item-b", "item-c"],
            ["click", "view", "view"],
            [round((NOW - ago) * 1000) for ago in (30, 20, 10)],
        )
    ]


def test_events_of_equal_time_keep_the_order_of_their_arrival(store_url, clock):
    names = [*"zyxwvutsrq"]  # against the alphabet, so that no ordering by name passes

    async def work(store):
        await store.append([event(name) for name in names[:5]])
        for name in names[5:]:
            await store.append([event(name)])
        return (await store.history(["ann"]))[0].item_id

    assert with_store(store_url, clock, work, history_length=20) == [f"item-{name}" for name in names]


def test_the_same_event_is_stored_once_within_and_between_batches(store_url, clock):
    async def work(store):
        assert await store.append([event("a"), event("a"), event("b")]) == 2
        assert await store.append([event("b"), event("c")]) == 1
        assert await store.append([event("a", NOW - 5, item="other")]) == 0  # the first one counts
        return (await store.history(["ann"]))[0].item_id

    assert with_store(store_url, clock, work) == ["item-a", "item-b", "item-c"]


def test_ids_of_one_user_do_not_keep_out_events_of_another(store_url, clock):
    async def work(store):
        assert await store.append([event("a", user="ann"), event("a", user="bob")]) == 2
        return [len(one.item_id) for one in await store.history(["bob", "ann", "nobody"])]

    assert with_store(store_url, clock, work) == [1, 1, 0]


def test_only_the_latest_events_are_kept_and_dropped_ones_stay_known(store_url, clock):
    async def work(store):
        await store.append([event(str(number), NOW + number) for number in range(8)])
        assert await store.append([event("late", NOW - 1)]) == 1  # older than all that is kept: dropped at once
        assert await store.append([event("0", NOW)]) == 0  # dropped, but known
        counts = await store.counts()
        return (await store.history(["ann"]))[0].item_id, counts

    items, counts = with_store(store_url, clock, work)
    assert items == [f"item-{number}" for number in (3, 4, 5, 6, 7)]
    assert counts == StoreCounts(users=1, events=5, ids=9)


def test_events_and_their_ids_are_forgotten_after_the_ttl(store_url, clock):
    async def work(store):
        await store.append([event("a", NOW - 10)])
        clock.now += 1 * DAY
        await store.append([event("b", NOW - 20)])
        clock.now += 1 * DAY - 1  # a second before "a" has been there for two days
        assert (await store.history(["ann"]))[0].item_id == ["item-b", "item-a"]
        assert await store.append([event("a", NOW - 10)]) == 0
        clock.now += 1
        assert (await store.history(["ann"]))[0].item_id == ["item-b"]
        assert await store.append([event("a", NOW - 10)]) == 1  # new again
        assert (await store.history(["ann"]))[0].item_id == ["item-b", "item-a"]
        clock.now += 2 * DAY
        await store.append([event("x", user="bob")])  # whoever writes next cleans up
        return await store.history(["ann"])

    assert with_store(store_url, clock, work) == [UserHistory()]


def test_what_has_expired_is_deleted_and_not_only_hidden(store_url, clock):
    async def work(store):
        await store.append([event(str(number)) for number in range(3)])
        clock.now += 2 * DAY
        await store.append([event("new")])
        return await store.counts()

    assert with_store(store_url, clock, work) == StoreCounts(users=1, events=1, ids=1)


def test_erasing_leaves_nothing_of_the_user_and_all_of_the_others(store_url, clock):
    async def work(store):
        await store.append([event(str(number), NOW + number) for number in range(8)] + [event("b", user="bob")])
        assert await store.erase("ann") == 5
        assert await store.erase("ann") == 0
        counts = await store.counts()
        assert await store.append([event("0")]) == 1  # its id is forgotten, too
        return counts, [one.item_id for one in await store.history(["ann", "bob"])]

    counts, histories = with_store(store_url, clock, work)
    assert counts == StoreCounts(users=1, events=1, ids=1)
    assert histories == [["item-0"], ["item-b"]]


def test_what_was_stored_is_there_after_opening_again(store_url, clock):
    with_store(store_url, clock, lambda store: store.append([event("a"), event("b", NOW + 1)]))
    found = with_store(store_url, clock, lambda store: store.history(["ann"]))
    assert found[0].item_id == ["item-a", "item-b"]
    assert with_store(store_url, clock, lambda store: store.append([event("b")])) == 0


def test_batches_of_many_requests_at_once_are_counted_each_for_itself(store_url, clock):
    async def work(store):
        batches = [[event(f"{batch}-{n}", user=f"u{n}") for n in range(10)] for batch in range(30)]
        counts = await asyncio.gather(*(store.append(batch) for batch in [*batches, batches[0]]))
        return counts, await store.counts()

    counts, total = with_store(store_url, clock, work, history_length=50)
    assert sorted(counts) == [0, *[10] * 30]
    assert total == StoreCounts(users=10, events=300, ids=300)


def test_an_empty_batch_and_no_users_are_fine(store_url, clock):
    assert with_store(store_url, clock, lambda store: store.append([])) == 0
    assert with_store(store_url, clock, lambda store: store.history([])) == []


NASTY = st.text(st.characters(codec="utf-8"), min_size=1, max_size=8)


@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        st.tuples(st.sampled_from(["ann", "a'b\"", "{x}:*", "\x00"]), NASTY, NASTY, NASTY, st.integers(0, 4 * 10**12)),
        max_size=30,
    )
)
def test_any_text_comes_back_as_it_was_in_the_order_of_the_definition(store_url, clock, rows):
    events = [Event(*row) for row in rows]

    async def work(store):
        for user in {one.user_id for one in events}:
            await store.erase(user)
        half = len(events) // 2
        new = await store.append(events[:half]) + await store.append(events[half:])
        return new, {user: (await store.history([user]))[0] for user in {one.user_id for one in events}}

    new, histories = with_store(store_url, clock, work, history_length=7)
    first = {(one.user_id, one.event_id): one for one in reversed(events)}  # the first of equal ids
    assert new == len(first)
    for user, history in histories.items():
        own = [one for one in events if one.user_id == user and first[user, one.event_id] is one]
        kept = sorted(own, key=lambda one: one.time_ms)[-7:]
        assert history == UserHistory(
            [one.item_id for one in kept], [one.event_type for one in kept], [one.time_ms for one in kept]
        )


# --- SQLite ---


APPEND = """
import asyncio, sys
from serving.gateway.event_store import Event
from serving.gateway.open_store import open_store

async def work(url, name):
    store = open_store(url, history_length=1000, ttl_days=2.0)
    for batch in range(20):
        await store.append([Event("ann", f"{name}-{batch}-{n}", "item", "view", 1) for n in range(5)])
    await store.close()

asyncio.run(work(*sys.argv[1:]))
"""


def test_several_processes_share_a_file(tmp_path):
    url = f"sqlite:///{tmp_path / 'shared.sqlite'}"
    workers = [subprocess.Popen([sys.executable, "-c", APPEND, url, name], cwd=ROOT) for name in "ab"]
    assert [worker.wait(60) for worker in workers] == [0, 0]
    store = open_store(url, history_length=1000, ttl_days=2.0)
    assert asyncio.run(store.counts()) == StoreCounts(users=1, events=200, ids=200)
    asyncio.run(store.close())


def test_sqlite_flushes_each_commit(tmp_path, clock):
    store = open_store(f"sqlite:///{tmp_path / 'a.sqlite'}", history_length=5, ttl_days=1)
    pragma = [
        store._write_connection.execute(f"PRAGMA {name}").fetchone()[0] for name in ("journal_mode", "synchronous")
    ]
    assert pragma == ["wal", 2]  # 2 is FULL
    asyncio.run(store.close())


def test_erased_text_is_not_left_in_the_files(tmp_path, clock):
    path = tmp_path / "a.sqlite"

    async def work(store):
        await store.append([event("e", item="a-very-secret-item"), event("b", user="bob")])
        await store.erase("ann")
        return [part.read_bytes() for part in tmp_path.iterdir()]

    contents = with_store(f"sqlite:///{path}", clock, work)
    assert contents
    assert not any(b"a-very-secret-item" in content for content in contents)


def test_a_file_that_is_no_database_is_refused(tmp_path):
    (tmp_path / "a.sqlite").write_text("no database, " * 100)
    with pytest.raises(InputError, match=r"a.sqlite: cannot be opened \(file is not a database\)"):
        open_store(f"sqlite:///{tmp_path / 'a.sqlite'}", history_length=5, ttl_days=1)


def test_a_closed_store_raises_a_store_error(tmp_path):
    store = open_store(f"sqlite:///{tmp_path / 'a.sqlite'}", history_length=5, ttl_days=1)

    async def work():
        await store.close()
        with pytest.raises(StoreError):
            await store.append([event("a")])
        with pytest.raises(StoreError):
            await store.ping()

    asyncio.run(work())


# --- Redis ---


@pytest.mark.parametrize("store_url", ["redis"], indirect=True)
def test_redis_deletes_what_nobody_writes_to_any_more(store_url, clock, redis_socket):
    import redis

    with_store(store_url, clock, lambda store: store.append([event("a")]), ttl_days=2.0)
    with redis.Redis(unix_socket_path=str(redis_socket), decode_responses=True) as connection:
        left = [connection.ttl(key) for key in connection.scan_iter()]
    assert len(left) == 2
    assert all(2 * DAY - 60 < seconds <= 2 * DAY for seconds in left)


@pytest.mark.parametrize("store_url", ["redis"], indirect=True)
def test_redis_without_append_only_file_is_told(store_url, clock, redis_socket):
    import redis

    async def notices():
        store = open_store(store_url, history_length=5, ttl_days=1)
        found = await store.open()
        await store.close()
        return found

    assert asyncio.run(notices()) == []
    with redis.Redis(unix_socket_path=str(redis_socket)) as connection:
        connection.config_set("appendonly", "no")
        try:
            assert asyncio.run(notices()) == [
                "Redis: appendonly is no; set it to yes, or acknowledged events may be lost"
            ]
        finally:
            connection.config_set("appendonly", "yes")


def test_no_redis_at_the_address_is_a_store_error():
    pytest.importorskip("redis")
    store = open_store("redis://user:secret@127.0.0.1:1/0", history_length=5, ttl_days=1)

    async def work():
        with pytest.raises(StoreError) as error:
            await store.append([event("a")])
        await store.close()
        return str(error.value)

    assert "secret" not in asyncio.run(work())


def test_redis_without_its_package_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "redis.asyncio", None)
    with pytest.raises(InputError, match=r"redis://h/0: needs the package redis; run `pip install 'supplytower"):
        open_store("redis://user:secret@h/0", history_length=5, ttl_days=1)


@pytest.mark.parametrize("url", ["", "events.sqlite", "sqlite://", "sqlite:///", "mysql://h/d", "sqlite://host/x"])
def test_a_url_that_names_no_store_is_refused(url):
    with pytest.raises(InputError, match=r"write sqlite:///events\.sqlite or redis://"):
        open_store(url, history_length=5, ttl_days=1)


def test_sqlite_urls_are_relative_or_absolute(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for url in ("sqlite:///a.sqlite", f"sqlite:///{tmp_path}/b.sqlite"):
        asyncio.run(open_store(url, history_length=5, ttl_days=1).close())
    assert Path("a.sqlite").exists()
    assert (tmp_path / "b.sqlite").exists()
