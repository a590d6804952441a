"""What is too large, too slow or too much is refused at once, and the rest goes on."""

import asyncio
import json

import httpx
import pytest

from tests.serving.gateway.fake_client import FakeServingError

EVENT = {"user_id": "ann", "item_id": "item1", "event_type": "view"}
ASK = {"user_id": "ann"}


def together(gateway, work):
    """Run requests at the same time in one loop."""

    async def session():
        transport = httpx.ASGITransport(gateway.app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://gateway") as client:
            return await work(client)

    return asyncio.run(session())


def test_a_body_over_the_limit_is_413(start):
    gateway = start(body_limit_bytes=1000)
    assert gateway.post("/v1/events", json={**EVENT, "x": "y" * 850}).status_code == 200
    answer = gateway.post("/v1/events", json={**EVENT, "x": "y" * 1000})
    assert answer.status_code == 413
    assert answer.json() == {"detail": "the request's body has more than 1,000 bytes"}


def test_a_body_that_does_not_tell_its_length_is_read_up_to_the_limit(start):
    gateway = start(body_limit_bytes=1000)
    sent = 0

    async def chunks():
        nonlocal sent
        for _ in range(1000):
            sent += 1
            yield b" " * 100

    async def work(client):
        return await client.post("/v1/events", content=chunks())

    assert together(gateway, work).status_code == 413
    assert sent <= 12


def test_a_slow_body_is_408_and_takes_no_place(start):
    gateway = start(body_timeout_seconds=0.3, most_in_flight=1)

    async def slow():
        yield b"{"
        await asyncio.sleep(60)

    async def work(client):
        waiting = [asyncio.create_task(client.post("/v1/events", content=slow())) for _ in range(4)]
        await asyncio.sleep(0.05)
        other = await client.post("/v1/recommendations", json=ASK)  # 4 bodies on their way are all that may be
        return other.status_code, [(await one).status_code for one in waiting]

    assert together(gateway, work) == (503, [408] * 4)
    assert gateway.post("/v1/recommendations", json=ASK).status_code == 200


def test_more_requests_than_may_be_in_flight_are_503_at_once_and_the_rest_is_answered(start, fake):
    gateway = start(most_in_flight=3)
    fake.delay_seconds = 0.3

    async def work(client):
        asked = [client.post("/v1/recommendations", json=ASK) for _ in range(10)]
        answers = await asyncio.gather(*asked, client.get("/healthz"), client.get("/metrics"))
        return answers

    answers = together(gateway, work)
    assert [one.status_code for one in answers[-2:]] == [200, 200]
    codes = [one.status_code for one in answers[:-2]]
    assert sorted(codes) == [200] * 3 + [503] * 7
    assert {one.headers.get("retry-after") for one in answers[:-2] if one.status_code == 503} == {"1"}
    fake.delay_seconds = 0
    assert gateway.post("/v1/recommendations", json=ASK).status_code == 200


def test_an_answer_that_takes_too_long_is_504(start, fake):
    gateway = start(timeout_seconds=0.05, most_in_flight=1)
    fake.delay_seconds = 30
    answer = gateway.post("/v1/recommendations", json=ASK)
    assert (answer.status_code, answer.json()) == (504, {"detail": "not answered within 0.05 seconds"})
    fake.delay_seconds = 0
    assert gateway.post("/v1/recommendations", json=ASK).status_code == 200  # its place is free again


def test_an_unexpected_error_is_500_without_a_trace(gateway, fake):
    fake.error = ZeroDivisionError("secret of ann")
    answer = gateway.post("/v1/recommendations", json=ASK, headers={"x-request-id": "r-1"})
    assert answer.status_code == 500
    assert answer.json() == {"detail": "unexpected error; the log has it by request id"}
    assert answer.headers["x-request-id"] == "r-1"
    fake.error = RuntimeError("no code: not the model server's")
    assert gateway.post("/v1/recommendations", json=ASK).status_code == 500


@pytest.mark.parametrize(("given", "kept"), [("a-1_B.2", True), ("x" * 64, True), ("x" * 65, False), ("a b", False)])
def test_request_ids_are_taken_over_or_made(gateway, given, kept):
    answer = gateway.get("/healthz", headers={"x-request-id": given})
    assert (answer.headers["x-request-id"] == given) == kept
    assert answer.headers["x-request-id"]


def test_readiness_needs_the_store_and_not_to_be_stopping(gateway, fake, monkeypatch):
    ready = gateway.get("/readyz")
    assert (ready.status_code, ready.json()["ready"]) == (200, True)
    fake.error = FakeServingError("UNAVAILABLE")
    answer = gateway.get("/readyz")
    assert (answer.status_code, answer.json()["model_server"]) == (200, "does not answer")  # events are still taken
    fake.error = FakeServingError("INVALID_ARGUMENT", "Unrecognized servable version label: stable")
    assert gateway.get("/readyz").json()["model_server"] == "has no recommender with the label stable"
    assert fake.asked[-1] == {"model": "recommender", "label": "stable"}
    fake.error = None
    gateway.app.state.gateway.draining = True
    answer = gateway.get("/readyz")
    assert (answer.status_code, answer.json()["draining"]) == (503, True)
    assert answer.headers["connection"] == "close"
    assert gateway.post("/v1/events", json=EVENT).status_code == 200  # still answered
    gateway.app.state.gateway.draining = False

    async def gone():
        from serving.gateway.event_store import StoreError

        raise StoreError("gone")

    monkeypatch.setattr(gateway.app.state.gateway.store, "ping", gone)
    answer = gateway.get("/readyz")
    assert (answer.status_code, answer.json()["store"]) == (503, "does not answer")
    assert gateway.get("/healthz").json() == {"status": "alive"}


def test_metrics_count_and_hold_nothing_of_a_customer(gateway, fake):
    event = {"user_id": "customer-77", "item_id": "item1", "event_type": "view", "event_id": "e"}
    gateway.post("/v1/events", json={"events": [event, event]})
    gateway.post("/v1/recommendations", json={"user_id": "customer-77", "k": 4})
    gateway.delete("/v1/users/customer-77")
    gateway.get("/v1/users/customer-77/other")
    text = gateway.get("/metrics").text
    assert 'supplytower_gateway_events_total{result="accepted"} 1.0' in text
    assert 'supplytower_gateway_events_total{result="duplicate"} 1.0' in text
    assert 'supplytower_gateway_recommendations_total{source="model"} 4.0' in text
    name = "supplytower_gateway_requests_total"
    assert name + '{method="POST",route="/v1/recommendations",status="200"} 1.0' in text
    assert name + '{method="DELETE",route="/v1/users/{user_id:path}",status="200"} 1.0' in text
    assert "customer-77" not in text
    assert "supplytower_gateway_in_flight 0.0" in text


def test_made_up_methods_and_paths_do_not_make_new_metrics(gateway):
    def ask(numbers) -> int:
        for number in numbers:
            gateway.request(f"M{number}", f"/nowhere/{number}")
        return gateway.get("/metrics").text.count("\n")

    gateway.get("/metrics")
    assert ask(range(1)) == ask(range(1, 9))
    assert "nowhere" not in gateway.get("/metrics").text


def test_the_clients_and_the_store_are_closed_in_the_end(start, fake):
    gateway = start()
    gateway.__exit__(None, None, None)
    assert fake.closed
    with pytest.raises(RuntimeError):
        asyncio.run(gateway.app.state.gateway.store.ping())


def test_bodies_sent_elsewhere_take_no_place(start):
    gateway = start(most_in_flight=1)
    assert gateway.post("/nope", content=b"x" * 10).status_code == 404


def test_halves_of_surrogate_pairs_are_the_callers_mistake(gateway):
    series = {"demand": [1.0] * 30, "start_date": "2026-01-01", "covariates": {"\ud800": 1}}
    body = json.dumps({"series": [series], "horizon": 7})
    answer = gateway.post("/v1/demand", content=body.encode(), headers={"content-type": "application/json"})
    assert answer.status_code == 422
