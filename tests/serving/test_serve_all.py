"""`supplytower serve all`: the gateway and the model server of its own start, fail and stop together."""

import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import grpc
import httpx
import pytest

from data_pipelines.schema import InputError
from serving.model_server.server import ModelServer
from serving.model_server.settings import ModelServerSettings
from serving.serve_all import model_server

ROOT = Path(__file__).parents[2]


class ServeAll:
    """The command as a process, started once its URLs are known."""

    def __init__(self, folder: Path):
        (folder / "models").mkdir()
        store = f"sqlite:///{folder / 'events.sqlite'}"
        words = ["--models", str(folder / "models"), "--grpc-port", "0", "--rest-port", "0", "--port", "0"]
        self.popen = subprocess.Popen(
            [sys.executable, "-m", "serving.serve_all", *words, "--store", store],
            cwd=ROOT,
            env=os.environ | {"PYTHONPATH": str(ROOT)},
            stderr=subprocess.PIPE,
            text=True,
        )
        self.said = ""
        self.gateway = self.read_until(r"gateway on (http://\S+),")
        self.grpc = re.search(r"gRPC +(\S+)", self.said)[1]
        ask = ["pgrep", "-P", str(self.popen.pid)]
        self.model_server = int(subprocess.run(ask, capture_output=True, text=True, check=True).stdout)
        until(lambda: httpx.get(f"{self.gateway}/readyz").status_code == 200)

    def read_until(self, pattern: str) -> str:
        while not (found := re.search(pattern, self.said)):
            line = self.popen.stderr.readline()
            assert line, self.said
            self.said += line
        return found[1]

    def model_server_listens(self) -> bool:
        host, port = self.grpc.split(":")
        with socket.socket() as probe:
            return probe.connect_ex((host, int(port))) == 0


def until(fine: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while True:
        try:
            if fine():
                return
        except httpx.TransportError:
            pass
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.fixture
def everything(tmp_path: Path) -> Iterator[ServeAll]:
    started = ServeAll(tmp_path)
    yield started
    started.popen.kill()
    started.popen.wait()
    started.popen.stderr.close()
    until(lambda: not started.model_server_listens())


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_both_stop_when_told_to(everything: ServeAll, number: signal.Signals) -> None:
    assert everything.model_server_listens()
    everything.popen.send_signal(number)
    assert everything.popen.wait(30) == 0
    assert not everything.model_server_listens()
    assert "Traceback" not in everything.popen.stderr.read()


def test_the_model_server_does_not_outlive_a_killed_gateway(everything: ServeAll) -> None:
    everything.popen.kill()
    until(lambda: not everything.model_server_listens())


def test_the_gateway_does_not_outlive_a_killed_model_server(everything: ServeAll) -> None:
    os.kill(everything.model_server, signal.SIGKILL)
    assert everything.popen.wait(30) == 2
    last = everything.popen.stderr.read().splitlines()[-1]
    assert last == "error: the model server has ended by SIGKILL; see what it said above"


def test_the_server_of_somebody_else_on_the_port_is_not_used(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    with ModelServer(tmp_path, ModelServerSettings(grpc_port=0, rest_port=0)) as theirs:
        port = theirs.grpc_port
        refused = pytest.raises(InputError, match="the model server has ended with status 2; see what it said above")
        with refused, model_server(tmp_path, port, 0):
            pytest.fail("served by another server")
    assert f"grpc_port {port}: cannot listen there" in capfd.readouterr().err


@pytest.fixture
def interruptible() -> Iterator[None]:
    """A process that was started in the background ignores SIGINT."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("interruptible")
def test_a_server_that_ends_interrupts_whoever_uses_it(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="the model server has ended by SIGKILL"), model_server(tmp_path, 0, 0) as url:
        with grpc.insecure_channel(url.removeprefix("grpc://")) as channel:
            grpc.channel_ready_future(channel).result(30)
        found = subprocess.run(
            ["pgrep", "-f", f"grpc_port={url.rpartition(':')[2]}"], capture_output=True, text=True, check=True
        )
        os.kill(int(found.stdout), signal.SIGKILL)
        time.sleep(30)
        pytest.fail("was not interrupted")
