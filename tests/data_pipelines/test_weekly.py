from datetime import date, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from data_pipelines import weekly
from data_pipelines.weekly import load_weekly, monday

ITEMS = np.array(["", "<unknown>", "tea", "milk"])
MONDAY = date(2024, 1, 1)
DAY_NUMBER = (MONDAY - date(1970, 1, 1)).days
SECONDS_PER_DAY = 86_400


def at(day: float) -> int:
    """Seconds since 1970 of a day counted from the Monday."""
    return int((DAY_NUMBER + day) * SECONDS_PER_DAY)


def promotions(folder: Path, rows: list[tuple[str, date, float, float]]) -> Path:
    table = pl.DataFrame(rows, ["item_id", "week_start", "display", "mailer"], orient="row")
    table.write_parquet(folder / "promotions.parquet")
    return folder


@pytest.mark.parametrize("day", [*range(-8, 15), DAY_NUMBER])
def test_the_monday_on_or_before_a_day(day):
    found = date(1970, 1, 1) + timedelta(days=monday(day))
    assert found.weekday() == 0
    assert 0 <= day - monday(day) < 7


def test_without_promotions_there_are_weeks_without_covariates(tmp_path):
    table = load_weekly(tmp_path, ITEMS, at(2), at(15))  # Wednesday of week 0 to Tuesday of week 2
    assert table.first_day == DAY_NUMBER
    assert table.values.shape == (4, 4, 0)  # one week further than the events
    assert table.names == ()


def test_promotions_stand_in_their_own_week(tmp_path):
    week = [MONDAY + timedelta(weeks=number) for number in range(6)]
    rows = [
        ("tea", week[0], 0.5, 0.0),
        ("milk", week[1], 0.25, 1.0),
        ("tea", week[4], 0.75, 0.0),  # planned beyond the events
        ("rum", week[1], 1.0, 1.0),  # not in the vocabulary
        ("tea", week[0] - timedelta(weeks=3), 1.0, 1.0),  # before the first event
    ]
    table = load_weekly(promotions(tmp_path, rows), ITEMS, at(0), at(8))
    assert table.names == ("display", "mailer")
    assert table.values.shape == (5, 4, 2)
    expected = np.zeros((5, 4, 2), np.float32)
    expected[0, 2] = 0.5, 0.0
    expected[1, 3] = 0.25, 1.0
    expected[4, 2] = 0.75, 0.0
    np.testing.assert_array_equal(table.values, expected)


@pytest.mark.parametrize("with_promotions", [False, True])
def test_a_stray_event_of_1970_does_not_fill_the_memory(tmp_path, monkeypatch, with_promotions):
    monkeypatch.setattr(weekly, "MAX_CELLS", 4 * 5 * 12)  # twelve weeks of 4 items with display and mailer
    if with_promotions:
        promotions(tmp_path, [("tea", MONDAY, 0.5, 0.0)])
    table = load_weekly(tmp_path, ITEMS, 0, at(8))
    assert len(table.values) == (12 if with_promotions else 20)
    last_week = DAY_NUMBER + 14  # the table ends where it would have ended anyway
    assert table.first_day + 7 * (len(table.values) - 1) == last_week
    if with_promotions:
        assert table.values[-3, 2].tolist() == [0.5, 0.0]
