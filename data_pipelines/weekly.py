"""What is known of every item week by week, ahead of time: promotions.

The optional table `promotions` has `item_id`, `week_start` and any numeric columns (shares of stores with a display or
in the mailer, discounts ...). A shop plans these before the week begins, so a question asked in a week may see that
week's row.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl

from data_pipelines.schema import ITEM_ID, WEEK_START

MONDAY = 4  # 1970-01-05, the first Monday, is day 4
MAX_CELLS = 30_000_000
"""Of the table that a model makes of it: the covariates and some columns of its own."""
OWN_COLUMNS = 3


@dataclass(frozen=True)
class WeeklyCovariates:
    """A table per week.

    Args:
        first_day: day since 1970-01-01 UTC on which row 0 begins; a Monday.
        values: `[n_weeks, n_items, n_covariates]`, 0 where nothing is known.
        names: the covariates.
    """

    first_day: int
    values: npt.NDArray[np.float32]
    names: tuple[str, ...] = ()


def monday(day: int) -> int:
    """The Monday on or before a day."""
    return (day - MONDAY) // 7 * 7 + MONDAY


def load_weekly(data: Path, item_ids: npt.NDArray[np.str_], first_time: int, last_time: int) -> WeeklyCovariates:
    """Read the promotions of a prepared folder onto weeks that also cover the events.

    Args:
        data: the prepared folder; without promotions there is no covariate.
        item_ids: `[n_items]` the item vocabulary.
        first_time: seconds since 1970-01-01 UTC of the first event.
        last_time: and of the last one; the table reaches one week further.
    """
    first_day, last_day = monday(first_time // 86_400), last_time // 86_400 + 7
    path = data / "promotions.parquet"
    table = pl.read_parquet(path) if path.exists() else pl.DataFrame(schema={ITEM_ID: pl.String, WEEK_START: pl.Date})
    names = tuple(name for name, kind in table.schema.items() if kind.is_numeric())
    index = pl.DataFrame({ITEM_ID: item_ids.tolist()}).with_row_index("index")
    table = table.join(index, on=ITEM_ID).with_columns(day=pl.col(WEEK_START).cast(pl.Date).cast(pl.Int32))
    last_day = max(last_day, int(table["day"].max() or 0))  # type: ignore[arg-type]
    n_weeks = max(MAX_CELLS // (len(item_ids) * (OWN_COLUMNS + len(names))), 1)  # at the most
    first_day = max(first_day, monday(last_day) - 7 * (n_weeks - 1))
    values = np.zeros(((last_day - first_day) // 7 + 1, len(item_ids), len(names)), np.float32)
    table = table.filter(pl.col("day") >= first_day)
    week = (table["day"].to_numpy() - first_day) // 7
    values[week, table["index"].to_numpy()] = table.select(names).to_numpy()
    return WeeklyCovariates(first_day, values, names)
