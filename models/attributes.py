"""Attributes of items or users as one vector: the sum of an embedding per attribute.

The encoded attribute table lives in the layer as non-trainable weights, so a model is called with nothing but an index
and its weights file is all that serving needs.
"""

from typing import Any, TypedDict

import keras
from keras import ops

from data_pipelines.schema import PADDING
from models.recommender import FeaturesLike

Tensor = Any


class AttributeSpec(TypedDict):
    """What the layer must know of one attribute before it sees any value."""

    name: str
    kind: str
    """`categorical`, `numeric` or `list`"""
    cardinality: int
    """codes including 0 (missing); 0 for a numeric attribute"""
    width: int
    """columns of the encoded table"""


def attribute_specs(table: FeaturesLike) -> list[AttributeSpec]:
    """Describe the attributes of an encoded table."""
    return [
        AttributeSpec(
            name=feature.name,
            kind=feature.kind,
            cardinality=len(feature.vocabulary),
            width=1 if feature.values.ndim == 1 else feature.values.shape[1],
        )
        for feature in table.features
    ]


@keras.saving.register_keras_serializable(package="supplytower")
class AttributeEmbedding(keras.layers.Layer):
    """Sum of attribute embeddings, by index.

    Args:
        specs: the attributes.
        size: number of indices, padding and unknown included.
        dim: width of the vectors.
    """

    def __init__(self, specs: list[AttributeSpec], size: int, dim: int, **kwargs: Any):
        super().__init__(**kwargs)
        self.specs, self.size, self.dim = specs, size, dim
        self.tables: dict[str, Any] = {}
        self.projections: dict[str, Any] = {}
        for spec in specs:
            if spec["kind"] == "numeric":
                self.projections[spec["name"]] = keras.layers.Dense(dim, use_bias=False)
            else:
                initializer = keras.initializers.RandomNormal(stddev=0.5 * dim**-0.5)
                self.projections[spec["name"]] = keras.layers.Embedding(spec["cardinality"], dim, initializer)

    def build(self, input_shape: Any = None) -> None:
        """Create the attribute table (zeros until `set_table`) and the embeddings."""
        for number, spec in enumerate(self.specs):
            numeric = spec["kind"] == "numeric"
            self.tables[spec["name"]] = self.add_weight(
                shape=(self.size, spec["width"]),
                dtype="float32" if numeric else "int32",
                initializer="zeros",
                trainable=False,
                autocast=False,
                name=f"table_{number}",  # an attribute may be called "price/kg", a weight may not
            )
            self.projections[spec["name"]].build((None, spec["width"]) if numeric else (None,))
        self.built = True

    def set_table(self, table: FeaturesLike) -> None:
        """Fill in the encoded values; call once, before training."""
        for feature in table.features:
            self.tables[feature.name].assign(feature.values.reshape(self.size, -1))

    def call(self, index: Tensor | None = None) -> Tensor:
        """Embed the attributes of the indices `[...]`, all if None: `[..., dim]`, zeros where nothing is known."""
        shape = (self.size,) if index is None else ops.shape(index)
        total = ops.zeros((*shape, self.dim), self.compute_dtype)
        for spec in self.specs:
            table = self.tables[spec["name"]]
            values = table if index is None else ops.take(table, index, axis=0)  # [..., width]
            projection = self.projections[spec["name"]]
            if spec["kind"] == "numeric":
                total = total + projection(ops.cast(values, self.compute_dtype))
                continue
            present = ops.cast(ops.not_equal(values, PADDING), self.compute_dtype)[..., None]  # [..., width, 1]
            count = ops.maximum(ops.sum(present, axis=-2), 1.0)
            total = total + ops.sum(projection(values) * present, axis=-2) / ops.sqrt(count)
        return total

    def get_config(self) -> dict[str, Any]:
        """Constructor arguments."""
        return {**super().get_config(), "specs": self.specs, "size": self.size, "dim": self.dim}
