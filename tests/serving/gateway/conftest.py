import asyncio
import shutil
import socket
import sqlite3
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import polars as pl
import pytest
from starlette.testclient import TestClient

from serving.gateway.ads.snapshot import AdFiles, AdSnapshots
from serving.gateway.app import create_app
from serving.gateway.bought_together import BasketRuleFiles
from serving.gateway.catalogue import CatalogueFiles
from serving.gateway.experiment_files import ExperimentFiles
from serving.gateway.open_store import open_store
from serving.gateway.profiles import ProfileFiles
from serving.gateway.settings import GatewaySettings
from tests.serving.basket_rules_folder import BUNDLES, RULES, write_bundles, write_rules
from tests.serving.gateway.fake_client import CATALOGUE, FakeClient
from training.profile_folder import Profiles, write_profiles

NOW = 1_769_900_000.0  # 2026-01-31 22:53:20 UTC


class FakeClock:
    def __init__(self, now: float = NOW):
        self.now = now

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture(scope="session")
def redis_socket(tmp_path_factory) -> Iterator[Path]:
    """A Redis of the tests' own, with an append-only file."""
    pytest.importorskip("redis", reason="needs the [redis] extra")
    if shutil.which("redis-server") is None:
        pytest.skip("redis-server is not installed")
    folder = tmp_path_factory.mktemp("redis")
    path = folder / "r.sock"
    words = ["--port", "0", "--unixsocket", str(path), "--dir", str(folder), "--appendonly", "yes", "--save", ""]
    server = subprocess.Popen(["redis-server", *words], stdout=subprocess.DEVNULL)
    try:
        until = time.monotonic() + 20
        while not _listens(path):
            assert server.poll() is None, "redis-server ended"
            assert time.monotonic() < until, "redis-server does not answer"
            time.sleep(0.02)
        yield path
    finally:
        server.kill()
        server.wait()


def _listens(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as connection:
        try:
            connection.connect(str(path))
        except OSError:
            return False
        return True


@pytest.fixture(params=["sqlite", "redis"])
def store_url(request, tmp_path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'events.sqlite'}"
    path = request.getfixturevalue("redis_socket")
    import redis

    with redis.Redis(unix_socket_path=str(path)) as connection:
        connection.flushall()
    return f"unix://{path}"


def kept(url: str) -> tuple[int, int, int]:
    """Users with an event, events and event ids that a store holds, whether it shows them or not."""
    if not url.startswith("sqlite"):
        import redis

        with redis.Redis(unix_socket_path=url.removeprefix("unix://"), decode_responses=True) as connection:
            size = {key: connection.zcard(key) for key in connection.scan_iter()}
        events = [count for key, count in size.items() if ":history:" in key]
        return len(events), sum(events), sum(size.values()) - sum(events)
    with closing(sqlite3.connect(url.removeprefix("sqlite:///"))) as connection:
        question = "SELECT (SELECT count(DISTINCT user_id) FROM history), (SELECT count(*) FROM history), count(*)"
        return tuple(connection.execute(f"{question} FROM seen").fetchone())


@pytest.fixture
def items(tmp_path) -> Path:
    """item0 .. item9: even ones are fruit, odd ones drinks; three brands by turns."""
    path = tmp_path / "items.parquet"
    pl.DataFrame(
        {
            "item_id": CATALOGUE,
            "name": [f"Thing {letter}" for letter in "ABCDEFGHIJ"],
            "kind": ["fruit" if number % 2 == 0 else "drink" for number in range(10)],
            "brand": [("north", "south", "west")[number % 3] for number in range(10)],
            "price": [None if number == 9 else float(number) for number in range(10)],
            "tags": [["new", "sale"] if number < 2 else [] if number == 2 else ["old"] for number in range(10)],
        }
    ).write_parquet(path)
    return path


@pytest.fixture
def ads(tmp_path, items) -> AdSnapshots:
    """One campaign that is shown to everybody."""
    campaign = "{id: spring, channel: ad, start: 2026-01-01, end: 2026-03-31, budget: 100, cost_per_contact: 0.1}"
    (tmp_path / "spring.yaml").write_text(f"campaigns: [{campaign}]")
    (tmp_path / "awake.yaml").write_text("quiet_until: '21:00'")
    return AdSnapshots(AdFiles((tmp_path / "spring.yaml",), items, policy=tmp_path / "awake.yaml"), record_days=400.0)


@pytest.fixture
def profiles(tmp_path) -> Path:
    """Of ann, who buys much, and of 42, of whom little is known; as of the day before NOW."""
    table = pl.DataFrame(
        {
            "user_id": ["ann", "42"],
            "segment_id": [3, 0],
            "segment": ["spends much", "has not bought"],
            "recency_days": [1.5, float("nan")],
            "frequency": [7, 0],
            "top_category": ["TEA", None],
        }
    )
    write_profiles(tmp_path / "profiles", Profiles(table, {"until": "2026-01-30T22:53:20"}))
    return tmp_path / "profiles"


EXPERIMENTS = """\
experiments:
  - {id: shop, variants: {plain: 0.5, bright: 0.5}}
  - {id: welcome, layer: mail, traffic: 0.5, variants: {none: 0.5, gift: 0.5}, start: 2026-01-31, end: 2026-02-01}
  - {id: win-back, layer: mail, traffic_from: 0.5, traffic: 0.5, variants: {none: 0.5, gift: 0.5}}
  - {id: past, variants: {none: 0.5, gift: 0.5}, end: 2026-01-30}
"""


@pytest.fixture
def experiments(tmp_path) -> Path:
    path = tmp_path / "experiments.yaml"
    path.write_text(EXPERIMENTS)
    return path


@pytest.fixture
def rules(tmp_path) -> Path:
    """Of item0 .. item5, the bundles' prices known in part."""
    folder = tmp_path / "rules"
    folder.mkdir()
    write_rules(folder, RULES)
    write_bundles(folder, BUNDLES)
    return folder


@pytest.fixture
def fake() -> FakeClient:
    return FakeClient()


@pytest.fixture
def start(tmp_path, clock, fake, items) -> Iterator[Callable[..., TestClient]]:
    """Start a gateway in this process: `start(keys=..., stock=..., most_in_flight=...)`."""
    running: list[TestClient] = []

    def begin(
        *,
        keys=None,
        stock=None,
        catalogue=True,
        store=None,
        popular=(),
        profiles=None,
        experiments=None,
        ads=None,
        rules=None,
        **settings,
    ) -> TestClient:
        chosen = GatewaySettings(**settings)
        url = store or f"sqlite:///{tmp_path / 'gateway.sqlite'}"
        opened = open_store(url, history_length=chosen.history_length, ttl_days=chosen.ttl_days, clock=clock)
        files = CatalogueFiles(items if catalogue else None, stock, reload_seconds=chosen.reload_seconds)
        more = {
            "profiles": profiles and ProfileFiles(profiles, reload_seconds=chosen.reload_seconds),
            "rules": rules and BasketRuleFiles(rules, reload_seconds=chosen.reload_seconds),
            "experiments": experiments and ExperimentFiles(experiments, reload_seconds=chosen.reload_seconds),
            "ads": ads,
        }
        app = create_app(chosen, opened, fake, files, keys=keys, clock=clock, popular=popular, **more)
        client = TestClient(app, raise_server_exceptions=False)
        running.append(client.__enter__())
        return client

    yield begin
    for client in running:
        client.__exit__(None, None, None)


@pytest.fixture
def gateway(start) -> TestClient:
    return start()


def run(work):
    return asyncio.run(work)
