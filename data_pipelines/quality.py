"""Schema and content checks: typed rows on one side, rows that cannot be used and the reason on the other.

A table that cannot be read as what it should be (a column is missing, ids are lists, not one value is a time) is an
error of the whole file and raises. A row that cannot be used is set aside with its reason; an oddity that can be used
is counted. Every rule is a Narwhals expression, so one pass of any engine evaluates them all.
"""

import difflib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import reduce
from typing import Any

import narwhals as nw

from data_pipelines.frames import Lazy, count, height, materialise, rows, totals
from data_pipelines.report import SAMPLE_ROWS, Check, Column, Severity, TableProfile
from data_pipelines.schema import ITEM_ID, REASON, SOURCE_ROW, TIMESTAMP, USER_ID, InputError, Kind, Table
from data_pipelines.timestamps import NUMBER, WHITESPACE, with_utc

CLOCK_SKEW = timedelta(days=1)
"""How far ahead of now a time may lie: clocks and forgotten time zones are off by hours, wrong years by more."""
ANCIENT = datetime(1990, 1, 1)
TRUE, FALSE = ("true", "1", "1.0", "yes"), ("false", "0", "0.0", "no")
FIRST_ROW = "__first_row"
"""The first row in the source with the same key."""


@dataclass(frozen=True)
class Checked:
    """One table after its checks.

    Args:
        good: the usable rows, typed, with their number in the source (`schema.SOURCE_ROW`).
        bad: the other rows as found, with `schema.REASON`.
        profile: sizes and types as read.
        checks: what was found; rules that found nothing are left out.
    """

    good: Lazy
    bad: Lazy
    profile: TableProfile
    checks: tuple[Check, ...]


@dataclass(frozen=True)
class _Rule:
    """`finds` is true for the rows with a problem in `column`."""

    name: str
    column: str
    finds: nw.Expr
    severity: Severity
    remedy: str


def check_table(table: Table, frame: Lazy, origin: str, now: datetime) -> Checked:
    """Check one table and convert its columns to the contract's types.

    Args:
        table: the contract.
        frame: the table as read, with `schema.SOURCE_ROW`.
        origin: file (or package) it comes from, for messages.
        now: the present, naive UTC; events after it (and a day of grace) are wrong.

    Returns:
        The good and the bad rows, and the findings. Ids lose surrounding spaces; times become naive UTC; optional
        numbers that cannot be read become null. The first of several rows with the same key is kept.

    Raises:
        InputError: if the table has no rows, lacks a column, or a column's values are of another kind altogether.
    """
    schema = frame.collect_schema()
    _require_columns(table, [name for name in schema if name != SOURCE_ROW], origin)
    kinds = {name: kind for name, kind in (table.required | table.optional).items() if name in schema}
    for name, kind in kinds.items():
        frame = _convert(frame, name, kind, origin)
    if table.key:
        key = [_typed(name) for name in table.key]
        frame = frame.with_columns(nw.col(SOURCE_ROW).min().over(*key).alias(FIRST_ROW))
    rules = list(_rules(table, kinds, schema, now))
    marked = materialise(frame).with_columns(_first_reason(rules).alias(REASON))
    counts = totals(
        marked,
        rows=nw.len(),
        quarantined=count(~nw.col(REASON).is_null()),
        **{_found(i): count(rule.finds) for i, rule in enumerate(rules)},
        **{_nulls(name): count(nw.col(name).is_null()) for name in schema},
        **{_typed(name): count(~nw.col(_typed(name)).is_null()) for name in kinds},
    )
    if not counts["rows"]:
        raise InputError(f"{origin}: no rows; the table {table.name!r} must have at least one")
    _require_values(table, kinds, counts, marked, origin)
    columns = [nw.col(_typed(name)).alias(name) if name in kinds else nw.col(name) for name in schema]
    return Checked(
        good=marked.filter(nw.col(REASON).is_null()).select(*columns),
        bad=marked.filter(~nw.col(REASON).is_null()).select(*schema, REASON),
        profile=_profile(table, origin, schema, counts),
        checks=tuple(
            _check(table, rule, counts[_found(i)], counts["rows"], marked)
            for i, rule in enumerate(rules)
            if counts[_found(i)]
        ),
    )


