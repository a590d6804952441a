"""Strings in TensorFlow are bytes; here they are text, but for outputs named `…_bytes`.

That suffix is TensorFlow Serving's own convention for outputs that REST sends as base64, so that an answer is the same
over both protocols. Bytes that are no UTF-8 survive in text as surrogates.
Reference: https://www.tensorflow.org/tfx/serving/api_rest#encoding_binary_values
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

BYTES_SUFFIX = "_bytes"


def to_bytes(value: str | bytes) -> bytes:
    """What TensorFlow sees of a string."""
    return value.encode("utf-8", "surrogateescape") if isinstance(value, str) else value


def all_to_bytes(array: npt.NDArray[Any]) -> list[bytes]:
    """What TensorFlow sees of an array, row by row."""
    values = array.ravel().tolist()
    try:
        return list(map(str.encode, values))  # the usual text, quickly
    except (TypeError, UnicodeEncodeError):
        return [to_bytes(one) for one in values]


def from_bytes(name: str, value: bytes) -> str | bytes:
    """A string of the output `name`."""
    return value if name.endswith(BYTES_SUFFIX) else value.decode("utf-8", "surrogateescape")


def each(function: Callable[[Any], Any], array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """An array of objects of the same shape, a function of each element."""
    result = np.empty(array.size, object)
    result[:] = [function(one) for one in array.flat]
    return result.reshape(array.shape)
