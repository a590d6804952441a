"""Times of any spelling as naive UTC datetimes, in expressions that every engine evaluates alike.

Engines disagree about parsing: some raise on the first bad string, some guess a format, some know no time zones. So a
string is checked against ISO 8601 here, cut into numbers, and turned into a day count by integer arithmetic; whatever
does not fit becomes null, never an exception.

Reference: H. Hinnant, "chrono-compatible low-level date algorithms", `days_from_civil`.
"""

from datetime import datetime, timedelta

import narwhals as nw

from data_pipelines.frames import Lazy
from data_pipelines.schema import InputError

WHITESPACE = " \t\r\n\v\f\u00a0\u2007\u202f\u3000\ufeff"
NUMBER = r"^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$"
_CLOCK = r"([01]\d|2[0-3]):[0-5]\d(:[0-5]\d([.,]\d{1,9})?)?"
_OFFSET = r"(Z|z|UTC|[+-]\d\d(:?\d\d)?)"
_ISO_8601 = rf"^\d\d\d\d-(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])([Tt ]{_CLOCK}( ?{_OFFSET})?)?$"
_EPOCH = datetime(1970, 1, 1)
_PER_SECOND = 1_000_000
_PER_DAY = 86_400 * _PER_SECOND
_MICROSECONDS = "__microseconds"
_TEXTS = ("__iso", "__body", "__offset")
_PARTS = ("__number", "__year", "__month", "__day", "__days", "__seconds", "__fraction", "__shift")


def with_utc(frame: Lazy, column: str, into: str) -> Lazy:
    """Read a column as times.

    Args:
        frame: a table.
        column: ISO 8601 strings (an offset is applied, its absence means UTC); numbers, as strings or not, since
            1970-01-01 UTC in seconds, milliseconds, microseconds or nanoseconds, told apart by their size (10^11
            seconds is the year 5138); dates; datetimes with or without a time zone.
        into: name of the new column of type `Datetime("us")`, naive UTC, null where there is no valid time.

    Returns:
        The frame with the new column.

    Raises:
        InputError: if no value of this type can be a time (booleans, lists); the message has no file or column yet.
    """
    found, kind = nw.col(column), frame.collect_schema()[column]
    if isinstance(kind, nw.Datetime):
        if kind.time_zone is not None:
            found = found.dt.convert_time_zone("UTC").dt.replace_time_zone(None)
        return frame.with_columns(found.cast(nw.Datetime("us")).alias(into))
    if kind == nw.Date:
        return frame.with_columns(found.cast(nw.Datetime("us")).alias(into))
    if isinstance(kind, nw.String | nw.Categorical | nw.Enum):
        frame = _parse(frame, found)
    elif kind.is_numeric():
        number = found if kind.is_integer() else _finite(found.cast(nw.Float64))
        frame = frame.with_columns(_scaled(number).alias(_MICROSECONDS))
    else:
        raise InputError(f"holds {kind}, not times")
    return frame.with_columns(_to_datetime(nw.col(_MICROSECONDS)).alias(into)).drop(_MICROSECONDS)


def _finite(number: nw.Expr) -> nw.Expr:
    return nw.when(number.is_finite() & (number.abs() < 2.0**63)).then(number)


def _scaled(number: nw.Expr) -> nw.Expr:
    """Microseconds of a number whose unit is told by its size; whole numbers stay exact."""
    size = number.abs()
    scaled = (
        nw.when(size < 10**11)
        .then(number * _PER_SECOND)
        .when(size < 10**14)
        .then(number * 1_000)
        .when(size < 10**17)
        .then(number)
        .otherwise((number - number % 1_000) / 1_000)
    )
    return scaled.round(0).cast(nw.Int64)


