"""Does the model ever wait for its input? The tf.data pipeline alone, beside training on the same batches.

    python -m benchmarks.input_pipeline --data DATA

Training is a real run of some rounds; the first is left out, because it compiles. The input-wait share is the part of
the training time that steps spent waiting for their batch, the figure that TensorBoard shows.
"""

import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median

import numpy as np
from rich.console import Console
from rich.table import Table

from data_pipelines import datasets
from data_pipelines.config import resolve
from data_pipelines.console import command_parser, run
from data_pipelines.discoveries import find_discoveries
from data_pipelines.splits import Split, load_split
from training.recommender_config import RecommenderConfig
from training.train_recommender import train
from training.training_config import load_preset

ROUNDS = 4


def pipeline_batches_per_second(split: Split, config: RecommenderConfig, seconds: float = 5.0) -> float:
    """Batches that the pipeline delivers in a second when nobody uses them."""
    plan = datasets.plan_epoch(
        split.timelines,
        split.train,
        batch_size=config.batch_size,
        history_length=config.history_length,
        seed=config.seed,
    )
    discoveries = find_discoveries(split.timelines, split.train, config.discovery_days)
    batches = iter(
        datasets.batches(split.timelines, split.train, plan, max_targets=config.max_targets, discoveries=discoveries)
    )
    for _ in range(5):  # fills the buffers
        next(batches)
    began, count = time.perf_counter(), 0
    while time.perf_counter() < began + seconds and next(batches, None) is not None:
        count += 1
    return count / (time.perf_counter() - began)


def main(argv: Sequence[str] | None = None) -> int:
    """Measure and print."""
    parser = command_parser(
        "python -m benchmarks.input_pipeline",
        "Measure the input pipeline alone and beside training.",
        examples=["python -m benchmarks.input_pipeline --data build/data"],
    )
    parser.add_argument("--data", type=Path, required=True, help="folder written by `supplytower data prepare`")
    parser.add_argument("--questions", type=int, default=20_000, help="to train on (default: 20000)")
    arguments = parser.parse_args(argv)
    fixed = (f"max_train_queries={arguments.questions}", "max_validation_queries=100", "refit=false", "epochs=1")
    config = resolve(
        RecommenderConfig,
        preset=load_preset("recommender", "full"),
        overrides=[*fixed, f"rounds_per_epoch={ROUNDS}", "patience=9"],
    )
    split = load_split(arguments.data, config)
    before = pipeline_batches_per_second(split, config)
    with tempfile.TemporaryDirectory() as folder:
        history = train(arguments.data, Path(folder) / "run", config)["history"][1:]
    alone = median([before, pipeline_batches_per_second(split, config)])  # before and after: other load drifts
    consumed = median(figures["questions_per_second"] for figures in history) / config.batch_size
    waiting = float(np.mean([figures["input_wait_share"] for figures in history]))
    result = Table()
    for column in ("pipeline alone, batches/s", "training, batches/s", "ratio", "input-wait share"):
        result.add_column(column, justify="right")
    result.add_row(f"{alone:.1f}", f"{consumed:.2f}", f"{alone / consumed:.1f} ×", f"{waiting:.2%}")
    Console().print(result)
    return 0


if __name__ == "__main__":
    raise SystemExit(run(main))
