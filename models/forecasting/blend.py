"""Several forecasts made one: weights fitted on a validation window, or one champion per class of demand.

A blend's mean is `Σ w_m ŷ_m` with w ≥ 0 and Σ w = 1, the weights of least squared error on validation; its quantiles
are the same average of the members' quantiles, level by level (Vincentization), which keeps their shape where averaged
probabilities would widen it. Members are not refitted here: they come as forecasts.
References: Bates & Granger, "The combination of forecasts", 1969; Vincent, 1912, in Genest, "Vincentization revisited",
Annals of Statistics 1992.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize

from models.forecasting.forecaster import FloatArray, Forecast, proper


def fit_weights(means: FloatArray, actual: FloatArray, series_weight: FloatArray | None = None) -> FloatArray:
    """The convex weights of least squared error.

    Args:
        means: `[n_members, n, horizon]` validation forecasts.
        actual: `[n, horizon]` what happened; NaN where it is not known.
        series_weight: `[n]` what a squared unit of error counts per series; by default the inverse of its mean
            square, so that the largest series does not decide alone.

    Returns:
        `[n_members]`; equal weights where nothing can be compared.
    """
    n_members = len(means)
    equal = np.full(n_members, 1 / n_members)
    known = np.isfinite(actual)
    square = np.where(known, actual, 0.0).astype(np.float64) ** 2
    importance = 1 / np.maximum(square.sum(axis=1) / np.maximum(known.sum(axis=1), 1), 1e-9)
    if series_weight is not None:
        importance = series_weight.astype(np.float64)
    importance = np.where(square.sum(axis=1) > 0, importance, 0.0)
    root = np.sqrt(np.where(known, importance[:, None], 0.0))
    errors = ((means - np.nan_to_num(actual)) * root).reshape(n_members, -1)  # [n_members, n * horizon]
    gram = errors @ errors.T  # as Σw = 1, the blend's error is the blend of errors, and its square w'Gw
    if not gram.any():
        return equal.astype(np.float32)
    gram /= np.trace(gram)
    solution = minimize(
        lambda w: w @ gram @ w,
        equal,
        jac=lambda w: 2 * gram @ w,
        bounds=[(0, 1)] * n_members,
        constraints={"type": "eq", "fun": lambda w: w.sum() - 1, "jac": np.ones_like},
        method="SLSQP",
        options={"ftol": 1e-12},
    )
    weights = np.clip(solution.x, 0, 1)
    return (weights / weights.sum()).astype(np.float32)


@dataclass(frozen=True)
class Blend:
    """Fixed weights of members.

    Args:
        weights: member to weight per class; the class `""` serves all that have no weights of their own.
    """

    weights: Mapping[str, Mapping[str, float]]

    @classmethod
    def of(
        cls,
        forecasts: Mapping[str, Forecast],
        actual: FloatArray,
        label: npt.NDArray[np.str_] | None = None,
        series_weight: FloatArray | None = None,
    ) -> "Blend":
        """Fit weights on a validation window.

        Args:
            forecasts: member to its validation forecast, `[n, horizon]`.
            actual: `[n, horizon]`.
            label: `[n]` class of each series, for weights per class; None for one set of weights.
            series_weight: as in `fit_weights`.
        """
        means = np.stack([forecast.mean for forecast in forecasts.values()])  # [n_members, n, horizon]

        def weights_of(rows: npt.NDArray[np.bool_]) -> dict[str, float]:
            importance = None if series_weight is None else series_weight[rows]
            found = fit_weights(means[:, rows], actual[rows], importance)
            return dict(zip(forecasts, found.tolist(), strict=True))

        weights = {"": weights_of(np.ones(len(actual), bool))}
        if label is not None:
            weights |= {str(one): weights_of(label == one) for one in np.unique(label)}
        return cls(weights)

    def combine(self, forecasts: Mapping[str, Forecast], label: npt.NDArray[np.str_] | None = None) -> Forecast:
        """Blend the members' forecasts of another window.

        Args:
            forecasts: member to forecast.
            label: `[n]` class of each series.
        """
        n = len(next(iter(forecasts.values())).mean)
        labels = np.full(n, "") if label is None else label
        weight = np.array(
            [[self.weights.get(str(one), self.weights[""])[name] for name in forecasts] for one in labels], np.float32
        ).T  # [n_members, n]
        mean = sum(w[:, None] * forecast.mean for w, forecast in zip(weight, forecasts.values(), strict=True))
        quantiles = sum(
            w[:, None, None] * forecast.quantiles for w, forecast in zip(weight, forecasts.values(), strict=True)
        )
        return proper(np.asarray(mean), np.asarray(quantiles))


def champions(errors: Mapping[str, Mapping[str, float]]) -> dict[str, str]:
    """The best model of every class.

    Args:
        errors: model to class to validation error; a class that a model has no number for is not contested by it.

    Returns:
        Class to the model of least error; of equal ones the first named.
    """
    classes = dict.fromkeys(label for by_class in errors.values() for label in by_class)
    return {
        label: min((model for model in errors if label in errors[model]), key=lambda model: errors[model][label])
        for label in classes
    }


@dataclass(frozen=True)
class ClassChampions:
    """One model per class of demand.

    Args:
        choice: class to model, as `champions` finds it.
        fallback: model of series whose class was not seen on validation.
    """

    choice: Mapping[str, str]
    fallback: str

    @property
    def members(self) -> tuple[str, ...]:
        """The models that are needed."""
        return tuple(dict.fromkeys((*self.choice.values(), self.fallback)))

    def combine(self, forecasts: Mapping[str, Forecast], label: npt.NDArray[np.str_]) -> Forecast:
        """Each series from its class's champion.

        Args:
            forecasts: model to forecast, at least of `members`.
            label: `[n]` class of each series.
        """
        members: Sequence[str] = self.members
        place = np.array([members.index(self.choice.get(str(one), self.fallback)) for one in label])
        rows = np.arange(len(label))
        mean = np.stack([forecasts[name].mean for name in members])[place, rows]
        quantiles = np.stack([forecasts[name].quantiles for name in members])[place, rows]
        return proper(mean, quantiles)
