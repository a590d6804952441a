"""Methods that a library fits to one series at a time, run for a whole panel on all cores.

Threads do not help here, as the libraries hold the interpreter; series go to worker processes in blocks. What no
library likes is settled before: holes are interpolated, what came before the launch is cut off, and constant or very
short series are answered without a model.
"""

import warnings
from abc import ABC, abstractmethod
from dataclasses import dataclass, field, replace
from typing import Self

import numpy as np
import numpy.typing as npt
from joblib import Parallel, delayed
from scipy.stats import norm, poisson

from models.forecasting.forecaster import LEVELS, FloatArray, Forecast, PanelLike, proper
from models.forecasting.naive import steps_of

Series = npt.NDArray[np.float64]
FEWEST_STEPS = 8
"""Shorter series are not modelled."""
BLOCK = 16
"""Series per task of a worker; fewer are not worth starting workers for."""


@dataclass(frozen=True)
class Gaussian:
    """Forecast of one series.

    Args:
        mean: `[horizon]`.
        deviation: `[horizon]` standard deviation of the error.
    """

    mean: Series
    deviation: Series


def whole(history: npt.NDArray[np.floating]) -> Series:
    """One history from its launch on, holes linearly interpolated."""
    observed = np.flatnonzero(np.isfinite(history))
    if not len(observed):
        return np.zeros(0)
    steps = np.arange(observed[0], len(history))
    return np.interp(steps, observed, history[observed].astype(np.float64))


@dataclass
class PerSeries(ABC):
    """A forecaster that models each series alone; batch equals series by series.

    The models are estimated where they are asked, in `predict`: they are as quick to make again as to keep, and a
    second question about the same panel or a shorter horizon is answered from the first.

    Args:
        max_history_days: what is older is not looked at.
        n_jobs: worker processes; -1 takes all cores.
    """

    max_history_days: int = field(default=365, kw_only=True)
    n_jobs: int = field(default=-1, kw_only=True)

    @abstractmethod
    def model(self, history: Series, horizon: int, season: int) -> Gaussian:
        """Forecast one series of at least `FEWEST_STEPS` steps that is not constant."""

    def fit(self, panel: PanelLike) -> Self:
        """Keep the history."""
        self._demand, self._season = panel.demand, max(1, 7 // panel.step_days)
        self._longest = steps_of(self.max_history_days, panel.step_days)
        self._known: Forecast | None = None
        return self

    def predict(self, horizon: int) -> Forecast:
        """Forecast the `horizon` steps after the end of the panel."""
        if self._known is None or self._known.mean.shape[1] < horizon:
            self._known = self._forecast(horizon)
        return Forecast(self._known.mean[:, :horizon], self._known.quantiles[:, :horizon])

    def _forecast(self, horizon: int) -> Forecast:
        recent = self._demand[:, -self._longest :]
        blocks = [recent[start : start + BLOCK] for start in range(0, len(recent), BLOCK)]
        jobs = self.n_jobs if len(blocks) > 1 else 1
        settings = replace(self)  # a worker gets its block, not the whole panel with every block
        parts = Parallel(n_jobs=jobs)(delayed(settings._block)(block, horizon, self._season) for block in blocks)
        mean, quantiles = (np.concatenate(part) for part in zip(*parts, strict=True))
        return proper(mean, quantiles)

    def _block(self, demand: FloatArray, horizon: int, season: int) -> tuple[FloatArray, FloatArray]:
        """Means `[n, horizon]` and quantiles `[n, horizon, n_levels]` of a few series."""
        forecasts = [self._one(whole(history), horizon, season) for history in demand]
        mean, quantiles = (np.stack(part).astype(np.float32) for part in zip(*forecasts, strict=True))
        return mean, quantiles

    def _one(self, history: Series, horizon: int, season: int) -> tuple[Series, Series]:
        if len(history) < FEWEST_STEPS:
            return self._too_short(history, horizon)
        if np.ptp(history) == 0:
            mean = np.full(horizon, history[-1])
            return mean, np.repeat(mean[:, None], len(LEVELS), axis=1)
        unit = history.mean()  # optimisers have absolute tolerances: the same series in boxes must give the same
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")  # "did not converge" is no news for the user: the best point stands
            forecast = self.model(history / unit, horizon, season)
        quantiles = forecast.mean[:, None] + forecast.deviation[:, None] * norm.ppf(LEVELS)
        return forecast.mean * unit, quantiles * unit

    def _too_short(self, history: Series, horizon: int) -> tuple[Series, Series]:
        """The mean, and Poisson around it: nothing else is known of a product that was just launched."""
        mean = np.full(horizon, history.mean() if len(history) else 0.0)
        return mean, poisson.ppf(np.asarray(LEVELS), mean[:, None])
