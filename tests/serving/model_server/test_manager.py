import asyncio
import logging
import shutil
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from google.protobuf import text_format
from tensorflow_serving.apis import model_management_pb2
from tensorflow_serving.config import model_server_config_pb2

from data_pipelines import atomic
from data_pipelines.schema import InputError
from serving.model_server import model_config
from serving.model_server.manager import ModelManager
from serving.model_server.request_error import RequestError
from serving.model_server.served_version import ServedVersion, State
from serving.model_versions import MODELS_CONFIG, set_labels
from tests.serving.model_server.served_world import (
    ANY,
    NAME,
    asking,
    publish,
    publish_corrupt,
    wait_until,
    write_warmup,
    x_of,
)


def manager_of(models: Path) -> ModelManager:
    """A manager that looks when it is told to."""
    manager = ModelManager(models, ANY)
    manager.refresh()
    return manager


def states(manager: ModelManager, name: str = NAME) -> dict[int, State]:
    return {version.number: version.state for version in manager.versions(name)}


def half_plus(manager: ModelManager, **which: Any) -> float:
    """What the model adds."""
    with manager.hold(NAME, **which) as version:
        return float(asyncio.run(version.predict("serving_default", x_of(0)))["y"][0])


def write_config(models: Path, text: str) -> None:
    atomic.write_text(models / MODELS_CONFIG, f"model_config_list {{ config {{ {text} }} }}")


def test_the_newest_version_is_served_and_loaded_before_the_old_one_goes(tmp_path: Path) -> None:
    publish(tmp_path, 1, 1.0)
    manager = manager_of(tmp_path)
    assert half_plus(manager, label="stable") == 1.0
    publish(tmp_path, 2, 2.0)
    with manager.hold(NAME) as old:
        manager.refresh()
        assert states(manager) == {2: State.AVAILABLE, 1: State.UNLOADING}
        assert half_plus(manager) == half_plus(manager, label="canary") == 2.0
        # a request that began before keeps the version that it began with
        assert asyncio.run(old.predict("serving_default", x_of(0)))["y"][0] == 1.0
    assert states(manager) == {2: State.AVAILABLE, 1: State.END}
    with pytest.raises(RequestError, match=rf"Specific\({NAME}, 1\)"):
        half_plus(manager, version=1)


def test_a_version_stays_in_memory_until_its_model_is_done_though_the_client_has_gone(tmp_path: Path) -> None:
    publish(tmp_path, 1, 1.0)
    manager = manager_of(tmp_path)
    entered, gate = threading.Event(), threading.Event()

    async def ask_and_go() -> ServedVersion:
        with manager.hold(NAME) as version:
            run = version._batchers["serving_default"]._run
            version._batchers["serving_default"]._run = lambda fed: (entered.set(), gate.wait(20), run(fed))[2]
            asked = asyncio.create_task(version.predict("serving_default", x_of(0)))
            await asyncio.to_thread(entered.wait, 20)
            asked.cancel()
        return version

    async def check() -> None:
        version = await ask_and_go()
        version.unload()
        assert version.state == State.UNLOADING
        gate.set()
        await asyncio.to_thread(wait_until, lambda: version.state == State.END)

    asyncio.run(check())


