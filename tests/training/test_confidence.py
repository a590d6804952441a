import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from training import confidence
from training.confidence import difference, interval, ratio, resampled_means


def test_the_standard_error_of_a_mean():
    # the bootstrap distribution of the mean of n values has standard deviation s / √n
    values = np.random.default_rng(0).normal(3, 2, 400)
    samples = resampled_means(values[:, None], np.arange(400), 4000, seed=1)[:, 0]
    assert samples.std() == pytest.approx(values.std() / 20, rel=0.05)
    estimate = interval(samples, float(values.mean()))
    assert estimate.low == pytest.approx(values.mean() - 1.96 * values.std() / 20, abs=0.02)
    assert estimate.high == pytest.approx(values.mean() + 1.96 * values.std() / 20, abs=0.02)


def test_queries_of_a_user_are_drawn_together():
    # 20 users with 50 equal queries each are worth 20 observations, not 1000
    per_user = np.random.default_rng(0).normal(size=20)
    users = np.tile(np.arange(20), 50)
    samples = resampled_means(per_user[users][:, None], users, 4000, seed=1)[:, 0]
    assert samples.std() == pytest.approx(per_user.std() / np.sqrt(20), rel=0.05)


def test_users_with_more_queries_weigh_more():
    # whichever of the two users is drawn, the mean is over queries: 0, 1, or (0 + 1 + 1 + 1) / 4
    samples = resampled_means(np.array([[0.0], [1], [1], [1]]), np.array([5, 9, 9, 9]), 200, seed=0)
    assert set(np.round(samples[:, 0], 6).tolist()) == {0.0, 0.75, 1.0}


def test_pairing_removes_what_models_have_in_common():
    easy = np.random.default_rng(0).random(300)
    values = np.column_stack([easy + 0.01, easy])
    samples = resampled_means(values, np.arange(300), 1000, seed=0)
    gap = difference(samples[:, 0], samples[:, 1], *values.mean(axis=0))
    assert gap.low == pytest.approx(0.01)
    assert gap.high == pytest.approx(0.01)
    alone = interval(samples[:, 0], float(values[:, 0].mean()))
    assert alone.high - alone.low > 0.05


def test_ratio():
    values = np.column_stack([[2.0, 4, 6], [1.0, 2, 3]])
    samples = resampled_means(values, np.arange(3), 50, seed=0)
    quotient = ratio(samples[:, 0], samples[:, 1], 4, 2)
    assert quotient is not None
    assert (quotient.mean, quotient.low, quotient.high) == pytest.approx((2, 2, 2))
    assert ratio(samples[:, 0], np.zeros(50), 4, 0) is None


def test_same_seed_same_draws_whatever_the_chunks(monkeypatch):
    values = np.random.default_rng(0).random((30, 2))
    whole = resampled_means(values, np.arange(30), 100, seed=3)
    np.testing.assert_array_equal(whole, resampled_means(values, np.arange(30), 100, seed=3))
    monkeypatch.setattr(confidence, "CELLS", 7 * 30)  # 7 resamples at a time
    np.testing.assert_allclose(resampled_means(values, np.arange(30), 100, seed=3), whole)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=20))
def test_means_stay_within_the_values(values):
    samples = resampled_means(np.array(values)[:, None], np.arange(len(values)), 20, seed=0)
    assert samples.min() >= min(values) - 1e-12
    assert samples.max() <= max(values) + 1e-12
