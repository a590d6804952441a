"""A hash of what tables say, whatever file format, compression or engine they came through.

Runs carry it, so that a model is never evaluated on, or resumed with, other data than it was trained on.
"""

import hashlib
from collections.abc import Mapping

import numpy as np
import polars as pl

NULL_LENGTH = np.uint32(2**32 - 1)


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
            _update(digest, table[column])
    return digest.hexdigest()


def _update(digest: "hashlib._Hash", values: pl.Series) -> None:
    """Add one column: nulls are marked, so that null, zero and the empty string differ."""
    kind = values.dtype
    if isinstance(kind, pl.List):
        digest.update(values.list.len().fill_null(NULL_LENGTH).to_numpy())
        _update(digest, values.explode(empty_as_null=False, keep_nulls=False))
    elif kind.is_integer() or kind.is_temporal():
        _update_fixed(digest, values.to_physical().cast(pl.Int64), 0)
    elif kind.is_numeric():
        # + 0.0 turns -0.0, which equals 0.0, into it
        _update_fixed(digest, values.cast(pl.Float64) + 0.0, 0.0)
    else:
        texts = values.cast(pl.String)
        digest.update(texts.str.len_bytes().fill_null(NULL_LENGTH).to_numpy())
        digest.update(texts.str.join("").item().encode())


def _update_fixed(digest: "hashlib._Hash", values: pl.Series, filler: float) -> None:
    digest.update(values.is_null().to_numpy())
    digest.update(values.fill_null(filler).to_numpy())
