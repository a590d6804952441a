"""Attribute affinity: how much more of a kind of thing this user takes than everybody does.

For every value v of a categorical or list-valued item attribute (a product type, a brand, a tag) and every half-life:

    affinity(user, v) = log( (c_v + k p_v) / (c + k) / p_v )

with c_v the user's decayed events that have v, c all their decayed events, p_v the share of v among everybody's events
and k imaginary events of the average user (Laplace smoothing): zero for a user without history, negative for what they
could have taken and did not. An item's logit gains the weighted affinities of its values, with weights learnt per
attribute and per value. A dot product of narrow vectors cannot hold the thousands of kinds apart; this can, and it says
something of every item of a kind, however rare. Reference for the smoothed log ratio: Manning, Raghavan, Schütze,
"Introduction to Information Retrieval", 2008, chapter 13.
"""

from typing import Any

import keras
import numpy as np
import numpy.typing as npt
from keras import ops

from models.attributes import AttributeSpec
from models.history import History, decay, segment_sum
from models.recommender import FeaturesLike

Tensor = Any
START = 0.1
"""Initial weight of every affinity."""


@keras.saving.register_keras_serializable(package="supplytower")
class AttributeAffinity(keras.layers.Layer):
    """Logits from the user's affinity to the items' attribute values.

    The values of all attributes share one numbering; 0 stands for "missing", and is worth nothing.

    Args:
        specs: the item attributes; numeric ones are not looked at.
        n_items: item vocabulary size.
        half_lives_days: one affinity per half-life of past events.
        n_outputs: weighted sums of the affinities, each with weights of its own.
        smoothing: imaginary events of the average user.
    """

    def __init__(
        self,
        specs: list[AttributeSpec],
        n_items: int,
        half_lives_days: tuple[float, ...] = (28.0, 365.0),
        n_outputs: int = 1,
        smoothing: float = 10.0,
        **kwargs: Any,
    ):
        super().__init__(autocast=False, **kwargs)  # float32 in mixed precision too: logs of small shares
        self.specs, self.n_items, self.smoothing = specs, n_items, smoothing
        self.half_lives_days, self.n_outputs = tuple(half_lives_days), n_outputs
        self.used = [spec for spec in specs if spec["kind"] != "numeric"]
        self.width = sum(spec["width"] for spec in self.used)
        self.n_values = 1 + sum(spec["cardinality"] for spec in self.used)

    def build(self, input_shape: Any = None) -> None:
        """Create the tables (nothing known until `set_table`) and the weights."""
        table = {"initializer": "zeros", "trainable": False, "autocast": False}
        self.value = self.add_weight(shape=(self.n_items, self.width), dtype="int32", name="value", **table)
        self.share = self.add_weight(shape=(self.n_items, self.width), name="share", **table)
        self.popularity = self.add_weight(
            shape=(self.n_values,), initializer="ones", trainable=False, autocast=False, name="popularity"
        )
        n_half_lives = len(self.half_lives_days)
        self.weight = self.add_weight(
            shape=(self.n_outputs, len(self.used), n_half_lives),
            initializer=keras.initializers.Constant(START),
            autocast=False,
            name="weight",
        )
        self.value_weight = self.add_weight(
            shape=(self.n_outputs, self.n_values, n_half_lives),
            initializer="zeros",
            autocast=False,
            name="value_weight",
        )
        sizes = [1, *(spec["cardinality"] for spec in self.used)]
        self.attribute = np.repeat(np.arange(-1, len(self.used)), sizes).clip(0)  # [n_values]
        self.built = True

    def set_table(self, items: FeaturesLike, item_counts: npt.NDArray[np.integer]) -> None:
        """Fill in what the items are and how common that is; call once, before training.

        Args:
            items: encoded item attributes.
            item_counts: `[n_items]` training events of every item.
        """
        names = {spec["name"] for spec in self.used}
        columns, shares, first = [], [], 1
        for feature in (feature for feature in items.features if feature.name in names):
            codes = feature.values.reshape(self.n_items, -1)
            present = codes > 0
            columns.append(np.where(present, codes + first, 0))
            shares.append(present / np.maximum(present.sum(axis=1, keepdims=True), 1))
            first += len(feature.vocabulary)
        value = np.concatenate(columns, axis=1)
        self.value.assign(value)
        self.share.assign(np.concatenate(shares, axis=1))
        events = np.repeat(item_counts[:, None], value.shape[1], axis=1)
        counts = np.bincount(value.ravel(), events.ravel(), self.n_values)
        self.popularity.assign((counts + 1.0) / (item_counts.sum() + self.n_values))

    def call(self, history: History) -> list[Tensor]:
        """Weighted affinities of each request, one `[n_values, batch]` per output: an item's values are whole rows."""
        real = ops.cast(history.mask, "float32")[..., None]
        weight = decay(history.age_days, self.half_lives_days) * real  # [batch, length, half-life]
        values = ops.take(self.value, history.item, axis=0)  # [batch, length, width]
        batch, length = ops.shape(history.item)
        n_half_lives = len(self.half_lives_days)
        spread = ops.broadcast_to(weight[:, :, None, :], (batch, length, self.width, n_half_lives))
        spread = ops.reshape(spread, (batch, length * self.width, n_half_lives))
        counts = segment_sum(spread, ops.reshape(values, (batch, length * self.width)), self.n_values)
        total = ops.sum(weight, axis=1)[:, None, :]  # [batch, 1, half-life]
        popularity = self.popularity[None, :, None]
        expected = self.smoothing * popularity
        affinity = ops.log((counts + expected) / ((total + self.smoothing) * popularity))  # [batch, value, half-life]
        weights = ops.take(self.weight, self.attribute, axis=1) + self.value_weight  # [output, value, half-life]
        known = ops.cast(np.arange(self.n_values) > 0, "float32")[:, None]
        return [ops.transpose(ops.sum(affinity * weights[output], axis=-1)) * known for output in range(self.n_outputs)]

    def logits(self, affinities: Tensor, index: Tensor | None = None) -> Tensor:
        """What the affinities `[n_values, batch]` add to the items `index` `[n]`, all if None: `[batch, n]`."""
        value = self.value if index is None else ops.take(self.value, index, axis=0)  # [n, width]
        share = self.share if index is None else ops.take(self.share, index, axis=0)
        total, first = 0.0, 0
        for width in (spec["width"] for spec in self.used):
            for column in range(first, first + width):
                part = ops.take(affinities, value[:, column], axis=0)  # [n, batch], zero where the value is missing
                total = total + (part if width == 1 else part * share[:, column, None])
            first += width
        return ops.transpose(total)

    def own_logits(self, affinities: Tensor, index: Tensor) -> Tensor:
        """As `logits`, of different items `index` `[batch, n]` for every request: `[batch, n]`."""
        batch, n = ops.shape(index)
        value = ops.reshape(ops.take(self.value, index, axis=0), (batch, n * self.width))
        picked = ops.take_along_axis(ops.transpose(affinities), value, axis=1)
        picked = ops.reshape(picked, (batch, n, self.width))
        return ops.sum(picked * ops.take(self.share, index, axis=0), axis=-1)

    def get_config(self) -> dict[str, Any]:
        """Constructor arguments."""
        arguments = {
            "specs": self.specs,
            "n_items": self.n_items,
            "half_lives_days": self.half_lives_days,
            "n_outputs": self.n_outputs,
            "smoothing": self.smoothing,
        }
        return {**super().get_config(), **arguments}
