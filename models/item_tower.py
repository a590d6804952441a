"""Item tower: one vector per item from its id and its attributes.

The vector is an id embedding plus the attribute embeddings: "what only this item is" plus "what kind of thing it is".
The id counts for as much as is known of it: its vector is weighted by n / (n + k) for n training events, so that a rare
item is its content, and one that was never seen in training is nothing else (an empirical-Bayes shrinkage). In training
ids are also dropped now and then, which teaches the tower to embed from content alone. Reference: Volkovs et al.,
"DropoutNet", NeurIPS 2017.
"""

from typing import Any

import keras
import numpy as np
import numpy.typing as npt
from keras import ops

from data_pipelines.schema import FIRST_KNOWN
from models.attributes import AttributeEmbedding, AttributeSpec

Tensor = Any


@keras.saving.register_keras_serializable(package="supplytower")
class ItemTower(keras.layers.Layer):
    """Embed items by index.

    Args:
        specs: the item attributes.
        size: item vocabulary size, padding and unknown included.
        dim: width of the item vectors.
        id_dropout: probability that an item's id is hidden in a training step.
        id_shrinkage: training events at which an id counts half.
    """

    def __init__(
        self,
        specs: list[AttributeSpec],
        size: int,
        dim: int,
        id_dropout: float = 0.1,
        id_shrinkage: float = 0.0,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        self.specs, self.size, self.dim = specs, size, dim
        self.id_dropout, self.id_shrinkage = id_dropout, id_shrinkage
        small = keras.initializers.RandomNormal(stddev=0.5 * dim**-0.5)
        self.id_embedding = keras.layers.Embedding(size, dim, embeddings_initializer=small, name="id")
        self.attributes = AttributeEmbedding(specs, size, dim, name="attributes")
        self.seed_generator = keras.random.SeedGenerator()

    def build(self, input_shape: Any = None) -> None:
        """Create the embeddings."""
        self.id_embedding.build((None,))
        self.attributes.build((None,))
        self.id_weight = self.add_weight(
            shape=(self.size,), initializer="ones", trainable=False, autocast=False, name="id_weight"
        )
        self.built = True

    def set_counts(self, counts: npt.NDArray[np.integer]) -> None:
        """Say how often every item occurs in training, `[size]`; call once, before training."""
        weight = counts / np.maximum(counts + self.id_shrinkage, 1e-9)
        weight[:FIRST_KNOWN] = 1.0
        self.id_weight.assign(weight)

    def call(self, index: Tensor | None = None, training: bool = False) -> Tensor:
        """Embed the items `[...]`, the whole vocabulary if None; returns `[..., dim]`."""
        everything = index is None  # read as a whole, a table has a dense gradient, which is faster than a sparse one
        ids = ops.cast(self.id_embedding.embeddings, self.compute_dtype) if everything else self.id_embedding(index)
        weight = self.id_weight if everything else ops.take(self.id_weight, index)
        if training and self.id_dropout > 0:
            kept = keras.random.uniform(ops.shape(weight), seed=self.seed_generator) >= self.id_dropout
            weight = weight * ops.cast(kept, weight.dtype)
        return ids * ops.cast(weight, self.compute_dtype)[..., None] + self.attributes(index)

    def get_config(self) -> dict[str, Any]:
        """Constructor arguments."""
        arguments = {
            "specs": self.specs,
            "size": self.size,
            "dim": self.dim,
            "id_dropout": self.id_dropout,
            "id_shrinkage": self.id_shrinkage,
        }
        return {**super().get_config(), **arguments}
