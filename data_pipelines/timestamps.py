"""Times of any spelling as naive UTC datetimes, in expressions that every engine evaluates alike.

Engines disagree about parsing: some raise on the first bad string, some guess a format, some know no time zones. So a
string is checked against ISO 8601 here, cut into numbers, and turned into a day count by integer arithmetic; whatever does
not fit becomes null, never an exception.

Reference: H. Hinnant, "chrono-compatible low-level date algorithms", `days_from_civil`.
"""

from datetime import datetime, timedelta

import narwhals as nw

from data_pipelines.schema import InputError

WHITESPACE = " \t\r\n\v\f\u00a0\u2007\u202f\u3000\ufeff"
NUMBER = r"^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$"
_CLOCK = r"([01]\d|2[0-3]):[0-5]\d(:[0-5]\d([.,]\d{1,9})?)?"
_OFFSET = r"(Z|z|UTC|[+-]\d\d(:?\d\d)?)"
_ISO_8601 = rf"^\d\d\d\d-(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])([Tt ]{_CLOCK}( ?{_OFFSET})?)?$"
_EPOCH = datetime(1970, 1, 1)
_MICROSECONDS_PER_SECOND = 1_000_000


def to_utc(column: nw.Expr, dtype: nw.dtypes.DType) -> nw.Expr:
    """Read a column as times.

    Args:
        column: ISO 8601 strings (an offset is applied, its absence means UTC); numbers, as strings or not, since
            1970-01-01 UTC in seconds, milliseconds, microseconds or nanoseconds, told apart by their size (10^11 seconds is
            the year 5138); dates; datetimes with or without a time zone.
        dtype: the column's type.

    Returns:
        An expression of type `Datetime("us")`, naive UTC, null where there is no valid time.

    Raises:
        InputError: if no value of this type can be a time (booleans, lists); the message has no file or column yet.
    """
    if isinstance(dtype, nw.Datetime):
        if dtype.time_zone is not None:
            column = column.dt.convert_time_zone("UTC").dt.replace_time_zone(None)
        return column.cast(nw.Datetime("us"))
    if dtype == nw.Date:
        return column.cast(nw.Datetime("us"))
    if dtype.is_integer():
        return _from_microseconds(_scaled(column))
    if dtype.is_numeric():
        return _from_microseconds(_scaled(_finite(column.cast(nw.Float64))))
    if dtype == nw.String:
        return _from_microseconds(_string_microseconds(column.str.strip_chars(WHITESPACE)))
    raise InputError(f"holds {dtype}, not times")


def _finite(number: nw.Expr) -> nw.Expr:
    return nw.when(number.is_finite() & (number.abs() < 2.0**63)).then(number)


def _scaled(number: nw.Expr) -> nw.Expr:
    """Microseconds of a number whose unit is told by its size; whole numbers stay exact."""
    size = number.abs()
    scaled = (
        nw.when(size < 10**11)
        .then(number * _MICROSECONDS_PER_SECOND)
        .when(size < 10**14)
        .then(number * 1_000)
        .when(size < 10**17)
        .then(number)
        .otherwise((number - number % 1_000) / 1_000)
    )
    return scaled.round(0).cast(nw.Int64)


def _from_microseconds(microseconds: nw.Expr) -> nw.Expr:
    return (nw.lit(_EPOCH) + microseconds * nw.lit(timedelta(microseconds=1))).cast(nw.Datetime("us"))


def _string_microseconds(text: nw.Expr) -> nw.Expr:
    number = _scaled(_finite(nw.when(text.str.contains(NUMBER)).then(text).cast(nw.Float64)))
    iso = nw.when(text.str.contains(_ISO_8601)).then(text)
    year, month, day = (_whole(iso.str.slice(start, length)) for start, length in ((0, 4), (5, 2), (8, 2)))
    body = iso.str.replace_all(rf" ?{_OFFSET}$", "")
    hour, minute, second = (_whole(body.str.slice(start, 2)) for start in (11, 14, 17))
    fraction = _whole(nw.concat_str(body.str.slice(20, 6), nw.lit("000000")).str.slice(0, 6))
    offset = iso.str.replace_all(rf"^.{{10}}([Tt ]{_CLOCK} ?)?", "")
    digits = offset.str.replace_all(r"[^0-9]", "")
    shift = _whole(digits.str.slice(0, 2)) * 3_600 + _whole(digits.str.slice(2, 2)) * 60
    shift = nw.when(offset.str.starts_with("-")).then(-shift).otherwise(shift)
    seconds = _days(year, month, day) * 86_400 + hour * 3_600 + minute * 60 + second - shift
    exists = ~iso.is_null() & (day <= _days_in_month(year, month))
    return nw.coalesce(number, nw.when(exists).then(seconds * _MICROSECONDS_PER_SECOND + fraction))


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
