"""Is an uplift model worth following? The Qini curve and coefficient, with a bootstrap interval.

Customers are sorted by predicted uplift. Contacting the first share φ of them wins, per treated customer of the whole
experiment, ``g(φ) = (Y_t(φ) − Y_c(φ) N_t(φ) / N_c(φ)) / N_t``: outcomes of the treated among them, less what the
control group says would have happened anyway. g(1) is the average effect; at random, g is the straight line to it. The
Qini coefficient is the area between the curve and that line, ``Q = ∫ g dφ − g(1) / 2``: 0 for a random order, positive
where those come first whom the contact moves.

References: Radcliffe, "Using control groups to target on predicted lift", Direct Marketing Analytics Journal 2007;
Efron and Tibshirani, "An Introduction to the Bootstrap", 1993.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from data_pipelines.schema import InputError
from training.confidence import CELLS, Estimate, difference, interval

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True)
class QiniCurve:
    """What contacting ever more customers wins.

    Args:
        share: `[points]` of the customers contacted, from 0 to 1.
        gain: `[points]` incremental outcomes per treated customer of the whole experiment.
    """

    share: FloatArray
    gain: FloatArray

    @property
    def coefficient(self) -> float:
        """Area between the curve and the straight line of a random order."""
        return float(_area(self.share[None, :], self.gain[None, :])[0])


def qini_curve(uplift: FloatArray, treated: npt.NDArray[Any], outcome: npt.NDArray[Any]) -> QiniCurve:
    """The Qini curve.

    Args:
        uplift: `[n]` predicted, by models that have not seen these customers; any score that ranks them will do.
            Customers with equal scores are one step of the curve, so the order of rows does not matter.
        treated: `[n]`, 1 or 0, randomised.
        outcome: `[n]`, 1 or 0, or an amount such as spend.

    Raises:
        InputError: if lengths differ, an arm is empty, or a value is not finite.
    """
    steps = _steps(uplift, treated, outcome)
    share, gain = _curves(steps, np.ones((1, len(steps.order))))
    return QiniCurve(share[0], gain[0])


def qini(uplift: FloatArray, treated: npt.NDArray[Any], outcome: npt.NDArray[Any]) -> float:
    """The Qini coefficient; see `qini_curve`."""
    return qini_curve(uplift, treated, outcome).coefficient


def resampled_qini(
    uplift: FloatArray, treated: npt.NDArray[Any], outcome: npt.NDArray[Any], *, resamples: int = 1000, seed: int = 0
) -> FloatArray:
    """Qini coefficients `[resamples]` over bootstrap samples of customers; the same seed draws the same customers."""
    steps = _steps(uplift, treated, outcome)
    random, n = np.random.default_rng(seed), len(steps.order)
    rows = max(1, CELLS // n)
    areas = []
    for first in range(0, resamples, rows):
        size = min(rows, resamples - first)
        drawn = random.integers(0, n, (size, n)) + n * np.arange(size)[:, None]
        weights = np.bincount(drawn.ravel(), minlength=size * n).reshape(size, n).astype(np.float64)
        areas.append(_area(*_curves(steps, weights)))
    return np.concatenate(areas)


def compare_qini(
    scores: Mapping[str, FloatArray],
    treated: npt.NDArray[Any],
    outcome: npt.NDArray[Any],
    *,
    against: str | None = None,
    resamples: int = 1000,
    seed: int = 0,
    level: float = 0.95,
) -> dict[str, Estimate]:
    """Qini coefficients side by side.

    Args:
        scores: name to `[n]`.
        treated: `[n]`.
        outcome: `[n]`.
        against: of `scores`; then each other's difference to it, paired over the same draws.
        resamples: bootstrap samples of customers.
        seed: of the draws.
        level: coverage of the intervals.

    Returns:
        Name to coefficient (or difference) with its percentile interval. It holds the scores as given: what another
        sample would have taught the models is not in it.
    """
    values = {name: qini(score, treated, outcome) for name, score in scores.items()}
    drawn = {
        name: resampled_qini(score, treated, outcome, resamples=resamples, seed=seed) for name, score in scores.items()
    }
    if against is None:
        return {name: interval(drawn[name], values[name], level) for name in scores}
    return {
        name: difference(drawn[name], drawn[against], values[name], values[against], level)
        for name in scores
        if name != against
    }


@dataclass(frozen=True)
class _Steps:
    """Customers by falling score, and the last place of every group with equal scores."""

    order: npt.NDArray[np.intp]
    treated: FloatArray
    outcome: FloatArray
    ends: npt.NDArray[np.intp]


def _steps(uplift: FloatArray, treated: npt.NDArray[Any], outcome: npt.NDArray[Any]) -> _Steps:
    columns = {"uplift": uplift, "treated": treated, "outcome": outcome}
    score, arm, result = (np.asarray(values, dtype=np.float64) for values in columns.values())
    for name, values in zip(columns, (score, arm, result), strict=True):
        if values.ndim != 1 or len(values) != len(score):
            raise InputError(f"{name}: has shape {values.shape}; give one value for each of the {len(score)} customers")
        if not np.isfinite(values).all():
            raise InputError(f"{name}: holds values that are not finite; leave those customers out")
    if not np.isin(arm, (0, 1)).all() or not 0 < arm.mean() < 1:
        raise InputError("treated: must be 1 or 0, and both must occur")
    order = np.argsort(-score, kind="stable")
    ends = np.flatnonzero(np.append(np.diff(score[order]) != 0, True))
    return _Steps(order, arm[order], result[order], ends)


def _curves(steps: _Steps, weights: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Shares and gains `[resamples, points]` with customers counted `weights` `[resamples, n]` times."""

    def so_far(values: FloatArray) -> FloatArray:
        # [resamples, n] -> [resamples, points]
        return np.cumsum(weights * values, axis=1)[:, steps.ends]

    treated, control = so_far(steps.treated), so_far(1 - steps.treated)
    won, anyway = so_far(steps.treated * steps.outcome), so_far((1 - steps.treated) * steps.outcome)
    per_control = np.divide(treated, control, out=np.zeros_like(treated), where=control > 0)
    gain = (won - anyway * per_control) / np.maximum(treated[:, -1:], 1)
    share = (treated + control) / (treated + control)[:, -1:]
    start = np.zeros((len(weights), 1))
    return np.hstack([start, share]), np.hstack([start, gain])


def _area(share: FloatArray, gain: FloatArray) -> FloatArray:
    area: FloatArray = np.trapezoid(gain, share, axis=1) - gain[:, -1] / 2
    return area
