"""The calendar as features, computed from the day number inside the graph: a client sends a date and nothing else.

The table behind it, `models.forecasting.calendar`, becomes part of the model: weekday, time of the month and the year,
and how near which holiday is.
"""

from typing import Any

import keras
import numpy as np
from keras import ops

from models.forecasting.calendar import Calendar as CalendarTable

Tensor = Any
FIRST_DAY, LAST_DAY = 9_131, 27_393
"""1995-01-01 and 2044-12-31, in days since 1970-01-01; further days take the features of the nearest of them."""
DIM = 8
NEAR_DAYS = 7.0


@keras.saving.register_keras_serializable(package="supplytower")
class Calendar(keras.layers.Layer):
    """Features of days.

    Args:
        country: whose holidays, as `models.forecasting.calendar` knows it; None for none.
        yearly: whether to tell the time of the year, as there.
    """

    def __init__(self, country: str | None = "US", yearly: bool = True, **kwargs: Any):
        super().__init__(**kwargs)
        self.country, self.yearly = country, yearly
        table = CalendarTable(country, yearly)
        columns = table.features(FIRST_DAY, LAST_DAY - FIRST_DAY + 1, 1).T
        named = dict(zip(table.names, columns, strict=True))
        waves = []
        if yearly:
            year = 2.0 * np.pi * (named["week_of_year"] * 7 + 3.5) / 365.25
            waves += [np.sin(year), np.cos(year), np.sin(2 * year), np.cos(2 * year)]
        month = 2.0 * np.pi * named["day_of_month"] / 31.0
        waves += [np.sin(month), np.cos(month)]
        self.numbers = np.concatenate([np.eye(7)[named["weekday"].astype(int)].T, waves]).T.astype(np.float32)
        if country:
            distance = named["days_from_holiday"]
            self.holiday = named["holiday"].astype(np.int32)
            on, near = distance == 0, np.maximum(1.0 - np.abs(distance) / NEAR_DAYS, 0.0)
            self.closeness = np.stack([on, near * (distance < 0), near * (distance > 0)], axis=1).astype(np.float32)
            codes = int(self.holiday.max()) + 1
            self.embeddings = [keras.layers.Embedding(codes, DIM, name=name) for name in ("on", "before", "after")]

    def call(self, day: Tensor) -> Tensor:
        """`[batch, time]` days since 1970-01-01 to `[batch, time, features]`."""
        row = ops.clip(day, FIRST_DAY, LAST_DAY) - FIRST_DAY
        numbers = ops.take(self.numbers, row, axis=0)
        if not self.country:
            return numbers
        code, closeness = ops.take(self.holiday, row), ops.take(self.closeness, row, axis=0)
        holidays = sum(layer(code) * closeness[..., i : i + 1] for i, layer in enumerate(self.embeddings))
        return ops.concatenate([numbers, closeness, holidays], axis=-1)

    def get_config(self) -> dict[str, Any]:
        """Constructor arguments."""
        return {**super().get_config(), "country": self.country, "yearly": self.yearly}
