"""Linear regression on lags, and a polynomial one: the simplest models that learn from all series at once.

`ŷ / level = β·x`, with ridge penalty, on the lag features of `lag_features`; the polynomial model adds squares and
products of the strongest lags. How strong the penalty is, is found on the last weeks.
Reference: Hoerl & Kennard, "Ridge regression", Technometrics 1970.
"""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, PolynomialFeatures, StandardScaler

from models.forecasting.direct import Direct, Examples
from models.forecasting.forecaster import FloatArray

PENALTIES = (1.0, 100.0, 10_000.0)
CODES = ("weekday", "month")
"""Numbers whose order means nothing to a line."""
MOST_CATEGORIES = 64
INTERACTING = (
    "mean_7",
    "mean_28",
    "same_weekday_1",
    "same_weekday_4",
    "season",
    "season_week",
    "year_ago_week",
    "lead",
)
"""Features whose squares and products the polynomial model has."""
BEYOND = 5.0
"""Standard deviations at which a feature is cut off, as a line knows no limits."""


@dataclass
class Linear(Direct):
    """Ridge regression on lag features."""

    name = "linear"
    max_rows: int = field(default=200_000, kw_only=True)

    def _train(self, learn: Examples, judge: Examples) -> FloatArray:
        trials = [self._fit(learn, penalty) for penalty in PENALTIES]
        judged = [trial.predict(judge.features) for trial in trials]
        losses = [np.average((forecast - judge.target) ** 2, weights=judge.weight) for forecast in judged]
        best = int(np.argmin(losses))
        self._model = self._fit(learn.joined(judge), PENALTIES[best])
        return np.maximum(judged[best], 0.0).astype(np.float32)

    def _mean(self, features: FloatArray) -> FloatArray:
        return np.asarray(self._model.predict(features), np.float32)

    def _fit(self, examples: Examples, penalty: float) -> Any:
        model = make_pipeline(self._terms(examples), Ridge(penalty, random_state=self.seed))
        return model.fit(examples.features, examples.target, ridge__sample_weight=examples.weight)

    def _terms(self, examples: Examples) -> ColumnTransformer:
        codes = {examples.names.index(name) for name in (*CODES, *examples.categorical) if name in examples.names}
        numbers = [place for place in range(len(examples.names)) if place not in codes]
        one_hot = OneHotEncoder(handle_unknown="ignore", max_categories=MOST_CATEGORIES)
        return ColumnTransformer([("numbers", standardised(), numbers), ("codes", one_hot, sorted(codes))])


@dataclass
class Polynomial(Linear):
    """Ridge regression on lag features and on the squares and products of the strongest."""

    name = "polynomial"

    def _terms(self, examples: Examples) -> ColumnTransformer:
        linear = super()._terms(examples).transformers
        places = [examples.names.index(name) for name in INTERACTING]
        products = make_pipeline(standardised(), PolynomialFeatures(2, include_bias=False), StandardScaler())
        return ColumnTransformer([*linear, ("products", products, places)])


def standardised() -> Any:
    """Numbers with holes filled by the median, of mean 0 and deviation 1, extremes cut off."""
    cut = FunctionTransformer(np.clip, kw_args={"a_min": -BEYOND, "a_max": BEYOND})
    return make_pipeline(SimpleImputer(strategy="median", keep_empty_features=True), StandardScaler(), cut)
