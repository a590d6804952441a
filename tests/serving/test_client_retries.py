"""What is sent again, how often, until when; hedging; the fallback; and what is counted of it."""

import asyncio
import random
import socket
import threading
import time
from contextlib import contextmanager

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serving.client import DeadlineExceeded, History, InvalidRequest, NotFound, ServingError, Unavailable
from serving.hedging import first_answer
from serving.retry import RetryBudget, RetryPolicy
from serving.serving_error import Target
from tests.serving.fake_serving import PATIENCE_SECONDS, grpc_server

X = {"x": [1.0]}
ANNA = [History("anna", at=1)]
BUDGET = RetryBudget(100, 0.1)


def metric(client, name, **labels):
    return client.registry.get_sample_value(f"supplytower_client_{name}", labels) or 0


def eventually(happened):
    """Poll: what a server notices late."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not happened() and time.monotonic() < deadline:
        time.sleep(0.005)
    assert happened()


@pytest.mark.parametrize("code", ["UNAVAILABLE", "RESOURCE_EXHAUSTED"])
def test_what_passes_is_sent_again(fake, client, protocol, code):
    fake.fail(code, times=3)
    assert client.predict("half_plus_two", X, version=1)["y"].tolist() == [2.5]
    assert fake.count() == 4
    labels = {"model": "half_plus_two", "method": "predict", "transport": protocol}
    assert metric(client, "retries_total", **labels) == 3
    assert metric(client, "requests_total", code="OK", **labels) == 1
    assert metric(client, "request_seconds_count", **labels) == 1


@pytest.mark.parametrize("code", ["UNAVAILABLE", "RESOURCE_EXHAUSTED"])
def test_after_the_last_attempt_its_error_is_raised(fake, client, protocol, code):
    fake.fail(code, times=9)
    with pytest.raises(Unavailable) as raised:
        client.predict("half_plus_two", X, label="stable")
    assert fake.count() == 4
    http = {"UNAVAILABLE": "HTTP 503: ", "RESOURCE_EXHAUSTED": "HTTP 429: "}[code] if protocol == "rest" else ""
    assert str(raised.value) == f"model 'half_plus_two' label 'stable': {code}: {http}ordered {code} (4 attempts)"
    labels = {"model": "half_plus_two", "method": "predict", "transport": protocol}
    assert metric(client, "requests_total", code=code, **labels) == 1


def test_a_proxy_without_a_server_is_asked_again(fake, make_client, running):
    client = make_client(running.addresses["rest"])
    fake.fail(502, times=3)
    client.predict("half_plus_two", X)
    assert fake.count() == 4
    fake.fail(502, times=9)
    with pytest.raises(Unavailable):
        client.predict("half_plus_two", X)


@pytest.mark.parametrize(
    ("code", "error"),
    [
        ("INVALID_ARGUMENT", InvalidRequest),
        ("NOT_FOUND", NotFound),
        ("INTERNAL", ServingError),
        ("FAILED_PRECONDITION", ServingError),
        ("DEADLINE_EXCEEDED", DeadlineExceeded),
    ],
)
def test_what_does_not_pass_is_sent_once(fake, client, code, error):
    fake.fail(code, times=9)
    with pytest.raises(error) as raised:
        client.predict("half_plus_two", X)
    assert type(raised.value) is error
    assert fake.count() == 1


def test_an_unknown_status_is_sent_once(fake, make_client, running):
    client = make_client(running.addresses["rest"])
    fake.fail(418, times=9)
    with pytest.raises(ServingError) as raised:
        client.predict("half_plus_two", X)
    assert (raised.value.code, fake.count()) == ("UNKNOWN", 1)


def test_fetching_signatures_is_retried_too(fake, client, protocol):
    fake.fail("UNAVAILABLE", times=2, method="metadata")
    client.predict("half_plus_two", X)
    assert fake.count("metadata") == 3
    labels = {"model": "half_plus_two", "method": "metadata", "transport": protocol}
    assert metric(client, "retries_total", **labels) == 2


def test_the_deadline_is_for_all_attempts(fake, make_client):
    client = make_client(max_attempts=10**6, backoff_seconds=0.01, max_backoff_seconds=0.01)
    client.predict("half_plus_two", X)
    fake.fail("UNAVAILABLE", times=10**6)
    with pytest.raises((DeadlineExceeded, Unavailable), match="ordered UNAVAILABLE"):
        client.predict("half_plus_two", X, timeout_seconds=0.3)
    # a server that answers at once is asked more than once, but not for ever
    assert 2 < fake.count() < 10**4


def test_a_silent_server_is_given_up_at_the_deadline_and_told_so(fake, client, protocol):
    client.predict("half_plus_two", X, version=1)
    held = fake.hold(times=1)
    with pytest.raises(DeadlineExceeded) as raised:
        client.predict("half_plus_two", X, version=1, timeout_seconds=0.1)
    assert fake.count() == 2
    assert str(raised.value).startswith("model 'half_plus_two' version 1: DEADLINE_EXCEEDED: ")
    if protocol == "grpc":
        eventually(fake.seen[-1].cancelled.is_set)
    held.set()


def test_a_dribbling_server_does_not_stretch_the_deadline(make_client):
    """Each byte comes in time, the whole never: a limit per read would wait for ever."""
    stop = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def dribble():
            connection, _ = listener.accept()
            with connection:
                connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n")
                while not stop.wait(0.01):
                    try:
                        connection.sendall(b" ")
                    except OSError:
                        return

        thread = threading.Thread(target=dribble)
        thread.start()
        try:
            client = make_client(f"http://127.0.0.1:{listener.getsockname()[1]}")
            with pytest.raises(DeadlineExceeded, match=r"no answer within 0\.2 s"):
                client.status("half_plus_two", timeout_seconds=0.2)
        finally:
            stop.set()
            thread.join()


# --- waits ---


def test_waits_double_up_to_the_longest():
    policy = RetryPolicy(9, 0.05, 0.3, BUDGET, uniform=lambda low, high: high)
    # 0.05 · 2^(n - 1), at most 0.3
    assert [policy.wait_seconds(n) for n in range(1, 6)] == [0.05, 0.1, 0.2, 0.3, 0.3]
    assert policy.wait_seconds(5000) == 0.3


@given(st.integers(1, 100), st.floats(0, 10), st.floats(0, 10), st.integers(0, 2**32))
def test_waits_are_jittered_from_zero(attempts, backoff, longest, seed):
    policy = RetryPolicy(9, backoff, longest, BUDGET, random.Random(seed).uniform)
    assert 0 <= policy.wait_seconds(attempts) <= min(longest, backoff * 2.0 ** (attempts - 1))


def test_jitter_spreads_over_the_whole_range():
    policy = RetryPolicy(9, 1.0, 1.0, BUDGET, random.Random(0).uniform)
    waits = sorted(policy.wait_seconds(1) for _ in range(200))
    assert waits[0] < 0.1
    assert waits[-1] > 0.9


# --- hedging ---


def test_nothing_is_sent_twice_by_default(fake, client, protocol):
    held = fake.hold(times=1)
    threading.Timer(0.05, held.set).start()
    client.predict("half_plus_two", X)
    assert fake.count() == 1


def test_a_quick_answer_is_not_hedged(fake, make_client):
    client = make_client(hedge_after_seconds=5)
    client.predict("half_plus_two", X)
    assert fake.count() == 1


def test_a_slow_answer_is_hedged_once_and_the_first_answer_wins(fake, make_client, protocol):
    client = make_client(hedge_after_seconds=0.02)
    client.predict("half_plus_two", X, version=1)
    before = fake.count()
    held = fake.hold(times=1)  # the first waits for ever, the second is answered
    assert client.predict("half_plus_two", X, version=1)["y"].tolist() == [2.5]
    assert fake.count() == before + 2
    if protocol == "grpc":
        eventually(fake.seen[-2].cancelled.is_set)
    held.set()
    labels = {"model": "half_plus_two", "method": "predict", "transport": protocol}
    assert metric(client, "hedges_total", **labels) >= 1
    assert metric(client, "retries_total", **labels) == 0


UNAVAILABLE = Target("m").error("UNAVAILABLE", "away")
WRONG = Target("m").invalid("wrong")


def race(*attempts, after_seconds=0):
    """`first_answer` of attempts (seconds, result or error); returns how it ended, and what became of each."""
    ends = []

    async def main():
        waiting = iter(attempts)

        async def attempt():
            seconds, result = next(waiting)
            ends.append("running")
            number = len(ends) - 1
            try:
                await asyncio.sleep(seconds)
            except asyncio.CancelledError:
                ends[number] = "cancelled"
                raise
            ends[number] = "done"
            if isinstance(result, Exception):
                raise result
            return result

        try:
            return await first_answer(attempt, after_seconds, lambda: None)
        except ServingError as error:
            return error

    return asyncio.run(main()), ends


NEVER = 5  # seconds, of which none passes: what waits for so long is cancelled


def test_hedging_takes_the_first_answer():
    assert race((0, "a"), after_seconds=NEVER) == ("a", ["done"])
    assert race((NEVER, "a"), (0, "b")) == ("b", ["cancelled", "done"])
    assert race((0.02, "a"), (NEVER, "b")) == ("a", ["done", "cancelled"])


def test_hedging_waits_for_the_other_when_one_fails_for_now():
    assert race((0.02, "a"), (0, UNAVAILABLE)) == ("a", ["done", "done"])
    assert race((0.01, UNAVAILABLE), (0.03, "b")) == ("b", ["done", "done"])
    assert race((0.01, UNAVAILABLE), (0.02, UNAVAILABLE)) == (UNAVAILABLE, ["done", "done"])


def test_hedging_ends_with_an_error_that_is_an_answer():
    assert race((NEVER, "a"), (0, WRONG)) == (WRONG, ["cancelled", "done"])
    assert race((0, UNAVAILABLE), after_seconds=NEVER) == (UNAVAILABLE, ["done"])


# --- the server is away ---


@contextmanager
def nobody():
    """An address where nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    yield port


