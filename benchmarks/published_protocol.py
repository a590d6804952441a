"""The AUC of a published protocol beside the AUC of the question that a shop asks.

    python -m benchmarks.published_protocol --data DATA

Articles on two-tower models report validation AUCs of .95 and more. Their protocol: interactions are split at random,
negatives are drawn uniformly from what the user never took, a pointwise sigmoid model is trained on user, context,
recent behaviour and item features, and the epoch is chosen by the very AUC that is reported. One such model, made of
this package's own layers, is trained and measured here under that protocol, and then with its easy parts taken away:

    random, all items     as published
    random                only items that five users or more took: what hardly anybody takes is an easy negative
    by time               learnt from what was before a date, asked for the first basket after it; an item that the user
                          took at another time may be a negative
    by time, new items    of that basket, what the user never took before

The second AUC of each line is against negatives drawn in proportion to popularity. What the full recommender reaches on
the third line is in the report of `supplytower evaluate recommender`. References: Ji et al., "A Critical Study on Data
Leakage in Recommender System Offline Evaluation", TOIS 2023; Krichene and Rendle, "On Sampled Metrics for Item
Recommendation", KDD 2020.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf
from keras import ops
from rich.console import Console
from rich.table import Table

from data_pipelines.console import command_parser, progress, run
from data_pipelines.schema import FIRST_KNOWN, PADDING
from data_pipelines.splits import Split, SplitConfig, load_split
from data_pipelines.timelines import Queries
from models.attributes import AttributeEmbedding, attribute_specs
from models.item_tower import ItemTower
from training.score_metrics import area_under_curve, sample_negatives

DIM, HISTORY, ID_DROPOUT = 48, 48, 0.05
BATCH_SIZE, LEARNING_RATE, WEIGHT_DECAY = 4096, 6e-3, 1e-3
NEGATIVES_IN_TRAINING, NEGATIVES_MEASURED = 4, 5
HELD_OUT_SHARE = 0.2
PATIENCE = 2
SECONDS_PER_WEEK = 7 * 86_400
Inputs = dict[str, Any]


@dataclass(frozen=True)
class Interactions:
    """Who took what when, `[n]` each; `end` is the row of the timelines before which the behaviour is known."""

    user: npt.NDArray[np.int32]
    item: npt.NDArray[np.int32]
    week: npt.NDArray[np.int32]
    end: npt.NDArray[np.int64]

    def take(self, rows: npt.NDArray[Any]) -> "Interactions":
        """Some of them, by number or by mask."""
        return Interactions(self.user[rows], self.item[rows], self.week[rows], self.end[rows])


@dataclass(frozen=True)
class Question:
    """What is asked, and which pairs are no negatives."""

    name: str
    asked: Interactions
    excluded: Interactions


@dataclass(frozen=True)
class Protocol:
    """What is learnt from and what is asked; the first question chooses the epoch."""

    split: Split
    train: Interactions
    questions: tuple[Question, ...]


@dataclass(frozen=True)
class Measured:
    """AUC of a question at every epoch, and at the chosen one against the harder negatives."""

    question: Question
    learnt_from: int
    by_epoch: list[float]
    chosen: int
    popularity_matched: float


# --- the model ---------------------------------------------------------------------------------------------------


class PointwiseTwoTower(keras.Model):
    """`logit = <user + week + recent behaviour, item> + item bias`, each side by id and attributes.

    Args:
        split: gives the vocabularies, the attributes, and the timelines that behaviour is read from.
    """

    def __init__(self, split: Split):
        super().__init__()
        items, users, timelines = split.items, split.users, split.timelines
        zeros = keras.initializers.Zeros()
        self.user_id = keras.layers.Embedding(users.size, DIM, zeros)
        self.user_attributes = AttributeEmbedding(attribute_specs(users), users.size, DIM)
        self.week = keras.layers.Embedding(int(_week(timelines.time, split).max()) + 1, DIM, zeros)
        self.behaviour = keras.layers.Dense(DIM, use_bias=False, kernel_initializer=zeros)
        self.item_tower = ItemTower(attribute_specs(items), items.size, DIM, ID_DROPOUT)
        self.item_bias = keras.layers.Embedding(items.size, 1, zeros)
        self.first_row, self.row_item = tf.constant(timelines.offsets), tf.constant(timelines.item)
        one = np.zeros(1, np.int32)
        self({"user": one, "week": one, "end": one.astype(np.int64), "item": one[None]})
        self.user_attributes.set_table(users)
        self.item_tower.attributes.set_table(items)

    def query(self, inputs: Inputs) -> Any:
        """Vectors of the users at their moments, `[batch, DIM]`."""
        row = inputs["end"][:, None] - 1 - tf.range(HISTORY, dtype=tf.int64)[None, :]  # [batch, HISTORY]
        known = row >= tf.gather(self.first_row, inputs["user"])[:, None]
        item = tf.where(known, tf.gather(self.row_item, tf.maximum(row, 0)), PADDING)
        real = tf.cast(item != PADDING, tf.float32)[..., None]
        taken = ops.sum(self.item_tower.id_embedding(item) * real, axis=1)
        taken = taken / ops.sqrt(ops.maximum(ops.sum(real, axis=1), 1.0))
        who = self.user_id(inputs["user"]) + self.user_attributes(inputs["user"])
        return who + self.week(inputs["week"]) + self.behaviour(taken)

    def call(self, inputs: Inputs, training: bool = False) -> Any:
        """Logits `[batch, n]` of the items `[batch, n]`."""
        items = self.item_tower(inputs["item"], training=training)  # [batch, n, DIM]
        return ops.einsum("bd,bnd->bn", self.query(inputs), items) + self.item_bias(inputs["item"])[..., 0]

    def scores(self, some: Interactions, item: npt.NDArray[np.int32]) -> npt.NDArray[np.float32]:
        """Logits of other items `[n, m]` in the place of those taken; every item is embedded once."""
        vectors, bias = np.asarray(self.item_tower()), np.asarray(self.item_bias.embeddings)[:, 0]
        scores = np.empty(item.shape, np.float32)
        for rows in np.array_split(np.arange(len(item)), len(item) // 8192 + 1):
            query = np.asarray(self.query(_inputs(some.take(rows))))
            scores[rows] = np.einsum("bd,bnd->bn", query, vectors[item[rows]]) + bias[item[rows]]
        return scores


def _inputs(some: Interactions) -> Inputs:
    return {"user": some.user, "week": some.week, "end": some.end}


def _week(time: npt.NDArray[np.int64], split: Split) -> npt.NDArray[np.int32]:
    return ((time - split.timelines.time.min()) // SECONDS_PER_WEEK).astype(np.int32)


def training_batches(train: Interactions, n_items: int) -> tf.data.Dataset:
    """Shuffled positives, each followed by uniformly drawn negatives, anew in every epoch, and labels."""
    label = tf.one_hot(tf.zeros(BATCH_SIZE, tf.int32), 1 + NEGATIVES_IN_TRAINING)

    def with_negatives(inputs: Inputs, item: Any) -> tuple[Inputs, Any]:
        negative = tf.random.uniform((BATCH_SIZE, NEGATIVES_IN_TRAINING), FIRST_KNOWN, n_items, tf.int32)
        return inputs | {"item": tf.concat([item[:, None], negative], axis=1)}, label

    data = tf.data.Dataset.from_tensor_slices((_inputs(train), train.item)).shuffle(len(train.item))
    return data.batch(BATCH_SIZE, drop_remainder=True).map(with_negatives).prefetch(2)


# --- measuring ---------------------------------------------------------------------------------------------------


class Auc:
    """The AUC of a question against fixed negatives, drawn by weight `[n_items]`."""

    def __init__(self, question: Question, weights: npt.NDArray[np.floating]):
        order = np.argsort(question.asked.user, kind="stable")
        self.asked = question.asked.take(order)
        taken = np.unique(np.stack([question.excluded.user, question.excluded.item]), axis=1)
        users = np.unique(taken[0])
        first = np.searchsorted(taken[0], users)
        queries = Queries(users, first, first, np.append(first, taken.shape[1]), taken[1])
        # one set of negatives for every pair that is excluded; an interaction takes that of its own pair
        drawn = sample_negatives(queries, weights, NEGATIVES_MEASURED, seed=0)
        own = _pairs(taken[0], taken[1], len(weights))
        self.negatives = drawn[np.searchsorted(own, _pairs(self.asked.user, self.asked.item, len(weights)))]

    def __call__(self, model: PointwiseTwoTower) -> float:
        """Measure the model."""
        scores = model.scores(self.asked, np.concatenate([self.asked.item[:, None], self.negatives], axis=1))
        return area_under_curve(scores[:, 0], scores[:, 1:]) or 0.0


def _pairs(user: npt.NDArray[Any], item: npt.NDArray[Any], n_items: int) -> npt.NDArray[np.int64]:
    return user.astype(np.int64) * n_items + item


def measure(protocol: Protocol, *, epochs: int, seed: int = 1) -> list[Measured]:
    """Train with early stopping on the AUC of the first question, as published, and measure every question."""
    keras.utils.set_random_seed(seed)
    n_items, train, questions = protocol.split.items.size, protocol.train, protocol.questions
    model = PointwiseTwoTower(protocol.split)
    popularity = np.bincount(train.item, minlength=n_items).astype(np.float64)
    odds = (popularity + 0.5) / popularity.sum() * n_items / NEGATIVES_IN_TRAINING
    model.item_bias.embeddings.assign(np.log(odds)[:, None])
    schedule = keras.optimizers.schedules.CosineDecay(
        LEARNING_RATE, epochs * (len(train.item) // BATCH_SIZE), alpha=0.02
    )
    model.compile(
        optimizer=keras.optimizers.AdamW(schedule, weight_decay=WEIGHT_DECAY),
        loss=keras.losses.BinaryCrossentropy(from_logits=True),
    )
    batches = training_batches(train, n_items)
    uniform = [Auc(question, np.ones(n_items)) for question in questions]
    figures: list[list[float]] = [[] for _ in questions]
    best, chosen = model.get_weights(), 0
    with progress() as bar:
        for epoch in bar.track(range(epochs), description=questions[0].name):
            model.fit(batches, epochs=1, shuffle=False, verbose=0)
            for some, auc in zip(figures, uniform, strict=True):
                some.append(auc(model))
            bar.console.print(f"{questions[0].name}: epoch {epoch + 1}, AUC {figures[0][-1]:.4f}", highlight=False)
            if figures[0][-1] == max(figures[0]):
                best, chosen = model.get_weights(), epoch
            if epoch - chosen >= PATIENCE:
                break
    model.set_weights(best)
    return [
        Measured(question, len(train.item), some, chosen, Auc(question, popularity)(model))
        for question, some in zip(questions, figures, strict=True)
    ]


# --- the protocols -----------------------------------------------------------------------------------------------


def at_random(name: str, split: Split, seed: int = 1) -> Protocol:
    """The published one: behaviour is whatever stands before an interaction in the log."""
    everything = _interactions(split)
    held_out = np.random.default_rng(seed).random(len(everything.user)) < HELD_OUT_SHARE
    question = Question(name, everything.take(held_out), excluded=everything)
    return Protocol(split, everything.take(~held_out), (question,))


def by_time(split: Split) -> Protocol:
    """A shop's: behaviour is what was known before the basket began."""
    timelines = split.timelines
    everything = _interactions(split)
    starts = np.ones(len(timelines.item), bool)
    starts[1:] = (timelines.user[1:] != timelines.user[:-1]) | (timelines.time[1:] != timelines.time[:-1])
    first_of_basket = np.maximum.accumulate(np.where(starts, np.arange(len(starts)), 0))
    earlier = everything.take(timelines.time[everything.end] <= split.fitting_timelines.time.max())
    earlier = replace(earlier, end=first_of_basket[earlier.end])
    counts = np.diff(split.test.target_offsets)
    week = _week(split.test.time, split)
    user, weeks, ends = (np.repeat(values, counts) for values in (split.test.user, week, split.test.end))
    asked = Interactions(user, split.test.target_item, weeks, ends)
    n_items = split.items.size
    known = np.isin(_pairs(asked.user, asked.item, n_items), _pairs(earlier.user, earlier.item, n_items))
    new = asked.take(~known)
    return Protocol(split, earlier, (Question("by time", asked, asked), Question("by time, new items", new, asked)))


