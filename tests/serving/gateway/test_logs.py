"""Logs are JSON lines that hold nothing of a customer."""

import io
import json
import logging

import pytest

from serving.gateway import structured_log
from serving.gateway.security import KeyRing, add_key

USER = "customer-4711"


@pytest.fixture
def log():
    stream = io.StringIO()
    loggers = [logging.getLogger(name) for name in structured_log.LOGGERS]
    before = [(one, one.handlers, one.propagate, one.level) for one in loggers]
    structured_log.configure(stream, logging.DEBUG)
    yield stream
    for one, handlers, propagate, level in before:
        one.handlers, one.propagate = handlers, propagate
        one.setLevel(level)


def lines(stream) -> list[dict]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_no_line_names_a_customer_or_an_item(start, log, fake, tmp_path, profiles, experiments, rules):
    key = add_key(tmp_path / "keys.json", "shop", ("admin",))
    keys = KeyRing(tmp_path / "keys.json", requests_per_second=1000, burst_seconds=1)
    gateway = start(keys=keys, profiles=profiles, experiments=experiments, rules=rules)
    gateway.headers["authorization"] = f"Bearer {key}"
    event = {"user_id": USER, "item_id": "item-0815", "event_type": "view", "event_id": "event-99"}
    gateway.post("/v1/events", json=event)
    gateway.post("/v1/events", json={**event, "timestamp": "never"})
    gateway.post("/v1/recommendations", json={"user_id": USER, "exclude": ["item-0815"]})
    gateway.get(f"/v1/profiles/{USER}")
    for items in (["item0", "item-0815"], ["item-0815", 7]):
        gateway.post("/v1/bought-together", json={"items": items})
    for what in ("exposures", "outcomes"):
        gateway.post(f"/v1/experiments/shop/{what}", json={"unit": USER})
    gateway.get(f"/v1/users/{USER}?x={USER}")
    gateway.delete(f"/v1/users/{USER}")
    fake.error = ValueError(f"{USER} has item-0815")
    gateway.post("/v1/recommendations", json={"user_id": USER})
    text = log.getvalue()
    for secret in (USER, "item-0815", "event-99", key, "item0"):
        assert secret not in text, secret
    requests = [line for line in lines(log) if line["message"] == "request"]
    assert [(line["route"], line["status"]) for line in requests] == [
        ("/v1/events", 200),
        ("/v1/events", 422),
        ("/v1/recommendations", 200),
        ("/v1/profiles/{user_id:path}", 404),
        ("/v1/bought-together", 200),
        ("/v1/bought-together", 422),
        ("/v1/experiments/{experiment_id:path}/exposures", 200),
        ("/v1/experiments/{experiment_id:path}/outcomes", 422),
        ("/v1/users/{user_id:path}", 405),
        ("/v1/users/{user_id:path}", 200),
        ("/v1/recommendations", 500),
    ]
    assert {line["key"] for line in requests} == {"shop"}
    assert all(line["milliseconds"] >= 0 and line["request_id"] for line in requests)
    error = next(line for line in lines(log) if line["message"] == "unexpected error")
    assert error["exception"] == "ValueError"
    assert any("_answer" in frame for frame in error["at"])
    assert error["request_id"] == requests[-1]["request_id"]


def test_a_line_stays_one_line_whatever_is_logged(log):
    logging.getLogger("serving.x").info("two\nlines", extra={"field": {"a": {1}}})
    logging.getLogger("uvicorn.error").info("of the server")
    found = lines(log)
    assert [line["message"] for line in found] == ["two\nlines", "of the server"]
    assert found[0]["field"] == {"a": "{1}"}
