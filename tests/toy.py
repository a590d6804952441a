"""A toy shop whose right answers are known by hand, and a way to write any shop as a prepared data folder.

For six weeks from Monday 2024-01-01:

- twelve `rota` users take one item a day, in turn a, b, c, d, a, … (user i begins with the i-th): after a comes b;
- eight `weekly` users take milk every seven days, and three days after it some odd item that they never take again;
- nobody takes the ghost, which is in the catalogue only.

The test begins on day 35. A weekly user's first test event is milk, on day 35 itself.
"""

import json
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl

START = datetime(2024, 1, 1)  # naive UTC, like the events of a prepared folder
START_SECONDS = int(START.replace(tzinfo=UTC).timestamp())
DAYS, TEST_DAY, VALIDATION_DAYS = 42, 35, 7
ROTATION = ("a", "b", "c", "d")
ODD = tuple(f"odd-{number}" for number in range(6))
ROTA_USERS = tuple(f"rota-{number:02d}" for number in range(12))
WEEKLY_USERS = tuple(f"weekly-{number:02d}" for number in range(8))

Event = tuple[str, str, str, datetime]
"""user, item, event type, time"""

# every figure is small: a model of this world has a few hundred weights and learns it in seconds
SMALL: dict[str, Any] = {
    "dim": 8,
    "lstm_units": 8,
    "repeat_units": 8,
    "sequence_events": 16,
    "sequence_baskets": 8,
    "history_length": 32,
    "n_negatives": 8,
    "batch_size": 32,
    "learning_rate": 0.03,
    "warmup_steps": 5,
    "epochs": 2,
    "rounds_per_epoch": 1,
}


def day(number: float) -> datetime:
    return START + timedelta(days=number)


def toy_events() -> list[Event]:
    rota = [
        (user, ROTATION[(first + number) % 4], "purchase", day(number))
        for first, user in enumerate(ROTA_USERS)
        for number in range(DAYS)
    ]
    milk = [(user, "milk", "purchase", day(number)) for user in WEEKLY_USERS for number in range(0, DAYS, 7)]
    odd = [
        (user, ODD[(first + week) % 6], "purchase", day(7 * week + 3))
        for first, user in enumerate(WEEKLY_USERS)
        for week in range(6)
    ]
    return rota + milk + odd


def toy_items() -> pl.DataFrame:
    names = [*ROTATION, "milk", *ODD, "ghost"]
    return pl.DataFrame(
        {
            "item_id": names,
            "title": [f"the {name}" for name in names],
            "category": ["rotation"] * 4 + ["dairy"] + ["odd"] * 6 + ["dairy"],
            "price": [1.0, 2.0, 3.0, 4.0, 1.5, None, 5.0, 5.0, 5.0, 5.0, 5.0, 1.5],
            "tags": [["daily"]] * 4 + [["weekly", "daily"]] + [[]] * 5 + [None, ["weekly"]],
        }
    )


def toy_users() -> pl.DataFrame:
    users = [*ROTA_USERS, *WEEKLY_USERS]
    return pl.DataFrame({"user_id": users, "region": ["north", "south", None, "north"] * 5})


def write_prepared(
    folder: Path,
    events: Iterable[Event],
    items: pl.DataFrame | None = None,
    users: pl.DataFrame | None = None,
    *,
    fingerprint: str = "toy",
    **defaults: object,
) -> Path:
    """Write what `supplytower data prepare` would; without tables, items and users have no attributes."""
    folder.mkdir(parents=True, exist_ok=True)
    table = pl.DataFrame(list(events), ["user_id", "item_id", "event_type", "timestamp"], orient="row")
    table = table.cast({"timestamp": pl.Datetime("us")}).sort("user_id", "timestamp", "item_id")
    table.write_parquet(folder / "events.parquet")
    for key, name, given in (("item_id", "items", items), ("user_id", "users", users)):
        ids = table.select(key).unique().sort(key)
        (ids if given is None else given).write_parquet(folder / f"{name}.parquet")
    (folder / "manifest.json").write_text(json.dumps({"fingerprint": fingerprint, "defaults": defaults}))
    return folder


def write_toy(folder: Path, **manifest: str) -> Path:
    """Write the toy shop."""
    return write_prepared(
        folder,
        toy_events(),
        toy_items(),
        toy_users(),
        **manifest,  # type: ignore[arg-type]
        test_start=day(TEST_DAY).isoformat(),
        validation_days=VALIDATION_DAYS,
        min_item_users=1,
        feature_ignore=["title"],
    )