def check_references(events: Lazy, items: Lazy | None) -> Iterator[Check]:
    """Look at the tables together: events of items that the catalogue lacks, users of whom little is known.

    Args:
        events: good events.
        items: good items, None where there is no such table.

    Yields:
        Warnings; all these rows are kept.
    """
    n_events = height(events)
    if items is not None:
        unknown = events.join(items.select(ITEM_ID), on=ITEM_ID, how="anti")
        if found := height(unknown):
            yield Check(
                "events",
                "event of an item that the items table lacks",
                Severity.WARNING,
                found,
                found / n_events,
                "kept, the items have no attributes; add them to the items table",
                _samples(unknown, [USER_ID, ITEM_ID, TIMESTAMP]),
            )
    per_user = materialise(events.group_by(USER_ID).agg(nw.len().alias("events")))
    sizes = totals(per_user, users=nw.len(), single=count(nw.col("events") == 1))
    if sizes["single"]:
        examples = rows(per_user.filter(nw.col("events") == 1).sort(USER_ID).select(USER_ID).head(SAMPLE_ROWS))
        yield Check(
            "events",
            "users with a single event",
            Severity.WARNING,
            sizes["single"],
            sizes["single"] / sizes["users"],
            "kept: they have no history to learn from or to test on; --set min_user_events=2 leaves them out",
            tuple({USER_ID: str(row[USER_ID])} for row in examples),
        )
    if sizes["users"] == 1:
        remedy = "kept, but nothing can be learnt about others; is user_id filled with the right column?"
        yield Check("events", "all events belong to a single user", Severity.WARNING, 1, 1.0, remedy)


# --- the whole table ---------------------------------------------------------------------------------------------


def _require_columns(table: Table, columns: list[str], origin: str) -> None:
    for name in table.required:
        if name in columns:
            continue
        close = difflib.get_close_matches(name, columns, n=1)
        remedy = f"rename {close[0]!r}" if close else "add it"
        if len(columns) == 1 and any(mark in columns[0] for mark in ";\t|"):
            remedy = "separate the columns with commas"
        found = ", ".join(repr(column) for column in columns[:20])
        raise InputError(f"{origin}: column {name!r} is missing (found {found}); {remedy}")


def _require_values(table: Table, kinds: dict[str, Kind], counts: dict[str, int], marked: Lazy, origin: str) -> None:
    """A column in which not one value can be read holds something else."""
    for name, kind in kinds.items():
        present = counts["rows"] - counts[_nulls(name)]
        if not present and name in table.required:
            raise InputError(f"{origin}: column {name!r} has no values; fill it in")
        if present and not counts[_typed(name)]:
            example = rows(marked.filter(~nw.col(name).is_null()).sort(SOURCE_ROW).select(name).head(1))[0][name]
            raise InputError(f"{origin}: column {name!r} holds no {_EXPECTED[kind]}: found e.g. {str(example)!r}")


_EXPECTED = {
    Kind.STRING: "ids",
    Kind.NUMBER: "numbers",
    Kind.FLAG: "flags (true or false, 1 or 0)",
    Kind.TIMESTAMP: "times (ISO 8601 such as 2017-11-27T05:00:00Z, or seconds since 1970)",
}

# --- columns -----------------------------------------------------------------------------------------------------


def _typed(name: str) -> str:
    """Where the converted column stands while the original is still needed for samples and the quarantine."""
    return f"__typed_{name}"


def _nulls(name: str) -> str:
    """Name of the count of missing values in a column."""
    return f"nulls {name}"


def _found(rule: int) -> str:
    """Name of the count of rows that a rule finds."""
    return f"rule {rule}"


def _profile(table: Table, origin: str, schema: nw.Schema, counts: dict[str, int]) -> TableProfile:
    columns = [Column(name, str(kind), counts[_nulls(name)]) for name, kind in schema.items() if name != SOURCE_ROW]
    return TableProfile(table.name, origin, counts["rows"], counts["quarantined"], tuple(columns))


def _convert(frame: Lazy, name: str, kind: Kind, origin: str) -> Lazy:
    """Add the converted column."""
    try:
        if kind is Kind.TIMESTAMP:
            return with_utc(frame, name, _typed(name))
        convert = {Kind.STRING: _to_text, Kind.NUMBER: _to_number, Kind.FLAG: _to_flag}[kind]
        return frame.with_columns(convert(nw.col(name), frame.collect_schema()[name]).alias(_typed(name)))
    except InputError as error:
        raise InputError(f"{origin}: column {name!r} {error}; it must hold {_EXPECTED[kind]}") from None


def _to_text(column: nw.Expr, dtype: nw.dtypes.DType) -> nw.Expr:
    if dtype.is_integer():
        return column.cast(nw.String)
    if dtype.is_float():  # ids that pandas turned into floats because some were missing
        return nw.when(column.is_finite() & (column == column.floor())).then(column).cast(nw.Int64).cast(nw.String)
    if isinstance(dtype, nw.Decimal):
        return column.cast(nw.Int64).cast(nw.String)
    if _is_text(dtype):
        text = column.cast(nw.String).str.strip_chars(WHITESPACE)
        return nw.when(text != "").then(text)
    raise InputError(f"holds {dtype}, not text")


def _is_text(dtype: nw.dtypes.DType) -> bool:
    return isinstance(dtype, nw.String | nw.Categorical | nw.Enum)


