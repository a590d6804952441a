"""Keys, roles and rates, and the command that makes them."""

import asyncio
import json

import pytest

from data_pipelines.schema import InputError
from serving.gateway import keys as command
from serving.gateway.main import require_keys
from serving.gateway.security import KeyRing, add_key, read_keys, remove_key, role_for
from tests.serving.gateway.conftest import FakeClock

EVENT = {"user_id": "ann", "item_id": "item1", "event_type": "view"}
REQUESTS = {
    "events": ("POST", "/v1/events", EVENT),
    "recommend": ("POST", "/v1/recommendations", {"user_id": "ann"}),
    "plan": ("POST", "/v1/demand", {"series": [{"unique_id": "a", "start_date": "2026-01-01", "demand": [1]}]}),
    "ads": ("POST", "/v1/ads/decide", {"user_id": "ann", "channel": "ad"}),
    "profiles": ("GET", "/v1/profiles/ann", None),
    "experiments": ("POST", "/v1/experiments/shop/exposures", {"unit": "ann"}),
    "admin": ("DELETE", "/v1/users/ann", None),
}


@pytest.fixture
def file(tmp_path):
    return tmp_path / "keys.json"


def ring(file, clock=None, rate=1000.0, burst=1.0):
    return KeyRing(file, requests_per_second=rate, burst_seconds=burst, clock=clock or FakeClock())


def ask(gateway, role, key=None, header="authorization"):
    method, path, body = REQUESTS[role]
    given = key.encode() if isinstance(key, str) else key
    headers = {} if given is None else {header: b"Bearer " + given if header == "authorization" else given}
    return gateway.request(method, path, json=body, headers=headers)


@pytest.mark.parametrize("role", REQUESTS)
def test_a_key_opens_the_routes_of_its_roles_only(start, file, role, profiles, experiments, ads):
    key = add_key(file, "one", (role,))
    gateway = start(keys=ring(file), profiles=profiles, experiments=experiments, ads=ads)
    for other in REQUESTS:
        answer = ask(gateway, other, key)
        assert answer.status_code == (200 if other == role or role == "admin" else 403), (other, answer.text)
    assert ask(gateway, role, key, header="X-API-Key").status_code == 200


def test_without_a_valid_key_nothing_is_answered(start, file):
    key = add_key(file, "one", ("admin",))
    gateway = start(keys=ring(file))
    wrong = [None, "", key[:-1], key + "x", key.swapcase(), "st_", read_keys(file)[0].sha256, "\u00e9".encode()]
    for given in wrong:
        answer = ask(gateway, "events", given)
        assert answer.status_code == 401
        assert answer.headers["www-authenticate"] == "Bearer"
    assert gateway.post("/v1/events", json=EVENT, headers={"authorization": f"Basic {key}"}).status_code == 401
    assert gateway.post(f"/v1/events?key={key}", json=EVENT).status_code == 401
    for path in ("/v1/nonsense", "/v1", "/v1/users/x/y", "/v1/events/../users/ann", "//v1/events"):
        assert gateway.post(path, json=EVENT).status_code in (401, 404), path
    assert gateway.get("/healthz").status_code == 200


def test_the_body_of_a_request_without_key_is_not_read(start, file):
    add_key(file, "one", ("events",))
    gateway, sent = start(keys=ring(file)), []

    async def receive():
        raise AssertionError("was read")

    async def send(message):
        sent.append(message)

    scope = {"type": "http", "method": "POST", "path": "/v1/events", "headers": [], "query_string": b""}
    asyncio.run(gateway.app(scope, receive, send))
    assert sent[0]["status"] == 401


@pytest.mark.parametrize(
    ("path", "role"),
    [
        ("/v1/events", "events"),
        ("/v1/recommendations", "recommend"),
        ("/v1/bought-together", "recommend"),
        ("/v1/demand", "plan"),
        ("/v1/inventory/plan", "plan"),
        ("/v1/profiles/ann", "profiles"),
        ("/v1/experiments/shop/outcomes", "experiments"),
        ("/v1/users/events", "admin"),
        ("/v1/eventsx", "admin"),
        ("/v1", "admin"),
        ("/healthz", None),
        ("/docs", None),
    ],
)
def test_every_path_below_v1_needs_a_role(path, role):
    assert role_for(path) == role


