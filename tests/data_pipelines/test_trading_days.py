"""Closed and partial days are found, quiet ones are not."""

from datetime import date, timedelta

import numpy as np
import pytest

from data_pipelines.trading_days import trading_days

MONDAY = date(2024, 1, 1)
DAYS = [MONDAY + timedelta(days=number) for number in range(28)]


def units(**changes: float) -> np.ndarray:
    """A hundred a day, four hundred on Saturdays; changes as `d3=0`."""
    sold = np.array([400.0 if day.weekday() == 5 else 100.0 for day in DAYS])
    for name, value in changes.items():
        sold[int(name[1:])] = value
    return sold


def test_a_closed_day_is_below_a_hundredth_of_its_weekday() -> None:
    # day 12 is a Saturday: 3 of 400 is closed, as 0 of 100 is; 3 of 100 on day 15, a Tuesday, is only quiet
    found = trading_days(DAYS, units(d8=0, d12=3, d15=3), 1)
    assert found.closed == (DAYS[8], DAYS[12])
    assert (found.first_day, found.last_day, found.partial) == (DAYS[0], DAYS[-1], ())


def test_a_first_or_last_day_below_half_is_partial() -> None:
    found = trading_days(DAYS, units(d0=49, d27=30, d13=30), 1)  # in the middle, a slow day is a slow day
    assert (found.first_day, found.last_day) == (DAYS[1], DAYS[26])
    assert found.partial == (DAYS[0], DAYS[27])
    assert found.closed == ()


def test_a_day_without_sales_may_be_chance_in_a_small_shop() -> None:
    assert trading_days(DAYS, units(d8=0, d27=0) * 0.19, 1).closed == ()  # 19 a day
    assert trading_days(DAYS, units(d8=0) * 0.2, 1).closed == (DAYS[8],)


def test_a_day_on_which_the_shop_never_opens_is_a_habit() -> None:
    sold = units() * np.array([day.weekday() != 6 for day in DAYS])
    assert trading_days(DAYS, sold, 1).closed == ()


def test_what_was_seen_three_times_is_not_yet_usual() -> None:
    assert trading_days(DAYS[:21], units(d8=0)[:21], 1).closed == ()


@pytest.mark.parametrize("length", [1, 2])
def test_very_short_data_stay_as_they_are(length: int) -> None:
    found = trading_days(DAYS[:length], np.zeros(length), 1)
    assert (found.first_day, found.last_day, found.partial) == (DAYS[0], DAYS[length - 1], ())
