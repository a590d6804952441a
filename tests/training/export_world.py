"""A tiny shop, prepared, with a run whose weights are random: what an export answers does not depend on training."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from data_pipelines import atomic
from data_pipelines.splits import Split, load_split
from data_pipelines.timelines import Queries
from training import runs
from training.recommender_config import RecommenderConfig, model_arguments
from training.two_tower_recommender import TwoTowerRecommender, build_model

DAY = 86_400
START = 1_500_000_000
CONFIG = RecommenderConfig(
    dim=8,
    lstm_units=8,
    history_length=16,
    sequence_events=12,
    sequence_baskets=4,
    repeat_units=8,
    min_item_users=2,
    batch_size=4,
)
N_ITEMS, N_USERS = 30, 12


@dataclass(frozen=True)
class Shop:
    """A prepared data folder, a run on it and an export of the run."""

    data: Path
    run: Path
    models: Path
    split: Split
    recommender: TwoTowerRecommender

    @property
    def version(self) -> Path:
        return self.models / "recommender" / "1"

    def queries(self, users: np.ndarray) -> Queries:
        """Questions one second after the log, by user index."""
        timelines = self.split.timelines
        n = len(users)
        time = np.full(n, timelines.time.max() + 1)
        ends = timelines.offsets[users + 1]
        return Queries(users.astype(np.int32), ends, time, np.zeros(n + 1, np.int64), np.zeros(0, np.int32))


def write_data(folder: Path) -> None:
    """Users with 3 to 47 events in baskets, unknown items (of one user only), ids with spaces and umlauts."""
    rng = np.random.default_rng(3)
    rows = []
    for user in range(N_USERS):
        for basket in range(1 + 2 * user):
            time = START + basket * 3 * DAY + user * 60
            items = rng.choice(N_ITEMS - 6, rng.integers(1, 4), replace=False)
            rows += [(f"Kunde {user:02}", f"Käse {item}", time) for item in items]
        rows += [(f"Kunde {user:02}", "Käse 0", time + DAY), (f"Kunde {user:02}", f"rare {user}", time + 2 * DAY)]
    user_id, item_id, time = zip(*rows, strict=True)
    events = pl.DataFrame(
        {
            "user_id": user_id,
            "item_id": item_id,
            "event_type": np.where(rng.random(len(rows)) < 0.2, "view", "purchase").astype(str),
            "timestamp": pl.from_epoch(pl.Series(time), "s").cast(pl.Datetime("us")),
        }
    ).sort("user_id", "timestamp", "item_id")
    known = [f"Käse {item}" for item in range(N_ITEMS)]
    items = pl.DataFrame(
        {
            "item_id": known,
            "name": [f"Cheese no. {item}" for item in range(N_ITEMS)],
            "category": [f"c{item % 3}" for item in range(N_ITEMS)],
            "price": [float(item) for item in range(N_ITEMS)],
            "tags": [[f"t{item % 4}", f"t{item % 5}"] for item in range(N_ITEMS)],
        }
    )
    users = pl.DataFrame({"user_id": [*sorted(set(user_id)), "newcomer"], "segment": ["a", "b"] * 6 + ["a"]})
    folder.mkdir(parents=True)
    for name, table in {"events": events, "items": items, "users": users}.items():
        table.write_parquet(folder / f"{name}.parquet")
    defaults = {"test_start": None, "validation_days": 9, "min_item_users": 2, "feature_ignore": ["name"]}
    atomic.write_json(folder / "manifest.json", {"fingerprint": "0" * 64, "defaults": defaults})


def random_recommender(split: Split, config: RecommenderConfig = CONFIG, **arguments: Any) -> TwoTowerRecommender:
    """A model whose every weight is random, biases included."""
    model = build_model(model_arguments(config, split) | arguments)
    model.set_tables(split.items, split.users, split.training_timelines, split.weekly)
    rng = np.random.default_rng(5)
    for variable in model.trainable_variables:
        variable.assign(rng.normal(0.0, 0.4, variable.shape).astype(np.float32))
    model.calibration.assign([1.3, -0.2])
    return TwoTowerRecommender(model, config.history_length, config.batch_size)


def write_run(folder: Path, data: Path, recommender: TwoTowerRecommender, config: RecommenderConfig = CONFIG) -> None:
    """What `supplytower train recommender` leaves."""
    runs.start_run(folder, config, data, resume=False, device="CPU")
    recommender.save(folder / runs.MODEL)
    record = {"rounds": 1, "validation": 0.25, "monitor": "ndcg@10", "history": [{"loss": 1.0}]}
    runs.update_metrics(folder, "training", record)


def make_shop(folder: Path) -> Shop:
    """Everything but the export."""
    write_data(folder / "data")
    split = load_split(folder / "data", CONFIG)
    recommender = random_recommender(split)
    write_run(folder / "run", folder / "data", recommender)
    return Shop(folder / "data", folder / "run", folder / "models", split, recommender)
