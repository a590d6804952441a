"""Users per second of a full-catalogue evaluation: every item scored, ranked and measured, nothing sampled.

    python -m benchmarks.evaluation_speed --data DATA

`scores given` is the evaluation itself, for a model whose scores cost nothing; the others are what a user of
`supplytower evaluate` waits for; `two-tower, ranking only` is what training does after every round, with the best items
taken inside the graph. The two-tower is untrained: its speed does not depend on its weights.
"""

import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Any, Self

import numpy as np
from rich.console import Console
from rich.table import Table

from data_pipelines.config import resolve
from data_pipelines.console import command_parser, progress, run
from data_pipelines.schema import FIRST_KNOWN
from data_pipelines.splits import load_split
from models.baselines import BASELINES
from models.recommender import Scores
from training.evaluation import MAX_CHUNK, evaluate, make_test_set
from training.ranking_metrics import contained, ranking_metrics
from training.recommender_config import RecommenderConfig, model_arguments
from training.training_config import load_preset
from training.two_tower_recommender import TwoTowerRecommender, build_model


class ScoresGiven:
    """Hands out random scores that were drawn beforehand."""

    name = "scores given"

    def __init__(self, n_items: int):
        self.scores: Scores = np.random.default_rng(0).random((MAX_CHUNK, n_items), dtype=np.float32)
        self.scores[:, :FIRST_KNOWN] = -np.inf

    def fit(self, timelines: Any, items: Any) -> Self:
        """Nothing to learn."""
        return self

    def score(self, timelines: Any, queries: Any) -> Scores:
        """The same rows for everybody."""
        return self.scores[: len(queries)]


def main(argv: Sequence[str] | None = None) -> int:
    """Measure and print."""
    parser = command_parser(
        "python -m benchmarks.evaluation_speed",
        "Measure how many users a full-catalogue evaluation handles in a second.",
        examples=["python -m benchmarks.evaluation_speed --data build/data --baselines popularity tifu-knn"],
    )
    parser.add_argument("--data", type=Path, required=True, help="folder written by `supplytower data prepare`")
    parser.add_argument("--baselines", nargs="*", choices=BASELINES, default=["popularity", "tifu-knn"])
    parser.add_argument("--repeats", type=int, default=3, help="the median counts (default: 3)")
    arguments = parser.parse_args(argv)
    config = resolve(RecommenderConfig, preset=load_preset("recommender", "full"))
    split = load_split(arguments.data, config)
    two_tower = TwoTowerRecommender(build_model(model_arguments(config, split)), config.history_length)
    models: list[Any] = [ScoresGiven(split.items.size), two_tower]
    models += [BASELINES[name]().fit(split.fitting_timelines, split.items) for name in arguments.baselines]
    test_set = make_test_set(split)
    speeds: dict[str, list[float]] = {model.name: [] for model in models}
    evaluate(models, test_set)  # compiles
    speeds["two-tower, ranking only"] = []
    counts = np.diff(split.test.target_offsets)
    two_tower.top_k(split.timelines, split.test, 20)  # compiles
    for _ in range(arguments.repeats):  # one after the other, so that other load hits all alike
        with progress() as bar:
            for measured in evaluate(models, test_set, progress=bar):
                speeds[measured.name].append(measured.users_per_second)
        began = time.perf_counter()
        top = two_tower.top_k(split.timelines, split.test, 20)
        ranking_metrics(contained(top, split.test.target_offsets, split.test.target_item), counts, (5, 10, 20))
        speeds["two-tower, ranking only"].append(len(split.test) / (time.perf_counter() - began))
    result = Table(title=f"{len(test_set.queries):,} users, {split.items.size - FIRST_KNOWN:,} items")
    result.add_column("model")
    result.add_column("users/s", justify="right")
    for name, measured_speeds in speeds.items():
        result.add_row(name, f"{median(measured_speeds):,.0f}")
    Console().print(result)
    return 0


if __name__ == "__main__":
    raise SystemExit(run(main))