def _to_datetime(microseconds: nw.Expr) -> nw.Expr:
    # in three parts, because DuckDB multiplies intervals by 32-bit integers
    days, rest = microseconds // _PER_DAY, microseconds % _PER_DAY
    seconds, fraction = rest // _PER_SECOND, rest % _PER_SECOND
    units = ((days, timedelta(days=1)), (seconds, timedelta(seconds=1)), (fraction, timedelta(microseconds=1)))
    return sum((number * nw.lit(unit) for number, unit in units), start=nw.lit(_EPOCH)).cast(nw.Datetime("us"))


def _parse(frame: Lazy, text: nw.Expr) -> Lazy:
    """Add `_MICROSECONDS` since 1970, null where the text is no time.

    In stages that are columns: in one expression each part would be repeated wherever it is used, and SQL engines
    would evaluate every repetition.
    """
    text = text.cast(nw.String).str.strip_chars(WHITESPACE)
    frame = frame.with_columns(
        __number=nw.when(text.str.contains(NUMBER)).then(text),
        __iso=nw.when(text.str.contains(_ISO_8601)).then(text),
    )
    iso = nw.col("__iso")
    frame = frame.with_columns(
        __number=_finite(nw.col("__number").cast(nw.Float64)),
        __body=iso.str.replace_all(rf" ?{_OFFSET}$", ""),
        __offset=iso.str.replace_all(rf"^.{{10}}([Tt ]{_CLOCK} ?)?", ""),
    )
    body, digits = nw.col("__body"), nw.col("__offset").str.replace_all(r"[^0-9]", "")
    frame = frame.with_columns(
        __year=_whole(iso.str.slice(0, 4)),
        __month=_whole(iso.str.slice(5, 2)),
        __day=_whole(iso.str.slice(8, 2)),
        __seconds=_whole(body.str.slice(11, 2)) * 3_600
        + _whole(body.str.slice(14, 2)) * 60
        + _whole(body.str.slice(17, 2)),
        __fraction=_whole(nw.concat_str(body.str.slice(20, 6), nw.lit("000000")).str.slice(0, 6)),
        __shift=_whole(digits.str.slice(0, 2)) * 3_600 + _whole(digits.str.slice(2, 2)) * 60,
        __number=_scaled(nw.col("__number")),
    )
    year, month, day = nw.col("__year"), nw.col("__month"), nw.col("__day")
    frame = frame.with_columns(
        __days=nw.when(~iso.is_null() & (day <= _days_in_month(year, month))).then(_days(year, month, day)),
        __shift=nw.when(nw.col("__offset").str.starts_with("-")).then(-nw.col("__shift")).otherwise(nw.col("__shift")),
    )
    seconds = nw.col("__days") * 86_400 + nw.col("__seconds") - nw.col("__shift")
    microseconds = seconds * _PER_SECOND + nw.col("__fraction")
    frame = frame.with_columns(nw.coalesce("__number", microseconds).alias(_MICROSECONDS))
    return frame.drop(*_TEXTS, *_PARTS)


def _whole(text: nw.Expr) -> nw.Expr:
    """The number that digits spell; 0 where there are none (an optional part that was left out)."""
    return nw.when(text.str.contains(r"^\d+$")).then(text).otherwise(nw.lit("0")).cast(nw.Int64)


def _days(year: nw.Expr, month: nw.Expr, day: nw.Expr) -> nw.Expr:
    """Days since 1970-01-01 in the proleptic Gregorian calendar; the year is counted from March."""
    year = nw.when(month <= 2).then(year - 1).otherwise(year)
    month = nw.when(month <= 2).then(month + 9).otherwise(month - 3)
    return 365 * year + year // 4 - year // 100 + year // 400 + (153 * month + 2) // 5 + day - 719_469


def _days_in_month(year: nw.Expr, month: nw.Expr) -> nw.Expr:
    leap = (year % 4 == 0) & ((year % 100 != 0) | (year % 400 == 0))
    return (
        nw.when(month == 2)
        .then(nw.when(leap).then(29).otherwise(28))
        .when(month.is_in([4, 6, 9, 11]))
        .then(30)
        .otherwise(31)
    )
