"""The two things that lazy frames of different engines do not do alike: stay computed, and hand rows to Python.

Everything else in the pipeline is Narwhals expressions. Reference: https://narwhals-dev.github.io/narwhals/
"""

import uuid
from typing import Any

import narwhals as nw

Lazy = nw.LazyFrame[Any]


def materialise(frame: Lazy) -> Lazy:
    """Compute a frame once, where its engine keeps data, so that later queries do not run the whole chain again."""
    native = frame.to_native()
    if frame.implementation.is_polars():
        native = native.collect(engine="streaming").lazy()
    elif frame.implementation.is_pyspark() or frame.implementation.is_pyspark_connect():
        native = native.cache()
    elif frame.implementation.is_duckdb():
        name = f"materialised_{uuid.uuid4().hex}"
        native.query("source", f"CREATE TEMP TABLE {name} AS SELECT * FROM source")
        native = native.query("source", f"SELECT * FROM {name}")
    computed: Lazy = nw.from_native(native)
    return computed


def rows(frame: Lazy) -> list[dict[str, Any]]:
    """Fetch a (small) frame as one dict per row."""
    return frame.collect().rows(named=True)


def totals(frame: Lazy, **aggregates: nw.Expr) -> dict[str, int]:
    """Compute integer aggregates of the whole frame in one pass."""
    row = rows(frame.select(**aggregates))[0]
    return {name: int(value or 0) for name, value in row.items()}


def count(flag: nw.Expr) -> nw.Expr:
    """Number of rows for which `flag` is true; null counts as false."""
    return nw.when(flag).then(nw.lit(1)).otherwise(nw.lit(0)).sum()


def height(frame: Lazy) -> int:
    """Number of rows."""
    return totals(frame, rows=nw.len())["rows"]