def test_a_corrupt_version_is_refused_once_and_the_old_one_keeps_serving(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    publish(tmp_path, 1, 1.0)
    manager = manager_of(tmp_path)
    folder = publish_corrupt(tmp_path, 2)
    with caplog.at_level(logging.ERROR, "serving"):
        manager.refresh()
        manager.refresh()
    (line,) = [record.message for record in caplog.records if record.levelno == logging.ERROR]
    assert line.startswith(f"refused {NAME} version 2: ")
    assert "\n" not in line
    assert half_plus(manager) == half_plus(manager, label="canary") == 1.0
    (refused,) = manager.versions(NAME, 2)
    assert refused.state == State.END
    assert refused.error is not None
    # repaired: its files change, so it is tried again
    shutil.rmtree(folder)
    publish(tmp_path, 2, 2.0)
    manager.refresh()
    assert half_plus(manager) == 2.0
    assert states(manager)[1] == State.END


def test_a_version_that_cannot_answer_its_own_warm_up_is_refused(tmp_path: Path) -> None:
    publish(tmp_path, 1, 1.0, warmup=x_of(1, 2))
    publish(tmp_path, 2, 2.0, warmup={"x": np.array(["no number"])})
    damaged = publish(tmp_path, 3, 3.0, warmup=x_of(1))
    (damaged / "assets.extra" / "tf_serving_warmup_requests").write_bytes(b"\x01" * 40)
    missing = publish(tmp_path, 4, 4.0)
    write_warmup(missing, x_of(1), signature="nobody")
    write_config(tmp_path, f"name: '{NAME}' base_path: '{NAME}' model_version_policy {{ all {{}} }}")
    manager = manager_of(tmp_path)
    found = states(manager)
    assert found == {4: State.END, 3: State.END, 2: State.END, 1: State.AVAILABLE}
    messages = {v.number: v.error.message for v in manager.versions(NAME) if v.error}
    assert "input x: expected DT_FLOAT, got DT_STRING" in messages[2]
    assert 'signature "nobody" not found' in messages[4]


def test_labels_follow_models_config(tmp_path: Path) -> None:
    for number in (1, 2, 3):
        publish(tmp_path, number, float(number))
    set_labels(tmp_path, NAME, {"stable": 1, "canary": 2})
    manager = manager_of(tmp_path)
    assert (half_plus(manager, label="stable"), half_plus(manager, label="canary")) == (1.0, 2.0)
    assert set(states(manager)) == {1, 2}
    set_labels(tmp_path, NAME, {"stable": 2, "canary": 3})
    manager.refresh()
    assert (half_plus(manager, label="stable"), half_plus(manager, label="canary")) == (2.0, 3.0)
    assert states(manager)[1] == State.END
    set_labels(tmp_path, NAME, {"stable": 1, "canary": 1})  # back
    manager.refresh()
    assert half_plus(manager, label="stable") == half_plus(manager) == 1.0
    with pytest.raises(RequestError, match="Unrecognized servable version label: gold"):
        half_plus(manager, label="gold")


def test_a_label_stays_where_it_is_until_its_version_is_available(tmp_path: Path) -> None:
    publish(tmp_path, 1, 1.0)
    set_labels(tmp_path, NAME, {"stable": 1})
    manager = manager_of(tmp_path)
    publish_corrupt(tmp_path, 2)
    for labelled in ({"stable": 2}, {"stable": 2, "canary": 1}, {"stable": 9}):
        set_labels(tmp_path, NAME, labelled)
        manager.refresh()
        assert half_plus(manager, label="stable") == 1.0


def test_a_damaged_config_leaves_things_as_they_are(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    publish(tmp_path, 1, 1.0)
    set_labels(tmp_path, NAME, {"gold": 1})
    manager = manager_of(tmp_path)
    (tmp_path / MODELS_CONFIG).write_text("model_config_list {")
    manager.refresh()
    manager.refresh()
    assert half_plus(manager, label="gold") == 1.0
    assert len([m for m in caplog.messages if "the configuration before it stays in force" in m]) == 1
    with pytest.raises(InputError, match="not a TensorFlow Serving configuration"):
        ModelManager(tmp_path, ANY)


def test_which_versions_a_policy_wants(tmp_path: Path) -> None:
    for name in ("1", "2", "0010", "old", ".5", "٣"):
        (tmp_path / "m" / name).mkdir(parents=True)

    def wanted(policy: str) -> list[int]:
        text = f"model_config_list {{ config {{ name: 'a' base_path: '/models/m' {policy} }} }}"
        (model,) = model_config.parse(tmp_path, text)
        return list(model.versions())

    assert wanted("") == [10]
    assert wanted("model_version_policy { latest { num_versions: 2 } }") == [2, 10]
    assert wanted("model_version_policy { all {} }") == [1, 2, 10]
    assert wanted("model_version_policy { specific { versions: 1 versions: 7 } }") == [1]


def test_every_folder_with_versions_is_a_model_and_goes_when_it_goes(tmp_path: Path) -> None:
    (tmp_path / "notes").mkdir()
    publish(tmp_path, 1, 1.0)
    publish(tmp_path, 5, 5.0, name="other")
    manager = manager_of(tmp_path)
    assert manager.names() == {NAME: [1], "other": [5]}
    shutil.rmtree(tmp_path / "other")
    manager.refresh()
    assert manager.names() == {NAME: [1]}
    with pytest.raises(InputError, match="no such folder"):
        ModelManager(tmp_path / "nowhere", ANY)


def reload_request(text: str) -> Any:
    config = text_format.Parse(text, model_server_config_pb2.ModelServerConfig())
    return model_management_pb2.ReloadConfigRequest(config=config)


def test_reload_replaces_the_configuration_until_the_file_changes(tmp_path: Path) -> None:
    publish(tmp_path, 1, 1.0)
    publish(tmp_path, 2, 2.0)
    text = f"model_config_list {{ config {{ name: 'again' base_path: '{tmp_path / NAME}' version_labels {{ key: 'gold' "
    with asking(tmp_path) as ask:
        assert ask.predict(x_of(0))["y"] == [2.0]
        reloaded = ask.model.HandleReloadConfigRequest(reload_request(text + "value: 2 } } }"))
        assert reloaded.status.error_code == 0
        assert ask.predict(x_of(0), name="again", version_label="gold")["y"] == [2.0]
        assert ask.error(lambda: ask.predict(x_of(0)))[0] == "NOT_FOUND"
        bad = "model_config_list { config { name: 'x' base_path: '/nowhere' } }"
        for wrong, code, message in (
            (reload_request(bad), "UNKNOWN", "1 servable(s) did not become available: {x}"),
            (reload_request(""), "INVALID_ARGUMENT", "Only ModelConfigList is currently supported"),
            (reload_request("model_config_list { config { name: 'x' } }"), "INVALID_ARGUMENT", "both must be given"),
        ):
            found, said = ask.error(lambda wrong=wrong: ask.model.HandleReloadConfigRequest(wrong))
            assert found == code
            assert message in said
        set_labels(tmp_path, NAME, {"stable": 1})
        wait_until(lambda: ask.server.manager.names() == {NAME: [1]})


def test_no_request_fails_while_versions_come_and_go(tmp_path: Path) -> None:
    """Four callers without a pause; three good versions, a corrupt one, labels moved on and back."""
    publish(tmp_path, 1, 1.0)
    set_labels(tmp_path, NAME, {"stable": 1})
    stop, failures, answers = threading.Event(), [], set()

    def hammer(which: dict[str, Any]) -> None:
        while not stop.is_set():
            try:
                answers.add(float(ask.predict(x_of(0), **which)["y"][0]))
            except Exception as error:
                failures.append(repr(error))

    def reached(plus: float) -> bool:
        return float(ask.predict(x_of(0), version_label="stable")["y"][0]) == plus

    with asking(tmp_path) as ask:
        threads = [threading.Thread(target=hammer, args=[w]) for w in ({}, {"version_label": "stable"}) for _ in (1, 2)]
        for thread in threads:
            thread.start()
        try:
            for number in (2, 3, 4):
                publish(tmp_path, number, float(number))
                set_labels(tmp_path, NAME, {"stable": number})
                wait_until(lambda number=number: reached(float(number)))
            publish_corrupt(tmp_path, 5)
            set_labels(tmp_path, NAME, {"stable": 5})
            wait_until(lambda: 5 in states(ask.server.manager) and states(ask.server.manager)[5] == State.END)
            assert reached(4.0)
            set_labels(tmp_path, NAME, {"stable": 2})
            wait_until(lambda: reached(2.0))
        finally:
            stop.set()
            for thread in threads:
                thread.join()
    assert failures == []
    assert answers == {1.0, 2.0, 3.0, 4.0}
