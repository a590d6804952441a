"""Repeat head: logits for what the user took before, from how often and in what rhythm they took it.

People mostly rebuy. For every distinct item of the history a small network sees the pair's purchase statistics (how
often, how long ago, sums decayed by days and by baskets, time since the last event relative to the pair's usual gap),
conditioned on the query and the item. One softmax over these and the towers' logits of all other items weighs repeating
against exploring. All statistics are computed in the graph from raw events. References: Ariannezhad et al., "ReCANet",
SIGIR 2022; Ren et al., "RepeatNet", AAAI 2019.
"""

from typing import Any, NamedTuple

import keras
from keras import ops

from data_pipelines.schema import FIRST_KNOWN, PADDING
from models.history import History, decay, segment_sum
from models.item_statistics import N_STATISTICS

Tensor = Any
START = (5.0, 0.0)  # a past item beats most of the catalogue; no correction
DECAY_HALF_LIVES_DAYS = (7.0, 28.0, 84.0, 250.0)
DECAY_HALF_LIVES_BASKETS = (3.0, 10.0, 30.0, 100.0)


class PastItems(NamedTuple):
    """The distinct items of each history.

    Args:
        item: `[batch, length]` item index, 0 where a history has fewer distinct items.
        features: `[batch, length, n_features]` statistics of the (user, item) pair.
    """

    item: Tensor
    features: Tensor


def past_items(history: History) -> PastItems:
    """Group each history by item and describe every group."""
    length = ops.shape(history.item)[1]
    position = ops.cumsum(ops.ones_like(history.item, dtype="int64"), axis=1) - 1
    width = ops.cast(length, "int64")
    key = ops.cast(history.item, "int64") * width + position
    key = ops.sort(key, axis=1)  # item first, then time, padding at the front
    item = ops.cast(key // width, "int32")
    position = ops.cast(key % width, "int32")
    age = ops.take_along_axis(history.age_days, position, axis=1)
    basket = ops.cast(ops.take_along_axis(history.basket, position, axis=1), "float32")

    same = ops.equal(item[:, 1:], item[:, :-1])  # as the event before
    edge = ops.ones_like(item[:, :1], dtype="bool")
    first = ops.cast(ops.concatenate([edge, ops.logical_not(same)], axis=1), "float32")
    last = ops.cast(ops.concatenate([ops.logical_not(same), edge], axis=1), "float32")
    group = ops.cast(ops.cumsum(first, axis=1), "int32") - 1
    gap = ops.concatenate([ops.zeros_like(age[:, :1]), age[:, :-1] - age[:, 1:]], axis=1) * (1.0 - first)
    columns = [
        ops.cast(item, "float32") * first,
        ops.ones_like(age),
        age * first,
        age * last,
        basket * first,
        basket * last,
        ops.log1p(ops.maximum(gap, 0.0)),
    ]
    decayed = [decay(age, DECAY_HALF_LIVES_DAYS), decay(basket, DECAY_HALF_LIVES_BASKETS)]
    described = ops.concatenate([ops.stack(columns, axis=-1), *decayed], axis=-1)  # [batch, length, n_columns]
    sums = segment_sum(described, group, length)
    past = ops.cast(sums[..., 0], "int32")
    past = ops.where(past >= FIRST_KNOWN, past, PADDING)
    return PastItems(past, _describe(sums[..., 1:], history.n_baskets))


def _describe(sums: Tensor, n_baskets: Tensor) -> Tensor:
    """Group sums to well-scaled features, `[batch, length, n_features]`."""
    count, age_first, age_last, basket_first, basket_last, log_gaps = ops.unstack(sums[..., :6], 6, axis=-1)
    usual_gap = log_gaps / ops.maximum(count - 1.0, 1.0)  # mean of log(1 + days)
    baskets = ops.cast(n_baskets, "float32")[:, None]
    features = [
        ops.log1p(count),
        ops.cast(count > 1.0, "float32"),
        ops.log1p(age_last) / 3.0,
        ops.log1p(age_first) / 5.0,
        ops.log1p(basket_last) / 3.0,
        count / ops.maximum(basket_first + 1.0, 1.0),  # share of the baskets since the first one
        count / ops.maximum(baskets, 1.0),
        usual_gap / 3.0,
        (ops.log1p(age_last) - usual_gap) * ops.cast(count > 1.0, "float32"),  # overdue?
        ops.log1p(ops.broadcast_to(baskets, ops.shape(count))) / 4.0,
    ]
    decayed = ops.log1p(sums[..., 6:])
    return ops.concatenate([ops.stack(features, axis=-1), decayed], axis=-1)


@keras.saving.register_keras_serializable(package="supplytower")
class RepeatHead(keras.layers.Layer):
    """Logits for the distinct items of the history.

    Args:
        n_items: item vocabulary size.
        units: hidden width.
        dropout: dropout on the hidden units, the same for all past items of a query.
    """

    def __init__(self, n_items: int, units: int = 32, dropout: float = 0.1, **kwargs: Any):
        super().__init__(**kwargs)
        self.n_items, self.units, self.dropout = n_items, units, dropout
        self.from_features = keras.layers.Dense(units, name="from_features")
        self.from_query = keras.layers.Dense(units, use_bias=False, name="from_query")
        self.from_item = keras.layers.Dense(units, use_bias=False, name="from_item")
        self.from_statistics = keras.layers.Dense(units, use_bias=False, name="from_statistics")
        self.hidden = keras.layers.Dense(units, activation="relu", name="hidden")
        self.output_layer = keras.layers.Dense(2, name="output")
        self.drop = keras.layers.Dropout(
            dropout, noise_shape=(None, 1, None)
        )  # the same units for all past items: cheap

    def build(self, *shapes: Any) -> None:
        """Create the statistics table (zeros until assigned, see `models.item_statistics`)."""
        self.statistics = self.add_weight(
            shape=(self.n_items, N_STATISTICS), initializer="zeros", trainable=False, name="statistics"
        )
        self.output_layer.build((None, self.units))
        self.output_layer.bias.assign(START)
        self.built = True

    def describe_items(self, index: Tensor, vectors: Tensor) -> Tensor:
        """What conditions the head on an item: its vector and its rebuying statistics.

        Args:
            index: `[n]` or `[batch, length]` item index.
            vectors: `[..., dim]` their vectors.

        Returns:
            `[..., units]`.
        """
        if not self.built:
            self.build()
        return self.from_item(vectors) + self.from_statistics(ops.take(self.statistics, index, axis=0))

    def call(self, past: PastItems, query: Tensor, by_item: Tensor, tower: Tensor, training: bool = False) -> Tensor:
        """Score the past items.

        Args:
            past: the distinct items of each history.
            query: `[batch, dim]`.
            by_item: `[batch, length, units]`, `describe_items` of the past items.
            tower: `[batch, length, n]` the towers' logit of each past item and what is known of its week.
            training: whether to drop out.

        Returns:
            `[batch, length, 2]`: ranking logit and correction of the log odds, zero where there is no item.
        """
        hidden = (
            self.from_features(ops.concatenate([past.features, tower], axis=-1))
            + by_item
            + self.from_query(query)[:, None, :]
        )
        hidden = self.drop(self.hidden(ops.relu(hidden)), training=training)
        present = ops.cast(ops.not_equal(past.item, PADDING), hidden.dtype)[..., None]
        return self.output_layer(hidden) * present

    def get_config(self) -> dict[str, Any]:
        """Constructor arguments."""
        arguments = {"n_items": self.n_items, "units": self.units, "dropout": self.dropout}
        return {**super().get_config(), **arguments}
