"""A day ends at the shop's midnight, on every engine alike."""

from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import polars as pl
import pytest

from data_pipelines.local_days import local_time, time_zone, utc_offsets
from data_pipelines.schema import InputError

NEW_YORK = ZoneInfo("America/New_York")


def test_clocks_change_twice_a_year() -> None:
    # in 2017 summer time began on 12 March at 2 am (07:00 UTC) and ended on 5 November at 2 am (06:00 UTC)
    assert utc_offsets(NEW_YORK, datetime(2017, 1, 1, 11), datetime(2018, 1, 1, 4)) == [
        (datetime(2017, 1, 1, 11), timedelta(hours=-5)),
        (datetime(2017, 3, 12, 7), timedelta(hours=-4)),
        (datetime(2017, 11, 5, 6), timedelta(hours=-5)),
    ]


@pytest.mark.parametrize("name", ["America/New_York", "UTC", "Asia/Kolkata", "Australia/Lord_Howe"])
def test_local_time_is_that_of_the_standard_library(engine: Any, name: str) -> None:
    zone = ZoneInfo(name)
    times = [datetime(2017, 1, 1, 11, 53, 26) + number * timedelta(hours=101) for number in range(100)]
    column = local_time("time", zone, times[0], times[-1]).alias("local")
    found = engine(pl.DataFrame({"time": times})).select("time", column).collect("polars").to_native().sort("time")
    assert found["local"].to_list() == [
        time.replace(tzinfo=UTC).astimezone(zone).replace(tzinfo=None) for time in times
    ]


def test_an_unknown_zone_is_named() -> None:
    with pytest.raises(InputError, match=r"demand_time_zone='Berlin' is not a time zone; write e\.g\. Europe/Berlin"):
        time_zone("Berlin")
