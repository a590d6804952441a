"""Every cleaning step removes exactly what it says, on every engine alike."""

from datetime import datetime, timedelta
from typing import Any

import narwhals as nw
import polars as pl
import pytest

from data_pipelines.cleaning import STEPS, Cleaned, CleaningConfig, clean
from data_pipelines.schema import SOURCE_ROW, InputError

OFF = CleaningConfig(
    drop_duplicates=False, drop_non_positive_quantity=False, bulk_median_quantity=0, max_events_per_user_day=0
)
DAY = datetime(2019, 5, 1)


def events(rows: list[tuple[Any, ...]], columns: tuple[str, ...] = ("user_id", "item_id", "quantity")) -> pl.DataFrame:
    """Purchases, one minute after the other unless the rows say when."""
    table = pl.DataFrame(rows, schema=list(columns), orient="row")
    if "timestamp" not in columns:
        table = table.with_columns(timestamp=pl.Series([DAY + timedelta(minutes=row) for row in range(len(rows))]))
    return table.with_columns(event_type=pl.lit("purchase"))


def kept(cleaned: Cleaned) -> list[int]:
    return sorted(cleaned.events.collect("polars").to_native()[SOURCE_ROW].to_list())


def removed(cleaned: Cleaned) -> dict[str, int]:
    return {step.name: step.removed for step in cleaned.steps if step.removed}


def test_all_steps_in_order_with_their_counts(engine: Any) -> None:
    hour = DAY + timedelta(hours=1)
    table = events(
        [
            ("a", "milk", 1, DAY),
            ("a", "milk", 2, DAY),  # same user, item, type and time: a duplicate, though the quantity differs
            ("a", "milk", 1, hour),
            ("a", "beer", -1, DAY),  # a return
            ("b", "fuel", 900, DAY),
            ("b", "fuel", 30, hour),  # median of 900 and 30: 465
            ("b", "milk", 60, DAY),  # median of milk: 1, 1, 60, null -> 1
            ("c", "milk", None, DAY),
        ],
        ("user_id", "item_id", "quantity", "timestamp"),
    )
    cleaned = clean(engine(table), CleaningConfig())
    assert kept(cleaned) == [1, 3, 7, 8]
    assert [step.name for step in cleaned.steps] == list(STEPS)
    assert removed(cleaned) == {"duplicates": 1, "non_positive_quantity": 1, "bulk_units": 2}
    assert [step.remaining for step in cleaned.steps] == [7, 6, 4, 4, 4, 4]
    assert cleaned.bulk_items.collect("polars").to_native()["item_id"].to_list() == ["fuel"]


def test_baskets_tell_events_apart_that_are_alike_otherwise(engine: Any) -> None:
    columns = ("user_id", "item_id", "basket_id", "timestamp")
    rows = [("a", "milk", "1", DAY), ("a", "milk", "2", DAY), ("a", "milk", None, DAY), ("a", "milk", None, DAY)]
    assert kept(clean(engine(events(rows, columns)), CleaningConfig())) == [1, 2, 3]


def test_rare_items_and_short_users(engine: Any) -> None:
    rows = [("a", "x", 1), ("b", "x", 1), ("a", "y", 1), ("a", "y", 1), ("b", "z", 1), ("c", "z", 1)]
    # y was taken twice, but by one user
    assert kept(clean(engine(events(rows)), CleaningConfig(min_item_users=2))) == [1, 2, 5, 6]
    # first y goes, then c (one event left) and nobody else: a and b have x and, b, z
    both = clean(engine(events(rows)), CleaningConfig(min_item_users=2, min_user_events=2))
    assert kept(both) == [2, 5]
    assert removed(both) == {"rare_items": 2, "short_users": 2}  # a keeps x only, c keeps z only


def test_outliers_must_exceed_both_limits(engine: Any) -> None:
    # three people with 2 events on each of 2 days (2 per day), a bot with 30 events on one day; the median rate is 2
    people = [(name, "x", DAY + timedelta(days=day, hours=hour)) for name in "abc" for day in (0, 1) for hour in (0, 1)]
    bot = [("bot", "x", DAY + timedelta(minutes=minute)) for minute in range(30)]
    table = events(people + bot, ("user_id", "item_id", "timestamp"))
    strict = CleaningConfig(max_events_per_user_day=20, max_times_median_user=10)  # limit max(20, 10 * 2) = 20 < 30
    cleaned = clean(engine(table), strict)
    assert kept(cleaned) == list(range(1, 13))
    assert "20 events" in cleaned.steps[4].rule
    for lenient in (
        CleaningConfig(max_events_per_user_day=20, max_times_median_user=15),  # limit max(20, 30) = 30
        CleaningConfig(max_events_per_user_day=40, max_times_median_user=1),
        CleaningConfig(max_events_per_user_day=0),
    ):
        assert removed(clean(engine(table), lenient)) == {}


def test_steps_can_be_switched_off(engine: Any) -> None:
    table = events(
        [("a", "fuel", 900, DAY), ("a", "fuel", 900, DAY), ("a", "x", -1, DAY)],
        ("user_id", "item_id", "quantity", "timestamp"),
    )
    cleaned = clean(engine(table), OFF)
    assert kept(cleaned) == [1, 2, 3]
    assert {step.rule for step in cleaned.steps} == {"off"}


def test_quantity_is_optional(engine: Any) -> None:
    table = events([("a", "x"), ("b", "y")], ("user_id", "item_id"))
    assert kept(clean(engine(table), CleaningConfig())) == [1, 2]


def test_a_step_that_leaves_nothing_is_an_error() -> None:
    frame = nw.from_native(events([("a", "x", 0)]).with_row_index(SOURCE_ROW).lazy())
    with pytest.raises(InputError, match=r"'non_positive_quantity'.* all 1 events left; relax it"):
        clean(frame, CleaningConfig())


@pytest.mark.parametrize(
    "setting",
    [
        {"bulk_median_quantity": -1},
        {"max_events_per_user_day": -0.5},
        {"min_item_users": 0},
        {"min_user_events": 0},
        {"max_quarantine_share": 1.5},
    ],
)
def test_impossible_settings_are_refused(setting: dict[str, float]) -> None:
    ((name, value),) = setting.items()
    with pytest.raises(InputError, match=f"{name}={value}"):
        CleaningConfig(**setting)  # type: ignore[arg-type]
