"""The gateway as a process: it keeps what it acknowledged, and stops without losing a request."""

import asyncio
import concurrent.futures
import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import httpx
import pytest

from serving.gateway.open_store import open_store

SCRIPT = Path(__file__).with_name("serve_fake.py")


class Process:
    """A gateway of its own; its log is read all the time, so that it never waits for us."""

    def __init__(self, *words: str, **settings: float):
        env = os.environ | {"GATEWAY_SETTINGS": json.dumps({"drain_delay_seconds": 0.1} | settings)}
        command = [sys.executable, str(SCRIPT), *words]
        self.popen = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, cwd=SCRIPT.parents[3], env=env)
        self.lines: list[str] = []
        self.url = ""
        self._told = threading.Event()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        assert self._told.wait(60), self.lines
        self.client = httpx.Client(base_url=self.url, timeout=20)
        self.until(lambda: self.client.get("/readyz").status_code == 200)

    def _read(self) -> None:
        for line in self.popen.stderr:
            self.lines.append(line)
            if found := re.search(r"gateway on (http://\S+),", line):
                self.url = found[1]
                self._told.set()
        self._told.set()

    def until(self, fine) -> None:
        deadline = time.monotonic() + 30
        while True:
            try:
                if fine():
                    return
            except httpx.TransportError:
                pass
            assert time.monotonic() < deadline, self.lines
            time.sleep(0.01)

    def stop(self) -> None:
        self.popen.kill()
        self.popen.wait()
        self._reader.join(10)
        self.popen.stderr.close()


@pytest.fixture
def start():
    running: list[Process] = []

    def begin(*words: str, **more) -> Process:
        running.append(Process(*words, **more))
        return running[-1]

    yield begin
    for process in running:
        process.stop()


def test_kill_9_loses_no_acknowledged_event(start, store_url):
    gateway = start(store_url)
    acknowledged: list[str] = []
    killed = threading.Event()

    def post(worker: int) -> None:
        with httpx.Client(base_url=gateway.url, timeout=10) as client:
            for batch in range(10_000):
                ids = [f"{worker}-{batch}-{n}" for n in range(20)]
                events = [
                    {"user_id": f"u{n}", "item_id": one, "event_type": "view", "event_id": one}
                    for n, one in enumerate(ids)
                ]
                try:
                    answer = client.post("/v1/events", json={"events": events})
                except httpx.TransportError:
                    return
                assert answer.json() == {"accepted": 20, "duplicates": 0}
                acknowledged.extend(ids)
                if len(acknowledged) > 500 and not killed.is_set():
                    killed.set()
                    gateway.popen.send_signal(signal.SIGKILL)

    with concurrent.futures.ThreadPoolExecutor(3) as pool:
        list(pool.map(post, range(3)))
    assert gateway.popen.wait(10) == -signal.SIGKILL

    async def stored() -> set[str]:
        store = open_store(store_url, history_length=100_000, ttl_days=90)
        histories = await store.history([f"u{n}" for n in range(20)])
        await store.close()
        return {item for history in histories for item in history.item_id}

    found = asyncio.run(stored())
    assert len(acknowledged) > 500
    assert set(acknowledged) <= found
    assert len(found) <= len(acknowledged) + 3 * 20  # at most the batches whose answer was on its way


def test_sigterm_says_no_to_new_ones_first_and_answers_those_in_flight(start, tmp_path):
    gateway = start(f"sqlite:///{tmp_path / 'e.sqlite'}", "1.0", drain_delay_seconds=3.0)  # a second for every answer
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        ask = {"user_id": "ann"}
        asked = [pool.submit(httpx.post, f"{gateway.url}/v1/recommendations", json=ask, timeout=20) for _ in range(8)]
        gateway.until(lambda: "in_flight 8.0" in gateway.client.get("/metrics").text)
        gateway.popen.send_signal(signal.SIGTERM)
        gateway.until(lambda: '"gateway stops' in "".join(gateway.lines))
        ready = httpx.get(f"{gateway.url}/healthz")  # still accepted, but the connection is not kept
        assert (ready.status_code, ready.headers["connection"]) == (200, "close")
        assert [one.result().status_code for one in asked] == [200] * 8
    assert gateway.popen.wait(20) == 0
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"{gateway.url}/healthz")


def test_ctrl_c_stops_at_once_and_cleanly(start, tmp_path):
    gateway = start(f"sqlite:///{tmp_path / 'e.sqlite'}")
    gateway.popen.send_signal(signal.SIGINT)
    assert gateway.popen.wait(20) == 0
    gateway._reader.join(10)
    assert "Traceback" not in "".join(gateway.lines)


UNFINISHED = b"POST /v1/events HTTP/1.1\r\nHost: x\r\n"


def closed(connection: socket.socket, drip: bytes = b"") -> bool:
    """Whether the other side has closed it."""
    try:
        connection.sendall(drip)
        return connection.recv(65_536) == b""
    except BlockingIOError:
        return False
    except OSError:
        return True


@pytest.fixture
def connect():
    """Open sockets that do not wait."""
    opened: list[socket.socket] = []

    def begin(gateway: Process, *heads: bytes) -> list[socket.socket]:
        address = gateway.client.base_url
        for head in heads:
            connection = socket.create_connection((address.host, address.port))
            connection.sendall(head)
            connection.setblocking(False)
            opened.append(connection)
        return opened[-len(heads) :]

    yield begin
    for one in opened:
        one.close()


def test_connections_without_a_request_do_not_keep_out_others_nor_stay(start, tmp_path, connect):
    gateway = start(f"sqlite:///{tmp_path / 'e.sqlite'}", most_connections=20, head_timeout_seconds=1.5)
    silent = connect(gateway, *[b"", UNFINISHED] * 25)
    with httpx.Client(base_url=gateway.url, timeout=5) as probe:
        assert [probe.get(path).status_code for path in ("/healthz", "/readyz")] == [200, 200]
    gateway.until(lambda: sum(map(closed, silent)) >= 30)
    assert gateway.client.get("/healthz").status_code == 200
    gateway.until(lambda: all(map(closed, silent)))


def test_a_head_that_drips_is_closed_and_an_idle_connection_is_not(start, tmp_path, connect):
    gateway = start(f"sqlite:///{tmp_path / 'e.sqlite'}", head_timeout_seconds=0.5)
    idle = http.client.HTTPConnection(gateway.client.base_url.host, gateway.client.base_url.port)

    def ask() -> int:
        idle.request("GET", "/healthz")
        answer = idle.getresponse()
        answer.read()
        return answer.status

    assert ask() == 200
    socket_before = idle.sock
    answered = b"POST /nowhere HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n"  # a 404, and then a body
    again = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\nGET /healthz HTTP/1.1\r\n"  # a request, and a head's beginning
    for slow in connect(gateway, UNFINISHED + b"X: ", answered, again):
        gateway.until(lambda slow=slow: closed(slow, b"x"))
    assert ask() == 200
    assert idle.sock is socket_before
    idle.close()


def test_requests_in_flight_are_kept_while_connections_flood_in(start, tmp_path, connect):
    gateway = start(f"sqlite:///{tmp_path / 'e.sqlite'}", "1.0", most_connections=10, head_timeout_seconds=5)
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        ask = {"user_id": "ann"}
        asked = [pool.submit(httpx.post, f"{gateway.url}/v1/recommendations", json=ask, timeout=20) for _ in range(4)]
        gateway.until(lambda: "in_flight 4.0" in gateway.client.get("/metrics").text)
        connect(gateway, *[b""] * 40)
        assert [one.result().status_code for one in asked] == [200] * 4