def _interactions(split: Split) -> Interactions:
    """Every event of a known item, its own row as the end of what is known before it."""
    rows = np.flatnonzero(split.timelines.item >= FIRST_KNOWN)
    timelines = split.timelines
    return Interactions(timelines.user[rows], timelines.item[rows], _week(timelines.time[rows], split), rows)


# --- the command -------------------------------------------------------------------------------------------------


def table(results: Sequence[Measured]) -> Table:
    """One row per question."""
    result = Table(title="AUC of one and the same pointwise two-tower model", title_justify="left")
    for column in ("question", "learnt from", "asked", "epoch 1", "chosen epoch", "AUC", "popularity-matched"):
        result.add_column(column, justify="left" if column == "question" else "right")
    for some in results:
        sizes = f"{some.learnt_from:,}", f"{len(some.question.asked.user):,}"
        figures = f"{some.by_epoch[some.chosen]:.4f}", f"{some.popularity_matched:.4f}"
        result.add_row(some.question.name, *sizes, f"{some.by_epoch[0]:.4f}", str(some.chosen + 1), *figures)
    return result


def main(argv: Sequence[str] | None = None) -> int:
    """Measure every protocol and print the table."""
    parser = command_parser(
        "python -m benchmarks.published_protocol",
        "Train a pointwise two-tower model under a published protocol and under a shop's; print their AUC.",
        examples=["python -m benchmarks.published_protocol --data build/data"],
    )
    parser.add_argument("--data", type=Path, required=True, help="folder written by `supplytower data prepare`")
    parser.add_argument("--epochs", type=int, default=6, help="at the most (default: 6)")
    parser.add_argument("--seed", type=int, default=1, help="of the weights and the random split")
    arguments = parser.parse_args(argv)
    everything = load_split(arguments.data, SplitConfig(min_item_users=0))
    known = load_split(arguments.data, SplitConfig(min_item_users=5))
    protocols = (
        at_random("random, all items (published)", everything, arguments.seed),
        at_random("random", known, arguments.seed),
        by_time(known),
    )
    results = [measure(protocol, epochs=arguments.epochs, seed=arguments.seed) for protocol in protocols]
    Console(width=140).print(table([one for some in results for one in some]))
    return 0


if __name__ == "__main__":
    raise SystemExit(run(main))
