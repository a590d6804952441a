"""The fingerprint follows what tables say, and nothing else."""

from datetime import datetime

import polars as pl
import pytest

from data_pipelines.fingerprint import fingerprint

TABLE = pl.DataFrame(
    {
        "id": ["a", "b", None],
        "number": [1.5, 0.0, None],
        "whole": [1, 0, None],
        "time": [datetime(2019, 5, 1), datetime(1970, 1, 1), None],
        "list": [["x", "y"], [], None],
        "flag": [True, False, None],
        "bytes": [b"\xff", b"", None],
        "vector": pl.Series([[1.0, 2.0], [0.0, 0.0], None], dtype=pl.Array(pl.Float32, 2)),
        "record": [{"k": 1}, {"k": 0}, None],
    }
)


def test_types_that_hold_the_same_values_hash_alike() -> None:
    same = TABLE.with_columns(
        pl.col("id").cast(pl.Categorical), pl.col("whole").cast(pl.Int8), number=pl.Series([1.5, -0.0, None])
    )
    assert fingerprint({"t": same.select(reversed(same.columns))}) == fingerprint({"t": TABLE})


def test_it_is_the_same_in_every_version() -> None:
    # sha256 of the description of the column, the byte lengths as uint32 (1, 2) and the bytes of "a" and "é"
    expected = "ac3224a0410ac302"
    assert fingerprint({"t": pl.DataFrame({"id": ["a", "é"]})}).startswith(expected)


@pytest.mark.parametrize("column", TABLE.columns)
def test_a_null_is_not_a_zero_and_order_counts(column: str) -> None:
    original = fingerprint({"t": TABLE})
    zero_for_null = TABLE.with_columns(TABLE[column].gather([0, 1, 1]))
    swapped = TABLE.with_columns(TABLE[column].gather([1, 0, 2]))
    assert len({original, fingerprint({"t": zero_for_null}), fingerprint({"t": swapped})}) == 3


def test_names_and_boundaries_count() -> None:
    tables = [
        {"t": pl.DataFrame({"a": ["xy", "z"]})},
        {"t": pl.DataFrame({"a": ["x", "yz"]})},
        {"t": pl.DataFrame({"b": ["xy", "z"]})},
        {"u": pl.DataFrame({"a": ["xy", "z"]})},
        {"t": pl.DataFrame({"a": [["x", "y"], ["z"]]})},
        {"t": pl.DataFrame({"a": [["x"], ["y", "z"]]})},
    ]
    assert len({fingerprint(table) for table in tables}) == len(tables)
