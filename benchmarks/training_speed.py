"""Questions per second of training, beside a plain Keras two-tower with an LSTM and the same in PyTorch.

    python -m benchmarks.training_speed --data DATA

The plain ones are written as the retrieval tutorials of Keras Recommenders write them: windows of item ids made
beforehand, an embedding and an LSTM over the events, a user embedding, item ids as candidates, softmax over the batch,
`model.fit`. They have the same questions, batch, widths and events as the full recommender, which carries its other
branches, the softmax over the whole catalogue and the score head besides. Its LSTM has one step per basket; the plain
ones are therefore also measured on as many events as it has steps, which is less of a history than it sees.

In such a loop an example is a history with one item. A basket of nine items is nine examples; the plain ones are
given one of them, the recommender learns all nine from one question. Hence two figures: questions and targets a second.

Each is a process of its own, and they take turns for a few steps, so that other load on the machine hits them alike.
The first turn compiles and does not count. Only the recommender runs with reproducible kernels. PyTorch is left out
where it is not installed (`pip install torch==2.13.0`).
"""

import multiprocessing
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from importlib.util import find_spec
from multiprocessing.connection import Connection
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
from data_pipelines.datasets import Questions
from data_pipelines.discoveries import find_discoveries
from data_pipelines.splits import Split, load_split
from data_pipelines.timelines import Queries
from training.devices import configure
from training.recommender_config import RecommenderConfig, model_arguments
from training.trainer import Trainer
from training.training_config import load_preset
from training.two_tower_recommender import build_model

Turn = Callable[[], float]
"""Trains for some steps; returns questions per second."""


# --- this package ------------------------------------------------------------------------------------------------


def ours(split: Split, queries: Queries, config: RecommenderConfig, length: int, steps: int) -> Turn:
    """The recommender's own training loop; a turn is one of its rounds."""
    device = configure(config.precision, config.jit_compile)
    keras.utils.set_random_seed(config.seed)
    model = build_model(model_arguments(config, split))
    model.set_tables(split.items, split.users, split.training_timelines, split.weekly)
    discoveries = find_discoveries(split.timelines, queries, config.discovery_days)
    folder = Path(tempfile.mkdtemp())
    examples = Questions(
        split.timelines, queries, config.batch_size, config.history_length, config.max_targets, config.seed, discoveries
    )
    trainer = Trainer(model, examples, config, device, folder)

    def turn() -> float:
        with Progress(console=Console(quiet=True)) as silent:
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


# --- taking turns ------------------------------------------------------------------------------------------------

CONTENDERS = {"supplytower": ours, "plain Keras": plain_keras, "PyTorch": plain_torch}


@dataclass(frozen=True)
class Task:
    """One contender with what it works on."""

    contender: str
    length: int
    data: Path
    settings: tuple[str, ...]
    steps: int
    turns: int

    @property
    def config(self) -> RecommenderConfig:
        """The recommender's settings; a round is a turn."""
        words = [*self.settings, "epochs=1", f"rounds_per_epoch={self.turns}"]
        return resolve(RecommenderConfig, preset=load_preset("recommender", "full"), overrides=words)


def work(task: Task, connection: Connection) -> None:
    """Build a contender, then take a turn whenever asked."""
    config = task.config
    split = load_split(task.data, config)
    count = task.turns * task.steps * config.batch_size
    chosen = np.sort(np.random.default_rng(0).permutation(len(split.train))[:count])
    queries = split.train.take(chosen)
    turn = CONTENDERS[task.contender](split, queries, config, task.length, task.steps)
    while True:
        connection.send(turn())
        connection.recv()


def measure(tasks: dict[str, Task], turns: int) -> dict[str, list[float]]:
    """Questions per second of every turn but the first, by name."""
    context = multiprocessing.get_context("spawn")
    ends = {name: context.Pipe() for name in tasks}
    workers = [context.Process(target=work, args=(task, ends[name][1]), daemon=True) for name, task in tasks.items()]
    speeds: dict[str, list[float]] = {name: [] for name in tasks}
    with progress() as bar:
        for name, worker in bar.track(list(zip(tasks, workers, strict=True)), description="compiling"):
            worker.start()
            ends[name][1].close()  # or a worker that dies would never be noticed
            ends[name][0].recv()
        for _ in bar.track(range(turns - 1), description="turns"):
            for name, (mine, _) in ends.items():
                mine.send(None)
                speeds[name].append(mine.recv())
    for worker in workers:
        worker.terminate()
    return speeds


def main(argv: Sequence[str] | None = None) -> int:
    """Measure in turns and print."""
    parser = command_parser(
        "python -m benchmarks.training_speed",
        "Measure training speed beside plain two-towers in Keras and PyTorch.",
        examples=["python -m benchmarks.training_speed --data build/data"],
    )
    parser.add_argument("--data", type=Path, required=True, help="folder written by `supplytower data prepare`")
    parser.add_argument("--steps", type=int, default=20, help="in one turn (default: 20)")
    parser.add_argument("--turns", type=int, default=6, help="of each, the first not counted (default: 6)")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="a setting of the recommender")
    arguments = parser.parse_args(argv)
    own = Task("supplytower", 0, arguments.data, tuple(arguments.set), arguments.steps, arguments.turns)
    tasks = {"supplytower": own}
    for length in (own.config.sequence_events, own.config.sequence_baskets):
        for name in ("plain Keras", "PyTorch") if find_spec("torch") else ("plain Keras",):
            tasks[f"{name}, {length} events"] = replace(own, contender=name, length=length)
    print_table(measure(tasks, arguments.turns), own)
    return 0


def print_table(speeds: dict[str, list[float]], own: Task) -> None:
    """Medians, ranges, and the ratio of ours to each, turn by turn."""
    config = own.config
    counts = np.diff(load_split(own.data, config).train.target_offsets)
    learnt = float(np.minimum(counts, config.max_targets).mean())  # targets of one of our questions
    widths = f"batch {config.batch_size}, dim {config.dim}, LSTM {config.lstm_units}"
    result = Table(
        title=f"training speed ({widths}); a question of ours has {learnt:.1f} targets", title_justify="left"
    )
    for column in ("", "questions/s", "range", "ours is", "targets/s", "ours is"):
        result.add_column(column, justify="right" if column else "left")
    for name, measured in speeds.items():
        ratio = median(mine / theirs for mine, theirs in zip(speeds["supplytower"], measured, strict=True))
        targets = median(measured) * (learnt if name == "supplytower" else 1)
        spread = f"{min(measured):,.0f} to {max(measured):,.0f}"
        ratios = ("", "") if name == "supplytower" else (f"{ratio:.2f} ×", f"{ratio * learnt:.1f} ×")
        result.add_row(name, f"{median(measured):,.0f}", spread, ratios[0], f"{targets:,.0f}", ratios[1])
    Console(width=120).print(result)


if __name__ == "__main__":
    raise SystemExit(run(main))
