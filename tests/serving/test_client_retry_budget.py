"""What keeps a client from sending again: the budget of all its calls, and what the server says."""

import pickle
import time
from email.utils import formatdate

import pytest

from serving.client import Unavailable
from tests.serving.test_client_retries import X, metric

# --- the budget of all calls ---


def test_a_server_that_is_down_is_not_asked_several_times_as_much(fake, make_client, protocol):
    client = make_client(retry_tokens=10, retry_refund=0.5)
    client.predict("half_plus_two", X)
    fake.reset()
    fake.fail("UNAVAILABLE", times=100)
    for _ in range(20):
        with pytest.raises(Unavailable):
            client.predict("half_plus_two", X)
    # 4 attempts of the first call; the fifth failure is half of the tokens, and nothing is sent again
    assert fake.count() == 4 + 19
    labels = {"model": "half_plus_two", "method": "predict", "transport": protocol}
    assert metric(client, "retries_total", **labels) == 3
    fake.faults.clear()
    for _ in range(13):  # all 10 tokens are spent; 13 answers give 6.5 back, and a failure spends one
        client.predict("half_plus_two", X)
    fake.fail("UNAVAILABLE", times=1)
    client.predict("half_plus_two", X)


def test_hedges_are_of_the_budget_too(fake, make_client):
    client = make_client(retry_tokens=2, hedge_after_seconds=0, max_attempts=1)
    fake.fail("UNAVAILABLE", times=2, method="metadata")
    with pytest.raises(Unavailable):
        client.metadata("half_plus_two")
    fake.reset()
    client.metadata("half_plus_two")
    assert fake.count("metadata") == 1


# --- what the server says of sending again ---


def after(seconds, protocol):
    return str(seconds) if protocol == "rest" else str(round(1000 * seconds))


def test_a_server_is_left_alone_for_as_long_as_it_asks(fake, make_client, protocol):
    client = make_client()
    client.predict("half_plus_two", X)
    seconds = {"rest": 1, "grpc": 0.1}[protocol]  # the longest backoff of this client is 2 ms
    fake.fail("UNAVAILABLE", times=1, retry_after=after(seconds, protocol))
    started = time.monotonic()
    client.predict("half_plus_two", X)
    assert time.monotonic() - started >= seconds


def test_what_would_be_too_late_is_not_waited_for(fake, client, protocol):
    client.predict("half_plus_two", X)
    fake.fail("RESOURCE_EXHAUSTED", times=1, retry_after=after(60, protocol))
    with pytest.raises(Unavailable, match="ordered RESOURCE_EXHAUSTED") as raised:
        client.predict("half_plus_two", X)
    assert (raised.value.retry_after_seconds, raised.value.attempts) == (60, 1)
    assert pickle.loads(pickle.dumps(raised.value)).retry_after_seconds == 60


def test_a_date_is_waited_for_too(fake, make_client, running):
    client = make_client(running.addresses["rest"])
    fake.fail(503, times=1, retry_after=formatdate(time.time() + 3600, usegmt=True))
    with pytest.raises(Unavailable) as raised:
        client.predict("half_plus_two", X)
    assert 3000 < raised.value.retry_after_seconds <= 3600
    fake.fail(503, times=1, retry_after="soon")
    client.predict("half_plus_two", X)


def test_a_server_can_refuse_to_be_asked_again(fake, make_client, running):
    client = make_client(running.addresses["grpc"])
    fake.fail("UNAVAILABLE", times=9, retry_after="-1")
    with pytest.raises(Unavailable):
        client.predict("half_plus_two", X)
    assert fake.count() == 1
