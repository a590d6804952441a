"""The effect of a contact as a factor on the probability, learnt on one part of the customers, measured on the other.

    factor(x) = 1 + τ(x) / P(Y=1 | x, T=0),   τ(x) = P(Y=1 | x, T=1) − P(Y=1 | x, T=0)

Only a ranking that is better than random on customers whom the models have not seen, with its whole interval (see
`training.qini`), is worth following. Where it is not, the factor of all customers is the ratio of the arms' rates.

References: Radcliffe and Surry, "Real-world uplift modelling with significance-based uplift trees", 2011; Katz et al.,
"Obtaining confidence intervals for the risk ratio in cohort studies", Biometrics 1978.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import stats
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split

from models.uplift import ClassTransformation, TwoModel, UpliftLearner
from training.confidence import Estimate
from training.qini import compare_qini
from training.uplift_config import UpliftConfig

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]
LEARNERS: Mapping[str, type[UpliftLearner]] = {"two_models": TwoModel, "class_transformation": ClassTransformation}
PERSONAL, RESPONSE, RANDOM = "uplift", "response (no uplift)", "random"
LOWEST_BASELINE = 0.1
"""Of the control's rate: below that the quotient would be noise."""


def measure(features: FloatArray, treated: IntArray, outcome: IntArray, config: UpliftConfig) -> dict[str, Estimate]:
    """Qini coefficients on customers who were held out: by uplift, by probability of the outcome, and at random.

    Args:
        features: `[n, m]`, known before the contact.
        treated: `[n]`, 1 or 0.
        outcome: `[n]`, 1 or 0.
        config: settings.
    """
    rows = np.arange(len(treated))
    train, test = train_test_split(
        rows, test_size=config.held_out, stratify=2 * treated + outcome, random_state=config.seed
    )
    learner = _learner(config).fit(features[train], treated[train], outcome[train])
    response = _classifier(config).fit(features[train], outcome[train])
    scores = {
        PERSONAL: learner.predict(features[test]),
        RESPONSE: response.predict_proba(features[test])[:, 1],
        RANDOM: np.random.default_rng(config.seed).random(len(test)),
    }
    return compare_qini(
        scores,
        treated[test],
        outcome[test],
        resamples=config.resamples,
        seed=config.seed,
        level=config.confidence,
    )


def personal_factors(
    features: FloatArray, treated: IntArray, outcome: IntArray, customers: FloatArray, config: UpliftConfig
) -> FloatArray:
    """The factor of every customer, `[k]`, by models that have seen the whole history.

    Args:
        features: `[n, m]` of the history.
        treated: `[n]`, 1 or 0.
        outcome: `[n]`, 1 or 0.
        customers: `[k, m]`.
        config: settings.
    """
    effect = _learner(config).fit(features, treated, outcome).predict(customers)
    left_alone = treated == 0
    baseline = _classifier(config).fit(features[left_alone], outcome[left_alone]).predict_proba(customers)[:, 1]
    least = LOWEST_BASELINE * outcome[left_alone].mean()
    return np.asarray(1 + effect / np.maximum(baseline, least))


@dataclass(frozen=True)
class Arm:
    """How often those of an arm did it."""

    customers: int
    rate: float


def arms(treated: IntArray, outcome: IntArray) -> tuple[Arm, Arm]:
    """Control and treated."""
    parts = [outcome[treated == number] for number in (0, 1)]
    control, contacted = (Arm(len(part), float(part.mean())) for part in parts)
    return control, contacted


def average_factor(treated: IntArray, outcome: IntArray, confidence: float) -> Estimate:
    """The ratio of the arms' rates, with the interval of its logarithm (Katz).

    Args:
        treated: `[n]`, 1 or 0.
        outcome: `[n]`, 1 or 0; both occur in both arms.
        confidence: how often the interval holds the truth.
    """
    control, contacted = arms(treated, outcome)
    ratio = contacted.rate / control.rate
    error = np.sqrt(sum((1 - arm.rate) / (arm.customers * arm.rate) for arm in (control, contacted)))
    reach = np.exp(stats.norm.ppf((1 + confidence) / 2) * error)
    return Estimate(ratio, float(ratio / reach), float(ratio * reach))


def _learner(config: UpliftConfig) -> UpliftLearner:
    return LEARNERS[config.learner](_classifier(config))


def _classifier(config: UpliftConfig) -> LogisticRegression:
    return LogisticRegression(C=config.inverse_penalty, max_iter=1000)
