"""Gradient boosted trees on lag features, the method that led the M5 competition: LightGBM and XGBoost.

The point model has Tweedie loss with log link, `L(y, μ) = -y μ^(1-ρ)/(1-ρ) + μ^(2-ρ)/(2-ρ)`, 1 < ρ < 2: demand with
zeros and a long right tail, unbiased in the mean. Reference: Ke et al., "LightGBM", NeurIPS 2017; Chen & Guestrin,
"XGBoost", KDD 2016; Januschowski et al., "Forecasting with trees", IJF 2022.
"""

import os
from abc import abstractmethod
from dataclasses import dataclass, field
from typing import Any, Literal

os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # threads that spin while they wait stop whatever else runs

import lightgbm
import numpy as np
import numpy.typing as npt
import xgboost

from models.forecasting.direct import Direct, Examples
from models.forecasting.forecaster import LEVELS, FloatArray

BINS = 128
"""Of a feature's histogram."""
MOST_CATEGORIES = 64
"""A code with more values than this is split by order, as a tree would otherwise learn single series by heart."""


@dataclass
class Boosting(Direct):
    """What both libraries share.

    Args:
        rounds: trees at most; how many is found by early stopping.
        patience: rounds without improvement after which it stops.
        learning_rate: shrinkage of every tree.
        leaves: per tree.
        variance_power: Tweedie's ρ.
        quantiles: `errors` of the weeks held out, in bins, or a `model` trained on quantile loss,
            `max(q (y - ŷ), (q - 1) (y - ŷ))`, for every level.
        quantile_rows: rows that the quantile models learn from at most.
        quantile_rounds: trees of a quantile model.
        n_jobs: threads; 0 takes the library's default.
    """

    name: str = field(default="", init=False)
    rounds: int = field(default=600, kw_only=True)
    patience: int = field(default=40, kw_only=True)
    learning_rate: float = field(default=0.05, kw_only=True)
    leaves: int = field(default=63, kw_only=True)
    variance_power: float = field(default=1.1, kw_only=True)
    quantiles: Literal["errors", "model"] = field(default="errors", kw_only=True)
    quantile_rows: int = field(default=100_000, kw_only=True)
    quantile_rounds: int = field(default=150, kw_only=True)
    n_jobs: int = field(default=0, kw_only=True)

    def __post_init__(self) -> None:
        """The name tells the two ways to quantiles apart."""
        if self.quantiles == "model":
            self.name += "-quantile"

    def _train(self, learn: Examples, judge: Examples) -> FloatArray:
        judged = self._train_mean(learn, judge)
        if self.quantiles == "model":
            whole = learn.joined(judge)
            kept = np.random.default_rng(self.seed).random(len(whole.target)) < self.quantile_rows / len(whole.target)
            self._train_quantiles(whole.take(kept))
        return judged

    def _quantiles(self, features: FloatArray, mean: FloatArray, lead: npt.NDArray[np.int64]) -> FloatArray:
        if self.quantiles == "errors":
            return super()._quantiles(features, mean, lead)
        return self._predict_quantiles(features)

    @abstractmethod
    def _train_mean(self, learn: Examples, judge: Examples) -> FloatArray:
        """As `Direct._train`, for the mean."""

    @abstractmethod
    def _train_quantiles(self, examples: Examples) -> None:
        """Learn all levels."""

    @abstractmethod
    def _predict_quantiles(self, features: FloatArray) -> FloatArray:
        """`[rows, n_levels]` in multiples of the level."""


