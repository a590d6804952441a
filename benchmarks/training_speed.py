"""Questions per second of training, beside a plain Keras two-tower with an LSTM and the same in PyTorch.

    python -m benchmarks.training_speed --data DATA

The plain ones are written as the retrieval tutorials of Keras Recommenders write them: windows of item ids made
beforehand, an embedding and an LSTM over the events, a user embedding, item ids as candidates, softmax over the batch,
`model.fit`. They have the same questions, batch, widths and events as the full recommender, which carries its other
branches, the softmax over the whole catalogue and the score head besides. Its LSTM has one step per basket; so the plain
ones are also measured on as many of the last events as it has steps, which is less of a history than it sees.

All take turns for a few steps each, so that other load on the machine hits them alike. The first turn compiles and does
not count. PyTorch is left out where it is not installed (`pip install torch==2.13.0`).
"""

import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path
from statistics import median
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf
from keras import ops
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from data_pipelines.config import resolve
from data_pipelines.console import command_parser, progress, run
from data_pipelines.splits import Split, load_split
from data_pipelines.timelines import Queries
from training.devices import configure
from training.recommender_config import RecommenderConfig, load_preset, model_arguments
from training.trainer import Trainer
from training.two_tower_recommender import build_model

Turn = Callable[[], float]
"""Trains for some steps; returns questions per second."""


# --- this package ------------------------------------------------------------------------------------------------


def ours(split: Split, queries: Queries, config: RecommenderConfig, folder: Path) -> Turn:
    """The recommender's own training loop; a turn is one of its rounds."""
    device = configure(config.precision, config.jit_compile)
    model = build_model(model_arguments(config, split))  # tables stay empty: speed does not depend on them
    trainer = Trainer(model, split.timelines, queries, config, device, folder)

    def turn() -> float:
        with Progress(disable=True) as silent:
            state = trainer.run(trainer.state.round + 1, silent)
        return state.history[-1]["questions_per_second"]

    return turn


# --- plain ones --------------------------------------------------------------------------------------------------


def windows(split: Split, queries: Queries, length: int) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int32]]:
    """The last events of each question `[n, length]`, padded on the right, and one of its targets `[n]`."""
    begin = np.maximum(split.timelines.offsets[queries.user], queries.end - length)
    row = begin[:, None] + np.arange(length)[None, :]
    item = np.where(row < queries.end[:, None], split.timelines.item[np.minimum(row, len(split.timelines.item) - 1)], 0)
    return item.astype(np.int32), queries.target_item[queries.target_offsets[:-1]]


class PlainTwoTower(keras.Model):
    """User and LSTM on one side, item on the other, softmax over the items of the batch."""

    def __init__(self, n_users: int, n_items: int, dim: int, units: int):
        super().__init__()
        self.user = keras.layers.Embedding(n_users, dim)
        self.event = keras.layers.Embedding(n_items, dim, mask_zero=True)
        self.lstm = keras.layers.LSTM(units)
        self.query = keras.layers.Dense(dim)
        self.item = keras.layers.Embedding(n_items, dim)

    def call(self, inputs: dict[str, Any], training: bool = False) -> Any:
        """Logits `[batch, batch]` of every question for every question's item."""
        joined = ops.concatenate([self.user(inputs["user"]), self.lstm(self.event(inputs["history"]))], axis=-1)
        return ops.matmul(self.query(joined), ops.transpose(self.item(inputs["item"])))


def plain_keras(split: Split, queries: Queries, config: RecommenderConfig, length: int, steps: int) -> Turn:
    """`model.fit` for some steps."""
    history, item = windows(split, queries, length)
    model = PlainTwoTower(split.users.size, split.items.size, config.dim, config.lstm_units)
    model.compile(
        optimizer=keras.optimizers.Adam(config.learning_rate),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    )
    data = tf.data.Dataset.from_tensor_slices({"user": queries.user, "history": history, "item": item})
    data = data.shuffle(10_000).repeat().batch(config.batch_size)
    labelled = data.map(lambda batch: (batch, tf.range(config.batch_size))).prefetch(tf.data.AUTOTUNE)

    def turn() -> float:
        began = time.perf_counter()
        model.fit(labelled, steps_per_epoch=steps, epochs=1, shuffle=False, verbose=0)
        return steps * config.batch_size / (time.perf_counter() - began)

    return turn


