import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from data_pipelines.schema import InputError
from serving.model_server.main import main
from serving.model_server.server import ModelServer
from serving.model_server.settings import ModelServerSettings
from tests.serving.model_server.served_world import ANY, NAME, Asking, publish, wait_until, x_of

ROOT = Path(__file__).parents[3]


@pytest.fixture
def process(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    publish(tmp_path, 1, 2.0)
    command = ["--models", str(tmp_path), "--set", "grpc_port=0", "--set", "rest_port=0"]
    started = subprocess.Popen(
        [sys.executable, "-m", "serving.model_server.main", *command],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT), "COLUMNS": "200"},
        stderr=subprocess.PIPE,
        text=True,
    )
    yield started
    started.kill()
    started.wait()
    assert started.stderr is not None
    started.stderr.close()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_command_says_where_it_answers_and_stops_cleanly(
    process: subprocess.Popen[str], number: signal.Signals
) -> None:
    assert process.stderr is not None
    said = ""
    while "container" not in said:
        line = process.stderr.readline()
        assert line, said
        said += line
    assert f"{NAME}: version 1" in said
    assert "docker run" in said
    assert "In production run the official one" in said
    assert re.search(r"gRPC +127\.0\.0\.1:\d+", said)
    found = re.search(rf"http://127\.0\.0\.1:\d+/v1/models/{NAME}", said)
    assert found is not None
    request = urllib.request.Request(found[0] + ":predict", b'{"instances": [1.0, 2.0, 5.0]}')
    with urllib.request.urlopen(request, timeout=20) as answer:
        assert json.load(answer) == {"predictions": [2.5, 3.0, 4.5]}
    process.send_signal(number)
    assert process.wait(20) == 0
    assert "Traceback" not in process.stderr.read()


def test_mistakes_are_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for arguments, message in (
        (["--models", str(tmp_path / "nowhere")], "no such folder; give the one that `supplytower export` writes to"),
        (["--models", str(tmp_path), "--set", "rest_port=70000"], "rest_port 70000: must be from 0 to 65535"),
        (["--models", str(tmp_path), "--set", "port=1"], "unknown setting 'port'"),
    ):
        assert main(arguments) == 2
        assert message in capsys.readouterr().err


@pytest.mark.parametrize("setting", ["grpc_port", "rest_port"])
def test_a_taken_port_is_named(tmp_path: Path, setting: str) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        settings = ModelServerSettings(**{"grpc_port": 0, "rest_port": 0, setting: port})
        with pytest.raises(InputError, match=f"{setting} {port}: cannot listen there on 127.0.0.1; choose another"):
            ModelServer(tmp_path, settings).start()


def test_stopping_lets_requests_under_way_finish(tmp_path: Path) -> None:
    publish(tmp_path, 1, 2.0)
    server = ModelServer(tmp_path, ANY)
    server.start()
    ask = Asking(server)
    ask.predict(x_of(1))
    with server.manager.hold(NAME) as served:
        signature = served.servable.signatures["serving_default"]
    entered, gate, run = threading.Event(), threading.Event(), signature.run

    def held(fed: dict[str, object]) -> object:
        entered.set()
        assert gate.wait(20)
        return run(fed)  # type: ignore[arg-type]

    served._batchers["serving_default"]._run = held  # type: ignore[assignment]
    answers: list[object] = []
    asking = [
        threading.Thread(target=lambda: answers.append(ask.predict(x_of(1))["y"].tolist())),
        threading.Thread(target=lambda: answers.append(ask.post('{"instances": [1]}')[1]["predictions"])),
    ]
    asking[0].start()
    assert entered.wait(20)
    asking[1].start()
    wait_until(lambda: bool(served._batchers["serving_default"]._queue))
    watch = health_pb2_grpc.HealthStub(ask.channel).Watch(health_pb2.HealthCheckRequest())
    assert next(watch).status == health_pb2.HealthCheckResponse.SERVING
    stopping = threading.Thread(target=server.stop)
    stopping.start()
    assert next(watch).status == health_pb2.HealthCheckResponse.NOT_SERVING
    watch.cancel()
    gate.set()
    for thread in (*asking, stopping):
        thread.join(20)
        assert not thread.is_alive()
    assert answers == [[2.5], [2.5]]
    with pytest.raises(grpc.RpcError):
        ask.predict(x_of(1))
    ask.channel.close()
