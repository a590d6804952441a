"""Tables of items and stock that are replaced while the gateway runs."""

import asyncio
import os
import time

import polars as pl
import pytest

from data_pipelines.schema import InputError
from serving.gateway.catalogue import Catalogue, CatalogueFiles, read_catalogue


def write(path, *names):
    pl.DataFrame({"item_id": names, "kind": ["a"] * len(names)}).write_parquet(path)
    later = time.time_ns() + hash(names) % 10**9
    os.utime(path, ns=(later, later))


async def reloaded(files: CatalogueFiles, size: int) -> None:
    until = time.monotonic() + 10
    while files.current().size != size:
        assert time.monotonic() < until
        await asyncio.sleep(0.01)


def test_a_replaced_table_is_read_beside_the_requests(tmp_path, caplog):
    path = tmp_path / "items.parquet"
    write(path, "a")

    async def work():
        files = CatalogueFiles(path, reload_seconds=0.0)
        first = files.current()
        write(path, "a", "b")
        assert files.current() is first  # not yet: nobody waits for it
        await reloaded(files, 2)
        assert first.size == 1  # who began with it goes on with it
        path.write_bytes(b"half a file")
        for _ in range(50):
            assert files.current().size == 2
            await asyncio.sleep(0.01)
        write(path, "a", "b", "c")
        await reloaded(files, 3)

    asyncio.run(work())
    assert "catalogue not reloaded, the last one stays" in caplog.text


def test_a_table_that_cannot_be_read_at_the_start_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"none.parquet: cannot be read"):
        CatalogueFiles(tmp_path / "none.parquet")
    write(tmp_path / "twice.parquet", "a", "a")
    with pytest.raises(InputError, match=r"twice.parquet: item_id 'a' is there twice"):
        read_catalogue(tmp_path / "twice.parquet", None)
    with pytest.raises(InputError, match=r"twice.parquet: no column 'unique_id'; it has item_id, kind"):
        read_catalogue(None, tmp_path / "twice.parquet")


def test_values_that_json_does_not_have_are_replaced():
    frame = pl.DataFrame({"item_id": ["a"], "day": ["2026-01-31"], "price": [float("nan")]})
    found = Catalogue(frame.with_columns(pl.col("day").str.to_date())).describe(["a", "unknown"])
    assert found == {"a": {"item_id": "a", "day": "2026-01-31", "price": None, "item_name": "a"}}


def test_codes_and_sizes_explain_nothing():
    number = pl.int_range(40, eager=True)
    frame = pl.DataFrame(
        {
            "item_id": number.cast(pl.String),
            "maker": (number % 7).cast(pl.String),  # codes
            "size": pl.Series([f"{n % 5} OZ" for n in range(40)]),
            "name": pl.Series([f"thing {'x' * n}" for n in range(40)]),  # of one item each
            "brand": pl.Series([("A", "B")[n % 2] for n in range(40)]),  # too few
            "kind": pl.Series([("tea", "milk", "bread", "fruit")[n % 4] for n in range(40)]),
            "type": pl.Series([("green tea", "black tea", "oat", "rye", "fig")[n % 5] for n in range(40)]),
        }
    )
    assert Catalogue(frame).telling == ("type", "kind")


def test_true_and_one_are_different_filters():
    items = pl.DataFrame({"item_id": ["a", "b"], "organic": [True, False]})
    catalogue = Catalogue(items)
    catalogue.passes(["a", "b"], {"organic": 1}, False)  # must not answer the next question
    assert catalogue.passes(["a", "b"], {"organic": True}, False) == [True, False]
