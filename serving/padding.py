"""Rows of different lengths as one array, filled up with what means nothing to the model."""

from collections.abc import Sequence
from itertools import chain
from typing import Any

import numpy as np
import numpy.typing as npt


def pad_right(rows: Sequence[Sequence[Any]], fill: Any, dtype: npt.DTypeLike) -> npt.NDArray[Any]:
    """Fill rows up at their end.

    Args:
        rows: `[batch, any]`.
        fill: the value of cells without data.
        dtype: the array's type.

    Returns:
        `[batch, longest]`, at least one column wide: JSON cannot say what is in an empty list.
    """
    array, held = _filled(rows, fill, dtype)
    array[held] = _flat(rows, dtype)
    return array


def pad_left(rows: Sequence[Sequence[Any]], fill: Any, dtype: npt.DTypeLike) -> npt.NDArray[Any]:
    """The same, filled up at their beginning, so that all rows end in the last column."""
    array, held = _filled(rows, fill, dtype)
    array[held[:, ::-1]] = _flat(rows, dtype)
    return array


def _filled(
    rows: Sequence[Sequence[Any]], fill: Any, dtype: npt.DTypeLike
) -> tuple[npt.NDArray[Any], npt.NDArray[np.bool_]]:
    """All cells, and which of them hold data when rows begin in the first column."""
    lengths = np.fromiter(map(len, rows), np.int64, len(rows))
    width = int(max(1, lengths.max(initial=0)))
    return np.full((len(rows), width), fill, dtype), np.arange(width) < lengths[:, None]  # [batch, width]


def _flat(rows: Sequence[Sequence[Any]], dtype: npt.DTypeLike) -> npt.NDArray[Any]:
    return np.array(list(chain.from_iterable(rows)), dtype)
