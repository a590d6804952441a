"""Decisions with the client that production uses, over both protocols of TensorFlow Serving."""

import pytest
from prometheus_client import CollectorRegistry

from serving.async_client import AsyncClient
from serving.client import ClientSettings
from tests.serving.fake_models import make_models
from tests.serving.gateway.ads.conftest import act, decide, shown


@pytest.fixture
def fake(running, address) -> AsyncClient:
    """Of a model whose probability is a tenth of the number of events, for all items."""
    running.fake.reset()
    running.fake.models = make_models()
    return AsyncClient(address, ClientSettings(timeout_seconds=10.0), registry=CollectorRegistry())


def test_the_model_is_asked_with_what_was_done_just_now(opened, running):
    gateway = opened()
    assert shown(gateway) == "value"  # no events: 0 × 9 - 0.1
    act(gateway, "milk", "view", ago=2)
    act(gateway, "tea", "cart", ago=1)
    answer = decide(gateway)
    assert (answer["item_id"], answer["value"]) == ("cake", pytest.approx(0.2 * 9 - 0.1))


def test_a_model_without_the_label_shows_nothing(opened, running):
    gateway = opened(label="canary")
    assert shown(gateway) == "no_model"
