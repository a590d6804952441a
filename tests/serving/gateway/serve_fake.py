"""A gateway as a process of its own, with the fake client: `serve_fake.py STORE_URL [seconds per answer]`.

The environment's GATEWAY_SETTINGS are JSON.
"""

import json
import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[3]))

from serving.gateway import structured_log
from serving.gateway.app import create_app
from serving.gateway.main import serve
from serving.gateway.open_store import open_store
from serving.gateway.settings import GatewaySettings
from tests.serving.gateway.fake_client import FakeClient

if __name__ == "__main__":
    settings = GatewaySettings(**json.loads(os.environ["GATEWAY_SETTINGS"]))
    store = open_store(sys.argv[1], history_length=settings.history_length, ttl_days=settings.ttl_days)
    client = FakeClient(delay_seconds=float(sys.argv[2]) if len(sys.argv) > 2 else 0.0)
    structured_log.configure()
    serve(create_app(settings, store, client), settings, "127.0.0.1", 0)
