"""Times of any spelling become naive UTC, on every engine alike; what is no time becomes null."""

from datetime import UTC, date, datetime, timedelta, timezone
from typing import Any

import narwhals as nw
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from data_pipelines.frames import Lazy
from data_pipelines.schema import SOURCE_ROW, InputError
from data_pipelines.timestamps import with_utc

NOON = datetime(2017, 1, 2, 12, 0, 0)  # 1483358400 seconds after 1970: 17168 days * 86400 + 43200


def parse(frame: Lazy) -> list[datetime | None]:
    parsed = with_utc(frame, "time", "utc").sort(SOURCE_ROW).collect("polars").to_native()
    assert parsed.columns == [SOURCE_ROW, "time", "utc"]
    assert parsed.schema["utc"] == pl.Datetime("us")
    return parsed["utc"].to_list()


TEXTS = [
    ("2017-01-02T12:00:00", NOON),
    ("2017-01-02 12:00:00", NOON),
    ("  2017-01-02T12:00\n", NOON),
    ("2017-01-02T12:00:00Z", NOON),
    ("2017-01-02 12:00:00 UTC", NOON),
    ("2017-01-02T13:30:00+01:30", NOON),
    ("2017-01-02T07:00:00-0500", NOON),
    ("2017-01-02T14:00:00+02", NOON),
    ("2017-01-02", datetime(2017, 1, 2)),
    ("2017-01-02T12:00:00.25Z", NOON + timedelta(milliseconds=250)),
    ("2017-01-02T12:00:00,123456789", NOON + timedelta(microseconds=123456)),
    ("2016-02-29", datetime(2016, 2, 29)),
    ("2017-02-29", None),
    ("2017-04-31", None),
    ("2017-13-01", None),
    ("2017-01-02T24:00", None),
    ("02.01.2017", None),
    ("1483358400", NOON),
    ("1483358400000", NOON),
    ("1483358400.5", NOON + timedelta(milliseconds=500)),
    ("yesterday", None),
    ("", None),
    (None, None),
]


def test_strings(engine: Any) -> None:
    texts, expected = zip(*TEXTS, strict=True)
    assert parse(engine(pl.DataFrame({"time": texts}))) == list(expected)


def test_integers_are_told_apart_by_their_size(engine: Any) -> None:
    seconds = 1483358400
    units = [seconds, seconds * 10**3, seconds * 10**6 + 7, seconds * 10**9 + 7_000, -1, None]
    expected = [NOON, NOON, NOON + timedelta(microseconds=7), NOON + timedelta(microseconds=7)]
    assert parse(engine(pl.DataFrame({"time": units}))) == [*expected, datetime(1969, 12, 31, 23, 59, 59), None]


def test_floats(engine: Any) -> None:
    values = [1483358400.5, 1483358400000.0, float("nan"), float("inf"), 1e300, None]
    expected = [NOON + timedelta(milliseconds=500), NOON, None, None, None, None]
    assert parse(engine(pl.DataFrame({"time": values}))) == expected


def test_datetimes_and_dates(engine: Any) -> None:
    nanoseconds = pl.Series("time", [NOON, None]).cast(pl.Datetime("ns"))
    assert parse(engine(pl.DataFrame(nanoseconds))) == [NOON, None]
    assert parse(engine(pl.DataFrame({"time": [date(2017, 1, 2)]}))) == [datetime(2017, 1, 2)]
    # 12:00 UTC, whatever the zone in which it is shown
    aware = pl.Series("time", [NOON.replace(tzinfo=UTC)])
    assert parse(engine(pl.DataFrame(aware))) == [NOON]


def test_time_zones_are_converted() -> None:
    aware = pl.Series("time", [NOON.replace(tzinfo=UTC)]).dt.convert_time_zone("Asia/Kolkata")
    frame = pl.DataFrame(aware).with_row_index(SOURCE_ROW)
    assert parse(nw.from_native(frame.lazy())) == [NOON]


@pytest.mark.parametrize("values", [[True], [["2017-01-02"]]])
def test_other_types_are_refused(values: list[Any]) -> None:
    frame = nw.from_native(pl.DataFrame({"time": values}).lazy())
    with pytest.raises(InputError, match="not times"):
        with_utc(frame, "time", "utc")


OFFSETS = st.integers(-14 * 60, 14 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))


@given(st.lists(st.datetimes(datetime(1, 1, 3), datetime(9999, 12, 29), timezones=OFFSETS), min_size=1, max_size=20))
def test_python_and_we_agree_on_iso_8601(times: list[datetime]) -> None:
    frame = pl.DataFrame({"time": [time.isoformat() for time in times]}).with_row_index(SOURCE_ROW)
    expected = [time.astimezone(UTC).replace(tzinfo=None) for time in times]
    assert parse(nw.from_native(frame.lazy())) == expected
