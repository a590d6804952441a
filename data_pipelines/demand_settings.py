"""How demand series are made: settings of `supplytower data prepare`."""

from dataclasses import dataclass
from typing import Literal

from data_pipelines.local_days import time_zone
from data_pipelines.schema import InputError

STEP_DAYS = {"daily": 1, "weekly": 7}


@dataclass(frozen=True)
class DemandSeriesConfig:
    """Settings of the demand series that `supplytower data prepare` writes."""

    demand_key: Literal["item", "item@store"] = "item"
    """What a series is made from events for: an `item`, or an item in one store (`item@store`)."""
    demand_frequency: Literal["daily", "weekly"] = "daily"
    """Length of a step. Weeks begin on Monday and carry its date. A given demand table must be as frequent."""
    demand_time_zone: str | None = None
    """Whose midnight ends a day, e.g. Europe/Berlin; without one, the source's own, else UTC. In a given demand table
    it counts where stamps have a time of day."""
    demand_outlier_factor: float = 10.0
    """What exceeds so many times the 99th percentile of the series' positive steps is lowered to it. 0: all is kept."""
    demand_gaps: Literal["zero", "missing"] = "zero"
    """What a day without a row means in a given demand table: `zero` demand, or not known (`missing`). More than four
    weeks without a row are not known in any case."""

    def __post_init__(self) -> None:
        if self.demand_outlier_factor and self.demand_outlier_factor < 1:
            raise InputError(
                f"demand_outlier_factor={self.demand_outlier_factor} would cut ordinary days; at least 1, or 0 for off"
            )
        if self.demand_time_zone is not None:
            time_zone(self.demand_time_zone)

    @property
    def step_days(self) -> int:
        """Days per step."""
        return STEP_DAYS[self.demand_frequency]
