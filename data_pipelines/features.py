"""Item and user attributes encoded as integer and float arrays, one row per vocabulary index.

The kind of a column follows from its type: strings are categorical, numbers numeric, lists of strings list-valued. What
is missing stays missing: code 0 for categories, an indicator beside the number, an empty list. The statistics come from
the vocabulary's own rows, and the encoded table travels with the model, so training and serving see the same numbers.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
import polars as pl

from data_pipelines.schema import FIRST_KNOWN

FeatureKind = Literal["categorical", "numeric", "list"]


@dataclass(frozen=True)
class Feature:
    """One encoded attribute.

    Args:
        name: the column's name.
        kind: `categorical`, `numeric` or `list`.
        values: categorical `[n]` int32 codes, 0 missing or rare; numeric `[n, 2]` float32 (standardised value, 1 if
            missing); list `[n, width]` int32 codes, 0 padding.
        vocabulary: the string of each code, `vocabulary[0]` is "" (missing); empty for numeric features.
    """

    name: str
    kind: FeatureKind
    values: npt.NDArray[np.int32] | npt.NDArray[np.float32]
    vocabulary: tuple[str, ...] = ()


@dataclass(frozen=True)
class FeatureTable:
    """All attributes of the items or the users of a vocabulary.

    Args:
        ids: `[n]` strings; `ids[0]` (padding) and `ids[1]` (unknown) are "" and "<unknown>".
        features: the encoded attributes, each with `n` rows.
    """

    ids: npt.NDArray[np.str_]
    features: tuple[Feature, ...] = ()

    @property
    def size(self) -> int:
        """Vocabulary size including padding and unknown."""
        return len(self.ids)


def encode(
    ids: Sequence[str],
    attributes: pl.DataFrame,
    key: str,
    *,
    min_count: int = 2,
    max_list_length: int = 16,
    ignore: Sequence[str] = (),
) -> FeatureTable:
    """Encode the attributes of a vocabulary.

    Args:
        ids: the known ids, in index order (index `FIRST_KNOWN` onwards).
        attributes: one row per id; ids without a row have every attribute missing.
        key: the id column of `attributes`.
        min_count: a category carried by fewer ids is coded as missing: it can only be memorised.
        max_list_length: list attributes keep this many values, the most frequent first.
        ignore: columns that are not features (names, descriptions).

    Returns:
        The encoded table, `len(ids) + FIRST_KNOWN` rows.
    """
    rows = pl.DataFrame({key: list(ids)}, schema={key: pl.String}).join(
        attributes, on=key, how="left", maintain_order="left"
    )
    features = []
    for column in rows.columns:
        if column == key or column in ignore:
            continue
        kind = rows.schema[column]
        if isinstance(kind, pl.List):
            feature = _lists(column, rows[column], min_count, max_list_length)
        elif kind.is_numeric():
            feature = _numbers(column, rows[column])
        else:
            feature = _categories(column, rows[column].cast(pl.String), min_count)
        if feature is not None:
            features.append(feature)
    table_ids = np.array(["", "<unknown>", *ids])
    return FeatureTable(table_ids, tuple(features))


def _pad(values: npt.NDArray[np.generic]) -> npt.NDArray[np.generic]:
    """Put the rows of padding and unknown (all missing) before the known ones."""
    head = np.zeros((FIRST_KNOWN, *values.shape[1:]), values.dtype)
    return np.concatenate([head, values])


def _codes(values: pl.Series, min_count: int) -> pl.DataFrame:
    """Distinct non-empty values that occur often enough, most frequent first, with their code from 1."""
    counts = values.alias("value").drop_nulls().value_counts(name="count")
    counts = counts.filter((pl.col("value") != "") & (pl.col("count") >= min_count))
    return counts.sort("count", "value", descending=[True, False]).with_row_index("code", offset=1)


def _categories(name: str, values: pl.Series, min_count: int) -> Feature | None:
    codes = _codes(values, min_count)
    if codes.is_empty():
        return None
    joined = pl.DataFrame({"value": values}).join(codes, on="value", how="left", maintain_order="left")
    encoded = joined["code"].fill_null(0).to_numpy().astype(np.int32)
    return Feature(name, "categorical", _pad(encoded), ("", *codes["value"]))  # type: ignore[arg-type]


def _numbers(name: str, values: pl.Series) -> Feature | None:
    numbers = values.cast(pl.Float64).to_numpy()
    present = np.isfinite(numbers)
    known = numbers[present]
    if not len(known):
        return None
    if known.min() >= 0 and known.max() > 20 * max(np.median(known), 1e-9):
        known = np.log1p(known)  # prices and counts are heavy-tailed
    encoded = np.zeros((len(numbers), 2), np.float32)
    encoded[present, 0] = ((known - known.mean()) / (known.std() or 1.0)).clip(-5, 5)
    encoded[~present, 1] = 1.0
    padded = _pad(encoded)
    padded[:FIRST_KNOWN, 1] = 1.0
    return Feature(name, "numeric", padded)  # type: ignore[arg-type]


def _lists(name: str, values: pl.Series, min_count: int, max_length: int) -> Feature | None:
    rows = pl.DataFrame({"row": np.arange(len(values)), "value": values}).explode("value")
    rows = rows.with_columns(pl.col("value").cast(pl.String))
    codes = _codes(rows["value"], min_count)
    if codes.is_empty():
        return None
    kept = rows.join(codes, on="value", how="inner").unique(["row", "code"]).sort("row", "code")
    position = kept.select(pl.int_range(pl.len()).over("row").alias("p"))["p"].to_numpy()
    inside = position < max_length
    encoded = np.zeros((len(values), min(max_length, int(position.max()) + 1)), np.int32)
    encoded[kept["row"].to_numpy()[inside], position[inside]] = kept["code"].to_numpy()[inside]
    return Feature(name, "list", _pad(encoded), ("", *codes["value"]))  # type: ignore[arg-type]
