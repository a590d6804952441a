"""The documentation is true: its examples work, and answers are what it says."""

import json

import pytest


@pytest.fixture
def gateway(start, profiles, experiments, ads, rules):
    return start(profiles=profiles, experiments=experiments, ads=ads, rules=rules)


def operations(gateway):
    schema = gateway.get("/openapi.json").json()
    return schema, [
        (path, method, operation)
        for path, methods in schema["paths"].items()
        for method, operation in methods.items()
        if method in ("get", "post", "delete")
    ]


def test_every_example_can_be_sent_as_it_is(gateway):
    tried = 0
    for path, method, operation in operations(gateway)[1]:
        if "requestBody" not in operation:
            continue
        examples = operation["requestBody"]["content"]["application/json"]["examples"]
        for name, example in examples.items():
            answer = gateway.request(method, path.replace("{experiment_id}", "shop"), json=example["value"])
            assert answer.status_code == 200, (path, name, answer.text)
            tried += 1
    assert tried == 15


def test_every_route_is_described_and_v1_needs_a_key(gateway):
    schema, found = operations(gateway)
    assert {path for path, _, _ in found} == {
        "/v1/events",
        "/v1/users/{user_id}",
        "/v1/recommendations",
        "/v1/profiles/{user_id}",
        "/v1/experiments/{experiment_id}/exposures",
        "/v1/experiments/{experiment_id}/outcomes",
        "/v1/demand",
        "/v1/inventory/plan",
        "/v1/ads/decide",
        "/v1/bought-together",
        "/healthz",
        "/readyz",
        "/metrics",
    }
    for path, _, operation in found:
        assert operation["summary"]
        assert operation["description"]
        assert ("security" in operation) == path.startswith("/v1")
        if path.startswith("/v1"):
            assert {"200", "401", "403", "413", "422", "429", "503", "504"} <= set(operation["responses"])
    assert set(schema["components"]["securitySchemes"]) == {"bearer", "x-api-key"}
    assert gateway.get("/docs").status_code == 200


NASTY = [
    None, True, 0, -1, 2**63, 10**25, 1.5, 1e308, -1e308, "", "x", "\x00", "\U0001f600", "a" * 300, [], {},
    [None], [[]], {"a": {}}, "NaN", "9999-12-31", "0001-01-01", [1, "a"], [[1, 2], [3]],
]  # fmt: skip


def places(value, path=()):
    """Every place in a JSON value."""
    yield path
    children = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, child in children:
        yield from places(child, (*path, key))


def replaced(value, path, new):
    copy = json.loads(json.dumps(value))
    if not path:
        return new
    at = copy
    for key in path[:-1]:
        at = at[key]
    at[path[-1]] = new
    return copy


@pytest.mark.parametrize(
    "route",
    [
        "/v1/events",
        "/v1/recommendations",
        "/v1/ads/decide",
        "/v1/demand",
        "/v1/inventory/plan",
        "/v1/bought-together",
        "/v1/experiments/{experiment_id}/exposures",
        "/v1/experiments/{experiment_id}/outcomes",
    ],
)
def test_no_value_at_any_place_makes_the_gateway_fail(gateway, route):
    schema = gateway.get("/openapi.json").json()
    content = schema["paths"][route]["post"]["requestBody"]["content"]["application/json"]
    for example in content["examples"].values():
        for path in places(example["value"]):
            for nasty in NASTY:
                body = replaced(example["value"], path, nasty)
                answer = gateway.post(
                    route.replace("{experiment_id}", "shop"),
                    content=json.dumps(body),
                    headers={"content-type": "application/json"},
                )
                # 409: an outcome of somebody who was never exposed
                expected = (200, 422, 409) if route.endswith("outcomes") else (200, 422)
                assert answer.status_code in expected, (path, nasty, answer.status_code, answer.text)
