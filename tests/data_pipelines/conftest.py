"""Engines on which the same pipeline code must give the same rows and counts."""

from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from typing import Any

import narwhals as nw
import polars as pl
import pytest

from data_pipelines.frames import Lazy
from data_pipelines.prepare import PrepareConfig, prepare
from data_pipelines.report import QualityReport
from data_pipelines.schema import SOURCE_ROW

Engine = Callable[[pl.DataFrame], Lazy]


@pytest.fixture(scope="session")
def spark() -> Iterator[Any]:
    sql = pytest.importorskip("pyspark.sql", reason="needs the [spark] extra")
    builder = sql.SparkSession.builder.master("local[2]").config("spark.sql.session.timeZone", "UTC")
    session = builder.config("spark.ui.enabled", "false").config("spark.sql.shuffle.partitions", "2").getOrCreate()
    yield session
    session.stop()


@pytest.fixture(params=["polars", "duckdb", pytest.param("pyspark", marks=pytest.mark.spark)])
def engine(request: pytest.FixtureRequest) -> Engine:
    """Hand a table, with its row numbers, to an engine."""
    if request.param == "polars":
        return lambda table: nw.from_native(numbered(table).lazy())
    if request.param == "duckdb":
        connection, numbers = pytest.importorskip("duckdb").connect(), count()
        connection.execute("SET TimeZone = 'UTC'")

        def to_duckdb(table: pl.DataFrame) -> Lazy:
            name = f"source_{next(numbers)}"
            arrow = numbered(table).to_arrow()  # noqa: F841  DuckDB finds it by its name
            connection.execute(f"CREATE TABLE {name} AS SELECT * FROM arrow")
            return nw.from_native(connection.table(name))

        return to_duckdb
    session = request.getfixturevalue("spark")
    return lambda table: nw.from_native(session.createDataFrame(numbered(table).to_arrow()))


@pytest.fixture(scope="session")
def journey(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, QualityReport]:
    """The real data of the installed package, prepared; about ten seconds."""
    folder = tmp_path_factory.mktemp("journey") / "data"
    return folder, prepare("complete-journey", None, folder, PrepareConfig())


def numbered(table: pl.DataFrame) -> pl.DataFrame:
    """Add the row numbers that a source adds."""
    return table.with_row_index(SOURCE_ROW, offset=1).cast({SOURCE_ROW: pl.Int64})
