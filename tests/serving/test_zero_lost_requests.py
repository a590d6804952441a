"""Under constant load versions come and go and a gateway is restarted, and nobody notices."""

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from serving.model_versions import set_labels
from supplytower import main
from tests.serving.gateway.test_process import Process
from tests.serving.model_server.served_world import NAME, asking, publish, publish_corrupt, wait_until, x_of

SCRIPT = Path(__file__).with_name("under_load.py")


@contextmanager
def load(*words: str) -> Iterator[dict]:
    """Ask all the time; afterwards the dictionary holds what came back."""
    found: dict = {}
    process = subprocess.Popen(
        [sys.executable, str(SCRIPT), *words],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    try:
        assert process.stdout.readline() == "asking\n"
        yield found
        answer, _ = process.communicate(timeout=60)
        found.update(json.loads(answer))
    finally:
        process.kill()
        process.wait()


def stable(models: Path, number: int) -> None:
    set_labels(models, NAME, {"stable": number, "canary": number})


def test_five_versions_two_rollbacks_and_a_corrupt_one(tmp_path):
    publish(tmp_path, 1, 1.0)
    stable(tmp_path, 1)
    with asking(tmp_path) as ask:

        def answers(plus: float) -> bool:
            return ask.predict(x_of(1.0), version_label="stable")["y"].tolist() == [0.5 + plus]

        with load("models", ask.server.grpc_address) as found:
            for number in range(2, 7):
                publish(tmp_path, number, float(number))
                stable(tmp_path, number)
                wait_until(lambda number=number: answers(number))
            for number in (5, 4):
                stable(tmp_path, number)
                wait_until(lambda number=number: answers(number))
            publish_corrupt(tmp_path, 7)
            set_labels(tmp_path, NAME, {"stable": 4, "canary": 7})  # as an export of a version that is worse
            wait_until(lambda: any(one.error for one in ask.server.manager.versions(NAME)))
            assert answers(4)
    assert found["failures"] == []
    assert set(found["kinds"]) == {str(float(number)) for number in range(1, 7)}  # all of them, and no half-loaded one


def test_a_gateway_is_restarted_behind_a_second_one(tmp_path):
    store = f"sqlite:///{tmp_path / 'events.sqlite'}"
    first, second = (Process(store, "0.02", drain_delay_seconds=0.3) for _ in range(2))
    try:
        with load("gateways", first.url, second.url) as found:
            wait_until(lambda: _answered(first) > 20)
            first.popen.send_signal(signal.SIGTERM)
            assert first.popen.wait(30) == 0
            wait_until(lambda: _answered(second) > 20)
    finally:
        first.stop()
        second.stop()
    assert found["failures"] == []
    assert min(found["kinds"].values()) > 20  # both have answered


def _answered(process: Process) -> int:
    return sum('"/v1/recommendations"' in line for line in process.lines)


def test_the_documented_command_serves(capsys):
    assert main(["serve"]) == 0
    assert "serve all" in capsys.readouterr().out
