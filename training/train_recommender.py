"""Train the two-tower recommender: `supplytower train recommender`.

Rounds of training with early stopping on the validation questions; then, if asked, a fresh training for the rounds that
validation chose with the validation questions (`refit`) or everything (`final`) included; then the score head is
calibrated and the run's folder says how the model stands beside the baselines.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
import polars as pl

from data_pipelines import atomic
from data_pipelines import console as terminal
from data_pipelines.config import describe, resolve
from data_pipelines.datasets import Questions
from data_pipelines.discoveries import find_discoveries
from data_pipelines.item_names import item_names
from data_pipelines.schema import FIRST_KNOWN, ITEM_ID, ITEM_NAME
from data_pipelines.splits import HoldOut, Split, load_split
from data_pipelines.timelines import IntArray, Queries
from training import runs
from training.devices import Device, configure
from training.ranking_metrics import contained, ndcg, recall
from training.recommender_config import RecommenderConfig, model_arguments
from training.tensorboard import Board
from training.trainer import Logs, Progressed, Trainer
from training.training_config import add_training_arguments, load_preset
from training.two_tower_recommender import TwoTowerRecommender, build_model

CALIBRATION_SHARE = 0.2
PROJECTED_ITEMS = 5_000
FEW_QUESTIONS = 100


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit status."""
    return terminal.run(_main, argv)


def _main(argv: Sequence[str] | None) -> int:
    parser = terminal.command_parser(
        "supplytower train recommender",
        "Train the two-tower recommender on a prepared data folder and write a run folder.",
        examples=[
            "supplytower train recommender --data build/data --out build/runs/first --preset quick",
            "supplytower train recommender --data build/data --out build/runs/wide --set dim=128 --set seed=2",
            "supplytower train recommender --data build/data --out build/runs/wide --set dim=128 --set seed=2 --resume",
            "supplytower train recommender --data build/data --out build/runs/shop --set final=true",
        ],
        settings=describe(RecommenderConfig),
    )
    add_training_arguments(parser)
    arguments = parser.parse_args(argv)
    config = resolve(
        RecommenderConfig,
        preset=load_preset("recommender", arguments.preset),
        file=arguments.config,
        overrides=arguments.set,
    )
    train(arguments.data, arguments.out, config, resume=arguments.resume)
    return 0


def train(
    data: Path,
    out: Path,
    config: RecommenderConfig,
    *,
    resume: bool = False,
    after_round: Callable[[int, Logs], None] = lambda round, figures: None,
) -> dict[str, Any]:
    """Train a run from start to finish.

    Args:
        data: the prepared data folder.
        out: the run folder; created.
        config: the settings.
        resume: continue the run in `out` from its last checkpoint.
        after_round: called with (rounds completed, validation figures) while choosing on validation; may raise to stop.

    Returns:
        The training record, as written to metrics.json under "training".

    Raises:
        InputError: if the data or the folder cannot be used.
    """
    device = configure(config.precision, config.jit_compile)
    split = load_split(data, config)  # before the folder is made: settings that leave no question leave no folder
    runs.start_run(out, config, data, resume=resume, device=device.description)
    if (out / runs.MODEL).exists():
        terminal.console.print(f"{out} is already trained; nothing to resume")
        return {}
    board = Board(out / runs.TENSORBOARD)
    _describe(split, device)
    search = _Phase("search", split, split.train, split.validation, config.epochs * config.rounds_per_epoch)
    model, state = _run_phase(search, config, device, out, board, after_round)
    record = {"rounds": state.best_round, "validation": state.best, "monitor": config.monitor, "history": state.history}
    recommender = TwoTowerRecommender(model, config.history_length, config.batch_size)
    recommender.calibrate(split.timelines, split.validation)
    hold_out: HoldOut = "nothing" if config.final else "test"
    split = load_split(data, config, hold_out)
    if config.refit or config.final:
        calibration = model.calibration.numpy()
        again = _Phase("final" if config.final else "refit", split, split.train, None, state.best_round)
        model, _ = _run_phase(again, config, device, out, board)
        model.calibration.assign(calibration)
    else:  # what is counted rather than learnt is brought up to date all the same
        model.refresh(split.training_timelines, split.weekly, _target_counts(split, split.train))
    recommender = TwoTowerRecommender(model, config.history_length, config.batch_size)
    runs.update_metrics(out, "training", record)
    board.hyperparameters(config, {config.monitor: state.best})
    _project(board, recommender, split, data)
    board.close()
    with atomic.replace_file(out / runs.MODEL) as temporary:  # the sign that the run is finished comes last
        recommender.save(temporary)
    following = (
        f"supplytower export recommender --run {out} --models build/models"
        if config.final
        else f"supplytower evaluate recommender --run {out} --data {data}"
    )
    terminal.console.print(
        f"best validation {config.monitor} {state.best:.4f} after round {state.best_round}; the model is in {out}\n"
        f"next: {following}\n      tensorboard --logdir {out}",
        soft_wrap=True,
    )
    return record


