"""A shop with four kinds of customers, 30 of each, over 26 weeks from Monday 2024-01-01.

    weekend     a basket every Saturday at noon
    deals       two small baskets on working evenings every week, everything at half price
    lapsed      four baskets in the first five weeks, none after that
    browsers    one basket a month, ten views before each line

Everybody else pays in full, by day, and looks at a product once for each that is bought.
"""

from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl

from data_pipelines import atomic

START, WEEKS, EACH = datetime(2024, 1, 1), 26, 30
KINDS = ("weekend", "deals", "lapsed", "browsers")
PRODUCTS = 40


def write_world(folder: Path, *, seed: int = 0, weeks: int = WEEKS, each: int = EACH) -> Path:
    """Write it as a prepared data folder."""
    generator = np.random.default_rng(seed)
    events = pl.DataFrame(
        [row for kind in KINDS for number in range(each) for row in _customer(kind, f"{kind}-{number}", generator)],
        ["user_id", "item_id", "event_type", "timestamp", "price", "discount"],
        orient="row",
        schema_overrides={"timestamp": pl.Datetime("us")},
    )
    events = events.filter(pl.col("timestamp") < START + timedelta(weeks=weeks)).sort("user_id", "timestamp")
    products = [str(number) for number in range(PRODUCTS)]
    items = pl.DataFrame({"item_id": products, "category": [f"category {int(name) % 5}" for name in products]})
    folder.mkdir(parents=True, exist_ok=True)
    events.write_parquet(folder / "events.parquet")
    items.write_parquet(folder / "items.parquet")
    pl.DataFrame({"user_id": [*events["user_id"].unique().sort(), "visitor"]}).write_parquet(folder / "users.parquet")
    atomic.write_json(folder / "manifest.json", {"fingerprint": f"world {seed}", "defaults": {}})
    return folder


def _customer(kind: str, name: str, generator: np.random.Generator) -> list[tuple[object, ...]]:
    days = {
        "weekend": [7 * week + 5 for week in range(WEEKS)],
        "deals": [7 * week + day for week in range(WEEKS) for day in generator.choice(5, 2, replace=False)],
        "lapsed": generator.choice(35, 4, replace=False),
        "browsers": [30 * month + generator.integers(0, 30) for month in range(6)],
    }[kind]
    lines = {"weekend": 4, "deals": 2, "lapsed": 4, "browsers": 4}[kind]
    hour = 19 if kind == "deals" else 12
    rows: list[tuple[object, ...]] = []
    for day in days:
        checkout = START + timedelta(days=int(day), hours=hour)
        for item in generator.integers(0, PRODUCTS, lines):
            price = 1.0 + float(item % 5) + 0.1 * generator.random()
            off = price / 2 if kind == "deals" else 0.0
            rows.append((name, str(item), "purchase", checkout, price - off, off))
            looks = 10 if kind == "browsers" else 1
            rows += [
                (name, str(item), "view", checkout - timedelta(minutes=minute + 1), None, None)
                for minute in range(looks)
            ]
    return rows
