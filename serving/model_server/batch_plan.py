"""Which requests can be one call of a signature, and how their inputs are joined and their outputs told apart.

Rows are joined along the first dimension where the signature leaves it open. Everything else must be equal: the
other sizes, and the values of inputs without rows (`k`, `horizon`), because a model may size its outputs by them. Only
inputs for which the recommender's signatures define padding ("" and 0) may differ in their second dimension: zeros at
the end of an arbitrary model's input would be another question.
"""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from data_pipelines.schema import EXCLUDE_ITEM_ID, HISTORY_EVENT_TYPE, HISTORY_ITEM_ID, HISTORY_TIMESTAMP, LEVELS
from serving.model_server.servable import Arrays, Spec

PADDED_LIKE = {
    HISTORY_ITEM_ID: HISTORY_ITEM_ID,
    HISTORY_EVENT_TYPE: HISTORY_ITEM_ID,
    HISTORY_TIMESTAMP: HISTORY_ITEM_ID,
    EXCLUDE_ITEM_ID: EXCLUDE_ITEM_ID,
}
"""Inputs that may be padded, and the input whose width theirs must keep to: a wrong request must not become right."""
CONSTANT_OUTPUTS = {LEVELS}
"""Outputs without rows that do not depend on the inputs. Any other, say a total, keeps a signature from joining."""
_SHORT = 256  # up to this width a batch more costs more than padding; beyond, few long ones must not widen many


@dataclass(frozen=True)
class Rows:
    """What can be joined of one request.

    Args:
        count: its rows.
        key: requests with equal keys can be joined.
    """

    count: int
    key: Hashable


class BatchPlan:
    """How requests for one signature are joined.

    Args:
        inputs: its inputs by name.
        outputs: its outputs by name.
    """

    def __init__(self, inputs: Mapping[str, Spec], outputs: Mapping[str, Spec]):
        self._joined = [name for name, spec in inputs.items() if spec.shape and spec.shape[0] is None]
        self._any_shape = [name for name, spec in inputs.items() if spec.shape is None]
        self._shared = [name for name in inputs if name not in (*self._joined, *self._any_shape)]
        self._padded = {
            name: PADDED_LIKE[name]
            for name in self._joined
            if inputs[name].shape == (None, None) and PADDED_LIKE.get(name) in self._joined
        }
        without_rows = {name for name, spec in outputs.items() if spec.shape is not None and spec.shape[:1] != (None,)}
        self._separable = without_rows <= CONSTANT_OUTPUTS

    def rows(self, fed: Arrays) -> Rows | None:
        """What can be joined of a request; None if it must run alone."""
        counts = {len(fed[name]) for name in self._joined}
        if not self._separable or len(counts) != 1 or 0 in counts:
            return None
        count = counts.pop()
        key: list[Hashable] = []
        for name in self._joined:
            array, like = fed[name], self._padded.get(name)
            key.append(
                array.shape[1:] if like is None else (_class(array.shape[1]), array.shape[1] - fed[like].shape[1])
            )
        key += [_content(fed[name]) for name in self._shared]
        for name in self._any_shape:
            array = fed[name]
            if array.ndim and (len(array) != count or any(_content(row) != _content(array[0]) for row in array[1:])):
                return None
            key.append((array.shape[1:], _content(array[0])) if array.ndim else _content(array))
        return Rows(count, tuple(key))

    def join(self, requests: Sequence[Arrays]) -> Arrays:
        """The inputs of one call for requests with equal keys."""
        batch = {}
        for name, first in requests[0].items():
            arrays = [request[name] for request in requests]
            if name in self._padded:
                width = max(array.shape[1] for array in arrays)
                arrays = [_widened(array, width) for array in arrays]
            batch[name] = np.concatenate(arrays) if first.ndim and name not in self._shared else first
        return batch

    def split(self, outputs: Arrays, counts: Sequence[int]) -> list[Arrays] | None:
        """The outputs of each request; None if they have no row per row of the inputs."""
        total, ends = sum(counts), np.cumsum(counts).tolist()
        if any(array.shape[:1] != (total,) for name, array in outputs.items() if name not in CONSTANT_OUTPUTS):
            return None
        return [
            {name: array if name in CONSTANT_OUTPUTS else array[end - count : end] for name, array in outputs.items()}
            for count, end in zip(counts, ends, strict=True)
        ]


def _class(width: int) -> int:
    """Widths that are padded to each other's: all that are short, and those of the same power of two."""
    return max(width - 1, _SHORT - 1).bit_length()


def _content(array: npt.NDArray[Any]) -> Hashable:
    """Equal for equal arrays, not-a-number included."""
    values = np.asarray(array)
    return (values.shape, tuple(values.ravel().tolist()) if values.dtype == object else values.tobytes())


def _widened(array: npt.NDArray[Any], width: int) -> npt.NDArray[Any]:
    missing = width - array.shape[1]
    if not missing:
        return array
    fill = np.full((len(array), missing), b"" if array.dtype == object else 0, array.dtype)
    return np.concatenate([array, fill], axis=1)
