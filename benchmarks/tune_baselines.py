"""Tune the baselines on validation baskets, so that the learnt model is compared with them at their best.

    python -m benchmarks.tune_baselines --data DATA [--only tifu-knn …] [--test]

The grids are below. Stages are searched one after the other, each in full, from the best of the one before. The best
has the highest mean of Recall@10 and NDCG@10 over the validation baskets, with the model fitted on what lies before the
validation window. With --test the winners are fitted again, validation window included, and measured on the test once.
"""

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from data_pipelines.console import command_parser, progress, run
from data_pipelines.splits import Split, SplitConfig, load_split
from models.baselines.als import Als
from models.baselines.content_based import ContentBased
from models.baselines.item_knn import ItemKnn
from models.baselines.personal_frequency import PersonalFrequency
from models.baselines.popularity import Popularity
from models.baselines.tifu_knn import TifuKnn
from models.baselines.user_knn import UserKnn
from models.recommender import Recommender
from training.evaluation import TestSet, evaluate, make_test_set

Stage = Mapping[str, Sequence[float]]
HALF_LIVES_DAYS = (3.5, 7, 14, 21, 28, 42, 56, 84, 112, 168)
NEIGHBOURS = {"neighbours": (2, 3, 5, 10, 20, 50, 100, 200, 400)}
GRIDS: Mapping[str, tuple[Callable[..., Recommender], Sequence[Stage]]] = {
    "popularity": (Popularity, ({},)),
    "recent-popularity": (Popularity, ({"half_life_days": HALF_LIVES_DAYS},)),
    "personal-frequency": (PersonalFrequency, ({},)),
    "decayed-frequency": (PersonalFrequency, ({"half_life_days": HALF_LIVES_DAYS},)),
    "tifu-knn": (
        TifuKnn,
        (
            {
                "groups": (3, 7, 15),
                "basket_decay": (0.94, 0.96, 0.97, 0.98, 1.0),
                "group_decay": (0.6, 0.7, 0.8, 0.9),
            },
            {"neighbours": (100, 300, 900), "own_share": (0.2, 0.5, 0.6, 0.7, 0.8, 0.9)},
        ),
    ),
    "item-knn-cosine": (partial(ItemKnn, "cosine"), (NEIGHBOURS,)),
    "item-knn-jaccard": (partial(ItemKnn, "jaccard"), (NEIGHBOURS,)),
    "user-knn-cosine": (partial(UserKnn, "cosine"), (NEIGHBOURS,)),
    "user-knn-pearson": (partial(UserKnn, "pearson"), (NEIGHBOURS,)),
    "content-based": (ContentBased, ({},)),
    "als": (
        Als,
        (
            {"factors": (32, 64, 128, 256), "regularization": (1.0, 10.0, 100.0)},
            {"regularization": (3.0, 10.0), "confidence": (0.1, 0.3, 1.0, 3.0)},
        ),
    ),
}
METRIC_COLUMNS = {
    "Recall@10": ("next_basket", "recall@10"),
    "NDCG@10": ("next_basket", "ndcg@10"),
    "new items Recall@10": ("explore", "recall@10"),
    "new items of the period Recall@10": ("explore_period", "recall@10"),
}


@dataclass(frozen=True)
class Trial:
    """One fitted and measured choice of hyperparameters."""

    hyperparameters: dict[str, float]
    metrics: Mapping[str, float]

    @property
    def objective(self) -> float:
        """What the best trial is the best of."""
        return (self.metrics["Recall@10"] + self.metrics["NDCG@10"]) / 2


def measure(model: Recommender, test_set: TestSet) -> dict[str, float]:
    """The metrics of a fitted model that the tables show."""
    values = evaluate([model], test_set, (10,))[0].values
    return {
        column: float(values[task][metric].mean())
        for column, (task, metric) in METRIC_COLUMNS.items()
        if task in values
    }


def tune(name: str, split: Split, validation: TestSet) -> list[Trial]:
    """Search one baseline's grid; the trials, best first."""
    make, stages = GRIDS[name]
    trials: list[Trial] = []
    with progress() as bar:
        for stage in stages:
            start = trials[0].hyperparameters if trials else {}
            choices = [start | dict(zip(stage, values, strict=True)) for values in itertools.product(*stage.values())]
            for choice in bar.track(choices, description=f"{name}: {', '.join(stage)}"):
                model = make(**choice).fit(split.training_timelines, split.items)
                trials.append(Trial(choice, measure(model, validation)))
                bar.console.print(f"{name}({show(choice)}): {trials[-1].objective:.4f}", highlight=False)
            trials.sort(key=lambda trial: trial.objective, reverse=True)
    return trials


def table(title: str, rows: Sequence[tuple[str, Mapping[str, float]]]) -> Table:
    """A table with one row per model or trial."""
    result = Table(title=title, title_justify="left")
    columns = [column for column in METRIC_COLUMNS if column in rows[0][1]]
    result.add_column("")
    for column in columns:
        result.add_column(column, justify="right")
    for label, metrics in rows:
        result.add_row(label, *(f"{metrics[column]:.4f}" for column in columns))
    return result


def show(hyperparameters: Mapping[str, Any]) -> str:
    """Hyperparameters as they are written in Python."""
    return ", ".join(f"{key}={value}" for key, value in hyperparameters.items()) or "–"


def main(argv: Sequence[str] | None = None) -> int:
    """Tune, print the tables, and with --test measure the winners on the test."""
    parser = command_parser(
        "python -m benchmarks.tune_baselines",
        "Tune the baselines on the validation baskets of a prepared data folder.",
        examples=["python -m benchmarks.tune_baselines --data DATA --only tifu-knn decayed-frequency --test"],
    )
    parser.add_argument("--data", type=Path, required=True, help="folder written by `supplytower data prepare`")
    parser.add_argument(
        "--only", nargs="+", choices=GRIDS, default=list(GRIDS), help="names of baselines (default: all)"
    )
    parser.add_argument("--top", type=int, default=10, help="trials shown for each baseline")
    parser.add_argument("--test", action="store_true", help="measure the winners on the test, once")
    arguments = parser.parse_args(argv)

    stdout = Console(width=150)
    split = load_split(arguments.data, SplitConfig())
    validation = make_test_set(split, "validation")
    best: dict[str, Trial] = {}
    for name in arguments.only:
        trials = tune(name, split, validation)
        best[name] = trials[0]
        rows = [(show(trial.hyperparameters), trial.metrics) for trial in trials[: arguments.top]]
        stdout.print(
            table(f"{name}: best {len(rows)} of {len(trials)} trials on {len(split.validation)} baskets", rows)
        )
    stdout.print(
        table("Best on validation", [(f"{name} ({show(t.hyperparameters)})", t.metrics) for name, t in best.items()])
    )
    if arguments.test:
        test = make_test_set(split, "test")
        rows = []
        for name, trial in best.items():
            model = GRIDS[name][0](**trial.hyperparameters).fit(split.fitting_timelines, split.items)
            rows.append((name, measure(model, test)))
        stdout.print(table(f"Test, {len(split.test)} baskets", rows))
    return 0


if __name__ == "__main__":
    raise SystemExit(run(main))
