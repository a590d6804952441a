"""The contract of every store: what it keeps, in which order, how long, and that it forgets."""

import asyncio
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from data_pipelines.schema import InputError
from serving.gateway import event_store, redis_connection, sqlite_file
from serving.gateway.event_store import Event, StoreError, UserHistory
from serving.gateway.open_store import open_store
from tests.serving.gateway.conftest import NOW, kept

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
        return (await store.history(["ann"]))[0].item_id

    assert with_store(store_url, clock, work) == [f"item-{number}" for number in (3, 4, 5, 6, 7)]
    assert kept(store_url) == (1, 5, 9)


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

    with_store(store_url, clock, work)
    assert kept(store_url) == (1, 1, 1)


def test_only_the_latest_ids_of_a_user_are_remembered(store_url, clock, monkeypatch):
    monkeypatch.setattr(event_store, "LEAST_IDS", 6)  # more than twice the history's length

    async def work(store):
        await store.append([event("other", user="bob")])
        for number in range(8):
            clock.now += 1
            assert await store.append([event(str(number), clock.now)]) == 1
        assert await store.append([event(str(number), clock.now) for number in range(2, 8)]) == 0
        clock.now += 1
        assert await store.append([event("1", clock.now)]) == 1  # forgotten
        assert await store.append([event("other", user="bob")]) == 0
        return (await store.history(["ann"]))[0].item_id

    assert with_store(store_url, clock, work, history_length=3) == ["item-6", "item-7", "item-1"]
    assert kept(store_url)[2] <= 1 + 7


def test_a_batch_that_cannot_be_stored_keeps_no_other_from_it(store_url, clock):
    async def work(store):
        with pytest.raises(UnicodeEncodeError):
            await store.append([event("\ud800")])
        assert await store.append([event("b")]) == 1

    async def soon(store):
        async with asyncio.timeout(10):
            await work(store)

    with_store(store_url, clock, soon)
    assert kept(store_url) == (1, 1, 1)


def test_erasing_leaves_nothing_of_the_user_and_all_of_the_others(store_url, clock):
    async def work(store):
        await store.append([event(str(number), NOW + number) for number in range(8)] + [event("b", user="bob")])
        assert await store.erase("ann") == 5
        assert await store.erase("ann") == 0
        assert kept(store_url) == (1, 1, 1)
        assert await store.append([event("0")]) == 1  # its id is forgotten, too
        return [one.item_id for one in await store.history(["ann", "bob"])]

    histories = with_store(store_url, clock, work)
    assert histories == [["item-0"], ["item-b"]]


def test_what_was_stored_is_there_after_opening_again(store_url, clock):
    with_store(store_url, clock, lambda store: store.append([event("a"), event("b", NOW + 1)]))
    found = with_store(store_url, clock, lambda store: store.history(["ann"]))
    assert found[0].item_id == ["item-a", "item-b"]
    assert with_store(store_url, clock, lambda store: store.append([event("b")])) == 0


def test_batches_of_many_requests_at_once_are_counted_each_for_itself(store_url, clock):
    async def work(store):
        batches = [[event(f"{batch}-{n}", user=f"u{n}") for n in range(10)] for batch in range(30)]
        return await asyncio.gather(*(store.append(batch) for batch in [*batches, batches[0]]))

    assert sorted(with_store(store_url, clock, work, history_length=50)) == [0, *[10] * 30]
    assert kept(store_url) == (10, 300, 300)


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
    assert kept(url) == (1, 200, 200)


def test_sqlite_flushes_each_commit(tmp_path, clock):
    store = open_store(f"sqlite:///{tmp_path / 'a.sqlite'}", history_length=5, ttl_days=1)
    pragma = [
        store._file._write_connection.execute(f"PRAGMA {name}").fetchone()[0]
        for name in ("journal_mode", "synchronous")
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


def test_erased_text_goes_when_those_who_read_have_gone_and_keeps_nobody_waiting(tmp_path, clock, monkeypatch, caplog):
    monkeypatch.setattr(sqlite_file, "TRUNCATE_AGAIN_SECONDS", 0.02)
    caplog.set_level("INFO", "serving")
    path = tmp_path / "a.sqlite"

    def left() -> bool:
        return any(b"a-very-secret-item" in part.read_bytes() for part in tmp_path.iterdir())

    async def work(store):
        await store.append([event("e", item="a-very-secret-item"), event("b", user="bob")])
        with closing(sqlite3.connect(path, isolation_level=None)) as reader:
            reader.execute("BEGIN")
            reader.execute("SELECT * FROM history").fetchall()
            async with asyncio.timeout(sqlite_file.WAIT_SECONDS / 2):
                assert await store.erase("ann") == 1
                assert await store.append([event("c", user="bob")]) == 1
            assert left()
        async with asyncio.timeout(20):
            while left() or len(caplog.records) < 2:
                await asyncio.sleep(0.01)

    with_store(f"sqlite:///{path}", clock, work)
    assert [record.levelname for record in caplog.records] == ["WARNING", "INFO"]
    assert "ann" not in caplog.text


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
def test_redis_keeps_nothing_of_an_erased_user_in_its_file(store_url, clock, redis_socket, monkeypatch):
    monkeypatch.setattr(redis_connection, "REWRITE_AGAIN_SECONDS", 0.02)

    def left(user: str) -> bool:
        try:
            files = [part.read_bytes() for part in (redis_socket.parent / "appendonlydir").iterdir()]
        except FileNotFoundError:  # replaced just now
            return True
        return any(user.encode() in content for content in files)

    async def work(store):
        users = [f"a-very-secret-user-{number}" for number in range(5)]
        await store.append([event("a", user=user) for user in [*users, "another-user"]])
        for user in users:
            assert left(user)
            await store.erase(user)  # also while a rewrite for the one before is under way
        async with asyncio.timeout(20):
            while any(map(left, users)):
                await asyncio.sleep(0.02)
        assert left("another-user")

    with_store(store_url, clock, work)


@pytest.mark.parametrize("store_url", ["redis"], indirect=True)
def test_an_erasure_is_told_where_redis_may_not_be_asked_to_rewrite(store_url, clock, redis_socket, caplog):
    import redis

    async def work(store):
        await store.append([event("a")])
        assert await store.erase("ann") == 1

    with redis.Redis(unix_socket_path=str(redis_socket)) as connection:
        connection.acl_setuser("shop", enabled=True, nopass=True, keys=["*"], commands=["+@all", "-bgrewriteaof"])
        try:
            with_store(store_url.replace("unix://", "unix://shop:x@"), clock, work)
        finally:
            connection.acl_deluser("shop")
    assert "have it rewritten (BGREWRITEAOF)" in caplog.text
    assert "ann" not in caplog.text


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
