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

    ids: npt.NDArray[np.str_]
    first_day: int
    step_days: int
    demand: FloatArray
    numeric: FloatArray
    numeric_names: tuple[str, ...]
    planned: tuple[bool, ...]
    categorical: npt.NDArray[np.int32]
    categories: tuple[Any, ...]
    static: npt.NDArray[np.int32]
    statics: tuple[Any, ...]
    unit_value: FloatArray


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
