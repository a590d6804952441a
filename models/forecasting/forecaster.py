"""The contract of every forecaster: fit on a panel, predict the steps after its end, with quantiles."""

from dataclasses import dataclass
from typing import Any, Protocol, Self

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float32]
LEVELS = (0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99)
"""Quantile levels of every forecast."""


class CategoryLike(Protocol):
    """As `data_pipelines.panel.Category`."""

    @property
    def name(self) -> str:
        """The column."""

    @property
    def vocabulary(self) -> tuple[str, ...]:
        """Value of every code; 0 is none or unknown."""


class PanelLike(Protocol):
    """As `data_pipelines.panel.Panel`: what a forecaster may read."""

    @property
    def ids(self) -> npt.NDArray[np.str_]:
        """`[n]` unique ids."""

    @property
    def first_day(self) -> int:
        """Day since 1970-01-01 of the first column."""

    @property
    def step_days(self) -> int:
        """Days per column."""

    @property
    def demand(self) -> FloatArray:
        """`[n, time]` units, NaN where not observed."""

    @property
    def numeric(self) -> FloatArray:
        """`[n, time + future, n_numeric]` covariates."""

    @property
    def numeric_names(self) -> tuple[str, ...]:
        """`[n_numeric]`."""

    @property
    def planned(self) -> tuple[bool, ...]:
        """`[n_numeric]` whether the future is known."""

    @property
    def categorical(self) -> npt.NDArray[np.int32]:
        """`[n, time + future, n_categorical]` codes."""

    @property
    def categories(self) -> tuple[Any, ...]:
        """`[n_categorical]`, see `CategoryLike`."""

    @property
    def static(self) -> npt.NDArray[np.int32]:
        """`[n, n_static]` codes."""

    @property
    def statics(self) -> tuple[Any, ...]:
        """`[n_static]`, see `CategoryLike`."""

    @property
    def unit_value(self) -> FloatArray:
        """`[n]` money per unit."""

    @property
    def country(self) -> str | None:
        """Whose holidays matter."""


@dataclass(frozen=True)
class Forecast:
    """Forecasts of the steps after a panel's end.

    Args:
        mean: `[n, horizon]` expected demand, never negative.
        quantiles: `[n, horizon, n_levels]` ascending in the last axis, never negative.
        levels: `[n_levels]`.
    """

    mean: FloatArray
    quantiles: FloatArray
    levels: tuple[float, ...] = LEVELS


class Forecaster(Protocol):
    """A forecasting method."""

    name: str

    def fit(self, panel: PanelLike) -> Self:
        """Learn from all that the panel's demand holds; what is planned beyond its end may be looked at."""

    def predict(self, horizon: int) -> Forecast:
        """Forecast the `horizon` steps after the end of the panel it was fitted on."""


def proper(mean: FloatArray, quantiles: FloatArray, levels: tuple[float, ...] = LEVELS) -> Forecast:
    """A forecast without negative demand and without crossing quantiles (sorted: Chernozhukov et al., 2010)."""
    mean = np.maximum(np.nan_to_num(mean), 0.0).astype(np.float32)
    quantiles = np.sort(np.maximum(np.nan_to_num(quantiles), 0.0), axis=-1).astype(np.float32)
    return Forecast(mean, quantiles, levels)
