"""The quality report: what was found in the tables, what was set aside or removed, and what the user can do about it.

One object, two views: JSON for scripts (`quality.json`) and tables on the console.
"""

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from typing import Any

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table as Grid
from rich.text import Text

SAMPLE_ROWS = 5


class Severity(StrEnum):
    """What a finding means for the prepared data."""

    ERROR = "error"
    """Preparing stops."""
    QUARANTINED = "quarantined"
    """The rows are set aside in `quarantine/`, with the reason."""
    WARNING = "warning"
    """The rows are kept."""


@dataclass(frozen=True)
class Check:
    """One finding.

    Args:
        table: the table it is about.
        name: what was found, e.g. `missing user_id`.
        severity: what happens to the rows.
        count: number of rows (or of users, where the name says so).
        share: `count` divided by the number of rows (or users) examined.
        remedy: what the user can do.
        samples: up to `SAMPLE_ROWS` of the rows as found, values as text, with their row number in the source.
    """

    table: str
    name: str
    severity: Severity
    count: int
    share: float
    remedy: str
    samples: tuple[dict[str, str | None], ...] = ()


@dataclass(frozen=True)
class Column:
    """One column as read: its type, and how many rows have no value."""

    name: str
    dtype: str
    nulls: int


@dataclass(frozen=True)
class TableProfile:
    """One table as read."""

    name: str
    origin: str
    rows: int
    quarantined: int
    columns: tuple[Column, ...]


@dataclass(frozen=True)
class CleaningStep:
    """What one cleaning step removed from the events."""

    name: str
    rule: str
    removed: int
    remaining: int


@dataclass(frozen=True)
class Repair:
    """Something in the demand series that was put right, or is kept although it says little.

    Args:
        name: what was found.
        count: how often.
        action: what was made of it.
    """

    name: str
    count: int
    action: str


@dataclass(frozen=True)
class DemandProfile:
    """The demand series at a glance.

    Args:
        origin: `events`, or the file of the given table.
        series: how many there are.
        step_days: 1 for daily, 7 for weekly.
        first_day: the first whole day (or week), ISO.
        last_day: the last one.
        zero_share: share of steps without demand, of those since each series' first row.
        repairs: what was put right, with counts.
        closed_days: days on which the shop sold nothing, or nearly so: not learnt, not scored.
        partial_days: days that the data hold a part of only: left out.
    """

    origin: str
    series: int
    step_days: int
    first_day: str
    last_day: str
    zero_share: float
    repairs: tuple[Repair, ...] = ()
    closed_days: tuple[str, ...] = ()
    partial_days: tuple[str, ...] = ()


@dataclass(frozen=True)
class QualityReport:
    """Everything that was found while preparing a data set."""

    source: str
    tables: tuple[TableProfile, ...]
    checks: tuple[Check, ...]
    cleaning: tuple[CleaningStep, ...] = ()
    demand: DemandProfile | None = None

    def to_json(self) -> dict[str, Any]:
        """The report as JSON values."""
        return dataclasses.asdict(self)

    def __rich__(self) -> Group:
        """The report as the console shows it."""
        parts: list[RenderableType] = [self._tables()]
        if self.checks:
            parts += [Text("findings", "bold"), *(line for check in self.checks for line in _finding(check))]
        if self.cleaning:
            parts.append(self._cleaning())
        if self.demand:
            parts.append(_demand(self.demand))
        return Group(*parts)

    def _tables(self) -> Grid:
        grid = _grid("tables as read", "table", "rows>", "set aside>", "columns (share of missing values)")
        for table in self.tables:
            columns = [f"{c.name} ({_percent(c.nulls / table.rows)})" if c.nulls else c.name for c in table.columns]
            grid.add_row(*_cells(table.name, table.rows, table.quarantined, ", ".join(columns)))
        return grid

    def _cleaning(self) -> Grid:
        grid = _grid("cleaning of events", "step", "removes", "removed>", "share>", "left>")
        for step in self.cleaning:
            share = _percent(step.removed / max(step.removed + step.remaining, 1))
            grid.add_row(*_cells(step.name, step.rule, step.removed, share, step.remaining))
        return grid


def _demand(demand: DemandProfile) -> Grid:
    grid = _grid("demand series", "what", "count>", "meaning")
    unit = "days" if demand.step_days == 1 else "weeks"
    steps = (date.fromisoformat(demand.last_day) - date.fromisoformat(demand.first_day)).days // demand.step_days + 1
    zeros = f"{_percent(demand.zero_share)} of them without demand, counted from each series' beginning"
    grid.add_row(*_cells("series", demand.series, f"from {demand.origin}"))
    grid.add_row(*_cells(unit, steps, f"{demand.first_day} to {demand.last_day}; {zeros}"))
    for name, listed, meaning in (
        ("closed", demand.closed_days, "the shop sold nothing, or nearly so; neither learnt nor scored"),
        ("partial", demand.partial_days, "the data begin or end within; left out"),
    ):
        if listed:
            shown = ", ".join(listed[:_SHOWN_DAYS]) + (", …" if len(listed) > _SHOWN_DAYS else "")
            grid.add_row(*_cells(f"{name} {unit}", len(listed), f"{shown}: {meaning}"))
    for repair in demand.repairs:
        grid.add_row(*_cells(repair.name, repair.count, repair.action))
    return grid


def _finding(check: Check) -> Iterator[RenderableType]:
    severity = (check.severity.value, _STYLES[check.severity])
    found = f" {check.table}: {check.name}: {check.count:,} ({_percent(check.share)})"
    yield Padding(Text.assemble(severity, found), (0, 0, 0, 2))
    yield Padding(Text(check.remedy), (0, 0, 0, 4))
    for sample in check.samples[:_SHOWN_SAMPLES]:
        values = ", ".join(f"{name}={'null' if value is None else repr(value)}" for name, value in sample.items())
        yield Padding(Text(values, "dim"), (0, 0, 0, 6))


_STYLES = {Severity.ERROR: "bold red", Severity.QUARANTINED: "yellow", Severity.WARNING: "cyan"}
_SHOWN_SAMPLES = 2
_SHOWN_DAYS = 5


def _grid(title: str, *headers: str) -> Grid:
    """A table whose headers say with a trailing `>` that the column is right-aligned."""
    grid = Grid(title=title, title_justify="left", title_style="bold", header_style="")
    for header in headers:
        grid.add_column(header.removesuffix(">"), justify="right" if header.endswith(">") else "left", overflow="fold")
    return grid


def _cells(*values: object) -> list[str]:
    return [f"{value:,}" if isinstance(value, int) else str(value) for value in values]


def _percent(share: float) -> str:
    return f"{share:.1%}" if share == 0 or share >= 0.001 else "<0.1%"
