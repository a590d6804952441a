"""One loaded version of a model: its signatures, run in a session as the official server runs them.

A SavedModel is restored into a graph and a session of its own, and a signature is a callable from the tensors it feeds
to those it fetches. That is the official server's way, legacy TF1 exports included. Calling
`tf.saved_model.load(...).signatures[...]` eagerly gives the same bits for half as much CPU again.
Reference: https://www.tensorflow.org/tfx/serving/architecture
"""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import tensorflow as tf
from tensorflow.core.framework import types_pb2
from tensorflow.core.protobuf import config_pb2

from serving.model_server.request_error import from_tensorflow, invalid

Arrays = dict[str, npt.NDArray[Any]]
DEFAULT_SIGNATURE = "serving_default"


@dataclass(frozen=True)
class Spec:
    """One input or output of a signature.

    Args:
        dtype: TensorFlow's type.
        shape: sizes, None for any size; None as a whole for any shape.
        placeholder: whether the shape is a promise of the model's author. TF1 exports may feed tensors in the middle of
            a graph, which take whatever the operations after them take.
    """

    dtype: tf.DType
    shape: tuple[int | None, ...] | None
    placeholder: bool

    def fits(self, shape: tuple[int, ...]) -> bool:
        """Whether an array of this shape may be fed."""
        if self.shape is None or not self.placeholder:
            return True
        wanted = self.shape
        return len(shape) == len(wanted) and all(w in (None, s) for w, s in zip(wanted, shape, strict=True))


class Signature:
    """A named function of a model.

    Args:
        definition: its SignatureDef.
        session: the session that holds the model's graph and variables.
    """

    def __init__(self, definition: Any, session: Any):
        self.inputs = {name: _spec(definition.inputs[name], session.graph) for name in sorted(definition.inputs)}
        self.outputs = {name: _spec(definition.outputs[name], session.graph) for name in sorted(definition.outputs)}
        options = config_pb2.CallableOptions()
        options.feed.extend(definition.inputs[name].name for name in self.inputs)
        options.fetch.extend(definition.outputs[name].name for name in self.outputs)
        self._call = session._make_callable_from_options(options)  # half the overhead of session.run

    def check(self, inputs: Mapping[str, npt.NDArray[Any]]) -> Arrays:
        """The inputs as they are fed, in the signature's order.

        Args:
            inputs: arrays by input name; strings as bytes objects or as text.

        Raises:
            RequestError: INVALID_ARGUMENT if one is missing, unknown, or of another type or shape.
        """
        if inputs.keys() != self.inputs.keys():
            raise invalid(_wrong_names(set(inputs), set(self.inputs)))
        fed = {}
        for name, spec in self.inputs.items():
            array = _as_bytes(np.asarray(inputs[name]))
            if array.dtype != spec.dtype.as_numpy_dtype:
                raise invalid(f"input {name}: expected {_enum(spec.dtype)}, got {_enum(tf.as_dtype(array.dtype))}")
            if not spec.fits(array.shape):
                raise invalid(f"input {name}: expected shape {_sizes(spec.shape)}, got {_sizes(array.shape)}")
            fed[name] = array
        return fed

    def run(self, fed: Arrays) -> Arrays:
        """Run the function.

        Args:
            fed: what `check` returned.

        Returns:
            Arrays by output name; strings as bytes objects.

        Raises:
            RequestError: with TensorFlow's own code if the model refuses the inputs.
        """
        try:
            fetched = self._call(*fed.values())
        except tf.errors.OpError as error:
            raise from_tensorflow(error) from None
        arrays = [np.asarray(one, object) if isinstance(one, bytes) else one for one in fetched]  # a single string
        return dict(zip(self.outputs, arrays, strict=True))


class Servable:
    """A SavedModel in memory.

    Args:
        path: its folder.

    Raises:
        Exception: whatever TensorFlow raises for a folder that is not a whole SavedModel.
    """

    def __init__(self, path: Path):
        graph = tf.Graph()
        config = tf.compat.v1.ConfigProto(device_count={"GPU": 0})
        self._session = tf.compat.v1.Session(graph=graph, config=config)
        logger = logging.getLogger("tensorflow")
        level = logger.level
        try:
            logger.setLevel(logging.ERROR)  # it advises the eager loader, see above
            with graph.as_default():
                meta_graph = tf.compat.v1.saved_model.load(self._session, [tf.saved_model.SERVING], str(path))
            self.definitions: dict[str, Any] = dict(meta_graph.signature_def)
            self._signatures = {
                name: Signature(definition, self._session)
                for name, definition in self.definitions.items()
                if definition.inputs and definition.outputs  # the initializer of the tables is listed among them
            }
        except BaseException:
            self._session.close()
            raise
        finally:
            logger.setLevel(level)

    @property
    def signatures(self) -> Mapping[str, Signature]:
        """The functions by name."""
        return self._signatures

    def close(self) -> None:
        """Free the memory; nothing may be running."""
        self._session.close()


def _spec(info: Any, graph: Any) -> Spec:
    shape = None
    if not info.tensor_shape.unknown_rank:
        shape = tuple(None if dim.size < 0 else int(dim.size) for dim in info.tensor_shape.dim)
    operation = graph.get_tensor_by_name(info.name).op
    return Spec(tf.as_dtype(info.dtype), shape, operation.type == "Placeholder")


def _as_bytes(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    if array.dtype.kind == "U":
        array = np.char.encode(array, "utf-8")
    return array.astype(object) if array.dtype.kind == "S" else array


def _wrong_names(sent: set[str], wanted: set[str]) -> str:
    def listed(names: set[str]) -> str:
        return "{" + ",".join(sorted(names)) + "}"

    return (
        f"input size does not match signature: {len(sent)}!={len(wanted)} len({listed(sent)}) != "
        f"len({listed(wanted)}). Sent extra: {listed(sent - wanted)}. "
        f"Missing but required: {listed(wanted - sent)}."
    )


def _enum(dtype: tf.DType) -> str:
    return str(types_pb2.DataType.Name(dtype.as_datatype_enum))


def _sizes(shape: tuple[int | None, ...] | None) -> str:
    return "[" + ",".join("-1" if size is None else str(size) for size in shape or ()) + "]"
