"""The effect of a contact as a factor on the probability, learnt on one part of the customers, measured on the other.

    factor(x) = 1 + τ(x) / P(Y=1 | x, T=0),   τ(x) = P(Y=1 | x, T=1) − P(Y=1 | x, T=0)

Only a ranking that is better than random on customers whom the models have not seen, with its whole interval (see
`training.qini`), is worth following. Where it is not, the factor of all customers is the ratio of the arms' rates.
Where it is, customers differ by as much as those who were held out did, not by as much as the models say.

References: Radcliffe and Surry, "Real-world uplift modelling with significance-based uplift trees", 2011;
Chernozhukov et al., "Generic machine learning inference on heterogeneous treatment effects in randomized experiments",
2018 (best linear predictor); Katz et al., "Obtaining confidence intervals for the risk ratio in cohort studies",
Biometrics 1978.
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


@dataclass(frozen=True)
class Measured:
    """What customers who were held out say of the models.

    Args:
        qini: coefficients by what they are ranked by.
        effect_slope: what a predicted difference between two customers' effects is worth, from 0 to 1.
        baseline_slope: the same of the probability without a contact.
    """

    qini: Mapping[str, Estimate]
    effect_slope: float = 1.0
    baseline_slope: float = 1.0


def measure(features: FloatArray, treated: IntArray, outcome: IntArray, config: UpliftConfig) -> Measured:
    """Rank and calibrate on customers who were held out: by uplift, by probability of the outcome, and at random.

    The slopes are those of regressions of what happened on what was predicted; with the share p of the treated,
    `(T − p) (Y − P(Y=1 | x, T=0)) / (p (1 − p))` has the effect as its mean.

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
    effect, baseline = _predict(features[train], treated[train], outcome[train], features[test], config)
    response = _classifier(config).fit(features[train], outcome[train])
    scores = {
        PERSONAL: effect,
        RESPONSE: response.predict_proba(features[test])[:, 1],
        RANDOM: np.random.default_rng(config.seed).random(len(test)),
    }
    arm, happened = treated[test], outcome[test]
    found = compare_qini(scores, arm, happened, resamples=config.resamples, seed=config.seed, level=config.confidence)
    share, left_alone = arm.mean(), arm == 0
    of_effect = (arm - share) * (happened - baseline) / (share * (1 - share))
    return Measured(found, slope(effect, of_effect), slope(baseline[left_alone], happened[left_alone]))


def personal_factors(
    features: FloatArray,
    treated: IntArray,
    outcome: IntArray,
    customers: FloatArray,
    measured: Measured,
    config: UpliftConfig,
) -> FloatArray:
    """The factor of every customer, `[k]`, by models that have seen the whole history.

    Args:
        features: `[n, m]` of the history.
        treated: `[n]`, 1 or 0.
        outcome: `[n]`, 1 or 0.
        customers: `[k, m]`.
        measured: its slopes take back what models exaggerate.
        config: settings.
    """
    both = np.vstack([features, customers])
    known = slice(len(features))
    effect, baseline = (
        part[known].mean() + trust * (part - part[known].mean())
        for part, trust in zip(
            _predict(features, treated, outcome, both, config),
            (measured.effect_slope, measured.baseline_slope),
            strict=True,
        )
    )
    least = LOWEST_BASELINE * outcome[treated == 0].mean()
    return np.asarray((1 + effect / np.maximum(baseline, least))[len(features) :])


def slope(predicted: FloatArray, happened: npt.NDArray[np.generic]) -> float:
    """Of the regression of what happened on what was predicted, between 0 and 1: models rather say too much."""
    centred = predicted - predicted.mean()
    spread = float(centred @ centred)
    return float(np.clip(centred @ np.asarray(happened, np.float64) / spread, 0.0, 1.0)) if spread > 0 else 0.0


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


def _predict(
    features: FloatArray, treated: IntArray, outcome: IntArray, others: FloatArray, config: UpliftConfig
) -> tuple[FloatArray, FloatArray]:
    """Effect and probability without a contact of other customers, `[k]` each."""
    effect = LEARNERS[config.learner](_classifier(config)).fit(features, treated, outcome).predict(others)
    left_alone = treated == 0
    baseline = _classifier(config).fit(features[left_alone], outcome[left_alone]).predict_proba(others)[:, 1]
    return effect, baseline


def _classifier(config: UpliftConfig) -> LogisticRegression:
    return LogisticRegression(C=config.inverse_penalty, max_iter=1000)
