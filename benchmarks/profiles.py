"""How long profiles of a large shop take: features from the log, segments, and the files.

    python -m benchmarks.profiles [--users 1000000]

The shop is synthetic: five kinds of customers, 13 lines bought or looked at per user on average, 20,000 products, a
promotion for a tenth of them each week. The log is written first, which is not timed.
"""

import resource
import tempfile
import time
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

import numpy as np
import polars as pl

from data_pipelines import atomic
from data_pipelines import console as terminal
from data_pipelines.customer_features import customer_features, numeric_features
from training.profile_config import ProfileConfig
from training.profile_folder import write_profiles
from training.segment_customers import segment_customers
from training.shop_tables import read_shop

PRODUCTS, CATEGORIES, BRANDS, WEEKS = 20_000, 200, 500, 52
START = datetime(2024, 1, 1)
KINDS = 5
LINES_PER_BASKET = 4


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command."""
    return terminal.run(_main, argv)


def _main(argv: Sequence[str] | None) -> int:
    parser = terminal.command_parser(
        "python -m benchmarks.profiles",
        "Time profiles of a large synthetic shop.",
        examples=["python -m benchmarks.profiles", "python -m benchmarks.profiles --users 100000"],
    )
    parser.add_argument("--users", type=int, default=1_000_000, help="customers (default: 1,000,000)")
    users = parser.parse_args(argv).users
    with tempfile.TemporaryDirectory() as folder:
        rows = write_shop(Path(folder) / "data", users)
        config = ProfileConfig()
        began, processor = time.perf_counter(), time.process_time()
        shop = read_shop(Path(folder) / "data", config)
        features = customer_features(shop.tables, shop.columns, shop.until).collect("polars").to_native()
        made = time.perf_counter()
        profiles = segment_customers(features, config)
        divided = time.perf_counter()
        write_profiles(Path(folder) / "profiles", profiles)
        written, used = time.perf_counter(), time.process_time() - processor
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(
        f"{features.height:,} users x {len(numeric_features(features.columns))} features from {rows:,} events: "
        f"features {made - began:.1f} s, segments {divided - made:.1f} s, writing {written - divided:.1f} s, together "
        f"{written - began:.1f} s ({used:.0f} s of CPU); peak {peak:.1f} GiB"
    )
    for one in profiles.summary["segments"]:
        print(f"  {one['customers']:>9,}  {one['name']}")
    return 0


def write_shop(folder: Path, users: int) -> int:
    """Write a prepared data folder; returns the number of events."""
    generator = np.random.default_rng(0)
    kind = generator.integers(0, KINDS, users)
    baskets = 1 + generator.poisson(np.array([0.3, 1.0, 2.0, 4.0, 6.0])[kind])
    basket_user = np.repeat(np.arange(users), baskets)
    usual_hour = np.array([9.0, 12.0, 15.0, 18.0, 20.0])[kind][basket_user]
    day = generator.integers(0, 7 * WEEKS, len(basket_user))
    hour = generator.normal(usual_hour, 1.5).clip(0.0, 23.9)
    basket = np.repeat(np.arange(len(basket_user)), LINES_PER_BASKET)
    taste = 0.1 * kind[basket_user][basket]
    item = generator.integers(0, PRODUCTS, len(basket))
    item = np.where(generator.random(len(basket)) < taste, item % (PRODUCTS // 10), item)
    price = np.exp(generator.normal(1.0, 0.8, PRODUCTS))[item] * generator.uniform(0.8, 1.0, len(basket))
    time_of = pl.Series((day * 86_400 + hour * 3_600).astype(np.int64)[basket])
    events = pl.select(
        user_id=pl.Series(basket_user[basket]).cast(pl.String),
        item_id=pl.Series(item).cast(pl.String),
        event_type=pl.Series(np.where(generator.random(len(basket)) < taste, "view", "purchase")),
        timestamp=(pl.lit(START) + pl.duration(seconds=time_of)).cast(pl.Datetime("us")),
        basket_id=pl.Series(basket).cast(pl.String),
        quantity=pl.Series(generator.integers(1, 4, len(basket))),
        price=pl.Series(price),
        discount=pl.Series(np.where(generator.random(len(basket)) < taste, 0.2 * price, 0.0)),
        channel=pl.Series(np.where(generator.random(len(basket_user)) < 0.5, "app", "web")[basket]),
    )
    products, weeks = np.arange(PRODUCTS), np.arange(WEEKS)
    promoted = generator.random((WEEKS, PRODUCTS)) < 0.1
    week, product = np.nonzero(promoted)
    mondays = START.toordinal() + 7 * weeks - datetime(1970, 1, 1).toordinal()
    tables = {
        "events": events.sort("user_id", "timestamp"),
        "users": pl.select(user_id=pl.Series(np.arange(users)).cast(pl.String)),
        "items": pl.select(
            item_id=pl.Series(products).cast(pl.String),
            category=pl.Series(products % CATEGORIES).cast(pl.String),
            brand=pl.Series(products % BRANDS).cast(pl.String),
        ),
        "promotions": pl.select(
            item_id=pl.Series(product).cast(pl.String),
            week_start=pl.Series(mondays[week]).cast(pl.Int32).cast(pl.Date),
            mailer_share=pl.lit(1.0),
        ),
    }
    folder.mkdir(parents=True)
    for name, table in tables.items():
        table.write_parquet(folder / f"{name}.parquet")
    atomic.write_json(folder / "manifest.json", {"fingerprint": "synthetic", "defaults": {}})
    return events.height


if __name__ == "__main__":
    raise SystemExit(main())
