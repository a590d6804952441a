"""Arrays as TensorFlow Serving's JSON, and back.

float32 survives: a number is sent with all the digits of its double, and an answer's decimals are read as doubles and
then rounded to float32, which gives back the server's bits. NaN and Infinity are written as the server writes them.
"""

import base64
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from serving.serving_error import Target
from serving.signatures import STRING, Array, Arrays, TensorSpec
from serving.string_tensors import each, from_bytes, to_bytes

BASE64 = "b64"
READABLE = {"b": "b", "i": "iu", "u": "iu", "f": "fiu"}
"""Kinds of JSON numbers that can be an output of a kind: a float is none for an integer's output."""


def to_json(array: npt.NDArray[Any]) -> Any:
    """Nested lists; bytes that are no text as base64."""
    return each(_word, array).tolist() if array.dtype == object else array.tolist()


def read_outputs(target: Target, name: str, outputs: Any, specs: Mapping[str, TensorSpec]) -> Arrays:
    """Arrays of the types that a signature names.

    Args:
        target: which model, for errors.
        name: the signature's name, for errors.
        outputs: what `outputs` in the answer holds: by name, but an only output comes without its name.
        specs: the signature's outputs.

    Raises:
        UnexpectedAnswer: if these are not its outputs.
    """
    if len(specs) == 1 and not (isinstance(outputs, dict) and set(outputs) == set(specs)):
        outputs = dict.fromkeys(specs, outputs)
    if not isinstance(outputs, dict) or set(outputs) != set(specs):
        given = ", ".join(sorted(outputs)) if isinstance(outputs, dict) else "a list"
        raise target.unexpected(f"signature {name!r}: outputs are {given}, wanted {', '.join(sorted(specs))}")
    arrays = {}
    for one, spec in specs.items():
        try:
            arrays[one] = _read(one, outputs[one], spec)
        except (ValueError, TypeError, KeyError) as error:
            raise target.unexpected(f"signature {name!r}: output {one!r} is not {spec}: {error}") from None
    return arrays


def _read(name: str, given: Any, spec: TensorSpec) -> Array:
    array: npt.NDArray[Any]
    if spec.dtype == STRING:
        array = each(lambda word: _string(name, word), np.array(given, object))
    else:
        plain, wanted = np.array(given), np.dtype(spec.dtype)
        if plain.size and plain.dtype.kind not in READABLE.get(wanted.kind, ""):
            raise ValueError(f"given {plain.dtype}")
        array = plain.astype(wanted)
    if array.shape == (0,) and spec.shape:  # JSON shows no sizes after a 0
        array = array.reshape([0, *(max(size, 0) for size in spec.shape[1:])])
    if not spec.fits(array.shape):
        raise ValueError(f"given {list(array.shape)}")
    return array


def _word(value: str | bytes) -> str | dict[str, str]:
    raw = to_bytes(value)
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return {BASE64: base64.b64encode(raw).decode()}


def _string(name: str, given: Any) -> str | bytes:
    if isinstance(given, dict):
        return from_bytes(name, base64.b64decode(given[BASE64], validate=True))
    if not isinstance(given, str):
        raise ValueError(f"given {given!r}")
    return from_bytes(name, given.encode())
