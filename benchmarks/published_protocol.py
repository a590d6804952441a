"""The AUC of a published protocol beside the AUC of the question a shop asks.

    python -m benchmarks.published_protocol --data DATA

Articles on two-tower models often report a validation AUC of .95 or more: interactions are split at random, negatives are
items drawn uniformly from the catalogue, a pointwise sigmoid model is trained on user and item features, and the epoch is
chosen by the very figure that is reported. The model here is that one, made of this package's own layers. It is trained
and measured under the protocol as published, and then with one of its easy parts taken away at a time:

    pairs       each (user, item) counts once, so that a pair bought again is not in both parts
    by time     learnt from what was before a date, asked for what every user bought first after it
    new pairs   of these, only items that the user never bought before

and each once more against negatives drawn in proportion to popularity. What the package's own recommender reaches on the
third line is in the report of `supplytower evaluate recommender`. Reference: Ji et al., "A Critical Study on Data Leakage in Recommender System Offline
Evaluation", TOIS 2023; Krichene and Rendle, "On Sampled Metrics for Item Recommendation", KDD 2020.
"""

from collections.abc import Sequence
from dataclasses import dataclass
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
from data_pipelines.features import FeatureTable
from data_pipelines.schema import FIRST_KNOWN
from data_pipelines.splits import Split, SplitConfig, load_split
from data_pipelines.timelines import Queries
from models.attributes import AttributeEmbedding, attribute_specs
from models.item_tower import ItemTower
from training.score_metrics import area_under_curve, sample_negatives

DIM, BATCH_SIZE, LEARNING_RATE, WEIGHT_DECAY, ID_DROPOUT, PATIENCE = 32, 4096, 5e-3, 4e-3, 0.1, 2
NEGATIVES_IN_TRAINING, NEGATIVES_MEASURED = 4, 5
VALIDATION_SHARE = 0.2


@dataclass(frozen=True)
class Part:
    """Interactions, `user` and `item` `[n]` vocabulary indices."""

    user: npt.NDArray[np.int32]
    item: npt.NDArray[np.int32]

    def take(self, rows: npt.NDArray[Any]) -> "Part":
        return Part(self.user[rows], self.item[rows])


@dataclass(frozen=True)
class Protocol:
    """What is learnt from and what is asked."""

    name: str
    train: Part
    held_out: Part


