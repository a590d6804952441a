"""One fake server per module, speaking both protocols, and a client for each."""

from types import SimpleNamespace

import pytest
from prometheus_client import CollectorRegistry

from serving.client import Client, ClientSettings
from tests.serving.fake_models import make_models
from tests.serving.fake_serving import Fake, grpc_server, rest_server

FAST = {"backoff_seconds": 0.001, "max_backoff_seconds": 0.002, "timeout_seconds": 10.0}


@pytest.fixture(scope="module")
def running():
    fake = Fake({})
    with grpc_server(fake) as grpc_address, rest_server(fake) as rest_address:
        yield SimpleNamespace(fake=fake, addresses={"grpc": grpc_address, "rest": rest_address})


@pytest.fixture
def fake(running):
    running.fake.reset()
    running.fake.models = make_models()
    return running.fake


@pytest.fixture(params=["grpc", "rest"])
def protocol(request):
    return request.param


@pytest.fixture
def address(running, protocol):
    return running.addresses[protocol]


@pytest.fixture
def make_client(fake, address):
    """Clients with quick retries and a registry of their own; settings are fields of `ClientSettings`."""
    clients = []

    def make(at=None, *, popular=(), **settings):
        registry = CollectorRegistry()
        client = Client(at or address, ClientSettings(**FAST | settings), popular=popular, registry=registry)
        client.registry = registry
        clients.append(client)
        return client

    yield make
    for client in clients:
        client.close()


@pytest.fixture
def client(make_client):
    return make_client()
