"""Demand series side by side on one grid of days (or weeks), with what is known of them.

Everything that forecasts reads a `Panel`: the LSTM, the classical methods and the backtest. What is planned
(promotions, events) reaches beyond the last day of demand; what is only observed (a price that is known because
something was sold) ends with it, and whoever looks ahead sees its last value.
"""

from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float32]
IntArray = npt.NDArray[np.int32]


@dataclass(frozen=True)
class Category:
    """Codes and their meaning.

    Args:
        name: the column.
        vocabulary: value of every code; code 0 is "none or unknown" and has the empty string.
    """

    name: str
    vocabulary: tuple[str, ...]


@dataclass(frozen=True)
class Panel:
    """Demand series on one grid.

    Args:
        ids: `[n]` unique ids.
        first_day: day since 1970-01-01 of the first column.
        demand: `[n, time]` units; NaN where nothing was observed (not on sale yet, a hole, out of stock).
        step_days: 1 for daily, 7 for weekly columns.
        numeric: `[n, time + future, n_numeric]` covariates; NaN where unknown.
        numeric_names: `[n_numeric]`.
        planned: `[n_numeric]` whether a covariate's future is known in advance.
        categorical: `[n, time + future, n_categorical]` codes of planned covariates such as events.
        categories: `[n_categorical]`.
        static: `[n, n_static]` codes that never change, such as the department.
        statics: `[n_static]`, from the coarsest to the finest where they form a hierarchy.
        unit_value: `[n]` money per unit, for weights in money; ones where no price is known.
        country: whose holidays matter, an ISO code such as `US` or `DE-BY`; None for none.
        notices: what had to be assumed, in sentences for the user.
    """

    ids: npt.NDArray[np.str_]
    first_day: int
    demand: FloatArray
    step_days: int = 1
    numeric: FloatArray = field(default_factory=lambda: np.zeros((0, 0, 0), np.float32))
    numeric_names: tuple[str, ...] = ()
    planned: tuple[bool, ...] = ()
    categorical: IntArray = field(default_factory=lambda: np.zeros((0, 0, 0), np.int32))
    categories: tuple[Category, ...] = ()
    static: IntArray = field(default_factory=lambda: np.zeros((0, 0), np.int32))
    statics: tuple[Category, ...] = ()
    unit_value: FloatArray = field(default_factory=lambda: np.zeros(0, np.float32))
    country: str | None = None
    notices: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Give absent parts their shape, so that nobody has to ask."""
        n, time = self.demand.shape
        empty = {
            "numeric": np.zeros((n, time, 0), np.float32),
            "categorical": np.zeros((n, time, 0), np.int32),
            "static": np.zeros((n, 0), np.int32),
            "unit_value": np.ones(n, np.float32),
        }
        for name, value in empty.items():
            if not getattr(self, name).size:
                object.__setattr__(self, name, value)

    def __len__(self) -> int:
        """Number of series."""
        return len(self.ids)

    @property
    def time(self) -> int:
        """Columns of demand."""
        return int(self.demand.shape[1])

    @property
    def future(self) -> int:
        """Columns that all planned covariates reach beyond demand."""
        widths = [part.shape[1] for part in (self.numeric, self.categorical) if part.shape[2]]
        return min(widths, default=self.time) - self.time

    def dates(self, begin: int, end: int) -> npt.NDArray[np.datetime64]:
        """First days of the steps from `begin` up to `end`, which may lie beyond the panel."""
        return (self.first_day + self.step_days * np.arange(begin, end)).astype("datetime64[D]")

    def until(self, time: int) -> "Panel":
        """What was known when the columns from `time` on were still the future.

        Demand ends there, and so does what is only observed: its last value stands for the rest. What is planned stays.
        """
        numeric = self.numeric.copy()
        for column, planned in enumerate(self.planned):
            if not planned:
                numeric[:, time:, column] = numeric[:, time - 1 : time, column]
        return replace(self, demand=self.demand[:, :time], numeric=numeric)

    def take(self, rows: npt.NDArray[np.integer]) -> "Panel":
        """Some of the series."""
        parts = ("ids", "demand", "numeric", "categorical", "static", "unit_value")
        return replace(self, **{name: getattr(self, name)[rows] for name in parts})
