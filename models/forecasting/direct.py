"""Direct multi-step forecasts by one global regression: the lead is a feature, no forecast feeds on another.

All series and leads are learnt together from rows of `lag_features`, with demand divided by the series' level at the
origin. How long to train is found on the last weeks, then all rows are learnt. The errors in those weeks, which the
model did not see, also give the quantiles where a subclass has none of its own.
Reference: Ben Taieb et al., "A review and comparison of strategies for multi-step ahead time series forecasting", 2012.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass, field, replace
from typing import Any, Literal, Self

import numpy as np
import numpy.typing as npt

from models.forecasting.binned_quantiles import BinnedQuantiles
from models.forecasting.forecaster import FloatArray, Forecast, PanelLike, proper
from models.forecasting.lag_features import LagFeatures, Rows
from models.forecasting.naive import steps_of

Weighting = Literal["none", "scale", "value"]
PER_ROW = ("features", "target", "level", "weight", "lead")
"""Parts of `Examples` with an entry per row."""


@dataclass(frozen=True)
class Examples:
    """What a regression learns from.

    Args:
        features: `[rows, n_features]`, NaN where unknown.
        names: `[n_features]`.
        categorical: names of the features that are codes without an order.
        target: `[rows]` demand in multiples of the level.
        level: `[rows]` mean demand at the origin, in units.
        weight: `[rows]`, 1 on average.
        lead: `[rows]` steps ahead.
    """

    features: FloatArray
    names: tuple[str, ...]
    categorical: tuple[str, ...]
    target: FloatArray
    level: FloatArray
    weight: FloatArray
    lead: npt.NDArray[np.int64]

    def take(self, chosen: npt.NDArray[np.bool_]) -> "Examples":
        """Some of the rows."""
        return replace(self, **{part: getattr(self, part)[chosen] for part in PER_ROW})

    def joined(self, other: "Examples") -> "Examples":
        """The rows of both."""
        parts: dict[str, Any] = {part: np.concatenate([getattr(self, part), getattr(other, part)]) for part in PER_ROW}
        return replace(self, **parts)


@dataclass
class Direct(ABC):
    """A global direct forecaster.

    Args:
        horizon: longest lead that is learnt, in steps; further ones are extrapolated.
        max_rows: training rows at most, drawn with recent targets preferred.
        half_life_days: a target this old is drawn half as often as today's, when rows are drawn.
        validation_days: the last days, on which the length of training and the quantiles are found.
        weighting: what an error counts: `none` relative to the series' level, `scale` in units, `value` in money.
        seed: of the drawing and of the regression.
    """

    horizon: int = field(default=28, kw_only=True)
    max_rows: int = field(default=600_000, kw_only=True)
    half_life_days: int = field(default=365, kw_only=True)
    validation_days: int = field(default=28, kw_only=True)
    weighting: Weighting = field(default="none", kw_only=True)
    seed: int = field(default=0, kw_only=True)

    @abstractmethod
    def _train(self, learn: Examples, judge: Examples) -> FloatArray:
        """Train: find the length of training on `judge`, keep a model of both.

        Returns:
            `[rows of judge]` forecasts by a model that has not seen them.
        """

    @abstractmethod
    def _mean(self, features: FloatArray) -> FloatArray:
        """`[rows]` expected demand in multiples of the level."""

    def _quantiles(self, features: FloatArray, mean: FloatArray, lead: npt.NDArray[np.int64]) -> FloatArray:
        """`[rows, n_levels]` quantiles in multiples of the level."""
        return self._errors.around(mean, features[:, self._deviation], lead)

    def fit(self, panel: PanelLike) -> Self:
        """Learn from all origins of all series."""
        self._table = LagFeatures(panel, self.horizon)
        self._n, self._time = panel.demand.shape
        rows = self._draw(panel)
        recent = rows.target >= self._time - steps_of(self.validation_days, panel.step_days)
        examples = self._examples(panel, rows)
        self._known = bool(recent.any() and not recent.all())
        if self._known:
            self._deviation = examples.names.index("deviation_84")
            judge = examples.take(recent)
            judged = self._train(examples.take(~recent), judge)
            deviation = judge.features[:, self._deviation]
            self._errors = BinnedQuantiles.of(judge.target, judged, deviation, judge.lead)
        return self

    def predict(self, horizon: int) -> Forecast:
        """Forecast the `horizon` steps after the end of the panel."""
        series, lead = (part.ravel() for part in np.mgrid[: self._n, 1 : horizon + 1])
        rows = Rows(series, np.full(len(series), self._time), lead)
        level = self._table.level(rows)
        if not self._known:  # too little was ever observed: the level is all there is
            return self._shaped(level, np.repeat(level[:, None], len(Forecast.levels), axis=1), horizon)
        features, _ = self._table.matrix(rows)
        mean = np.maximum(self._mean(features), 0.0)
        quantiles = self._quantiles(features, mean, lead)
        return self._shaped(mean * level, quantiles * level[:, None], horizon)

    def _shaped(self, mean: FloatArray, quantiles: FloatArray, horizon: int) -> Forecast:
        return proper(mean.reshape(self._n, horizon), quantiles.reshape(self._n, horizon, -1))

    def _draw(self, panel: PanelLike) -> Rows:
        """Distinct rows whose target is observed and whose history is not empty; all where they are few enough."""
        lead_max = min(self.horizon, max(self._time - 1, 1))
        n_all = self._n * self._time * lead_max
        if n_all <= self.max_rows:
            series, target, lead = (
                part.ravel() for part in np.mgrid[: self._n, : self._time, 1 : lead_max + 1].astype(np.int64)
            )
        else:
            generator = np.random.default_rng(self.seed)
            age = np.arange(self._time)[::-1] * panel.step_days
            chance = 0.5 ** (age / self.half_life_days)
            target = generator.choice(self._time, self.max_rows, p=chance / chance.sum())
            series = generator.integers(self._n, size=self.max_rows)
            lead = generator.integers(1, lead_max + 1, size=self.max_rows)
            code = np.unique((target * self._n + series) * lead_max + lead - 1)
            target, series, lead = code // lead_max // self._n, code // lead_max % self._n, code % lead_max + 1
        rows = Rows(series, target - lead + 1, lead)
        rows = rows.take((rows.origin > 0) & np.isfinite(panel.demand[series, target]))
        return rows.take(self._table.level(rows) > 0)

    def _examples(self, panel: PanelLike, rows: Rows) -> Examples:
        level = self._table.level(rows)
        weight = np.ones(len(level), np.float32)
        if self.weighting != "none":
            weight *= level
        if self.weighting == "value":
            weight *= panel.unit_value[rows.series]
        features, names = self._table.matrix(rows)
        target = panel.demand[rows.series, rows.target] / level
        weight /= max(float(weight.mean()), 1e-9) if len(weight) else 1.0
        return Examples(features, names, self._table.categorical, target, level, weight, rows.lead)
