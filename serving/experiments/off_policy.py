"""What another policy would have earned, from the logs of the one that ran.

Every logged decision has its context x, the action a that was taken, the probability p(a|x) with which it was taken and
the reward r. A policy that would have taken it with probability π(a|x) has the value

    IPS     mean of w r,                                     w = π(a|x) / p(a|x)
    SNIPS   Σ w r / Σ w                                      (not without bias, but steadier)
    DR      mean of Σ_b π(b|x) q(x, b) + w (r − q(x, a))     with a model q of the reward

IPS is right if the propensities are, DR if the propensities or the model are. Intervals are normal, of the mean of
these terms. They are wide where the new policy does what the old one seldom did: the effective sample size (Σ w)² / Σ
w² says how many decisions of its own the log is worth.

Reference: Horvitz and Thompson, 1952; Swaminathan and Joachims, "The self-normalized estimator for counterfactual
learning", NIPS 2015; Dudík, Langford and Li, "Doubly robust policy evaluation and learning", ICML 2011.
"""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import stats

from data_pipelines.schema import InputError

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.intp]


@dataclass(frozen=True)
class Value:
    """A policy's mean reward per decision.

    Args:
        mean: the estimate.
        low: of its interval.
        high: of its interval.
        effective_decisions: what the log is worth.
        mean_weight: of the decisions. It is 1 but for chance if the propensities are right, and if the log took
            whatever the policy takes; where it is not, IPS and DR are wrong by more than their intervals say.
    """

    mean: float
    low: float
    high: float
    effective_decisions: float
    mean_weight: float


def on_policy(reward: FloatArray, alpha: float = 0.05) -> Value:
    """The value of the policy that ran: a plain mean, with its normal interval."""
    return _value(float(reward.mean()), reward - reward.mean(), np.ones(len(reward)), alpha)


def ips(reward: FloatArray, propensity: FloatArray, target: FloatArray, alpha: float = 0.05) -> Value:
    """Inverse propensity scoring.

    Args:
        reward: `[n]`.
        propensity: `[n]` of the logged action, under the policy that ran.
        target: `[n]` of the logged action, under the policy that is asked about.
        alpha: 1 minus the interval's coverage.

    Raises:
        InputError: if a propensity is not above 0.
    """
    weight = _weights(propensity, target)
    terms = weight * reward
    return _value(float(terms.mean()), terms - terms.mean(), weight, alpha)


def snips(reward: FloatArray, propensity: FloatArray, target: FloatArray, alpha: float = 0.05) -> Value:
    """Self-normalised inverse propensity scoring; arguments as for `ips`."""
    weight = _weights(propensity, target)
    if not weight.any():
        raise InputError("the policy takes no action that was logged: nothing is known of it")
    mean = float((weight * reward).sum() / weight.sum())
    return _value(mean, weight * (reward - mean) / weight.mean(), weight, alpha)


def doubly_robust(
    reward: FloatArray,
    propensity: FloatArray,
    target: FloatArray,
    predicted: FloatArray,
    expected: FloatArray,
    alpha: float = 0.05,
) -> Value:
    """The reward model's value, corrected where the log says otherwise.

    Args:
        reward: `[n]`.
        propensity: `[n]`, as for `ips`.
        target: `[n]`, as for `ips`.
        predicted: `[n]` the model's reward of the logged action, fitted without this decision.
        expected: `[n]` the model's mean reward over the actions that the policy would take, Σ_b π(b|x) q(x, b).
        alpha: 1 minus the interval's coverage.
    """
    weight = _weights(propensity, target)
    terms = expected + weight * (reward - predicted)
    return _value(float(terms.mean()), terms - terms.mean(), weight, alpha)


def cross_fitted_means(
    action: IntArray, reward: FloatArray, actions: int, *, prior: float = 100.0, folds: int = 5
) -> FloatArray:
    """A reward model: each action's mean, drawn towards the overall mean, from the other folds.

    Args:
        action: `[n]` numbers.
        reward: `[n]`.
        actions: how many there are.
        prior: decisions that the overall mean is worth.
        folds: decision i is in fold i mod folds.

    Returns:
        `[n, actions]` for each decision the model that has not seen it.
    """
    fold = np.arange(len(action)) % folds
    cell = fold * actions + action
    count, total = (
        np.bincount(cell, weights, minlength=folds * actions).reshape(folds, actions) for weights in (None, reward)
    )
    count, total = count.sum(axis=0) - count, total.sum(axis=0) - total  # of the other folds, [folds, actions]
    overall = total.sum(axis=1, keepdims=True) / count.sum(axis=1, keepdims=True)
    return np.asarray(((total + prior * overall) / (count + prior))[fold])


def effective(weight: FloatArray) -> float:
    """Kish's effective number of decisions."""
    return float(weight.sum() ** 2 / (weight**2).sum()) if weight.any() else 0.0


def _weights(propensity: FloatArray, target: FloatArray) -> FloatArray:
    if len(wrong := np.flatnonzero(~(propensity > 0) | (propensity > 1))):
        raise InputError(
            f"decision {wrong[0] + 1}: propensity {propensity[wrong[0]]:g}: a logged action had a probability above 0"
        )
    if len(wrong := np.flatnonzero(~(target >= 0) | (target > 1))):
        raise InputError(f"decision {wrong[0] + 1}: target probability {target[wrong[0]]:g}: must be from 0 to 1")
    return np.asarray(target / propensity)


def _value(mean: float, influence: FloatArray, weight: FloatArray, alpha: float) -> Value:
    error = float(influence.std(ddof=1)) / math.sqrt(len(influence))
    reach = float(stats.norm.ppf(1 - alpha / 2)) * error
    return Value(mean, mean - reach, mean + reach, effective(weight), float(weight.mean()))
