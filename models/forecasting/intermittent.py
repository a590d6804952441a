"""Demand with many zeros: how much is taken when something is, and how often that happens, each smoothed by itself.

Croston smooths size z and interval p where there is demand; `ŷ = (1 - α/2) z / p` with the Syntetos-Boylan correction
of its bias (SBA). TSB smooths the probability of demand instead, at every step, `ŷ = π z`: an article that nobody buys
any more fades out. The smoothing parameters are those of least squared error one step ahead, per series.
Quantiles: demand happens with the smoothed probability, and its size is one of the series' own sizes of the last year,
moved to the smoothed mean; without sales in the last year all are zero.
Recursions run over time once, for all series and parameters side by side.
References: Croston, 1972; Syntetos & Boylan, "The accuracy of intermittent demand estimates", IJF 2005; Teunter,
Syntetos & Babai, "Intermittent demand: linking forecasting to inventory obsolescence", EJOR 2011.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from itertools import product
from typing import Self

import numpy as np
import numpy.typing as npt

from models.forecasting.forecaster import LEVELS, FloatArray, Forecast, PanelLike, proper
from models.forecasting.naive import DAYS_OF_YEAR, steps_of
from models.forecasting.residual_quantiles import quantiles_of

Doubles = npt.NDArray[np.float64]
GRID = (0.05, 0.1, 0.2, 0.3)
"""Smoothing parameters that are tried."""


@dataclass(frozen=True)
class State:
    """What is smoothed, for every series and parameter.

    Args:
        size: `[n, n_parameters]` mean size where there is demand; NaN before the first.
        chance: `[n, n_parameters]` probability of demand in a step.
        mean: `[n, n_parameters]` expected demand.
    """

    size: Doubles
    chance: Doubles
    mean: Doubles

    def take(self, best: npt.NDArray[np.int64]) -> "State":
        """`[n]`: one parameter per series."""
        rows = np.arange(len(best))
        return State(self.size[rows, best], self.chance[rows, best], self.mean[rows, best])


class Smoothing(ABC):
    """A forecaster that smooths sizes and occurrences; batch equals series by series."""

    @abstractmethod
    def run(self, demand: FloatArray) -> tuple[State, Doubles]:
        """Smooth `[n, time]` demand with all parameters.

        Returns:
            The state at the end, and `[n, n_parameters]` mean squared errors one step ahead.
        """

    def fit(self, panel: PanelLike) -> Self:
        """Smooth every series with its best parameter."""
        state, error = self.run(panel.demand)
        self._state = state.take(error.argmin(axis=1))
        recent = panel.demand[:, -steps_of(DAYS_OF_YEAR, panel.step_days) :]
        self._sizes = np.where(recent > 0, recent, np.nan)
        return self

    def predict(self, horizon: int) -> Forecast:
        """The same for each of the `horizon` steps: without demand nothing is learnt on the way."""
        mean = np.nan_to_num(self._state.mean).astype(np.float32)
        quantiles = np.nan_to_num(self._hurdle())
        return proper(np.repeat(mean[:, None], horizon, axis=1), np.repeat(quantiles[:, None], horizon, axis=1), LEVELS)

    def _hurdle(self) -> FloatArray:
        """`[n, n_levels]`: zero up to probability 1 - π, above it the quantiles of the sizes."""
        chance = np.nan_to_num(self._state.chance)[:, None]
        inside = (np.asarray(LEVELS) - (1 - chance)) / np.maximum(chance, 1e-9)  # level among the sizes
        sizes = quantiles_of(self._sizes[:, None], np.clip(inside, 0, 1)[:, None])[:, 0]
        average = np.nansum(self._sizes, axis=1) / np.maximum(np.isfinite(self._sizes).sum(axis=1), 1)
        expected = np.nan_to_num(self._state.mean) / np.maximum(chance[:, 0], 1e-9)
        moved = sizes * (expected / np.where(average > 0, average, 1.0))[:, None]
        return np.where(inside > 0, moved, 0.0).astype(np.float32)


class CrostonSBA(Smoothing):
    """Croston's method with the Syntetos-Boylan approximation."""

    name = "croston-sba"

    def run(self, demand: FloatArray) -> tuple[State, Doubles]:
        """See `Smoothing.run`; the parameter is α of both size and interval."""
        alpha = np.array(GRID)
        n = len(demand)
        size = np.full((n, len(alpha)), np.nan)
        interval = np.full((n, len(alpha)), np.nan)
        waited = np.ones((n, 1))
        errors = _Errors(size.shape)
        for value in demand.T[:, :, None]:  # [n, 1]
            errors.add(value, _sba(size, interval, alpha))
            sold, first = value > 0, np.isnan(size)
            size = np.where(sold, np.where(first, value, size + alpha * (value - size)), size)
            interval = np.where(sold, np.where(first, waited, interval + alpha * (waited - interval)), interval)
            waited = np.where(sold, 1.0, waited + np.isfinite(value))
        return State(size, 1 / interval, _sba(size, interval, alpha)), errors.mean()


class TSB(Smoothing):
    """The method of Teunter, Syntetos and Babai."""

    name = "tsb"

    def run(self, demand: FloatArray) -> tuple[State, Doubles]:
        """See `Smoothing.run`; the parameters are all pairs of α, of the size, and β, of the probability."""
        alpha, beta = np.array(list(product(GRID, GRID))).T
        n = len(demand)
        size = np.full((n, len(alpha)), np.nan)
        chance = np.full((n, len(alpha)), np.nan)
        waited = np.ones((n, 1))
        errors = _Errors(size.shape)
        for value in demand.T[:, :, None]:  # [n, 1]
            errors.add(value, chance * size)
            sold, first, observed = value > 0, np.isnan(size), np.isfinite(value)
            size = np.where(sold, np.where(first, value, size + alpha * (value - size)), size)
            chance = np.where(observed, chance + beta * (sold - chance), chance)
            chance = np.where(sold & first, 1 / waited, chance)
            waited = waited + observed
        return State(size, chance, chance * size), errors.mean()


def _sba(size: Doubles, interval: Doubles, alpha: Doubles) -> Doubles:
    """Expected demand; where something is sold at every step there is no interval whose bias could be corrected."""
    return np.where(interval > 1, 1 - alpha / 2, 1.0) * size / interval


class _Errors:
    """Squared errors, summed over steps where there are a forecast and an observation."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        self._total, self._count = np.zeros(shape), np.zeros(shape)

    def add(self, value: FloatArray, forecast: Doubles) -> None:
        error = (value - forecast) ** 2
        known = np.isfinite(error)
        self._total += np.where(known, error, 0.0)
        self._count += known

    def mean(self) -> Doubles:
        return self._total / np.maximum(self._count, 1)