def _to_number(column: nw.Expr, dtype: nw.dtypes.DType) -> nw.Expr:
    if dtype.is_integer():
        return column
    if dtype.is_numeric():
        number = column.cast(nw.Float64)
    elif dtype == nw.String:
        text = column.str.strip_chars(WHITESPACE)
        number = nw.when(text.str.contains(NUMBER)).then(text).cast(nw.Float64)
    else:
        raise InputError(f"holds {dtype}, not numbers")
    return nw.when(number.is_finite()).then(number)


def _to_flag(column: nw.Expr, dtype: nw.dtypes.DType) -> nw.Expr:
    if dtype == nw.Boolean:
        return column
    if dtype.is_numeric():
        return nw.when((column == 0) | (column == 1)).then(column == 1)
    if dtype == nw.String:
        text = column.str.strip_chars(WHITESPACE).str.to_lowercase()
        return nw.when(text.is_in([*TRUE, *FALSE])).then(text.is_in(TRUE))
    raise InputError(f"holds {dtype}, not flags")


# --- rows --------------------------------------------------------------------------------------------------------


def _rules(table: Table, kinds: dict[str, Kind], schema: nw.Schema, now: datetime) -> Iterator[_Rule]:
    for name, kind in kinds.items():
        found, typed = nw.col(name), nw.col(_typed(name))
        required = name in table.required and name not in table.nullable
        blank = found.is_null()
        if _is_text(schema[name]):
            found = found.cast(nw.String)
            blank = blank | (found.str.strip_chars(WHITESPACE) == "")
        elif schema[name].is_float():
            blank = blank | found.is_nan()
        unreadable = ~blank & typed.is_null()
        if required:
            yield _Rule(f"missing {name}", name, blank, Severity.QUARANTINED, "fill in the value")
        match kind:
            case Kind.STRING:
                if _is_text(schema[name]):
                    spaced = ~blank & (found != typed)
                    remedy = "trimmed; trim them in the source, or joins with other systems will miss them"
                    yield _Rule(f"{name} with surrounding spaces", name, spaced, Severity.WARNING, remedy)
                severity = Severity.QUARANTINED if required else Severity.WARNING
                yield _Rule(f"{name} that is not a whole number", name, unreadable, severity, "write ids as text")
            case Kind.NUMBER:
                remedy = "taken as missing; write plain numbers such as 1234.5"
                yield _Rule(f"{name} that is not a number", name, unreadable, Severity.WARNING, remedy)
            case Kind.FLAG:
                remedy = "taken as missing; write true or false"
                yield _Rule(f"{name} that is neither true nor false", name, unreadable, Severity.WARNING, remedy)
            case Kind.TIMESTAMP:
                remedy = f"write {_EXPECTED[kind]}"
                yield _Rule(f"{name} that is not a time", name, unreadable, Severity.QUARANTINED, remedy)
                remedy = f"it is {now:%Y-%m-%d %H:%M} UTC; correct the clock or the unit"
                if not table.plans:
                    late = typed > nw.lit(now + CLOCK_SKEW)
                    yield _Rule(f"{name} in the future", name, late, Severity.QUARANTINED, remedy)
                remedy = "kept; numbers are seconds since 1970: is 20170131 meant as a date? Write 2017-01-31"
                yield _Rule(f"{name} before 1990", name, typed < nw.lit(ANCIENT), Severity.WARNING, remedy)
    if table.key:
        repeated = nw.col(SOURCE_ROW) > nw.col(FIRST_ROW)
        remedy = "the first row is kept; remove the others"
        yield _Rule(f"duplicate {', '.join(table.key)}", table.key[0], repeated, Severity.QUARANTINED, remedy)


def _first_reason(rules: list[_Rule]) -> nw.Expr:
    """The name of the first rule that sets a row aside, null for a good row."""
    fatal = [rule for rule in rules if rule.severity is Severity.QUARANTINED]
    good = nw.lit(None, nw.String)
    return reduce(lambda rest, rule: nw.when(rule.finds).then(nw.lit(rule.name)).otherwise(rest), reversed(fatal), good)


def _check(table: Table, rule: _Rule, found: int, n_rows: int, marked: Lazy) -> Check:
    samples = _samples(marked.filter(rule.finds), [*table.required, rule.column])
    return Check(table.name, rule.name, rule.severity, found, found / n_rows, rule.remedy, samples)


def _samples(found: Lazy, columns: list[str]) -> tuple[dict[str, str | None], ...]:
    shown = list(dict.fromkeys([SOURCE_ROW, *columns]))
    first = rows(found.select(*shown).sort(SOURCE_ROW).head(SAMPLE_ROWS))
    return tuple({_label(name): _text(value) for name, value in row.items()} for row in first)


def _label(column: str) -> str:
    return "row" if column == SOURCE_ROW else column


def _text(value: Any) -> str | None:
    return None if value is None else str(value)
