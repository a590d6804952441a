"""What is wrong with a table is found, counted, shown and set aside, on every engine alike."""

from datetime import datetime
from typing import Any

import narwhals as nw
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from data_pipelines.frames import Lazy
from data_pipelines.quality import Checked, check_references, check_table
from data_pipelines.report import Check, Severity
from data_pipelines.schema import EVENTS, ITEMS, REASON, SOURCE_ROW, USERS, InputError, Table

NOW = datetime(2020, 1, 1)


def events(**columns: list[Any]) -> pl.DataFrame:
    """One good event per row, except for the given columns."""
    n_rows = len(next(iter(columns.values()), [None]))
    good = {
        "user_id": [f"u{row}" for row in range(n_rows)],
        "item_id": ["i"] * n_rows,
        "event_type": ["purchase"] * n_rows,
        "timestamp": ["2019-05-01T10:00:00"] * n_rows,
    }
    return pl.DataFrame(good | columns, strict=False)


def check(frame: Lazy, table: Table = EVENTS) -> Checked:
    return check_table(table, frame, f"{table.name}.csv", NOW)


def local(frame: Lazy) -> pl.DataFrame:
    return frame.sort(SOURCE_ROW).collect("polars").to_native()


def frame(table: pl.DataFrame) -> Lazy:
    return nw.from_native(table.with_row_index(SOURCE_ROW, offset=1).lazy())


def found(checked: Checked) -> dict[str, tuple[Severity, int]]:
    return {check.name: (check.severity, check.count) for check in checked.checks}


def test_a_good_table_passes_whole(engine: Any) -> None:
    checked = check(engine(events(quantity=[1, 2], colour=["red", None])))
    assert checked.checks == ()
    assert local(checked.bad).is_empty()
    good = local(checked.good)
    assert good["timestamp"].to_list() == [datetime(2019, 5, 1, 10)] * 2
    assert good["quantity"].to_list() == [1, 2]
    assert good["colour"].to_list() == ["red", None]
    assert (checked.profile.rows, checked.profile.quarantined) == (2, 0)
    assert {column.name: column.nulls for column in checked.profile.columns}["colour"] == 1


def test_bad_rows_are_set_aside_with_the_first_reason(engine: Any) -> None:
    table = events(
        user_id=["u", None, "u", "u", " ", "u"],
        item_id=["i", "i", "", "i", "i", "i"],
        timestamp=["2019-05-01", "never", "2019-05-01", "never", None, "2020-01-03"],
    )
    checked = check(engine(table))
    # row 2: no user (its bad time comes second); row 3: no item; row 4: no time; row 5: blank user; row 6: after the
    # present (1 January 2020) and a day of grace
    bad = local(checked.bad)
    assert dict(zip(bad[SOURCE_ROW], bad[REASON], strict=True)) == {
        2: "missing user_id",
        3: "missing item_id",
        4: "timestamp that is not a time",
        5: "missing user_id",
        6: "timestamp in the future",
    }
    assert bad["timestamp"].to_list() == ["never", "2019-05-01", "never", None, "2020-01-03"]  # as found
    assert local(checked.good)[SOURCE_ROW].to_list() == [1]
    # findings count every problem, also the second of a row
    assert found(checked) == {
        "missing user_id": (Severity.QUARANTINED, 2),
        "missing item_id": (Severity.QUARANTINED, 1),
        "missing timestamp": (Severity.QUARANTINED, 1),
        "timestamp that is not a time": (Severity.QUARANTINED, 2),
        "timestamp in the future": (Severity.QUARANTINED, 1),
    }
    sample = checked.checks[0].samples[0]
    assert sample == {"row": "2", "user_id": None, "item_id": "i", "event_type": "purchase", "timestamp": "never"}
    assert checked.checks[0].share == pytest.approx(2 / 6)


def test_ids_are_trimmed_counted_and_otherwise_left_alone(engine: Any) -> None:
    ids = [" a ", "a", "Ünï-çødé 🧀", "\u00a0b\t", "0042", "a b"]
    checked = check(engine(events(item_id=ids)))
    assert local(checked.good)["item_id"].to_list() == ["a", "a", "Ünï-çødé 🧀", "b", "0042", "a b"]
    assert found(checked) == {"item_id with surrounding spaces": (Severity.WARNING, 2)}


def test_numeric_ids_become_text(engine: Any) -> None:
    # floats: what pandas makes of whole numbers when some are missing
    checked = check(engine(events(user_id=[7, 8, 9, 10], item_id=[1.0, 2.5, None, float("nan")])))
    good = local(checked.good)
    assert (good["user_id"].to_list(), good["item_id"].to_list()) == (["7"], ["1"])
    assert local(checked.bad)[REASON].to_list() == [
        "item_id that is not a whole number",
        "missing item_id",
        "missing item_id",
    ]


def test_categorical_ids() -> None:
    ids = pl.Series([" a", "", "b"], dtype=pl.Categorical)
    checked = check(frame(events(timestamp=["2019-05-01"] * 3).with_columns(item_id=ids)))
    assert local(checked.good)["item_id"].to_list() == ["a", "b"]
    assert local(checked.good).schema["item_id"] == pl.String
    assert set(found(checked)) == {"missing item_id", "item_id with surrounding spaces"}


