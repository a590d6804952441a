"""What a served model takes and gives, as GetModelMetadata or REST's /metadata says, without TensorFlow's types.

Reference: https://github.com/tensorflow/serving/blob/master/tensorflow_serving/apis/get_model_metadata.proto
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

STRING = "string"
DTYPES = {
    "DT_FLOAT": "float32",
    "DT_DOUBLE": "float64",
    "DT_HALF": "float16",
    "DT_INT8": "int8",
    "DT_INT16": "int16",
    "DT_INT32": "int32",
    "DT_INT64": "int64",
    "DT_UINT8": "uint8",
    "DT_UINT16": "uint16",
    "DT_UINT32": "uint32",
    "DT_UINT64": "uint64",
    "DT_BOOL": "bool",
    "DT_COMPLEX64": "complex64",
    "DT_COMPLEX128": "complex128",
    "DT_STRING": STRING,
}
"""NumPy's names of TensorFlow's types; a type that is not here (bfloat16, resources) cannot be sent."""

Array = npt.NDArray[np.generic]
Arrays = dict[str, Array]


@dataclass(frozen=True)
class TensorSpec:
    """Type and shape of an input or output.

    Args:
        dtype: NumPy's name of the type, or `string`.
        shape: sizes, -1 for any; None for any shape.
    """

    dtype: str
    shape: tuple[int, ...] | None

    def __str__(self) -> str:
        return f"{self.dtype} {'of any shape' if self.shape is None else list(self.shape)}"

    def fits(self, shape: tuple[int, ...]) -> bool:
        """Whether an array of this shape does."""
        if self.shape is None:
            return True
        pairs = zip(self.shape, shape, strict=False)
        return len(shape) == len(self.shape) and all(want in (-1, size) for want, size in pairs)


@dataclass(frozen=True)
class Signature:
    """One function of a model.

    Args:
        inputs: by name.
        outputs: by name.
    """

    inputs: Mapping[str, TensorSpec]
    outputs: Mapping[str, TensorSpec]


@dataclass(frozen=True)
class Signatures:
    """What a version of a model can be asked.

    Args:
        version: the version that answered.
        signatures: by name.
    """

    version: int | None
    signatures: Mapping[str, Signature]


@dataclass(frozen=True)
class VersionState:
    """What the server says of a version.

    Args:
        version: its number.
        state: `START`, `LOADING`, `AVAILABLE`, `UNLOADING` or `END`.
        error_code: `OK`, or why it is not served.
        error_message: the same in words.
    """

    version: int
    state: str
    error_code: str
    error_message: str


@dataclass(frozen=True)
class Answer:
    """What a prediction gave.

    Args:
        outputs: by name.
        version: the version that answered, where the protocol says so (gRPC does, REST does not).
    """

    outputs: Arrays
    version: int | None
