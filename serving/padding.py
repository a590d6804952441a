"""Rows of different lengths as one array, filled up with what means nothing to the model."""

from collections.abc import Iterable, Sequence
from itertools import chain, repeat
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
    width = _width(rows)
    return _array((chain(row, repeat(fill, width - len(row))) for row in rows), len(rows), width, dtype)


def pad_left(rows: Sequence[Sequence[Any]], fill: Any, dtype: npt.DTypeLike) -> npt.NDArray[Any]:
    """The same, filled up at their beginning, so that all rows end in the last column."""
    width = _width(rows)
    return _array((chain(repeat(fill, width - len(row)), row) for row in rows), len(rows), width, dtype)


def _width(rows: Sequence[Sequence[Any]]) -> int:
    return max(1, max(map(len, rows), default=0))


def _array(rows: Iterable[Iterable[Any]], batch: int, width: int, dtype: npt.DTypeLike) -> npt.NDArray[Any]:
    return np.fromiter(chain.from_iterable(rows), dtype, batch * width).reshape(batch, width)
