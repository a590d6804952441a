"""The calendar as features, computed from the day number inside the graph: a client sends a date and nothing else.

Weekday, day of the month and time of the year are exact for any date; holidays come from a table of the `holidays`
library (offline, by rule) that becomes part of the model.
"""

from datetime import date, timedelta
from typing import Any

import holidays
import keras
import numpy as np
from keras import ops

Tensor = Any
EPOCH = date(1970, 1, 1)
FIRST_YEAR, LAST_YEAR = 2005, 2045
NEAR = 7
HOLIDAY_DIM = 8
CALENDAR_WIDTH = 7 + 2 + 4 + 2 + HOLIDAY_DIM


def holiday_table(
    country: str = "US", first_year: int = FIRST_YEAR, last_year: int = LAST_YEAR
) -> tuple[Any, int, int]:
    """Which holiday each day is.

    Returns:
        `[days]` int32 codes (0 is none), the first day's number since 1970-01-01, and the number of codes.
    """
    first = (date(first_year, 1, 1) - EPOCH).days
    last = (date(last_year, 12, 31) - EPOCH).days
    table = np.zeros(last - first + 1, np.int32)
    named = holidays.country_holidays(country, years=range(first_year, last_year + 1), observed=False)
    names = sorted(set(named.values()))
    for day, name in named.items():
        table[(day - EPOCH).days - first] = names.index(name) + 1
    return table, first, len(names) + 1


@keras.saving.register_keras_serializable(package="supplytower")
class Calendar(keras.layers.Layer):
    """Features of days since 1970-01-01.

    Args:
        country: whose holidays, a code of the `holidays` library.
    """

    def __init__(self, country: str = "US", **kwargs: Any):
        super().__init__(**kwargs)
        self.country = country
        self.table, self.first_day, codes = holiday_table(country)
        days = np.flatnonzero(self.table)
        position = np.arange(len(self.table))
        next_one = np.searchsorted(days, position).clip(max=len(days) - 1)
        self.until = np.minimum(np.maximum(days[next_one] - position, 0), NEAR).astype(np.float32)
        last_one = (np.searchsorted(days, position, side="right") - 1).clip(min=0)
        self.since = np.minimum(np.maximum(position - days[last_one], 0), NEAR).astype(np.float32)
        self.holiday = keras.layers.Embedding(codes, HOLIDAY_DIM, name="holiday")

    def call(self, day: Tensor) -> Tensor:
        """`[batch, time]` days to `[batch, time, CALENDAR_WIDTH]`."""
        weekday = (day + 3) % 7  # 1970-01-01 was a Thursday; 0 is Monday
        row = ops.clip(day - self.first_day, 0, len(self.table) - 1)
        year = ops.cast(day, "float32") / 365.2425 * (2.0 * np.pi)
        ordinal = ops.cast(ops.take(self._day_of_month, row), "float32")
        near = [1.0 - ops.take(table, row) / NEAR for table in (self.until, self.since)]
        waves = [ops.sin(year), ops.cos(year), ops.sin(2.0 * year), ops.cos(2.0 * year)]
        month = ordinal / 31.0 * (2.0 * np.pi)
        numbers = ops.stack([*waves, ops.sin(month), ops.cos(month), *near], axis=-1)
        return ops.concatenate([ops.one_hot(weekday, 7), numbers, self.holiday(ops.take(self.table, row))], axis=-1)

    @property
    def _day_of_month(self) -> Any:
        first = EPOCH + timedelta(self.first_day)
        month = np.datetime64(first) + np.arange(len(self.table))
        return (month - month.astype("datetime64[M]")).astype(np.int32) + 1

    def get_config(self) -> dict[str, Any]:
        """Constructor arguments."""
        return {**super().get_config(), "country": self.country}
