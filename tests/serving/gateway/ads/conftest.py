"""A shop of three products, and whatever a test says of its campaigns and customers.

Of milk at 10, tea at 20 and cake at 30, 0.3 remain of a sale: 3, 6 and 9. They are bought with a probability of 0.5,
0.1 and 0.02. A contact costs 0.1: milk is worth 1.4, tea 0.5, cake 0.08.
"""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest
import yaml

from serving.gateway.ads.snapshot import AdFiles, AdSnapshots

NOW = 1_769_860_800.0  # 2026-01-31 12:00 UTC
DAY = 86_400.0
NO_LIMITS = {"caps": [], "fatigue": 0}
CHANCES = {"milk": 0.5, "tea": 0.1, "cake": 0.02}


def campaign(name: str = "spring", **changes) -> dict:
    base = {"channel": "web", "start": "2026-01-31", "end": "2026-02-01", "budget": 100, "cost_per_contact": 0.1}
    return {"id": name, "pacing": "asap"} | base | changes


class Shop:
    """Files of a shop; `files` says which of them are used."""

    def __init__(self, folder: Path):
        self.folder = folder
        items = {"item_id": ["milk", "tea", "cake"], "name": ["Milk", "Tea", "Cake"], "price": [10.0, 20.0, 30.0]}
        pl.DataFrame(items | {"category": ["dairy", "drinks", "bakery"]}).write_parquet(folder / "items.parquet")
        self.files = AdFiles((folder / "campaigns.yaml",), folder / "items.parquet", policy=folder / "policy.yaml")
        self.policy(**NO_LIMITS)

    def campaigns(self, *campaigns: dict) -> None:
        (self.folder / "campaigns.yaml").write_text(yaml.safe_dump({"campaigns": list(campaigns)}))

    def policy(self, **settings) -> None:
        (self.folder / "policy.yaml").write_text(yaml.safe_dump(settings))

    def table(self, option: str, **columns) -> None:
        """Write a table and use it."""
        path = self.folder / f"{option}.parquet"
        pl.DataFrame(columns).write_parquet(path)
        self.files = replace(self.files, **{option: path})

    def snapshots(self, reload_seconds: float = 5.0) -> AdSnapshots:
        return AdSnapshots(self.files, record_days=400.0, reload_seconds=reload_seconds)


@pytest.fixture
def shop(tmp_path) -> Shop:
    return Shop(tmp_path)


@pytest.fixture
def items(shop) -> Path:
    return shop.files.items


@pytest.fixture
def opened(shop, start, fake, clock) -> Callable[..., object]:
    """Open the shop: `opened(campaign(...), ..., stock=...)`; times are noon unless the clock is set."""
    clock.now, fake.chances = NOW, dict(CHANCES)

    def begin(*campaigns: dict, **settings):
        shop.campaigns(*(campaigns or (campaign(),)))
        return start(ads=shop.snapshots(), **settings)

    return begin


def decide(gateway, user: str = "ann", **more) -> dict:
    answer = gateway.post("/v1/ads/decide", json={"user_id": user, "channel": "web"} | more)
    assert answer.status_code == 200, answer.text
    return answer.json()


def shown(gateway, user: str = "ann", **more) -> str | None:
    """The campaign and product, or the reason code."""
    answer = decide(gateway, user, **more)
    return f"{answer['campaign_id']} {answer['item_id']}" if answer["show"] else answer["reason_code"]


def act(gateway, item: str, kind: str, ago: float = 0.0, user: str = "ann") -> None:
    event = {"user_id": user, "item_id": item, "event_type": kind, "timestamp": NOW - ago}
    assert gateway.post("/v1/events", json=event).json()["accepted"] == 1
