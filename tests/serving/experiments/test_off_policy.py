"""Off-policy values by hand, and whether their intervals cover the truth."""

import math

import numpy as np
import numpy.testing as npt
import pytest

from data_pipelines.schema import InputError
from serving.experiments.off_policy import cross_fitted_means, doubly_robust, effective, ips, on_policy, snips

REWARD, PROPENSITY, TARGET = (
    np.array([1.0, 0, 1, 0]),
    np.array([0.5, 0.5, 0.25, 0.25]),
    np.array([0.25, 0.5, 0.5, 0.25]),
)


def test_by_hand():
    # weights ½, 1, 2, 1: IPS (½ + 2) / 4, SNIPS 2.5 / 4.5; worth 4.5² / (¼ + 1 + 4 + 1) = 3.24
    assert ips(REWARD, PROPENSITY, TARGET).mean == 0.625
    assert snips(REWARD, PROPENSITY, TARGET).mean == pytest.approx(2.5 / 4.5)
    assert effective(TARGET / PROPENSITY) == pytest.approx(3.24)
    # a model that says 0.4 for what was done and 0.3 for the policy: 0.3 + (½ · 0.6 − 0.4 + 2 · 0.6 − 0.4) / 4 = 0.475
    assert doubly_robust(REWARD, PROPENSITY, TARGET, np.full(4, 0.4), np.full(4, 0.3)).mean == pytest.approx(0.475)
    # terms ½, 0, 2, 0: deviation of the mean sqrt((4.25 − 4 · 0.625²) / 3) / 2
    value = ips(REWARD, PROPENSITY, TARGET)
    assert value.high - value.mean == pytest.approx(1.959964 * math.sqrt((4.25 - 1.5625) / 3) / 2)


def test_the_policy_that_ran_has_its_own_mean():
    for value in (ips(REWARD, PROPENSITY, PROPENSITY), snips(REWARD, PROPENSITY, PROPENSITY), on_policy(REWARD)):
        assert value.mean == 0.5
        assert value.effective_decisions == 4


def test_the_reward_model_has_not_seen_the_decision():
    # two folds, even and odd; of the other fold: action 0 one reward of 1, action 1 one of 0; prior 1 at the mean ½
    action, reward = np.array([0, 0, 1, 1]), np.array([1.0, 1, 0, 0])
    npt.assert_allclose(cross_fitted_means(action, reward, 3, prior=1, folds=2), [[0.75, 0.25, 0.5]] * 4)
    # changing a decision's reward changes nothing for itself
    changed = cross_fitted_means(action, np.array([0.0, 1, 0, 0]), 3, prior=1, folds=2)
    npt.assert_allclose(changed[[0, 2]], [[0.75, 0.25, 0.5]] * 2)
    assert changed[1, 0] < 0.75


@pytest.mark.parametrize("estimator", ["ips", "snips", "doubly robust"])
def test_intervals_cover_the_truth(estimator):
    # two kinds of customer, three actions; the log explores, the policy takes the best action with probability 0.8
    rate = np.array([[0.1, 0.2, 0.3], [0.4, 0.2, 0.1]])
    logged = np.array([[0.6, 0.2, 0.2], [0.2, 0.2, 0.6]])
    wanted = np.array([[0.1, 0.1, 0.8], [0.8, 0.1, 0.1]])
    truth = (rate * wanted).sum(axis=1).mean()  # both kinds are as many
    random, runs, covered, found = np.random.default_rng(3), 1000, 0, []
    for _ in range(runs):
        kind = random.integers(0, 2, 1500)
        action = (random.random((1500, 1)) > logged[kind].cumsum(axis=1)).sum(axis=1)
        reward = (random.random(1500) < rate[kind, action]).astype(float)
        p, target = logged[kind, action], wanted[kind, action]
        if estimator == "doubly robust":  # the model is wrong: it knows nothing of the kinds
            q = cross_fitted_means(action, reward, 3)
            value = doubly_robust(reward, p, target, q[np.arange(1500), action], (wanted[kind] * q).sum(axis=1))
        else:
            value = {"ips": ips, "snips": snips}[estimator](reward, p, target)
        covered += value.low <= truth <= value.high
        found.append(value.mean)
    assert covered / runs == pytest.approx(0.95, abs=3 * math.sqrt(0.0475 / runs))
    assert np.mean(found) == pytest.approx(truth, abs=4 * np.std(found) / math.sqrt(runs))


@pytest.mark.parametrize(
    ("propensity", "target", "said"),
    [
        ([0.5, 0, 0.5, 0.5], TARGET, "decision 2: propensity 0"),
        ([0.5, 0.5, 0.5, 1.5], TARGET, "decision 4: propensity 1.5"),
        (PROPENSITY, [0.5, -0.1, 0.5, 0.5], "decision 2: target probability -0.1"),
        (PROPENSITY, [0.0, 0, 0, 0], "takes no action that was logged"),
    ],
)
def test_impossible_probabilities(propensity, target, said):
    with pytest.raises(InputError, match=said):
        snips(REWARD, np.array(propensity), np.array(target))
