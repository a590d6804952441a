"""Days as the shop has them: from midnight to midnight in its time zone, not in UTC.

Engines differ in what they know of time zones, so the zone's few changes of offset within the data (two a year where
clocks change) are looked up here and become a plain expression.
"""

from datetime import UTC, datetime, timedelta
from functools import reduce
from zoneinfo import ZoneInfo

import narwhals as nw

from data_pipelines.schema import InputError

ONE_DAY = timedelta(days=1)
ONE_MINUTE = timedelta(minutes=1)


def time_zone(name: str) -> ZoneInfo:
    """Look up a time zone.

    Raises:
        InputError: if there is none of this name.
    """
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        raise InputError(f"demand_time_zone={name!r} is not a time zone; write e.g. Europe/Berlin or UTC") from None


def local_time(column: str, zone: ZoneInfo, first: datetime, last: datetime) -> nw.Expr:
    """Local time of a column of UTC times.

    Args:
        column: naive UTC datetimes.
        zone: the time zone.
        first: the earliest of them.
        last: and the latest.

    Returns:
        Naive local datetimes.
    """
    offsets = utc_offsets(zone, first, last)
    time = nw.col(column)
    start = nw.lit(offsets[0][1])
    shift = reduce(
        lambda earlier, change: nw.when(time >= nw.lit(change[0])).then(nw.lit(change[1])).otherwise(earlier),
        offsets[1:],
        start,
    )
    return time + shift


def utc_offsets(zone: ZoneInfo, first: datetime, last: datetime) -> list[tuple[datetime, timedelta]]:
    """When each offset to UTC begins to hold, naive UTC; the first one holds at `first`."""
    offsets = [(first, _offset(zone, first))]
    day = first
    while day < last:
        following = day + ONE_DAY
        if (after := _offset(zone, following)) != offsets[-1][1]:
            offsets.append((_change(zone, day, following), after))
        day = following
    return offsets


def _offset(zone: ZoneInfo, time: datetime) -> timedelta:
    return time.replace(tzinfo=UTC).astimezone(zone).utcoffset() or timedelta()


def _change(zone: ZoneInfo, before: datetime, after: datetime) -> datetime:
    """The minute in which the offset changes, by bisection."""
    before, after = before.replace(second=0, microsecond=0), after.replace(second=0, microsecond=0)
    old = _offset(zone, before)
    while after - before > ONE_MINUTE:
        middle = before + (after - before) // 2
        middle = middle.replace(second=0, microsecond=0)
        before, after = (middle, after) if _offset(zone, middle) == old else (before, middle)
    return after
