"""The tensors of the REST API: JSON to arrays and back.

Row format, `instances`: a list with one element per row; column format, `inputs`: whole tensors. Bytes are
{"b64": "…"}; outputs whose name ends in _bytes are written so. Integers stay exact. As on the official server, NaN,
Infinity and -Infinity are read and written as such, though the JSON standard does not know them.
Reference: https://www.tensorflow.org/tfx/serving/api_rest
"""

import base64
import binascii
import itertools
import json
from collections.abc import Mapping
from typing import Any

import grpc
import numpy as np
import numpy.typing as npt
import tensorflow as tf

from serving.model_server.request_error import RequestError, invalid
from serving.model_server.servable import Arrays, Spec

BYTES_SUFFIX = "_bytes"
INSTANCES, INPUTS = "instances", "inputs"
_DEEPEST = 32
"""Dimensions of an array; no model has as many."""
_KINDS = {"f": (int, float), "i": (int,), "u": (int,), "b": (bool,), "O": (str, bytes)}


def parse(body: bytes) -> dict[str, Any]:
    """Read the body of a request.

    Raises:
        RequestError: INVALID_ARGUMENT if it is not a JSON object.
    """
    if not body:
        raise invalid("JSON Parse error: The document is empty")
    try:
        document = json.loads(body)
    except (ValueError, RecursionError) as error:
        reason = "nested too deeply" if isinstance(error, RecursionError) else str(error)
        raise invalid(f"JSON Parse error: {reason}") from None
    if not isinstance(document, dict):
        raise invalid(f"JSON Value: {_short(document)} Is not object")
    return document


def read_inputs(document: Mapping[str, Any], specs: Mapping[str, Spec]) -> Arrays:
    """The input tensors of a request.

    Args:
        document: with `instances` or `inputs`.
        specs: the signature's inputs.

    Returns:
        Arrays by input name.

    Raises:
        RequestError: INVALID_ARGUMENT if they are not the signature's inputs.
    """
    if (INSTANCES in document) == (INPUTS in document):
        if INPUTS in document:
            raise invalid("Not formatted correctly expecting only one of 'inputs' or 'instances' keys to exist")
        raise invalid("Missing 'inputs' or 'instances' key")
    columns = _rows(document[INSTANCES], specs) if INSTANCES in document else _columns(document[INPUTS], specs)
    return {name: _array(name, value, specs[name].dtype) for name, value in columns.items()}


def write_outputs(outputs: Arrays, *, as_rows: bool) -> bytes:
    """The body of an answer: `predictions` for rows, `outputs` for columns.

    Raises:
        RequestError: INVALID_ARGUMENT if rows are asked for and an output has another number of them.
    """
    values = {name: _plain(name, array) for name, array in outputs.items()}
    if not as_rows:
        return json.dumps({"outputs": _bare(values)}).encode()
    rows = None
    for name, array in outputs.items():
        if not array.ndim:
            raise invalid(f"Tensor name: {name} has no shape information ")
        if rows is not None and len(array) != rows:
            raise invalid(f"Tensor name: {name} has inconsistent batch size: {len(array)} expecting: {rows}")
        rows = len(array)
    if len(values) > 1:
        lines: Any = [dict(zip(values, row, strict=True)) for row in zip(*values.values(), strict=True)]
        return json.dumps({"predictions": lines}).encode()
    return json.dumps({"predictions": _bare(values)}).encode()


def _bare(values: dict[str, Any]) -> Any:
    """A single output goes without its name."""
    return values if len(values) > 1 else next(iter(values.values()))


def _rows(instances: Any, specs: Mapping[str, Spec]) -> dict[str, Any]:
    if not isinstance(instances, list):
        raise invalid(f"JSON Value: {_short(instances)} Excepting 'instances' to be an list/array")
    if not instances:
        raise invalid("JSON Value: [] No values in 'instances' array")
    if not _is_object(instances[0]):
        if len(specs) > 1:
            raise invalid(
                "instances is a plain list, but expecting list of objects as multiple input tensors required as per "
                "tensorinfo_map"
            )
        return {next(iter(specs)): instances}
    for position, element in enumerate(instances):
        if not _is_object(element):
            raise invalid(f"Expecting object but got list at item {position} of input list")
        if element.keys() != specs.keys():
            raise invalid(
                f"Failed to process element: {position} of 'instances' list. JSON object: {_short(element)} keys "
                f"must be equal to: {','.join(specs)}"
            )
    return {name: [element[name] for element in instances] for name in specs}