@dataclass(frozen=True)
class _Phase:
    """One training from fresh weights: on which questions, judged by which, for how many rounds at the most."""

    name: str
    split: Split
    train: Queries
    validation: Queries | None
    rounds: int


def _run_phase(
    phase: _Phase,
    config: RecommenderConfig,
    device: Device,
    out: Path,
    board: Board,
    after_round: Callable[[int, Logs], None] = lambda round, figures: None,
) -> tuple[Any, Progressed]:
    keras.utils.set_random_seed(config.seed)
    split, train = phase.split, phase.train
    discoveries = find_discoveries(split.timelines, train, config.discovery_days) if config.discovery_weight else None
    if config.max_train_queries and len(train) > config.max_train_queries:
        chosen = np.random.default_rng(config.seed).choice(len(train), config.max_train_queries, replace=False)
        train = train.take(np.sort(chosen))
        discoveries = discoveries.take(np.sort(chosen)) if discoveries is not None else None
    with device.strategy.scope():
        model = build_model(model_arguments(config, split))
    model.set_tables(split.items, split.users, split.training_timelines, split.weekly)
    model.set_priors(_target_counts(split, train), len(train))

    def validate() -> dict[str, float]:
        assert phase.validation is not None
        return validation_figures(model, config, split, phase.validation)

    examples = Questions(
        split.timelines,
        train,
        config.batch_size,
        config.history_length,
        config.max_targets,
        config.seed,
        discoveries,
    )
    trainer = Trainer(
        model,
        examples,
        config,
        device,
        out / runs.CHECKPOINTS / phase.name,
        validate if phase.validation is not None else None,
        lambda step, figures: board.log(phase.name, step, figures),
        after_round,
    )
    heading = f"{phase.name}: {len(train):,} questions, {phase.rounds} rounds"
    terminal.console.print(heading + (" at the most" if phase.validation is not None else ""), highlight=False)
    if trainer.resume():
        terminal.console.print(f"{phase.name}: resuming after round {trainer.state.round}, step {trainer.state.step}")
    with terminal.progress() as progress:
        state = trainer.run(phase.rounds, progress)
    if phase.validation is not None:
        trainer.load_best()
    return model, state


def _target_counts(split: Split, queries: Queries) -> IntArray:
    """How often each item is a target, `[n_items]`."""
    return np.bincount(queries.target_item, minlength=split.items.size).astype(np.int32)


def validation_figures(model: Any, config: RecommenderConfig, split: Split, queries: Queries) -> dict[str, float]:
    """NDCG@10 and Recall@10 of the model on the questions."""
    recommender = TwoTowerRecommender(model, config.history_length, config.batch_size)
    top = recommender.top_k(split.timelines, queries, 10)
    hits = contained(top, queries.target_offsets, queries.target_item)
    counts = np.diff(queries.target_offsets)
    return {"ndcg@10": float(ndcg(hits, counts, 10).mean()), "recall@10": float(recall(hits, counts, 10).mean())}


def _project(board: Board, recommender: TwoTowerRecommender, split: Split, data: Path) -> None:
    """Show the most popular items' vectors with their names."""
    ids = split.items.ids[FIRST_KNOWN : FIRST_KNOWN + PROJECTED_ITEMS]
    vectors = np.asarray(recommender.model.item_tower())[FIRST_KNOWN : FIRST_KNOWN + len(ids)]
    names = item_names(pl.read_parquet(data / "items.parquet"))
    labelled = pl.DataFrame({ITEM_ID: ids.tolist()}).join(names, on=ITEM_ID, how="left", maintain_order="left")
    board.embeddings(vectors, labelled[ITEM_NAME].fill_null("").to_list())


def _describe(split: Split, device: Device) -> None:
    terminal.console.print(
        f"{split.items.size - FIRST_KNOWN:,} items, {split.users.size - FIRST_KNOWN:,} users, "
        f"{len(split.timelines.item):,} events; questions: {len(split.train):,} training, "
        f"{len(split.validation):,} validation, {len(split.test):,} test; {device.description}",
        soft_wrap=True,
    )
    if min(len(split.validation), len(split.test)) < FEW_QUESTIONS:
        terminal.console.print(
            f"Note: fewer than {FEW_QUESTIONS} questions are held out; figures on them are mostly luck. Where times "
            "are not real, --set split=leave_last_out holds out one basket of each user; else move test_start",
            soft_wrap=True,
        )


if __name__ == "__main__":
    raise SystemExit(main())
