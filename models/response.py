"""Who answers a campaign: boosted trees, a logistic regression, and the mean of both.

Answers are rare (some per cent of those addressed) and past campaigns few, so the trees are small and strongly
regularised and averaged over seeds, and the logistic regression sees every feature as a normal score (its rank), which
tames counts with long tails. The blend is the mean of their logits.

Reference: Ke et al., "LightGBM", NeurIPS 2017.
"""

import os
from dataclasses import dataclass, field
from typing import Any, Protocol, Self

os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # threads that spin while they wait stop whatever else runs

import lightgbm
import numpy as np
import numpy.typing as npt
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import QuantileTransformer

from data_pipelines.schema import InputError

FloatArray = npt.NDArray[np.float64]
Answers = npt.NDArray[np.bool_]


class ResponseModel(Protocol):
    """What the simulation fits to past campaigns."""

    def fit(self, features: FloatArray, answered: Answers) -> Self:
        """Learn from features `[n, m]`, NaN where unknown, and answers `[n]`."""

    def predict(self, features: FloatArray) -> FloatArray:
        """Probability of an answer `[n]`."""


@dataclass
class BoostedResponse:
    """LightGBM, averaged over seeds.

    Args:
        trees: boosting rounds.
        learning_rate: shrinkage of every tree.
        leaves: per tree.
        seeds: one model for each; their mean counts.
    """

    trees: int = 150
    learning_rate: float = 0.03
    leaves: int = 8
    seeds: tuple[int, ...] = (0, 1, 2)
    models: list[Any] = field(init=False, repr=False, default_factory=list)

    def fit(self, features: FloatArray, answered: Answers) -> Self:
        """Learn from features `[n, m]` and answers `[n]`."""
        _require_both(answered)
        self.models = [
            lightgbm.LGBMClassifier(
                n_estimators=self.trees,
                learning_rate=self.learning_rate,
                num_leaves=self.leaves,
                min_child_samples=20,
                subsample=0.7,
                subsample_freq=1,
                colsample_bytree=0.3,
                reg_lambda=10,
                random_state=seed,
                deterministic=True,
                force_row_wise=True,
                verbose=-1,
            ).fit(features, answered)
            for seed in self.seeds
        ]
        return self

    def predict_members(self, features: FloatArray) -> FloatArray:
        """Probability of an answer `[seeds, n]`."""
        return np.stack([model.predict_proba(features)[:, 1] for model in self.models])

    def predict(self, features: FloatArray) -> FloatArray:
        """Probability of an answer `[n]`."""
        return self.predict_members(features).mean(axis=0)

    def importance(self) -> FloatArray:
        """Share `[m]` of the trees' gain by feature."""
        gain = np.sum([model.booster_.feature_importance("gain") for model in self.models], axis=0)
        return gain / max(gain.sum(), 1e-12)


@dataclass
class LogisticResponse:
    """Logistic regression on normal scores.

    Args:
        inverse_penalty: scikit-learn's `C`.
    """

    inverse_penalty: float = 0.01
    model: Pipeline | None = field(init=False, repr=False, default=None)

    def fit(self, features: FloatArray, answered: Answers) -> Self:
        """Learn from features `[n, m]` and answers `[n]`."""
        _require_both(answered)
        self.model = make_pipeline(
            SimpleImputer(strategy="median", keep_empty_features=True),
            QuantileTransformer(
                n_quantiles=min(200, len(features)), output_distribution="normal", subsample=None, random_state=0
            ),
            LogisticRegression(C=self.inverse_penalty, max_iter=2000),
        ).fit(features, answered)
        return self

    def predict(self, features: FloatArray) -> FloatArray:
        """Probability of an answer `[n]`."""
        if self.model is None:
            raise RuntimeError("fit comes before predict")
        return np.asarray(self.model.predict_proba(features)[:, 1])


def blend(probabilities: list[FloatArray]) -> FloatArray:
    """The probability whose logit is the mean of the given ones' logits, `[n]` each."""
    clipped = np.clip(np.stack(probabilities), 1e-9, 1 - 1e-9)
    logits = np.log(clipped / (1 - clipped)).mean(axis=0)
    return 1 / (1 + np.exp(-logits))


def _require_both(answered: Answers) -> None:
    if answered.all() or not answered.any():
        raise InputError("outcomes: all past customers answered alike, so there is nothing to learn; add campaigns")
