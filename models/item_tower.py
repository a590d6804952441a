"""Item tower: one vector per item from its id and its attributes.

The vector is an id embedding plus the attribute embeddings: "what only this item is" plus "what kind of thing it is".
In training an item's id is dropped now and then, which teaches the tower to embed from content alone; that is how an
item that was never seen in training is embedded: with the id of an unknown item. Reference: Volkovs et al.,
"DropoutNet", NeurIPS 2017.
"""

from typing import Any

import keras
import numpy as np
import numpy.typing as npt
from keras import ops

from data_pipelines.schema import FIRST_KNOWN, UNKNOWN
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
    """

    def __init__(self, specs: list[AttributeSpec], size: int, dim: int, id_dropout: float = 0.1, **kwargs: Any):
        super().__init__(**kwargs)
        self.specs, self.size, self.dim, self.id_dropout = specs, size, dim, id_dropout
        small = keras.initializers.RandomNormal(stddev=0.5 * dim**-0.5)
        self.id_embedding = keras.layers.Embedding(size, dim, embeddings_initializer=small, name="id")
        self.attributes = AttributeEmbedding(specs, size, dim, name="attributes")
        self.seed_generator = keras.random.SeedGenerator()

    def build(self, input_shape: Any = None) -> None:
        """Create the embeddings."""
        self.id_embedding.build((None,))
        self.attributes.build((None,))
        self.id_row = self.add_weight(
            shape=(self.size,), dtype="int32", initializer="zeros", trainable=False, autocast=False, name="id_row"
        )
        self.id_row.assign(np.arange(self.size))
        self.built = True

    def hide_ids(self, unseen: npt.NDArray[np.bool_]) -> None:
        """Let the items that training will not see (`[size]`) share the id of the unknown item."""
        reserved = np.arange(self.size) < FIRST_KNOWN
        self.id_row.assign(np.where(unseen & ~reserved, UNKNOWN, np.arange(self.size)))

    def call(self, index: Tensor, training: bool = False) -> Tensor:
        """Embed the items `[...]`; returns `[..., dim]`."""
        visible = ops.take(self.id_row, index)
        if training and self.id_dropout > 0:
            hidden = keras.random.uniform(ops.shape(index), seed=self.seed_generator) < self.id_dropout
            visible = ops.where(ops.logical_and(hidden, index >= FIRST_KNOWN), UNKNOWN, visible)
        return self.id_embedding(visible) + self.attributes(index)

    def all_items(self, training: bool = False) -> Tensor:
        """Embed the whole vocabulary; returns `[size, dim]`."""
        return self(np.arange(self.size, dtype="int32"), training=training)

    def get_config(self) -> dict[str, Any]:
        """Constructor arguments."""
        arguments = {"specs": self.specs, "size": self.size, "dim": self.dim, "id_dropout": self.id_dropout}
        return {**super().get_config(), **arguments}
