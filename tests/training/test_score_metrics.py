import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn.metrics import log_loss, roc_auc_score

from tests.training.evaluation_world import N_ITEMS, TEST
from training.score_metrics import area_under_curve, reliability, sample_negatives

UNIFORM = np.ones(N_ITEMS)


def test_negatives_are_known_items_and_never_targets_of_the_same_query():
    negatives = sample_negatives(TEST, UNIFORM, 500, seed=1)
    assert negatives.shape == (5, 500)
    # user 2 wants {2, 4}, user 3 {5}, user 4 {3, 4}; one row per target
    for row, others in enumerate([{3, 5, 6, 7}, {3, 5, 6, 7}, {2, 3, 4, 6, 7}, {2, 5, 6, 7}, {2, 5, 6, 7}]):
        assert set(negatives[row].tolist()) == others


def test_negatives_follow_the_weights_and_the_seed():
    weights = np.array([0, 9, 0, 0, 0, 0, 3, 1])  # of the known items only 6 and 7 have any
    negatives = sample_negatives(TEST, weights, 2000, seed=1)
    assert set(negatives.ravel().tolist()) == {6, 7}
    assert (negatives == 6).mean() == pytest.approx(0.75, abs=0.02)
    np.testing.assert_array_equal(negatives, sample_negatives(TEST, weights, 2000, seed=1))
    assert (negatives != sample_negatives(TEST, weights, 2000, seed=2)).any()


def test_where_everything_is_a_target_there_is_no_negative():
    only_five = np.zeros(N_ITEMS)
    only_five[5] = 1  # the one target of user 3
    negatives = sample_negatives(TEST, only_five, 3, seed=0)
    np.testing.assert_array_equal(negatives[2], [0, 0, 0])
    np.testing.assert_array_equal(negatives[0], [5, 5, 5])


def test_area_by_hand():
    # of the 6 pairs, .9 beats all three, .4 beats .1, ties .4 and loses to .6: (3 + 1.5) / 6
    assert area_under_curve(np.array([0.9, 0.4]), np.array([0.1, 0.4, 0.6])) == pytest.approx(0.75)
    assert area_under_curve(np.array([0.9]), np.array([])) is None


@given(arrays(np.float32, 20, elements=st.integers(-4, 4).map(np.float32)))
def test_area_agrees_with_scikit_learn(scores):
    truth = np.arange(20) < 7
    assert area_under_curve(scores[:7], scores[7:]) == pytest.approx(roc_auc_score(truth, scores))


def test_reliability_by_hand():
    # two users, known items 2 and 3; the targets are item 2 for the first and item 3 for the second
    probabilities = np.array([[0, 0, 0.75, 0.25], [0, 0, 0.5, 0.125]], np.float32)
    counts = reliability(probabilities, np.array([0, 1]), np.array([2, 3]))
    # octaves [1/2, 1): .75 and .5, [1/4, 1/2): .25, [1/8, 1/4): .125
    np.testing.assert_array_equal(counts.pairs[:4], [2, 1, 1, 0])
    np.testing.assert_allclose(counts.predicted[:3], [1.25, 0.25, 0.125])
    np.testing.assert_array_equal(counts.observed[:3], [1, 0, 1])
    assert counts.base_rate == 0.5
    assert counts.calibration_error == pytest.approx((0.25 + 0.25 + 0.875) / 4)
    assert counts.predicted_per_observed == pytest.approx(1.625 / 2)
    expected = log_loss([1, 0, 0, 1], [0.75, 0.25, 0.5, 0.125])
    assert counts.log_loss == pytest.approx(expected)
    assert counts.normalised_log_loss == pytest.approx(expected / np.log(2))  # a base rate of 1/2 costs ln 2


def test_the_base_rate_itself_has_normalised_log_loss_one():
    probabilities = np.full((10, 102), 0.01, np.float32)  # 10 targets among 1000 pairs
    counts = reliability(probabilities, np.arange(10), np.arange(2, 12))
    assert counts.normalised_log_loss == pytest.approx(1, abs=1e-6)
    assert counts.calibration_error == pytest.approx(0, abs=1e-8)


def test_parts_add_up_to_the_whole():
    probabilities = np.random.default_rng(0).random((6, 20), np.float32) ** 5
    query, target = np.array([0, 2, 2, 5]), np.array([3, 2, 19, 7])
    whole = reliability(probabilities, query, target)
    first = reliability(probabilities[:3], query[:3], target[:3])
    parts = first + reliability(probabilities[3:], query[3:] - 3, target[3:])
    np.testing.assert_allclose(parts.predicted, whole.predicted, rtol=1e-6)
    np.testing.assert_array_equal(parts.observed, whole.observed)
    assert parts.log_loss == pytest.approx(whole.log_loss)


def test_certainty_and_impossibility_stay_finite():
    counts = reliability(np.array([[0, 0, 1, 0]], np.float32), np.array([0]), np.array([3]))
    assert np.isfinite(counts.log_loss)
    assert counts.log_loss > 10


@pytest.mark.parametrize("wrong", [-0.1, 1.5, np.nan])
def test_what_is_no_probability_is_refused(wrong):
    with pytest.raises(ValueError, match=r"probabilities must be in \[0, 1\]"):
        reliability(np.array([[0, 0, wrong, 0.5]], np.float32), np.array([0]), np.array([3]))
