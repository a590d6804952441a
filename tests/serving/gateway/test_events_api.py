"""Events over HTTP: what is accepted, and that the next recommendation knows it."""

import pytest

from data_pipelines.schema import EventType
from serving.gateway.event_store import StoreError
from tests.serving.gateway.conftest import NOW
from tests.serving.gateway.fake_client import CATALOGUE

EVENT = {"user_id": "ann", "item_id": "item7", "event_type": "click", "event_id": "e1"}


def recommended(gateway, user="ann", **more) -> list[str]:
    answer = gateway.post("/v1/recommendations", json={"user_id": user, "k": 3, **more})
    assert answer.status_code == 200, answer.text
    return [item["item_id"] for item in answer.json()["items"]]


def asked_history(fake):
    return fake.asked[-1]["histories"][0]


def test_an_event_posted_now_changes_the_very_next_recommendation(gateway):
    assert recommended(gateway) == ["item0", "item1", "item2"]
    assert gateway.post("/v1/events", json=EVENT).json() == {"accepted": 1, "duplicates": 0}
    assert recommended(gateway) == ["item7", "item0", "item1"]
    gateway.post("/v1/events", json={**EVENT, "item_id": "item5", "event_id": "e2"})
    assert recommended(gateway) == ["item5", "item7", "item0"]
    assert recommended(gateway, "bob") == ["item0", "item1", "item2"]


def test_a_batch_is_idempotent(gateway):
    batch = {"events": [EVENT, {**EVENT, "event_id": "e2"}, EVENT]}
    assert gateway.post("/v1/events", json=batch).json() == {"accepted": 2, "duplicates": 1}
    assert gateway.post("/v1/events", json=batch).json() == {"accepted": 0, "duplicates": 3}


def test_without_an_id_every_event_counts(gateway):
    bare = {name: value for name, value in EVENT.items() if name != "event_id"}
    assert gateway.post("/v1/events", json={"events": [bare, bare]}).json() == {"accepted": 2, "duplicates": 0}


def test_the_model_sees_the_events_by_time_with_the_types_of_the_data(gateway, fake):
    times = ["2026-01-31T22:53:20Z", 1_769_899_990, "2026-01-31T23:53:00+01:00", "2026-01-31T22:52:50", None]
    kinds = ["browse", "cart", "purchase", "wishlist", "view"]
    events = [
        {"user_id": "ann", "item_id": item, "event_type": kind, "event_id": item, "timestamp": time}
        for item, kind, time in zip(CATALOGUE, kinds, times, strict=False)
    ]
    assert gateway.post("/v1/events", json={"events": events}).json()["accepted"] == 5
    recommended(gateway)
    # seconds before NOW: item0 0, item1 10, item2 20 (23:53 in UTC+1), item3 30 (UTC where no zone is named), item4 0
    history = asked_history(fake)
    assert history.item_id == ["item3", "item2", "item1", "item0", "item4"]
    assert history.timestamp == [int(NOW) - ago for ago in (30, 20, 10, 0, 0)]
    assert history.event_type == [
        "wishlist",
        EventType.PURCHASE,
        EventType.ADD_TO_CART,
        EventType.VIEW,
        EventType.VIEW,
    ]
    assert history.at == int(NOW)


def test_a_time_may_be_a_little_ahead_of_our_clock_but_not_far(gateway):
    assert gateway.post("/v1/events", json={**EVENT, "timestamp": NOW + 299}).status_code == 200
    answer = gateway.post("/v1/events", json={"events": [EVENT, {**EVENT, "timestamp": NOW + 301}]})
    assert answer.status_code == 422
    assert answer.json()["detail"][0]["loc"] == ["body", "events", 1, "timestamp"]
    assert recommended(gateway) == ["item7", "item0", "item1"]  # nothing of the batch was stored, the first one was


@pytest.mark.parametrize(
    "change",
    [
        {"user_id": None},
        {"user_id": ""},
        {"user_id": "x" * 257},
        {"item_id": 7},
        {"event_type": ""},
        {"event_type": ["view"]},
        {"timestamp": "yesterday"},
        {"timestamp": -1},
        {"timestamp": 1e300},
        {"timestamp": True},
        {"event_id": ""},
    ],
)
def test_a_wrong_event_is_refused_whole_and_not_repeated(gateway, change):
    answer = gateway.post("/v1/events", json={"events": [EVENT, {**EVENT, "event_id": "e2", **change}]})
    assert answer.status_code == 422
    assert answer.json()["detail"][0]["loc"][:4] == ["body", "batch", "events", 1] or answer.json()["detail"][0][
        "loc"
    ] == ["body", "events", 1, "timestamp"]
    assert set(answer.json()["detail"][0]) == {"loc", "msg", "type"}  # never what was sent
    assert recommended(gateway) == ["item0", "item1", "item2"]


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 422),
        (b"{", 422),
        (b"[]", 422),
        (b"null", 422),
        (b'"text"', 422),
        (b"{}", 422),
        (b'{"events": []}', 422),
        (b'{"events": {}}', 422),
        (b'{"user_id": "a", "item_id": "b", "event_type": "view", "timestamp": NaN}', 422),
        (b'{"user_id": "a", "item_id": "b", "event_type": "view", "timestamp": Infinity}', 422),
        (b'{"user_id": "\\ud800", "item_id": "b", "event_type": "view"}', 422),
        (b"\xff\xfe", 422),
        (b'{"events": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", 400),
        (b'{"user_id": ' + b"9" * 5000 + b', "item_id": "b", "event_type": "view"}', 400),
    ],
)
def test_bodies_that_are_no_events_are_the_clients_mistake(gateway, body, status):
    answer = gateway.post("/v1/events", content=body, headers={"content-type": "application/json"})
    assert answer.status_code == status
    assert "detail" in answer.json()
    assert "Traceback" not in answer.text


def test_too_many_events_at_once_are_refused(start):
    gateway = start(most_events=2)
    answer = gateway.post("/v1/events", json={"events": [EVENT] * 3})
    assert answer.status_code == 422
    assert answer.json()["detail"][0]["msg"] == "has 3 events; send at most 2 at once"


def test_erasing_a_user_takes_effect_at_once(gateway):
    user = "ann/smith @home"
    gateway.post("/v1/events", json={**EVENT, "user_id": user})
    assert recommended(gateway, user)[0] == "item7"
    assert gateway.delete("/v1/users/ann%2Fsmith%20%40home").json() == {"events": 1, "records": 0}
    assert recommended(gateway, user)[0] == "item0"
    assert gateway.post("/v1/events", json={**EVENT, "user_id": user}).json()["accepted"] == 1


def test_the_store_is_the_only_memory(start, store_url):
    first, second = start(store=store_url), start(store=store_url)
    first.post("/v1/events", json=EVENT)
    assert recommended(second) == ["item7", "item0", "item1"]  # through another gateway


def test_a_gateway_does_not_start_without_its_store(start):
    pytest.importorskip("redis")
    with pytest.raises(StoreError, match="Redis"):
        start(store="redis://127.0.0.1:1/0")


def test_a_store_that_goes_away_is_503_to_be_tried_again(gateway, monkeypatch):
    async def gone(*arguments):
        raise StoreError("gone")

    for name in ("append", "erase"):
        monkeypatch.setattr(gateway.app.state.gateway.store, name, gone)
    answers = [
        gateway.post("/v1/events", json=EVENT),
        gateway.delete("/v1/users/ann"),
    ]
    for answer in answers:
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
        assert answer.json() == {"detail": "the event store does not answer; try again"}
