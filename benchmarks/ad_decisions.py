"""How long the gateway takes to decide which campaign to show, one customer after the other.

    python -m benchmarks.ad_decisions --data build/data --profiles build/profiles

Six campaigns, those of the templates, may be shown on one channel without caps; the model client answers at once, so
that what is measured is the gateway's own: live events and contacts from SQLite, the decision, and its record.
"""

import argparse
import asyncio
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import yaml

from data_pipelines import console as terminal
from data_pipelines.schema import EVENT_TYPE, EVENTS, ITEM_ID, ITEMS, TIMESTAMP, USER_ID
from serving.campaigns.campaign import TEMPLATES
from serving.gateway.ads.desk import AdDesk
from serving.gateway.ads.messages import AdAsked
from serving.gateway.ads.route import open_offerings
from serving.gateway.ads.snapshot import AdFiles, AdSnapshots
from serving.gateway.app import create_app
from serving.gateway.event_store import Event
from serving.gateway.open_store import open_store
from serving.gateway.settings import GatewaySettings

KNOWN, NEW, ROUNDS, AT_ONCE = 300, 60, 2, 2000
CHANNEL, DAY_SECONDS = "web", 86_400


class Oracle:
    """A client of a model server that answers at once."""

    def __init__(self) -> None:
        self.candidates: list[int] = []

    async def score(self, histories: object, candidates: Sequence[Sequence[str]], **_: object) -> np.ndarray:
        """The same probability for all."""
        self.candidates.append(len(candidates[0]))
        return np.full((1, len(candidates[0])), 0.2, np.float32)

    async def close(self) -> None:
        """Nothing to close."""


def main(argv: Sequence[str] | None = None) -> int:
    """Measure and print."""
    parser = terminal.command_parser(
        "python -m benchmarks.ad_decisions",
        "Time ad decisions of the gateway.",
        examples=["python -m benchmarks.ad_decisions --data build/data --profiles build/profiles"],
    )
    parser.add_argument("--data", type=Path, required=True, help="folder written by `supplytower data prepare`")
    parser.add_argument("--profiles", type=Path, help="folder written by `supplytower profile build`")
    arguments = parser.parse_args(argv)
    for products in (10, 50):
        with tempfile.TemporaryDirectory() as folder:
            print(asyncio.run(_measure(arguments, Path(folder), products)))
    return 0


async def _measure(arguments: argparse.Namespace, folder: Path, products: int) -> str:
    campaigns, policy = folder / "campaigns.yaml", folder / "policy.yaml"
    campaigns.write_text(yaml.safe_dump({"campaigns": _campaigns()}))
    never_quiet = {"quiet_from": "00:00", "quiet_until": "00:00"}
    policy.write_text(yaml.safe_dump({"caps": [], "products_per_campaign": products, **never_quiet}))
    events = pl.read_parquet(arguments.data / f"{EVENTS.name}.parquet").sort(TIMESTAMP)
    now = events[TIMESTAMP].dt.epoch("ms").last() / 1000 + DAY_SECONDS
    items = arguments.data / f"{ITEMS.name}.parquet"
    settings = replace(GatewaySettings(), ttl_days=9999.0)
    files = AdFiles((campaigns,), items, arguments.data, policy, profiles=arguments.profiles)
    snapshots = AdSnapshots(files, record_days=settings.record_days)
    url = f"sqlite:///{folder / 'store.sqlite'}"
    store = open_store(url, history_length=settings.history_length, ttl_days=settings.ttl_days, clock=lambda: now)
    oracle = Oracle()
    app = create_app(settings, store, oracle, clock=lambda: now, ads=snapshots)  # type: ignore[arg-type]
    known = events[USER_ID].unique().sort().sample(KNOWN, seed=1)
    await _post(store, events.filter(pl.col(USER_ID).is_in(known.implode())))
    desk, snapshot, shown = AdDesk(app.state.gateway), snapshots.current(), 0
    wall, cpu = [], []
    for user in [*known, *(f"new {number}" for number in range(NEW))] * ROUNDS:
        asked = AdAsked(user_id=user, channel=CHANNEL)
        begin, begin_cpu, time_ms = time.perf_counter(), time.process_time(), int(now * 1000)
        answer = await desk.answer(asked, snapshot, open_offerings(asked, snapshot, time_ms), time_ms)
        wall.append(1000 * (time.perf_counter() - begin))
        cpu.append(1000 * (time.process_time() - begin_cpu))
        shown += answer.show
    await store.close()
    return (
        f"{len(wall):,} decisions, {shown:,} shown, {np.median(oracle.candidates):.0f} products scored each (at most "
        f"{max(oracle.candidates)}): CPU p50 {np.median(cpu):.1f} ms, p99 {np.percentile(cpu, 99):.1f} ms; "
        f"wall p50 {np.median(wall):.1f} ms, p99 {np.percentile(wall, 99):.1f} ms"
    )


def _campaigns() -> list[dict[str, object]]:
    found = []
    for name in ("clearance", "holiday", "loyalty", "reminder", "welcome", "win-back"):
        [campaign] = yaml.safe_load((TEMPLATES / f"{name}.yaml").read_text())["campaigns"]
        found.append(campaign | {"channel": CHANNEL, "budget": 1e6, "contacts_per_customer": ROUNDS})
    return found


async def _post(store: object, events: pl.DataFrame) -> None:
    rows = events.select(USER_ID, ITEM_ID, EVENT_TYPE, pl.col(TIMESTAMP).dt.epoch("ms")).with_row_index("id")
    for part in rows.iter_slices(AT_ONCE):
        told = [Event(user, str(number), item, kind, ms) for number, user, item, kind, ms in part.iter_rows()]
        await store.append(told)  # type: ignore[attr-defined]


if __name__ == "__main__":
    raise SystemExit(main())
