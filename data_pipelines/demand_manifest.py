"""Demand tables ready to be written, and what the manifest says of them."""

from dataclasses import dataclass
from typing import Any

import polars as pl

from data_pipelines.report import DemandProfile


@dataclass(frozen=True)
class DemandTables:
    """Demand as it is written.

    Args:
        tables: `demand`, `series`, and `future` where anything is planned.
        profile: their part of the quality report.
        gaps: what a step without a row means, `zero` or `missing`.
        key: what a series was made for from events; None for a given table.
        longest_gap_days: more days than this without a row are not known in any case; None for no limit.
        numeric: the numeric covariates.
        planned: those of them whose future is known.
        categorical: the categorical covariates, all of them planned.
    """

    tables: dict[str, pl.DataFrame]
    profile: DemandProfile
    gaps: str
    key: str | None = None
    longest_gap_days: int | None = None
    numeric: tuple[str, ...] = ()
    planned: tuple[str, ...] = ()
    categorical: tuple[str, ...] = ()

    @property
    def facts(self) -> dict[str, Any]:
        """What readers must know of the tables."""
        return {
            "from": self.profile.origin,
            "key": self.key,
            "step_days": self.profile.step_days,
            "gaps": self.gaps,
            "longest_gap_days": self.longest_gap_days,
            "first_day": self.profile.first_day,
            "last_day": self.profile.last_day,
            "closed_days": list(self.profile.closed_days),
            "partial_days": list(self.profile.partial_days),
            "numeric": list(self.numeric),
            "planned": list(self.planned),
            "categorical": list(self.categorical),
            "repairs": {repair.name: repair.count for repair in self.profile.repairs},
        }