@pytest.mark.parametrize("scheme", ["grpc", "http"])
def test_popular_items_stand_in_while_the_server_is_away(fake, make_client, scheme):
    with nobody() as port:
        client = make_client(
            f"{scheme}://127.0.0.1:{port}", popular=["milk", "bread", "milk", "", "tea"], max_attempts=2
        )
        one, other = client.recommend(ANNA * 2, 2, exclude=[["milk"], []])
        assert (one.item_id, one.score, one.fallback, one.version) == (["bread", "tea"], [1, 0.5], True, None)
        assert (other.item_id, other.fallback) == (["milk", "bread"], True)
        assert metric(client, "fallbacks_total", model="recommender") == 1
        transport = "grpc" if scheme == "grpc" else "rest"
        labels = {"model": "recommender", "method": "recommend", "transport": transport}
        assert metric(client, "requests_total", code="UNAVAILABLE", **labels) == 1
        with pytest.raises(Unavailable, match=str(port)):  # only recommendations have a stand-in
            client.embed(ANNA)
        with pytest.raises(Unavailable):
            make_client(f"{scheme}://127.0.0.1:{port}").recommend(ANNA)


def test_popular_items_stand_in_for_a_silent_server(fake, make_client):
    client = make_client(popular=["milk"])
    assert not client.recommend(ANNA)[0].fallback
    held = fake.hold(times=1)
    assert client.recommend(ANNA, timeout_seconds=0.1)[0].fallback
    held.set()
    assert not client.recommend(ANNA)[0].fallback


def test_a_wrong_request_has_no_stand_in(fake, make_client):
    client = make_client(popular=["milk"])
    with pytest.raises(NotFound):
        client.recommend(ANNA, version=99)
    fake.fail("INVALID_ARGUMENT", times=1)
    with pytest.raises(InvalidRequest):
        client.recommend(ANNA)
    assert metric(client, "fallbacks_total", model="recommender") == 0


def test_a_server_that_comes_back_is_found_again(fake, make_client):
    with grpc_server(fake) as address:
        client = make_client(address, max_attempts=1)
        client.predict("half_plus_two", X)
    with pytest.raises(Unavailable):
        client.predict("half_plus_two", X)
    with grpc_server(fake, port=int(address.rpartition(":")[2])):
        eventually(lambda: _answers(client))


def _answers(client):
    try:
        return bool(client.predict("half_plus_two", X))
    except Unavailable:
        return False
