"""Checks of a given demand table: those of every table, and demand that cannot be."""

from dataclasses import replace
from datetime import datetime

import narwhals as nw

from data_pipelines.frames import height, rows
from data_pipelines.quality import CLOCK_SKEW, Checked, check_table
from data_pipelines.report import SAMPLE_ROWS, Check, Severity
from data_pipelines.schema import DEMAND, DS, REASON, SOURCE_ROW, UNIQUE_ID, Y
from data_pipelines.sources import RawTable


def check_demand(raw: RawTable, now: datetime) -> Checked:
    """Check a given demand table.

    Args:
        raw: the table as read.
        now: the present, naive UTC; demand after it is wrong, plans are not.

    Returns:
        As `quality.check_table`. Rows with impossible demand are set aside, and stay with their demand unknown: left
        out altogether, the day would look like one without a sale.

    Raises:
        InputError: if the table cannot be used.
    """
    checked = check_table(DEMAND, raw.frame, raw.origin, now)
    late = (nw.col(DS) > nw.lit(now + CLOCK_SKEW)) & ~nw.col(Y).is_null()
    for name, found, remedy in (
        ("negative y", nw.col(Y) < 0, "taken as not known; book returns apart from sales"),
        ("y in the future", late, f"taken as not known; it is {now:%Y-%m-%d} UTC: correct the clock or the unit"),
    ):
        wrong = checked.good.filter(found).select(SOURCE_ROW)
        if not (count := height(wrong)):
            continue
        as_found = raw.frame.join(wrong, on=SOURCE_ROW, how="semi").with_columns(nw.lit(name).alias(REASON))
        shown = rows(as_found.select(SOURCE_ROW, UNIQUE_ID, DS, Y).sort(SOURCE_ROW).head(SAMPLE_ROWS))
        samples = tuple(
            {("row" if key == SOURCE_ROW else key): None if value is None else str(value) for key, value in row.items()}
            for row in shown
        )
        share = count / checked.profile.rows
        checked = Checked(
            checked.good.with_columns(nw.when(~found.fill_null(False)).then(nw.col(Y)).alias(Y)),
            nw.concat([checked.bad, as_found.select(*checked.bad.collect_schema().names())]),
            replace(checked.profile, quarantined=checked.profile.quarantined + count),
            (*checked.checks, Check(DEMAND.name, name, Severity.QUARANTINED, count, share, remedy, samples)),
        )
    return checked