def plain_torch(split: Split, queries: Queries, config: RecommenderConfig, length: int, steps: int) -> Turn:
    """The same model and step in PyTorch."""
    import torch

    history, item = (torch.from_numpy(values) for values in windows(split, queries, length))
    user = torch.from_numpy(queries.user)
    dim, units = config.dim, config.lstm_units
    users, items = torch.nn.Embedding(split.users.size, dim), torch.nn.Embedding(split.items.size, dim)
    events = torch.nn.Embedding(split.items.size, dim, padding_idx=0)
    lstm, query = torch.nn.LSTM(dim, units, batch_first=True), torch.nn.Linear(dim + units, dim)
    parts = (users, items, events, lstm, query)
    optimizer = torch.optim.Adam([weight for part in parts for weight in part.parameters()], lr=config.learning_rate)
    label = torch.arange(config.batch_size)

    def batches() -> Iterator[Any]:
        while True:
            yield from torch.randperm(len(user)).split(config.batch_size)

    rows = (some for some in batches() if len(some) == config.batch_size)

    def turn() -> float:
        began = time.perf_counter()
        for _ in range(steps):
            some = next(rows)
            states, _ = lstm(events(history[some]))  # [batch, length, units]
            last = (history[some] != 0).sum(dim=1).clamp(min=1) - 1
            joined = torch.cat([users(user[some]), states[label, last]], dim=1)
            loss = torch.nn.functional.cross_entropy(query(joined) @ items(item[some]).T, label)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        return steps * config.batch_size / (time.perf_counter() - began)

    return turn


# --- the command -------------------------------------------------------------------------------------------------


def main(argv: Sequence[str] | None = None) -> int:
    """Measure in turns and print."""
    parser = command_parser(
        "python -m benchmarks.training_speed",
        "Measure training speed beside plain two-towers in Keras and PyTorch.",
        examples=["python -m benchmarks.training_speed --data build/data"],
    )
    parser.add_argument("--data", type=Path, required=True, help="folder written by `supplytower data prepare`")
    parser.add_argument("--steps", type=int, default=20, help="in one turn (default: 20)")
    parser.add_argument("--turns", type=int, default=5, help="of each; the median counts (default: 5)")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="a setting of the recommender")
    arguments = parser.parse_args(argv)
    rounds = f"rounds_per_epoch={arguments.turns + 1}"
    config = resolve(RecommenderConfig, preset=load_preset("full"), overrides=[rounds, *arguments.set])
    split = load_split(arguments.data, config)
    needed = (arguments.turns + 1) * arguments.steps * config.batch_size
    chosen = np.sort(np.random.default_rng(0).permutation(len(split.train))[:needed])
    queries = split.train.take(chosen)
    with tempfile.TemporaryDirectory() as folder:
        turns: dict[str, Turn] = {"supplytower": ours(split, queries, config, Path(folder))}
        for length in (config.sequence_events, config.sequence_baskets):
            turns[f"plain Keras, {length} events"] = plain_keras(split, queries, config, length, arguments.steps)
            if find_spec("torch"):
                turns[f"PyTorch, {length} events"] = plain_torch(split, queries, config, length, arguments.steps)
        speeds: dict[str, list[float]] = {name: [] for name in turns}
        with progress() as bar:
            for number in bar.track(range(arguments.turns + 1), description="turns"):
                for name, turn in turns.items():
                    speed = turn()
                    if number:
                        speeds[name].append(speed)
    print_table(speeds, config)
    return 0


def print_table(speeds: dict[str, list[float]], config: RecommenderConfig) -> None:
    """Medians, ranges, and the ratio of ours to each, turn by turn."""
    widths = f"batch {config.batch_size}, dim {config.dim}, LSTM {config.lstm_units}"
    result = Table(title=f"questions per second ({widths})", title_justify="left")
    for column in ("", "median", "range", "supplytower is"):
        result.add_column(column, justify="right" if column else "left")
    own = speeds["supplytower"]
    for name, measured in speeds.items():
        ratio = median(mine / theirs for mine, theirs in zip(own, measured, strict=True))
        spread = f"{min(measured):,.0f} to {max(measured):,.0f}"
        result.add_row(name, f"{median(measured):,.0f}", spread, f"{ratio:.2f} ×" if name != "supplytower" else "")
    Console(width=120).print(result)


if __name__ == "__main__":
    raise SystemExit(run(main))
