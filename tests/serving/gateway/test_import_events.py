"""Filling the online store from a data folder, and the command that serves."""

import argparse
import asyncio
import socket
import subprocess
import sys
from datetime import datetime, timedelta
from pathlib import Path

import polars as pl
import pytest

from data_pipelines.schema import InputError
from serving.gateway import import_events, main
from serving.gateway.open_store import open_store
from tests.serving.gateway.conftest import kept

FIRST = datetime(2017, 1, 1)


@pytest.fixture
def data(tmp_path):
    """ann: three purchases at the same second, one item twice, then five views a day later; bob: one click."""
    rows = [("ann", item, "purchase", FIRST) for item in ("milk", "bread", "milk")]
    rows += [("ann", f"view{n}", "view", FIRST + timedelta(days=1, seconds=5 - n)) for n in range(5)]
    rows += [("bob", "tea", "click", FIRST), ("bob", None, "click", FIRST)]
    table = pl.DataFrame(rows, ["user_id", "item_id", "event_type", "timestamp"], orient="row")
    table.with_columns(price=1.0).write_parquet(tmp_path / "events.parquet")
    return tmp_path


def stored(url):
    async def work():
        store = open_store(url, history_length=200, ttl_days=90)
        found = await store.history(["ann", "bob"])
        await store.close()
        return found

    return asyncio.run(work())


def test_the_last_events_of_every_customer_are_imported_once(data, store_url, capsys):
    words = ["--data", str(data), "--store", store_url, "--set", "history_length=7"]
    assert import_events.main(words) == 0
    assert "8 events of 2 customers imported" in capsys.readouterr().err
    ann, bob = stored(store_url)
    # the last seven of ann: two of the three of the first second, then the views, which the table has backwards
    assert ann.item_id == ["bread", "milk", "view4", "view3", "view2", "view1", "view0"]
    assert ann.event_type == ["purchase"] * 2 + ["view"] * 5
    assert ann.time_ms[0] == 1_483_228_800_000  # 2017-01-01T00:00:00Z
    assert (bob.item_id, bob.event_type) == (["tea"], ["click"])
    assert kept(store_url) == (2, 8, 8)
    assert import_events.main(words) == 0
    assert "0 events of 2 customers imported, 8 were there already" in capsys.readouterr().err
    assert kept(store_url) == (2, 8, 8)


def test_mistakes_are_one_line(tmp_path, data, capsys):
    assert import_events.main(["--data", str(tmp_path / "none")]) == 2
    assert "events.parquet: cannot be read" in capsys.readouterr().err
    pytest.importorskip("redis")
    assert import_events.main(["--data", str(data), "--store", "redis://u:secret@127.0.0.1:1/0"]) == 2
    error = capsys.readouterr().err
    assert "see that it runs" in error
    assert "secret" not in error


def test_popular_items_are_the_most_bought(data):
    assert main.popular_items(data)[:2] == ["milk", "bread"]
    assert set(main.popular_items(data)) == {"milk", "bread", "tea", *(f"view{n}" for n in range(5))}
    assert main.popular_items(None) == []


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--host", "0.0.0.0"], "give --keys keys.json"),
        (["--set", "most_in_flight=0"], "most_in_flight=0: must be more than 0"),
        (["--set", "ttl_day=3"], "did you mean 'ttl_days'"),
        (["--items", "none.parquet"], "none.parquet: cannot be read"),
        (["--keys", "none.json"], "none.json: is no key file"),
        (["--store", "what"], "write sqlite:///"),
    ],
)
def test_mistakes_of_the_command_are_one_line(words, message, capsys, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(main, "connect", lambda *arguments: None)
    assert main.main([*words, "--port", "0"]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1


def test_a_store_that_does_not_answer_is_one_line():
    pytest.importorskip("redis")
    words = ["--store", "redis://u:secret@127.0.0.1:1/0", "--port", "0", "--model-server", "http://127.0.0.1:1"]
    command = [sys.executable, "-m", "serving.gateway.main", *words]
    ended = subprocess.run(command, cwd=Path(__file__).parents[3], capture_output=True, text=True, timeout=60)
    assert ended.returncode == 2
    message = "error: --store: the event store does not answer (Redis: ConnectionError); see that it runs"
    assert [line for line in ended.stderr.splitlines() if not line.startswith('{"time"')] == [message]
    assert '"level": "error"' not in ended.stderr


def test_an_address_that_cannot_be_listened_on_is_told():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        with pytest.raises(InputError, match="cannot listen"):
            main.listen("127.0.0.1", taken.getsockname()[1])
    with pytest.raises(InputError, match="cannot listen"):
        main.listen("127.0.0.1", 70_000)


def test_answers_are_sent_at_once():
    with main.listen("127.0.0.1", 0) as listening:
        assert listening.proto == socket.IPPROTO_TCP  # else asyncio leaves Nagle's algorithm on


def test_the_options_make_a_gateway_with_the_folders_items(tmp_path, data, monkeypatch, profiles, experiments):
    from serving.gateway.settings import GatewaySettings

    pl.DataFrame({"item_id": ["tea"], "kind": ["drink"]}).write_parquet(data / "items.parquet")
    asked = []
    monkeypatch.setattr(main, "connect", lambda address, settings, metrics: asked.append(address))
    store = f"sqlite:///{tmp_path / 'e.sqlite'}"
    parser = argparse.ArgumentParser()
    main.add_options(parser)
    files = ["--profiles", str(profiles), "--experiments", str(experiments)]
    given = parser.parse_args(["--data", str(data), "--model-server", "grpc://m:1", "--store", store, *files])
    app = main.build(given, GatewaySettings())
    assert asked == ["grpc://m:1"]
    assert app.state.gateway.popular[0] == "milk"
    assert app.state.gateway.catalogue.current().describe(["tea"])["tea"]["kind"] == "drink"
    assert app.state.gateway.profiles.current().row("ann")["segment_id"] == 3
    assert "shop" in app.state.gateway.experiments.current()
    asyncio.run(app.state.gateway.store.close())
    with pytest.raises(InputError, match="nowhere: no such folder"):
        main.build(argparse.Namespace(**vars(given) | {"data": tmp_path / "nowhere"}), GatewaySettings())
