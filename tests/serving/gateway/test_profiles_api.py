"""`GET /v1/profiles/{user}`: what was built, of whom, and that newer profiles take their place."""

import json
import time

import polars as pl
import pytest

from data_pipelines.schema import InputError
from serving.gateway.event_store import StoreError
from serving.gateway.profiles import Profiles, read_folder
from tests.serving.gateway.conftest import NOW
from training.profile_folder import Profiles as Built
from training.profile_folder import write_profiles

DAY = 86_400


def test_a_profile_is_answered_as_it_was_built(start, profiles):
    answer = start(profiles=profiles).get("/v1/profiles/ann")
    assert answer.status_code == 200
    assert answer.json() == {
        "user_id": "ann",
        "as_of": "2026-01-30T22:53:20Z",
        "segment": {"id": 3, "name": "spends much"},
        "features": {"recency_days": 1.5, "frequency": 7, "top_category": "TEA"},
        "events_since": 0,
    }


def test_what_is_not_known_is_null(start, profiles):
    features = start(profiles=profiles).get("/v1/profiles/42").json()["features"]
    assert features == {"recency_days": None, "frequency": 0, "top_category": None}


def test_events_since_the_profiles_are_counted(start, profiles):
    gateway = start(profiles=profiles)
    # as of NOW - 1 day: one event before it, one at that moment, one after it
    for seconds in (DAY + 1, DAY, 1):
        event = {"user_id": "ann", "item_id": "a", "event_type": "view", "timestamp": NOW - seconds}
        assert gateway.post("/v1/events", json=event).status_code == 200
    assert gateway.get("/v1/profiles/ann").json()["events_since"] == 2


def test_a_profile_needs_no_store(start, profiles, monkeypatch):
    async def gone(*arguments):
        raise StoreError("gone")

    gateway = start(profiles=profiles)
    monkeypatch.setattr(gateway.app.state.gateway.store, "history", gone)
    answer = gateway.get("/v1/profiles/ann")
    assert (answer.status_code, answer.json()["events_since"]) == (200, None)


def test_nobody_is_known_by_a_part_of_their_name(start, profiles):
    gateway = start(profiles=profiles)
    for user in ("an", "ann%20", "zoe", "", "%00", "ann/x", "ANN", "4"):
        assert gateway.get(f"/v1/profiles/{user}").status_code == (422 if user == "" else 404), user
    assert gateway.get("/v1/profiles/zoe").json() == {
        "detail": "no profile of this customer as of 2026-01-30 22:53 UTC"
    }


def test_a_gateway_without_profiles_says_how_to_get_them(gateway):
    answer = gateway.get("/v1/profiles/ann")
    assert answer.status_code == 503
    assert "--profiles PROFILES" in answer.json()["detail"]


def test_every_customer_of_many_is_found():
    ids = [f"{letter}{number}" for number in range(300) for letter in ("ü", "Z", "a", "\U0001f600", "")]
    table = pl.DataFrame({"user_id": ids, "place": range(len(ids))})
    profiles = Profiles(table, None)
    assert [profiles.row(user_id)["place"] for user_id in ids] == list(range(len(ids)))
    assert [profiles.row(user_id) for user_id in ("", "300", "\U0001f601", "~")] == [None] * 4


def test_newer_profiles_are_read_and_damaged_ones_are_not(start, profiles, caplog):
    gateway = start(profiles=profiles, reload_seconds=0)

    def wait_until(fine):
        deadline = time.monotonic() + 10
        while not fine(gateway.get("/v1/profiles/ann").json()):
            assert time.monotonic() < deadline
            time.sleep(0.01)

    table = pl.DataFrame({"user_id": ["ann"], "segment_id": [4], "segment": ["new"]})
    write_profiles(profiles, Built(table, {"until": "2026-01-31T00:00:00"}))
    wait_until(lambda answer: answer["segment"]["id"] == 4 and answer["as_of"] == "2026-01-31T00:00:00Z")
    (profiles / "profiles.parquet").write_bytes(b"half")
    wait_until(lambda answer: "profiles not reloaded, the last one stays" in caplog.text)
    assert gateway.get("/v1/profiles/ann").json()["segment"] == {"id": 4, "name": "new"}


@pytest.mark.parametrize("content", ["", "{", "[]", "{}", json.dumps({"until": "soon"}), json.dumps({"until": 7})])
def test_a_folder_without_profiles_is_refused(profiles, content):
    (profiles / "segments.json").write_text(content)
    with pytest.raises(InputError, match=r"segments.json: cannot be read .* see `supplytower profile build --help`"):
        read_folder(profiles)
    with pytest.raises(InputError, match=r"nowhere/segments.json: cannot be read \(No such file or directory\)"):
        read_folder(profiles / "nowhere")
