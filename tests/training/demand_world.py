"""A toy shop's demand: three products in two shops, sold in a weekly rhythm, a promotion doubles what is sold."""

from datetime import date, timedelta
from pathlib import Path

import numpy as np
import polars as pl

from data_pipelines.prepare import PrepareConfig, prepare

FIRST, DAYS, HORIZON = date(2021, 3, 1), 200, 14
WEEK = np.array([4, 3, 3, 4, 6, 12, 8])  # from Monday on
SETTINGS = {
    "horizon": HORIZON,
    "test_days": HORIZON,
    "context": 28,
    "lstm_units": 8,
    "hidden": 16,
    "dim": 4,
    "windows_per_epoch": 256,
    "batch_size": 64,
    "epochs": 2,
    "validation_windows": 2,
    "history_dropout": 0.0,
    "members": 1,
}
WORDS = [word for name, value in SETTINGS.items() for word in ("--set", f"{name}={value}")]


def demand_table(days: int = DAYS) -> pl.DataFrame:
    generator = np.random.default_rng(0)
    rows = []
    for shop in ("north", "south"):
        for size, product in enumerate(("bread", "milk", "tea"), start=1):
            promotion = generator.integers(0, 4, days) == 0
            rate = size * WEEK[np.arange(days) % 7] * (1 + promotion)
            rows.append(
                pl.DataFrame(
                    {
                        "unique_id": f"{shop}/{product}",
                        "ds": [FIRST + timedelta(days=day) for day in range(days)],
                        "y": generator.poisson(rate).astype(float),
                        "promotion": promotion.astype(float),
                        "shop": shop,
                        "product": product,
                    }
                )
            )
    return pl.concat(rows)


def write_demand(folder: Path, table: pl.DataFrame | None = None) -> Path:
    """A prepared data folder."""
    source = folder / "tables"
    source.mkdir(parents=True)
    (demand_table() if table is None else table).write_parquet(source / "demand.parquet")
    prepare("tables", source, folder / "data", PrepareConfig())
    return folder / "data"
