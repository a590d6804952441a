"""Many calls at once over one connection, threads, and a process without TensorFlow."""

import asyncio
import gc
import subprocess
import sys
import threading
import time
import weakref
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from serving.client import AsyncClient, Client, ClientSettings, History
from tests.serving.fake_serving import PATIENCE_SECONDS

ROOT = Path(__file__).parents[2]
WITHOUT_TENSORFLOW = """
import sys

class Forbidden:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("tensorflow", "tensorflow_serving"):
            raise ImportError(f"{name} is not installed")

sys.meta_path.insert(0, Forbidden())
from data_pipelines.schema import InputError
from serving.client import AsyncClient, Client, History
try:
    Client("grpc://localhost:8500")
except InputError as error:
    print(error)
with Client(sys.argv[1]) as client:
    print(client.predict("half_plus_two", {"x": [1.0]}, version=1)["y"].tolist())
    print(client.recommend([History("anna")], 2)[0].item_id)
    print(len(client.status("half_plus_two")))
assert not {"tensorflow", "tensorflow_serving"} & set(sys.modules)
"""


def test_a_hundred_calls_at_once_share_one_channel(fake, running):
    async def main():
        registry = CollectorRegistry()
        async with AsyncClient(running.addresses["grpc"], registry=registry) as client:
            # none is answered before all have come
            held = fake.hold(times=100)
            calls = [asyncio.ensure_future(client.predict("half_plus_two", {"x": [n]}, version=1)) for n in range(100)]
            while fake.count() < 100:
                await asyncio.sleep(0.01)
            held.set()
            return await asyncio.gather(*calls), registry

    answers, registry = asyncio.run(main())
    assert [one["y"].item() for one in answers] == [n / 2 + 2 for n in range(100)]
    assert len({one.peer for one in fake.seen}) == 1  # one connection
    assert fake.count("metadata") == 1
    labels = {"model": "half_plus_two", "method": "predict", "code": "OK", "transport": "grpc"}
    assert registry.get_sample_value("supplytower_client_requests_total", labels) == 100


def test_http_connections_are_reused(fake, make_client, running):
    client = make_client(running.addresses["rest"])
    for _ in range(10):
        client.predict("half_plus_two", {"x": [1]})
    assert len({one.peer for one in fake.seen}) == 1


def test_threads_share_a_client(fake, client):
    with ThreadPoolExecutor(8) as threads:
        answers = list(
            threads.map(lambda n: client.predict("half_plus_two", {"x": [n]}, version=1)["y"].item(), range(64))
        )
    assert answers == [n / 2 + 2 for n in range(64)]


def test_closing_ends_calls_that_wait(fake, client):
    client.predict("half_plus_two", {"x": [1]})
    held = fake.hold(times=1)
    with ThreadPoolExecutor(1) as threads:
        waiting = threads.submit(client.predict, "half_plus_two", {"x": [1]})
        while fake.count() < 2:
            pass
        client.close()
        with pytest.raises(RuntimeError, match="the client is closed"):
            waiting.result(timeout=10)
    held.set()


def test_closing_ends_calls_that_wait_in_an_event_loop(fake, address):
    async def main():
        client = AsyncClient(address, registry=CollectorRegistry())
        held = fake.hold(times=1)
        waiting = asyncio.ensure_future(client.predict("half_plus_two", {"x": [1]}))
        while not fake.count():
            await asyncio.sleep(0.01)
        await client.close()
        held.set()
        for call in (waiting, client.predict("half_plus_two", {"x": [1]}), client.status("half_plus_two")):
            with pytest.raises(RuntimeError, match="the client is closed") as raised:
                await call
            assert type(raised.value) is RuntimeError

    asyncio.run(main())


def test_cancelling_a_call_is_no_error_of_a_closed_client(fake, address):
    async def main():
        client = AsyncClient(address, registry=CollectorRegistry())
        held = fake.hold(times=1)
        waiting = asyncio.ensure_future(client.predict("half_plus_two", {"x": [1]}))
        while not fake.count():
            await asyncio.sleep(0.01)
        waiting.cancel()
        await client.close()
        held.set()
        with pytest.raises(asyncio.CancelledError):
            await waiting

    asyncio.run(main())


def test_another_event_loop_is_refused(fake, address):
    client = AsyncClient(address, registry=CollectorRegistry())
    asyncio.run(client.status("half_plus_two"))
    with pytest.raises(RuntimeError, match="the client belongs to another event loop; make an AsyncClient in each"):
        asyncio.run(client.status("half_plus_two"))


def test_clients_share_the_metrics_of_a_registry(fake, address):
    async def main():
        registry = CollectorRegistry()
        for _ in range(2):
            async with AsyncClient(address, ClientSettings(), registry=registry) as client:
                await client.recommend([History("anna")])
        return registry

    registry = asyncio.run(main())
    labels = {"model": "recommender", "method": "recommend", "code": "OK"}
    transport = "rest" if address.startswith("http") else "grpc"
    assert registry.get_sample_value("supplytower_client_requests_total", labels | {"transport": transport}) == 2


def test_a_client_that_nobody_closes_leaves_no_thread_and_no_registry(fake, address):
    def threads():
        return sum(one.name == "supplytower-client" for one in threading.enumerate())

    def forget():
        registry = CollectorRegistry()
        Client(address, registry=registry).status("half_plus_two")
        return weakref.ref(registry)

    before = threads()
    registries = [forget() for _ in range(3)]
    gc.collect()
    assert [one() for one in registries] == [None] * 3
    deadline = time.monotonic() + PATIENCE_SECONDS
    while threads() > before and time.monotonic() < deadline:
        time.sleep(0.005)
    assert threads() == before


def test_over_rest_no_tensorflow_is_needed(fake, running):
    command = [sys.executable, "-c", WITHOUT_TENSORFLOW, running.addresses["rest"]]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    refused, *answers = done.stdout.splitlines()
    assert "gRPC needs the package tensorflow-serving-api" in refused
    assert refused.endswith("install it, or use http://")
    assert answers == ["[2.5]", "['milk', 'bread']", "3"]


def test_leaving_without_closing_is_quiet(fake, address):
    script = (
        "import sys; from serving.client import Client; "
        "print(Client(sys.argv[1]).predict('half_plus_two', {'x': [1.0]}, version=1)['y'].tolist())"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, address], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stdout) == (0, "[2.5]\n"), done.stderr
    assert "Traceback" not in done.stderr
