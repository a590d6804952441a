"""Uplift: by how much a contact raises the probability of an outcome, learnt from a randomised history.

Nobody sees a customer both contacted and not contacted, so the effect ``τ(x) = P(Y=1 | x, T=1) − P(Y=1 | x, T=0)`` has
no labels. Two learners get at it with any classifier:
- `TwoModel` (T-learner) fits each arm by itself and subtracts.
- `ClassTransformation` fits one model of ``Z = Y T + (1 − Y)(1 − T)``: with rows weighted by the inverse probability of
  the arm they are in, ``τ(x) = 2 P(Z=1 | x) − 1``.

References: Radcliffe and Surry, "Real-world uplift modelling with significance-based uplift trees", 2011 (two models
and where they fail); Jaskowski and Jaroszewicz, "Uplift modeling for clinical trial data", ICML workshop 2012 (class
transformation); Künzel et al., "Metalearners for estimating heterogeneous treatment effects", PNAS 2019; Chernozhukov
et al., "Double/debiased machine learning", 2018 (cross-fitting).
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import Any, Protocol, Self

import numpy as np
import numpy.typing as npt
from sklearn.base import clone
from sklearn.model_selection import StratifiedKFold
from sklearn.pipeline import Pipeline

from data_pipelines.schema import InputError

FloatArray = npt.NDArray[np.float64]
Features = npt.NDArray[Any]
Labels = npt.NDArray[Any]


class Classifier(Protocol):
    """What scikit-learn, LightGBM and XGBoost offer."""

    def fit(self, X: Any, y: Any, **arguments: Any) -> Any:
        """Learn from features `[n, m]` and labels `[n]`."""

    def predict_proba(self, X: Any) -> Any:
        """Probabilities `[n, 2]`."""


@dataclass
class UpliftLearner(ABC):
    """Base class of learners.

    Args:
        classifier: unfitted; every model of the learner is a clone of it.
        propensity: probability of being treated, one number or `[n]`; None takes the share of the treated, which is
            right where everybody had the same chance.
    """

    classifier: Classifier
    propensity: float | FloatArray | None = None
    models: list[Classifier] = field(init=False, repr=False, default_factory=list)

    def fit(self, features: Features, treated: Labels, outcome: Labels) -> Self:
        """Learn.

        Args:
            features: `[n, m]`, known before the treatment.
            treated: `[n]`, 1 for those contacted, 0 for those held out.
            outcome: `[n]`, 1 or 0.

        Raises:
            InputError: if lengths differ, a label is neither 0 nor 1, an arm is empty, or a propensity is not between
                0 and 1.
        """
        treated, outcome = _labels("treated", treated, len(features)), _labels("outcome", outcome, len(features))
        propensity = np.asarray(treated.mean() if self.propensity is None else self.propensity, dtype=np.float64)
        if treated.all() or not treated.any():
            raise InputError("treated: uplift needs customers that were contacted and customers that were not")
        if not ((propensity > 0) & (propensity < 1)).all() or propensity.shape not in ((), treated.shape):
            raise InputError("propensity: must be above 0 and below 1, one number or one per customer")
        self.models = self._learn(features, treated, outcome, np.broadcast_to(propensity, treated.shape))
        return self

    @abstractmethod
    def _learn(
        self, features: Features, treated: npt.NDArray[np.bool_], outcome: npt.NDArray[np.bool_], propensity: FloatArray
    ) -> list[Classifier]:
        """The fitted models."""

    @abstractmethod
    def predict(self, features: Features) -> FloatArray:
        """Uplift `[n]` in probability, between −1 and 1."""


@dataclass
class TwoModel(UpliftLearner):
    """One classifier for each arm; the difference of their probabilities."""

    def _learn(
        self, features: Features, treated: npt.NDArray[np.bool_], outcome: npt.NDArray[np.bool_], propensity: FloatArray
    ) -> list[Classifier]:
        # weights by propensity turn each arm into a sample of all customers; where it is constant they say nothing
        weight = np.where(treated, 1 / propensity, 1 / (1 - propensity))
        equal = np.ptp(propensity) == 0
        return [
            _fit(self.classifier, features[arm], outcome[arm], None if equal else weight[arm])
            for arm in (~treated, treated)
        ]

    def predict(self, features: Features) -> FloatArray:
        """Uplift `[n]` in probability."""
        without, contacted = (_probability(model, features) for model in self.models)
        return contacted - without


@dataclass
class ClassTransformation(UpliftLearner):
    """One classifier of whether outcome and arm agree."""

    def _learn(
        self, features: Features, treated: npt.NDArray[np.bool_], outcome: npt.NDArray[np.bool_], propensity: FloatArray
    ) -> list[Classifier]:
        weight = np.where(treated, 0.5 / propensity, 0.5 / (1 - propensity))  # 1 where a coin decided
        return [_fit(self.classifier, features, outcome == treated, weight)]

    def predict(self, features: Features) -> FloatArray:
        """Uplift `[n]` in probability."""
        return 2 * _probability(self.models[0], features) - 1


def cross_fit(
    learner: UpliftLearner, features: Features, treated: Labels, outcome: Labels, *, folds: int = 5, seed: int = 0
) -> FloatArray:
    """Uplift of everybody, each from models that have not seen them.

    Args:
        learner: its settings; a copy of it is fitted to every fold's complement. A propensity per customer is cut too.
        features: `[n, m]`.
        treated: `[n]`, 1 or 0.
        outcome: `[n]`, 1 or 0.
        folds: number of parts, balanced by arm and outcome.
        seed: of the parts.

    Returns:
        `[n]`, out of sample.
    """
    treated, outcome = _labels("treated", treated, len(features)), _labels("outcome", outcome, len(features))
    uplift = np.empty(len(features))
    parts = StratifiedKFold(folds, shuffle=True, random_state=seed)
    for train, test in parts.split(features, 2 * treated + outcome):
        given = learner.propensity
        propensity = given[train] if isinstance(given, np.ndarray) and given.ndim else given
        part = type(learner)(learner.classifier, propensity)
        uplift[test] = part.fit(features[train], treated[train], outcome[train]).predict(features[test])
    return uplift


def _fit(classifier: Classifier, features: Features, outcome: Labels, weight: FloatArray | None) -> Classifier:
    if outcome.all() or not outcome.any():
        raise InputError("outcome: is the same for all customers of an arm, so there is no effect to learn")
    model: Classifier = clone(classifier)
    if weight is None:
        model.fit(features, outcome)
    else:
        last = f"{model.steps[-1][0]}__" if isinstance(model, Pipeline) else ""  # a pipeline hands it to its last step
        model.fit(features, outcome, **{f"{last}sample_weight": weight})
    return model


def _probability(model: Classifier, features: Features) -> FloatArray:
    return np.asarray(model.predict_proba(features), dtype=np.float64)[:, 1]


def _labels(name: str, values: Labels, length: int) -> npt.NDArray[np.bool_]:
    labels = np.asarray(values)
    if labels.shape != (length,):
        raise InputError(f"{name}: has shape {labels.shape}; give one value for each of the {length} rows of features")
    if not np.isin(labels, (0, 1)).all():
        raise InputError(f"{name}: holds {labels[~np.isin(labels, (0, 1))][0]!r}; only 0 and 1 are possible")
    return labels.astype(bool)