def test_optional_numbers_that_cannot_be_read_are_missing(engine: Any) -> None:
    checked = check(
        engine(events(quantity=["1", " 2.5 ", "1,5", "many", "", None], price=[1.0] * 4 + [float("inf"), None]))
    )
    good = local(checked.good)
    assert good["quantity"].to_list() == [1.0, 2.5, None, None, None, None]
    assert good["price"].to_list() == [1.0, 1.0, 1.0, 1.0, None, None]
    assert found(checked) == {
        "quantity that is not a number": (Severity.WARNING, 2),
        "price that is not a number": (Severity.WARNING, 1),
    }


def test_dates_written_as_numbers_are_pointed_out(engine: Any) -> None:
    checked = check(engine(events(timestamp=[20190501, 1556704800])))
    # 20,190,501 seconds = 233 days (1 January + 233 = 22 August) + 59,301 seconds (16 h 28 min 21 s)
    assert local(checked.good)["timestamp"][0] == datetime(1970, 8, 22, 16, 28, 21)
    assert found(checked) == {"timestamp before 1990": (Severity.WARNING, 1)}


@pytest.mark.parametrize("table", [ITEMS, USERS], ids=lambda table: table.name)
def test_the_first_of_several_rows_with_one_id_is_kept(engine: Any, table: Table) -> None:
    (key,) = table.key
    checked = check(engine(pl.DataFrame({key: ["a", "b", " a", None, "a", None], "size": [1, 2, 3, 4, 5, 6]})), table)
    assert local(checked.good)["size"].to_list() == [1, 2]
    bad = local(checked.bad)
    assert bad["size"].to_list() == [3, 4, 5, 6]
    assert bad[REASON].to_list() == [f"duplicate {key}", f"missing {key}", f"duplicate {key}", f"missing {key}"]


@pytest.mark.parametrize(
    ("table", "message"),
    [
        (
            events().drop("user_id"),
            "events.csv: column 'user_id' is missing (found 'item_id', 'event_type', 'timestamp')",
        ),
        (events().rename({"user_id": "userid"}), "rename 'userid'"),
        (pl.DataFrame({"user_id;item_id;event_type;timestamp": ["1;2;view;3"]}), "separate the columns with commas"),
        (events().head(0), "events.csv: no rows"),
        (events(timestamp=["red", "blue"]), "column 'timestamp' holds no times"),
        (events(timestamp=["red", "blue"]), "found e.g. 'red'"),
        (events(timestamp=[True, False]), "column 'timestamp' holds Boolean, not times"),
        (events(quantity=["a", None]), "column 'quantity' holds no numbers"),
        (events(price=[[1.0]]), "column 'price' holds List(Float64), not numbers"),
        (events(item_id=[["a"]]), "column 'item_id' holds List(String), not text"),
        (events(user_id=pl.Series([None, None], dtype=pl.String).to_list()), "column 'user_id' has no values"),
    ],
)
def test_a_table_of_the_wrong_shape_is_an_error(table: pl.DataFrame, message: str) -> None:
    if table.schema.get("user_id") == pl.Null:
        table = table.cast({"user_id": pl.String})
    with pytest.raises(InputError) as error:
        check(frame(table))
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def references(engine: Any, users: list[str], items: list[str], catalogue: list[str] | None) -> dict[str, Check]:
    good = engine(pl.DataFrame({"user_id": users, "item_id": items, "timestamp": [NOW] * len(users)}))
    known = None if catalogue is None else engine(pl.DataFrame({"item_id": catalogue}))
    return {check.name: check for check in check_references(good, known)}


def test_unknown_items_and_short_users_are_counted(engine: Any) -> None:
    checks = references(engine, ["a", "a", "b", "c"], ["x", "y", "y", "z"], ["x", "w"])
    unknown = checks["event of an item that the items table lacks"]
    assert (unknown.count, unknown.share, unknown.severity) == (3, 3 / 4, Severity.WARNING)
    assert unknown.samples[0]["item_id"] == "y"
    single = checks["users with a single event"]
    assert (single.count, single.share) == (2, pytest.approx(2 / 3))  # b and c of three users
    assert single.samples == ({"user_id": "b"}, {"user_id": "c"})


def test_a_single_user_is_pointed_out(engine: Any) -> None:
    assert set(references(engine, ["a", "a"], ["x", "y"], None)) == {"all events belong to a single user"}
    assert references(engine, ["a", "a", "b", "b"], ["x", "y", "x", "y"], ["x", "y"]) == {}


CELLS = st.one_of(st.none(), st.text(max_size=6), st.sampled_from(["a", " a", "2019-05-01", "12", "1e3", "-1.5"]))


@given(st.lists(st.tuples(CELLS, CELLS, CELLS, CELLS), min_size=1, max_size=12))
def test_no_row_is_lost(cells: list[tuple[str | None, ...]]) -> None:
    """Whatever text a table holds: every row is good or set aside, or the table is refused with a message."""
    table = pl.DataFrame(cells, schema=["user_id", "item_id", "timestamp", "quantity"], orient="row").cast(pl.String)
    try:
        checked = check(frame(table.with_columns(event_type=pl.lit("view"))))
    except InputError:
        return
    rows = [*local(checked.good)[SOURCE_ROW], *local(checked.bad)[SOURCE_ROW]]
    assert sorted(rows) == list(range(1, len(cells) + 1))
    good = local(checked.good)
    assert good.select("user_id", "item_id", "timestamp").null_count().sum_horizontal().item() == 0
    assert (good["user_id"].str.strip_chars() == good["user_id"]).all() or good.is_empty()