def test_the_file_is_read_again_when_it_changes(start, file, caplog):
    first = add_key(file, "first", ("events",))
    gateway = start(keys=ring(file))
    second = add_key(file, "second", ("events",))
    assert ask(gateway, "events", second).status_code == 200
    remove_key(file, "first")
    assert ask(gateway, "events", first).status_code == 401
    file.write_text("{")
    assert ask(gateway, "events", second).status_code == 200  # the last good keys stay
    assert "keys not reloaded" in caplog.text


def test_a_key_has_its_own_rate(start, file):
    clock = FakeClock(0.0)
    fast, slow = add_key(file, "fast", ("events",)), add_key(file, "slow", ("events",), requests_per_second=0.5)
    gateway = start(keys=ring(file, clock, rate=2.0, burst=1.5))
    # fast may save up 2 * 1.5 = 3 requests, slow at least one
    assert [ask(gateway, "events", fast).status_code for _ in range(4)] == [200, 200, 200, 429]
    assert ask(gateway, "events", slow).status_code == 200
    refused = ask(gateway, "events", slow)
    assert (refused.status_code, refused.headers["retry-after"]) == (429, "2")  # one request every two seconds
    clock.now = 0.5  # fast has one more
    assert [ask(gateway, "events", fast).status_code for _ in range(2)] == [200, 429]
    clock.now = 2.5
    assert ask(gateway, "events", slow).status_code == 200


def test_a_hash_may_be_written_in_capitals(file):
    key = add_key(file, "shop", ("events",))
    found = json.loads(file.read_text())
    found["keys"][0]["sha256"] = found["keys"][0]["sha256"].upper()
    file.write_text(json.dumps(found))
    assert ring(file).find(key).name == "shop"


def test_the_file_holds_no_key(file):
    key = add_key(file, "shop", ("events", "recommend"), 5.0)
    text = file.read_text()
    assert key not in text
    assert len(key) > 40
    assert json.loads(text)["keys"][0]["roles"] == ["events", "recommend"]
    assert key != add_key(file, "other", ("events",))


def test_the_command_prints_a_key_once(file, capsys, start):
    assert command.main(["add", "shop", "--roles", "events,recommend", "--rate", "5", "--file", str(file)]) == 0
    key = capsys.readouterr().out.strip()
    assert ask(start(keys=ring(file)), "recommend", key).status_code == 200
    assert command.main(["list", "--file", str(file)]) == 0
    listed = capsys.readouterr().out
    assert "shop" in listed
    assert "events, recommend" in listed
    assert key not in listed
    assert command.main(["remove", "shop", "--file", str(file)]) == 0
    assert read_keys(file) == []


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["add", "shop"], "--roles is missing"),
        (["add", "shop", "--roles", "boss"], "unknown role 'boss'"),
        (["add", "--roles", "events"], "name the key"),
        (["add", "a", "--roles", "events", "--rate", "0"], "requests_per_second must be more than 0"),
        (["remove", "nobody"], "no key 'nobody'; there are: shop"),
        (["add", "shop", "--roles", "plan"], "there is a key 'shop'"),
    ],
)
def test_mistakes_with_keys_are_one_line(file, capsys, words, message):
    if "shop" in message:
        add_key(file, "shop", ("events",))
    assert command.main([*words, "--file", str(file)]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1


@pytest.mark.parametrize(
    "text",
    ["", "[]", "{}", '{"keys": [{}]}', '{"keys": [{"name": "a", "sha256": "00", "roles": []}]}', '{"keys": [1]}'],
)
def test_a_file_that_holds_no_keys_is_refused(file, text):
    file.write_text(text)
    with pytest.raises(InputError, match="is no key file"):
        ring(file)
    with pytest.raises(InputError, match="is no key file"):
        ring(file.with_name("none.json"))


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.4", "shop.example"])
def test_others_than_this_machine_are_served_with_keys_only(host, file):
    with pytest.raises(InputError, match="give --keys"):
        require_keys(host, None)
    require_keys(host, file)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::1", "127.3.4.5"])
def test_this_machine_may_ask_without_keys(host):
    require_keys(host, None)


def test_a_gateway_of_another_user_can_read_the_hashes(file):
    secret = add_key(file, "shop", ("events",))
    assert file.stat().st_mode & 0o777 == 0o644
    assert secret not in file.read_text()