class PointwiseTwoTower(keras.Model):
    """`logit(user, item) = <user tower, item tower> + item bias`; both towers see the id and all attributes."""

    def __init__(self, users: FeatureTable, items: FeatureTable, dim: int):
        super().__init__()
        self.user_id = keras.layers.Embedding(users.size, dim, embeddings_initializer="zeros")
        self.user_attributes = AttributeEmbedding(attribute_specs(users), users.size, dim)
        self.item_tower = ItemTower(attribute_specs(items), items.size, dim, ID_DROPOUT)
        self.item_bias = keras.layers.Embedding(items.size, 1, embeddings_initializer="zeros")
        self.users, self.items = np.arange(users.size), np.arange(items.size)
        self({"user": self.users[:1], "item": self.items[None, :1]})
        self.user_attributes.set_table(users)
        self.item_tower.attributes.set_table(items)

    def call(self, inputs: dict[str, Any], training: bool = False) -> Any:
        """Logits `[batch, items]` of each user `[batch]` with some items `[batch, items]`."""
        user = self.user_id(inputs["user"]) + self.user_attributes(inputs["user"])
        item = self.item_tower(inputs["item"], training=training)  # [batch, items, dim]
        return ops.einsum("bd,bid->bi", user, item) + ops.squeeze(self.item_bias(inputs["item"]), -1)

    def scores(self, part: Part) -> npt.NDArray[np.float32]:
        """Logits of the pairs, the towers run once per user and item."""
        user = np.asarray(self.user_id(self.users) + self.user_attributes(self.users))
        item, bias = np.asarray(self.item_tower.all_items()), np.asarray(self.item_bias(self.items))[:, 0]
        rows = np.array_split(np.arange(len(part.user)), len(part.user) // 100_000 + 1)
        chunks = (np.einsum("nd,nd->n", user[part.user[some]], item[part.item[some]]) for some in rows)
        return np.concatenate(list(chunks)) + bias[part.item]


def training_batches(part: Part, n_items: int) -> tf.data.Dataset:
    """Shuffled positives, each followed by uniformly drawn negatives, anew in every epoch, and labels."""
    label = tf.one_hot(tf.zeros(BATCH_SIZE, tf.int32), 1 + NEGATIVES_IN_TRAINING)

    def with_negatives(user: Any, item: Any) -> tuple[dict[str, Any], Any]:
        negative = tf.random.uniform((BATCH_SIZE, NEGATIVES_IN_TRAINING), FIRST_KNOWN, n_items, tf.int32)
        return {"user": user, "item": tf.concat([item[:, None], negative], axis=1)}, label

    data = tf.data.Dataset.from_tensor_slices((part.user, part.item)).shuffle(200_000)
    return data.batch(BATCH_SIZE, drop_remainder=True).map(with_negatives).prefetch(2)


class Auc:
    """The AUC of a held-out part against fixed negatives, none of which is in the same part.

    Args:
        part: the positives.
        weights: `[n_items]` relative probability of each item as a negative.
    """

    def __init__(self, part: Part, weights: npt.NDArray[np.float64]):
        order = np.argsort(part.user, kind="stable")
        self.positive = part.take(order)
        users, counts = np.unique(self.positive.user, return_counts=True)
        ends = np.zeros(len(users), np.int64)
        offsets = np.concatenate([[0], np.cumsum(counts)])
        queries = Queries(users, ends, ends, offsets, self.positive.item)
        drawn = sample_negatives(queries, weights, NEGATIVES_MEASURED, seed=0)
        self.negative = Part(np.repeat(self.positive.user, NEGATIVES_MEASURED), drawn.ravel())

    def __call__(self, model: PointwiseTwoTower) -> float:
        """Measure the model."""
        return area_under_curve(model.scores(self.positive), model.scores(self.negative)) or 0.0


@dataclass(frozen=True)
class Measured:
    """Figures of one protocol: AUC per epoch, and that of the best epoch against the harder negatives."""

    protocol: Protocol
    by_epoch: list[float]
    popularity_matched: float

    @property
    def best(self) -> float:
        return max(self.by_epoch)


def measure(split: Split, protocol: Protocol, *, epochs: int, seed: int = 1) -> Measured:
    """Train with early stopping on the held-out AUC, as published, and measure."""
    keras.utils.set_random_seed(seed)
    model = PointwiseTwoTower(split.users, split.items, DIM)
    loss = keras.losses.BinaryCrossentropy(from_logits=True)
    model.compile(optimizer=keras.optimizers.AdamW(LEARNING_RATE, weight_decay=WEIGHT_DECAY), loss=loss)
    popularity = np.bincount(protocol.train.item, minlength=split.items.size).astype(np.float64)
    uniform, matched = (Auc(protocol.held_out, weights) for weights in (np.ones(split.items.size), popularity))
    batches = training_batches(protocol.train, split.items.size)
    figures: list[float] = []
    best = model.get_weights()
    with progress() as bar:
        for _ in bar.track(range(epochs), description=protocol.name):
            model.fit(batches, epochs=1, shuffle=False, verbose=0)
            figures.append(uniform(model))
            if figures[-1] == max(figures):
                best = model.get_weights()
            bar.console.print(f"{protocol.name}: epoch {len(figures)}, AUC {figures[-1]:.4f}")
            if len(figures) - np.argmax(figures) > PATIENCE:
                break
    model.set_weights(best)
    return Measured(protocol, figures, matched(model))


# --- the protocols -----------------------------------------------------------------------------------------------


def protocols(split: Split, seed: int = 1) -> list[Protocol]:
    """From the published one to the question that a shop asks."""
    everything = _known(split.timelines.user, split.timelines.item)
    earlier = _known(split.fitting_timelines.user, split.fitting_timelines.item)
    asked = Part(np.repeat(split.test.user, np.diff(split.test.target_offsets)), split.test.target_item)
    new = asked.take(~np.isin(_pair(asked, split), _pair(earlier, split)))
    first = np.unique(_pair(everything, split), return_index=True)[1]
    return [
        _at_random("random split of purchases (published)", everything, seed),
        _at_random("random split of pairs", everything.take(first), seed),
        Protocol("by time, first basket", earlier, asked),
        Protocol("by time, new pairs", earlier, new),
    ]


def _known(user: npt.NDArray[np.int32], item: npt.NDArray[np.int32]) -> Part:
    return Part(user, item).take(item >= FIRST_KNOWN)


def _pair(part: Part, split: Split) -> npt.NDArray[np.int64]:
    return part.user.astype(np.int64) * split.items.size + part.item


def _at_random(name: str, part: Part, seed: int) -> Protocol:
    held_out = np.random.default_rng(seed).random(len(part.user)) < VALIDATION_SHARE
    return Protocol(name, part.take(~held_out), part.take(held_out))


# --- the command -------------------------------------------------------------------------------------------------


def table(results: Sequence[Measured]) -> Table:
    """One row per protocol."""
    result = Table(title="AUC of one and the same pointwise two-tower model", title_justify="left")
    for column in ("protocol", "learnt from", "asked", "epoch 1", "best", "at epoch", "popularity-matched"):
        result.add_column(column, justify="left" if column == "protocol" else "right")
    for some in results:
        sizes = (f"{len(part.user):,}" for part in (some.protocol.train, some.protocol.held_out))
        epoch = str(int(np.argmax(some.by_epoch)) + 1)
        figures = (f"{some.by_epoch[0]:.4f}", f"{some.best:.4f}", epoch, f"{some.popularity_matched:.4f}")
        result.add_row(some.protocol.name, *sizes, *figures)
    return result


def main(argv: Sequence[str] | None = None) -> int:
    """Measure every protocol and print the table."""
    parser = command_parser(
        "python -m benchmarks.published_protocol",
        "Train a pointwise two-tower model under a published protocol and under harder ones; print their AUC.",
        examples=["python -m benchmarks.published_protocol --data build/data"],
    )
    parser.add_argument("--data", type=Path, required=True, help="folder written by `supplytower data prepare`")
    parser.add_argument("--epochs", type=int, default=10, help="at the most (default: 10)")
    parser.add_argument("--seed", type=int, default=1, help="of the weights, the random splits and the negatives")
    arguments = parser.parse_args(argv)
    split = load_split(arguments.data, SplitConfig())
    results = [
        measure(split, protocol, epochs=arguments.epochs, seed=arguments.seed)
        for protocol in protocols(split, arguments.seed)
    ]
    Console(width=140).print(table(results))
    return 0


if __name__ == "__main__":
    raise SystemExit(run(main))