@dataclass
class LightGBM(Boosting):
    """LightGBM, direct."""

    name = "lightgbm"

    def _train_mean(self, learn: Examples, judge: Examples) -> FloatArray:
        train, valid = self._data(learn), self._data(judge)
        valid.reference = train
        stop = lightgbm.early_stopping(self.patience, verbose=False)
        model = lightgbm.train(self._settings(), train, self.rounds, valid_sets=[valid], callbacks=[stop])
        self.best_rounds = model.best_iteration or self.rounds
        self._model = lightgbm.train(self._settings(), self._data(learn.joined(judge)), self.best_rounds)
        return np.asarray(model.predict(judge.features, num_iteration=self.best_rounds), np.float32)

    def _mean(self, features: FloatArray) -> FloatArray:
        return np.asarray(self._model.predict(features), np.float32)

    def _train_quantiles(self, examples: Examples) -> None:
        data = self._data(examples)
        settings = self._settings() | {"objective": "quantile", "learning_rate": 0.1, "num_leaves": 31}
        self._quantile_models = [
            lightgbm.train(settings | {"alpha": level}, data, self.quantile_rounds) for level in LEVELS
        ]

    def _predict_quantiles(self, features: FloatArray) -> FloatArray:
        return np.stack([np.asarray(model.predict(features)) for model in self._quantile_models], axis=1)

    def _data(self, examples: Examples) -> lightgbm.Dataset:
        return lightgbm.Dataset(
            examples.features,
            examples.target,
            weight=examples.weight,
            categorical_feature=self._codes(examples),
            free_raw_data=False,
        )

    def _codes(self, examples: Examples) -> list[int]:
        places = [examples.names.index(name) for name in examples.categorical]
        return [place for place in places if np.nanmax(examples.features[:, place]) < MOST_CATEGORIES]

    def _settings(self) -> dict[str, Any]:
        return {
            "objective": "tweedie",
            "tweedie_variance_power": self.variance_power,
            "learning_rate": self.learning_rate,
            "num_leaves": self.leaves,
            "min_data_in_leaf": 50,
            "feature_fraction": 0.7,
            "bagging_fraction": 0.8,
            "bagging_freq": 1,
            "max_bin": BINS - 1,
            "cat_smooth": 20,
            "seed": self.seed,
            "deterministic": True,
            "force_col_wise": True,
            "num_threads": self.n_jobs,
            "verbosity": -1,
        }


@dataclass
class XGBoost(Boosting):
    """XGBoost, direct; codes are split by order, which histograms of 64-leaf trees get along with."""

    name = "xgboost"

    def _train_mean(self, learn: Examples, judge: Examples) -> FloatArray:
        train = xgboost.QuantileDMatrix(learn.features, learn.target, weight=learn.weight, max_bin=BINS)
        valid = xgboost.QuantileDMatrix(judge.features, judge.target, weight=judge.weight, ref=train, max_bin=BINS)
        model = xgboost.train(
            self._settings(),
            train,
            self.rounds,
            evals=[(valid, "judge")],
            early_stopping_rounds=self.patience,
            verbose_eval=False,
        )
        self.best_rounds = model.best_iteration + 1
        whole = learn.joined(judge)
        both = xgboost.QuantileDMatrix(whole.features, whole.target, weight=whole.weight, max_bin=BINS)
        self._model = xgboost.train(self._settings(), both, self.best_rounds)
        return np.asarray(model.inplace_predict(judge.features, iteration_range=(0, self.best_rounds)), np.float32)

    def _mean(self, features: FloatArray) -> FloatArray:
        return np.asarray(self._model.inplace_predict(features), np.float32)

    def _train_quantiles(self, examples: Examples) -> None:
        data = xgboost.QuantileDMatrix(examples.features, examples.target, weight=examples.weight, max_bin=BINS)
        settings = {key: value for key, value in self._settings().items() if not key.startswith("tweedie")} | {
            "objective": "reg:quantileerror",
            "quantile_alpha": list(LEVELS),
            "eta": 0.1,
            "max_leaves": 31,
        }
        self._quantile_model = xgboost.train(settings, data, self.quantile_rounds)

    def _predict_quantiles(self, features: FloatArray) -> FloatArray:
        return np.asarray(self._quantile_model.inplace_predict(features), np.float32)

    def _settings(self) -> dict[str, Any]:
        return {
            "objective": "reg:tweedie",
            "tweedie_variance_power": self.variance_power,
            "eta": self.learning_rate,
            "tree_method": "hist",
            "max_bin": BINS,
            "grow_policy": "lossguide",
            "max_leaves": self.leaves,
            "max_depth": 0,
            "min_child_weight": 20,
            "subsample": 0.8,
            "colsample_bytree": 0.7,
            "seed": self.seed,
            **({"nthread": self.n_jobs} if self.n_jobs else {}),
        }
