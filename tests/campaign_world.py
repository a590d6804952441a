"""A shop with campaigns whose answers are known: coupon clippers answer every campaign, nobody else ever does.

Thirty users buy bread every week for the same money, so recency, frequency and spend say nothing; the ten whose number
divides by three buy it with a coupon. A campaign begins every four weeks from day 28 on and reaches everybody; clippers
answer on its seventh day.
"""

import json
from datetime import datetime, timedelta
from pathlib import Path

import polars as pl

START = datetime(2024, 1, 1)
USERS = [f"user-{number:02d}" for number in range(30)]
CLIPPERS = USERS[::3]
DAYS, CAMPAIGNS = 280, 8


def day(number: float) -> datetime:
    return START + timedelta(days=number)


def begins(number: int) -> datetime:
    return day(28 * (number + 1))


def tables() -> dict[str, pl.DataFrame]:
    names = [f"c{number}" for number in range(CAMPAIGNS)]
    events = [
        (
            user,
            "bread" if week % 2 else "rolls",
            "purchase",
            day(7 * week),
            f"{user}-{week}",
            2.0,
            0.5 * (user in CLIPPERS),
        )
        for user in USERS
        for week in range(DAYS // 7)
    ]
    columns = ["user_id", "item_id", "event_type", "timestamp", "basket_id", "price", "coupon_disc"]
    return {
        "events": pl.DataFrame(events, columns, orient="row"),
        "items": pl.DataFrame(
            {"item_id": ["bread", "rolls", "milk", "cream"], "category": ["bakery", "bakery", "dairy", "dairy"]}
        ),
        "users": pl.DataFrame({"user_id": USERS, "region": ["north", "south", None] * 10}),
        "campaigns": pl.DataFrame(
            {
                "campaign_id": names,
                "campaign_type": ["A", "B"] * (CAMPAIGNS // 2),
                "starts_at": [begins(number) for number in range(CAMPAIGNS)],
                "ends_at": [begins(number) + timedelta(days=14) for number in range(CAMPAIGNS)],
            }
        ),
        "exposures": pl.DataFrame(
            {"user_id": USERS * CAMPAIGNS, "campaign_id": [name for name in names for _ in USERS]}
        ),
        "offers": pl.DataFrame(
            {"campaign_id": names, "item_id": ["bread", "milk"] * (CAMPAIGNS // 2), "offer_id": names}
        ),
        "outcomes": pl.DataFrame(
            [
                (user, name, begins(number) + timedelta(days=6))
                for number, name in enumerate(names)
                for user in CLIPPERS
            ],
            ["user_id", "campaign_id", "timestamp"],
            orient="row",
        ),
    }


def write_world(folder: Path, **changed: pl.DataFrame) -> Path:
    """Write what `supplytower data prepare` would; `changed` tables take the place of the world's own."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, table in (tables() | changed).items():
        table.write_parquet(folder / f"{name}.parquet")
    (folder / "manifest.json").write_text(json.dumps({"fingerprint": "toy", "defaults": {}}))
    return folder