def _columns(inputs: Any, specs: Mapping[str, Spec]) -> dict[str, Any]:
    if not _is_object(inputs):
        if len(specs) > 1:
            raise invalid(
                "inputs is a plain value/list, but expecting an object as multiple input tensors required as per "
                "tensorinfo_map"
            )
        return {next(iter(specs)): inputs}
    for name in specs:
        if name not in inputs:
            raise invalid(f"Missing named input: {name} in 'inputs' object.")
    return {name: inputs[name] for name in specs}


def _array(name: str, value: Any, dtype: tf.DType) -> npt.NDArray[Any]:
    """The array of nested lists, which must have the same lengths at every level."""
    numpy_type = np.dtype(dtype.as_numpy_dtype)
    if numpy_type.kind not in _KINDS:
        raise RequestError(grpc.StatusCode.UNIMPLEMENTED, f"input {name}: {dtype.name} cannot be given in JSON")
    shape: list[int] = []
    level = [value]
    while level and isinstance(level[0], list):
        if len(shape) == _DEEPEST:
            raise invalid(f"input {name}: lists are nested more than {_DEEPEST} levels deep")
        if any(type(part) is not list or len(part) != len(level[0]) for part in level):
            odd = next(part for part in level if type(part) is not list or len(part) != len(level[0]))
            raise invalid(
                f"input {name}: Encountered list at unexpected size: lists of one level must all have the length "
                f"{len(level[0])} of the first, unlike {_short(odd)}"
            )
        shape.append(len(level[0]))
        level = list(itertools.chain.from_iterable(level))
    if dtype == tf.string:
        level = [_decoded(name, part) if isinstance(part, dict) else part for part in level]
    allowed = _KINDS[numpy_type.kind]
    if wrong := set(map(type, level)) - set(allowed):
        odd = next(part for part in level if type(part) in wrong)
        raise invalid(f"input {name}: JSON Value: {_short(odd)} is not of expected type: {dtype.name}")
    if dtype == tf.string:
        level = [part if isinstance(part, bytes) else part.encode("utf-8", "surrogatepass") for part in level]
    elif numpy_type.kind != "b":
        _require_exact(name, level, numpy_type)
    return np.array(level, numpy_type).reshape(shape)


def _require_exact(name: str, numbers: list[Any], dtype: np.dtype[Any]) -> None:
    """Refuse numbers that the type cannot hold."""
    if dtype.kind == "f":
        largest: float = float(np.finfo(dtype).max)
        whole = 2 ** (np.finfo(dtype).nmant + 1) - 1
        lossy = [n for n in numbers if abs(n) > (whole if type(n) is int else largest) and abs(n) != float("inf")]
    else:
        low, high = np.iinfo(dtype).min, np.iinfo(dtype).max
        lossy = [n for n in numbers if not low <= n <= high]
    if lossy:
        raise invalid(
            f"input {name}: Cannot convert JSON value: {_short(lossy[0])} to {dtype.name} without loss of precision."
        )


def _is_object(value: Any) -> bool:
    return isinstance(value, dict) and not _is_base64(value)


def _is_base64(value: dict[str, Any]) -> bool:
    return value.keys() == {"b64"} and isinstance(value["b64"], str)


def _decoded(name: str, value: dict[str, Any]) -> bytes:
    if not _is_base64(value):
        raise invalid(f"input {name}: JSON Value: {_short(value)} not formatted correctly for base64 data")
    try:
        return base64.b64decode(value["b64"], validate=True)
    except (binascii.Error, ValueError):
        raise invalid(f"input {name}: Unable to base64 decode") from None


def _plain(name: str, array: npt.NDArray[Any]) -> Any:
    """Nested lists of what JSON has."""
    if array.dtype == object:
        as_json = _base64 if name.endswith(BYTES_SUFFIX) else _text
        return np.asarray(np.frompyfunc(as_json, 1, 1)(array), object).tolist()
    if array.dtype.kind == "f" and array.dtype.itemsize < 8:
        # the shortest decimals that give the same float32 again: 0.1, not 0.10000000149011612
        return array.astype("U32").astype(np.float64).tolist()
    return array.tolist()


def _base64(value: bytes) -> dict[str, str]:
    return {"b64": base64.b64encode(value).decode()}


def _text(value: bytes) -> str:
    return value.decode("utf-8", "replace")


def _short(value: Any, length: int = 200) -> str:
    try:
        text = json.dumps(value)
    except RecursionError:
        text = "a deeply nested value"
    return text if len(text) <= length else text[:length] + "…"
