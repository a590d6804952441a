"""Days that say nothing about demand: the shop was closed, or the data begin or end in the middle of a day.

A customer who stands before a closed door buys nothing; learnt as zero demand, that would pull every forecast down. So
such days are named in the quality report and are neither learnt nor scored. A weekday on which the shop never opens is
no exception but a habit, and stays as it is.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

import numpy as np
import numpy.typing as npt

CLOSED_SHARE = 0.01
"""A day below this share of what is usual on its weekday: the doors were closed."""
PARTIAL_SHARE = 0.5
"""The first or last day below this share: the data begin or end within it."""
USUAL_DAYS = 4
"""A weekday that was seen fewer times says nothing of what is usual on it."""
USUAL_UNITS = 20.0
"""Fewer units than this on a usual day, and a day without a sale may be chance (for 20, one in 5 · 10^8)."""


@dataclass(frozen=True)
class TradingDays:
    """What the days of a data set are good for.

    Args:
        first_day: the first whole day.
        last_day: the last whole day.
        closed: days between them on which the shop sold nothing, or nearly so.
        partial: days outside of them, cut off by the beginning or the end of the data.
    """

    first_day: date
    last_day: date
    closed: tuple[date, ...] = ()
    partial: tuple[date, ...] = ()


def trading_days(days: Sequence[date], units: npt.NDArray[np.float64], step_days: int) -> TradingDays:
    """Judge every day by what the whole shop sold.

    Args:
        days: `[n]` ascending first days of the steps; a day that is left out is not judged.
        units: `[n]` sold by the whole shop.
        step_days: 1 for days, 7 for weeks.

    Returns:
        The whole days, and those that are not.
    """
    weekday = np.array([day.weekday() for day in days]) if step_days == 1 else np.zeros(len(days), int)
    usual = np.array([_usual(units[weekday == number]) for number in range(7)])[weekday]
    whole = units >= PARTIAL_SHARE * usual
    closed = units < CLOSED_SHARE * usual
    shut = [day for day, is_closed in zip(days, closed.tolist(), strict=True) if is_closed]
    first, last = 0, len(days) - 1
    if len(days) > 2:  # nothing is left of two days without their ends
        first, last = int(not whole[0]), last - int(not whole[-1])
    return TradingDays(
        days[first],
        days[last],
        tuple(day for day in shut if days[first] <= day <= days[last]),
        (*days[:first], *days[last + 1 :]),
    )


def _usual(units: npt.NDArray[np.float64]) -> float:
    """Units of an ordinary day; 0 where that cannot be said."""
    median = float(np.median(units)) if len(units) >= USUAL_DAYS else 0.0
    return median if median >= USUAL_UNITS else 0.0
