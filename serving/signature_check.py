"""Inputs are held against the model's signature before anything is sent.

A server says of a wrong input what its graph noticed first; here the message names the input, what was given and what
is wanted. Numbers are converted where nothing is lost but precision: 3.0 is no int, and 3_000_000_000 no int32.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from serving.serving_error import Target
from serving.signatures import STRING, Array, Arrays, Signature, Signatures, TensorSpec

CONVERTIBLE = {"b": "b", "i": "iub", "u": "iub", "f": "fiub", "c": "cfiub"}
"""Kinds of numbers that a wanted kind can be made of."""


def find_signature(target: Target, name: str, signatures: Signatures) -> Signature:
    """The signature of a name.

    Raises:
        InvalidRequest: if the model has none.
    """
    if name not in signatures.signatures:
        raise target.invalid(f"no signature {name!r}; there are: {', '.join(sorted(signatures.signatures))}")
    return signatures.signatures[name]


def check_inputs(target: Target, name: str, signature: Signature, inputs: Mapping[str, npt.ArrayLike]) -> Arrays:
    """Convert inputs to what a signature wants.

    Args:
        target: which model, for errors.
        name: the signature's name, for errors.
        signature: what it wants.
        inputs: anything that NumPy makes arrays of.

    Returns:
        Arrays of the wanted types, strings as objects (`str` or `bytes`).

    Raises:
        InvalidRequest: if an input is missing, unknown, of another type or shape, or the batch sizes differ.
    """
    where = f"signature {name!r}"
    if missing := sorted(set(signature.inputs) - set(inputs)):
        wanted = ", ".join(f"{one} ({signature.inputs[one]})" for one in missing)
        raise target.invalid(f"{where}: missing input {wanted}")
    if unknown := sorted(set(inputs) - set(signature.inputs)):
        raise target.invalid(
            f"{where}: unknown input {', '.join(unknown)}; it takes {', '.join(sorted(signature.inputs))}"
        )
    arrays = {one: _array(target, f"{where}, input {one!r}", inputs[one], signature.inputs[one]) for one in inputs}
    batches = {one: len(arrays[one]) for one, spec in signature.inputs.items() if (spec.shape or ())[:1] == (-1,)}
    if len(set(batches.values())) > 1:
        sizes = ", ".join(f"{one} {size}" for one, size in batches.items())
        raise target.invalid(f"{where}: inputs differ in batch size: {sizes}")
    return arrays


def _array(target: Target, where: str, given: npt.ArrayLike, wanted: TensorSpec) -> Array:
    array: npt.NDArray[Any] | None
    try:
        # strings as objects from the start: NumPy's own strings lose zeros at their end
        array = np.asarray(given, object if wanted.dtype == STRING else None)
    except ValueError:
        array = None
    kinds = set() if array is None else _kinds(array)
    if array is None or any(issubclass(kind, (list, tuple)) for kind in kinds):
        raise target.invalid(f"{where}: given rows of different lengths, wanted {wanted}")
    converted = None
    if wanted.fits(array.shape):
        converted = _numbers(array, wanted.dtype) if wanted.dtype != STRING else array if _is_text(kinds) else None
    if converted is None:
        raise target.invalid(f"{where}: given {_described(array)}, wanted {wanted}")
    return converted


def _kinds(array: Array) -> set[type]:
    """The classes of an array's objects: few, however many objects there are."""
    return set(map(type, array.ravel().tolist())) if array.dtype == object else set()


def _is_text(kinds: set[type]) -> bool:
    return all(issubclass(kind, (str, bytes)) for kind in kinds)


def _numbers(array: Array, name: str) -> Array | None:
    try:
        wanted = np.dtype(name)
    except TypeError:  # a type that NumPy has not
        return None
    if array.dtype == wanted:
        return array
    if array.size and array.dtype.kind not in CONVERTIBLE[wanted.kind]:
        return None
    with np.errstate(over="ignore"):
        converted: Array = array.astype(wanted)
    if wanted.kind in "iu":
        return converted if np.array_equal(converted, array) else None
    # too large for the wanted type: infinite now, and was not before
    return converted if np.array_equal(np.isfinite(converted), np.isfinite(array)) else None


def _described(array: Array) -> str:
    text = array.dtype.kind == "U" or (array.dtype == object and _is_text(_kinds(array)))
    kind = STRING if text else array.dtype.name
    # the range says why numbers do not fit; text is not shown, it may be a person's
    numbers = array.size and array.dtype.kind in "iuf"
    span = f" from {np.fmin.reduce(array, None)} to {np.fmax.reduce(array, None)}" if numbers else ""
    return f"{kind} {list(array.shape)}{span}"
