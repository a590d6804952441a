"""Distributions whose probabilities are known by hand."""

import numpy as np
import numpy.testing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from serving.inventory.demand_distribution import (
    DemandDistribution,
    empirical,
    from_quantiles,
    negative_binomial,
    normal,
    poisson,
)

LEVELS = (0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99)


def test_quantiles_become_probabilities_of_counts():
    # F rises in a line from 0 at 0 to 0.5 at 2 and 0.9 at 4: F(0.5) = 0.125, F(1.5) = 0.375, F(2.5) = 0.6, F(3.5) =
    # 0.8. Beyond 4 the tail is exponential with scale (4 - 2) / ln(0.5 / 0.1) = 1.2427: F(4.5) = 1 - 0.1 exp(-0.5 /
    # 1.2427)
    answer = from_quantiles((0.5, 0.9), np.array([[[2.0, 4.0]]]))
    npt.assert_allclose(answer.probability[0, 0, :4], [0.125, 0.25, 0.225, 0.2], atol=1e-9)
    npt.assert_allclose(answer.probability[0, 0, 4], 1 - 0.1 * np.exp(-0.5 / 1.2427) - 0.8, atol=1e-4)
    assert answer.probability.sum() == pytest.approx(1.0)
    assert answer.width.tolist() == [1]


def test_quantiles_at_zero_are_its_probability():
    answer = from_quantiles((0.5, 0.7, 0.9), np.array([[[0.0, 0.0, 2.0]], [[0.0, 0.0, 0.0]]]))
    # 0.7 at once, then a line to 0.9 at 2: F(0.5) = 0.75
    npt.assert_allclose(answer.probability[0, 0, :2], [0.75, 0.1], atol=1e-6)
    npt.assert_allclose(answer.probability[1, 0, 0], 1.0)  # never sold
    assert answer.mean()[1, 0] == 0.0


@pytest.mark.parametrize("bins", [64, 256, 4096])
def test_quantiles_of_a_known_family_give_its_mean_and_quantiles(bins):
    # demand of 1,000 with a deviation of 100: bins of 32 units or finer
    exact = stats.norm(1000, 100)
    answer = from_quantiles(LEVELS, exact.ppf(LEVELS)[None, None, :], bins=bins)
    width = int(answer.width[0])
    assert answer.mean()[0, 0] == pytest.approx(1000, abs=2 + width / 2)
    assert np.sqrt(answer.variance()[0, 0]) == pytest.approx(100, abs=8 + width / 4)
    for level in (0.25, 0.5, 0.9, 0.99):
        assert answer.quantile(level)[0, 0] == pytest.approx(exact.ppf(level), abs=width)


@pytest.mark.parametrize(
    ("made", "exact"),
    [
        (poisson(np.array([[3.0]])), stats.poisson(3.0)),
        (negative_binomial(np.array([[4.0]]), np.array([[2.0]])), stats.nbinom(2.0, 2.0 / 6.0)),
    ],
)
def test_families_are_scipys(made, exact):
    npt.assert_allclose(made.probability[0, 0, :10], exact.pmf(np.arange(10)), rtol=1e-4)
    npt.assert_allclose(made.mean(), exact.mean(), rtol=1e-3)


def test_normal_demand_is_rounded_and_not_negative():
    answer = normal(np.array([[1.0]]), np.array([[1.0]]))
    npt.assert_allclose(answer.probability[0, 0, :2], np.diff(stats.norm.cdf([-np.inf, 0.5, 1.5], 1.0)), rtol=1e-6)


def test_observed_demand_is_equally_likely():
    answer = empirical(np.array([[0, 0, 1, 3], [2, 2, 2, 2]]))
    npt.assert_allclose(answer.probability[:, 0], [[0.5, 0.25, 0, 0.25], [0, 0, 1, 0]])


def test_sums_over_a_lead_time():
    one = DemandDistribution(np.array([[[0.5, 0.5], [0.0, 1.0], [1.0, 0.0]]]), np.array([10]))
    two = one.sums(2)
    # day 0 with day 1: 1 or 2 bins; day 1 with day 2: 1; day 2 with itself again: 0
    npt.assert_allclose(two.probability[0], [[0, 0.5, 0.5], [0, 1, 0], [1, 0, 0]], atol=1e-12)
    npt.assert_allclose(two.mean()[0], [15, 10, 0], atol=1e-9)
    several = DemandDistribution(np.repeat(one.probability, 2, axis=0), np.array([1, 1])).sums(np.array([1, 3]))
    npt.assert_allclose(several.mean(), [[0.5, 1, 0], [1.5, 1, 0]], atol=1e-9)


@given(
    rates=st.lists(st.floats(0.0, 6.0), min_size=1, max_size=5),
    periods=st.integers(1, 4),
)
@settings(max_examples=30, deadline=None)
def test_the_mean_of_a_sum_is_the_sum_of_the_means(rates, periods):
    demand = poisson(np.array([rates]))
    mean = demand.mean()[0]
    extended = np.concatenate([mean, np.repeat(mean[-1], periods)])
    expected = [extended[day : day + periods].sum() for day in range(len(rates))]
    npt.assert_allclose(demand.sums(periods).mean()[0], expected, atol=1e-6)


def test_samples_follow_the_distribution_and_hang_together():
    demand = poisson(np.full((2, 6), [[2.0]]))
    generator = np.random.default_rng(0)
    alone, together = demand.sample(20_000, generator), demand.sample(20_000, generator, correlation=0.8)
    for paths in (alone, together):
        assert paths.shape == (2, 20_000, 6)
        npt.assert_allclose(paths.mean(axis=1), 2.0, atol=0.05)
        npt.assert_allclose((paths == 0).mean(axis=1), np.exp(-2), atol=0.015)
    assert abs(np.corrcoef(alone[0, :, 2], alone[0, :, 3])[0, 1]) < 0.03
    assert np.corrcoef(together[0, :, 2], together[0, :, 3])[0, 1] == pytest.approx(0.8, abs=0.06)


@pytest.mark.parametrize("quantiles", [[2.0, 1.0], [-1.0, 1.0], [1.0, np.nan], [1.0, np.inf]])
def test_impossible_quantiles(quantiles):
    with pytest.raises(ValueError, match="must be finite, not negative and ascending"):
        from_quantiles((0.5, 0.9), np.array([[quantiles]]))
