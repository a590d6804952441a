"""A hash of what tables say, whatever file format, compression or engine they came through.

Runs carry it, so that a model is never evaluated on, or resumed with, other data than it was trained on.
"""

import hashlib
from collections.abc import Iterator, Mapping

import numpy as np
import numpy.typing as npt
import polars as pl

NULL_LENGTH = 2**32 - 1


def fingerprint(tables: Mapping[str, pl.DataFrame]) -> str:
    """Hash the contents of tables.

    Args:
        tables: name to rows, in an order that the caller makes unique; the order of columns does not matter.

    Returns:
        64 hexadecimal digits (SHA-256).
    """
    digest = hashlib.sha256()
    for name, table in sorted(tables.items()):
        for column in sorted(table.columns):
            digest.update(f"{name}.{column}:{table.height};".encode())
            for buffer in _buffers(table[column]):
                digest.update(buffer)
    return digest.hexdigest()


def _buffers(values: pl.Series) -> Iterator[bytes | memoryview]:
    """The bytes of one column; nulls are marked, so that null, zero and the empty string differ."""
    kind = values.dtype
    if isinstance(kind, pl.Array):
        yield from _buffers(values.arr.to_list())
    elif isinstance(kind, pl.Struct):
        yield _bytes(values.is_null().to_numpy())
        for field in kind.fields:
            yield from _buffers(values.struct.field(field.name))
    elif isinstance(kind, pl.List):
        yield _bytes(values.list.len().fill_null(NULL_LENGTH).to_numpy())
        yield from _buffers(values.explode(empty_as_null=False, keep_nulls=False))
    elif kind.is_numeric() or kind.is_temporal():
        yield _bytes(values.is_null().to_numpy())
        whole = kind.is_integer() or kind.is_temporal()
        numbers = values.to_physical().cast(pl.Int64 if whole else pl.Float64).fill_null(0)
        yield _bytes(numbers.to_numpy() + 0)  # turns -0.0, which equals 0.0, into it
    else:
        texts = values.bin.encode("hex") if isinstance(kind, pl.Binary) else values.cast(pl.String)
        yield _bytes(texts.str.len_bytes().fill_null(NULL_LENGTH).to_numpy())
        yield texts.str.join("").item().encode()


def _bytes(values: npt.NDArray[np.generic]) -> memoryview:
    return np.ascontiguousarray(values).data
