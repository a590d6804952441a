"""What lies in one basket."""

from datetime import datetime

import polars as pl
import pytest

from data_pipelines.baskets import item_categories, make_baskets, read_events
from data_pipelines.schema import InputError
from tests.toy import day, write_prepared

EVENTS = [
    ("ann", "milk", "purchase", day(0)),
    ("ann", "bread", "purchase", day(0)),
    ("ann", "bread", "purchase", day(0)),  # two of them
    ("ben", "milk", "purchase", day(0)),  # at the same time, another basket
    ("ann", "tea", "purchase", day(2)),
    ("ann", "milk", "view", day(1)),  # looked at only
]


def rows(baskets) -> list[set[str]]:
    return [set(baskets.things[row.indices].tolist()) for row in baskets.contents]


def test_a_basket_is_what_one_user_did_at_one_time(tmp_path):
    baskets = make_baskets(read_events(write_prepared(tmp_path / "shop", EVENTS)))
    assert rows(baskets) == [{"milk", "bread"}, {"milk"}, {"tea"}]
    assert baskets.customer.tolist() == [0, 1, 0]
    assert str(baskets.time[2])[:10] == "2024-01-03"


def test_basket_ids_win_over_times(tmp_path):
    shop = write_prepared(tmp_path / "shop", EVENTS)
    table = pl.read_parquet(shop / "events.parquet").filter(pl.col("event_type") == "purchase")
    ids = {"bread": "1", "milk": "1", "tea": "1"}  # Ben's milk, too: his first basket, not Ann's
    table = table.with_columns(basket_id=pl.col("item_id").replace_strict(ids))
    table.write_parquet(shop / "events.parquet")
    assert rows(make_baskets(read_events(shop))) == [{"milk", "bread", "tea"}, {"milk"}]
    nameless = table.with_columns(basket_id=pl.when(pl.col("item_id") != "tea").then("basket_id"))
    nameless.write_parquet(shop / "events.parquet")
    assert rows(make_baskets(read_events(shop))) == [{"milk", "bread"}, {"milk"}, {"tea"}]


def test_views_are_baskets_where_nothing_is_sold(tmp_path):
    shop = write_prepared(tmp_path / "shop", [(user, item, "view", time) for user, item, _, time in EVENTS])
    assert len(make_baskets(read_events(shop))) == 4


def test_until_leaves_out_its_own_moment(tmp_path):
    shop = write_prepared(tmp_path / "shop", EVENTS)
    assert len(make_baskets(read_events(shop, day(2)))) == 2
    with pytest.raises(InputError, match=r"until=2023-01-01T00:00:00: no basket is older; the first is of 2024-01-01"):
        read_events(shop, datetime(2023, 1, 1))


def test_categories_keep_trips_without_one(tmp_path):
    events = read_events(write_prepared(tmp_path / "shop", EVENTS))
    items = pl.DataFrame({"item_id": ["milk", "bread", "tea"], "aisle": [1, 1, None], "tags": [["a"]] * 3})
    baskets = make_baskets(events, item_categories(items, "aisle"))
    assert rows(baskets) == [{"1"}, {"1"}, set()]
    for column, message in {
        "tags": "category=tags: holds List",
        "item_id": "category=item_id: not a column of items; it has aisle, tags",
        None: "items: no column category",
    }.items():
        with pytest.raises(InputError, match=message):
            item_categories(items, column)


def test_a_damaged_table_is_named(tmp_path):
    shop = write_prepared(tmp_path / "shop", EVENTS)
    pl.DataFrame({"user_id": ["ann"]}).write_parquet(shop / "events.parquet")
    with pytest.raises(InputError, match=r"events\.parquet: column 'item_id' is missing"):
        read_events(shop)
    (shop / "events.parquet").write_bytes(b"nothing")
    with pytest.raises(InputError, match=r"events\.parquet: not readable"):
        read_events(shop)
