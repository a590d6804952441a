"""Effects beside figures by hand, SciPy, and each other."""

import math

import numpy as np
import numpy.testing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from data_pipelines.schema import InputError
from serving.experiments.cuped import adjust
from serving.experiments.effects import (
    Arm,
    compare_means,
    compare_proportions,
    fieller,
    mean_arm,
    ratio_arm,
)
from serving.experiments.guardrails import Guardrail, State
from serving.experiments.score_test import Counts, difference_interval, ratio_interval


def proportion(happened, units):
    return mean_arm(np.repeat([1.0, 0.0], [happened, units - happened]))


def test_means_by_hand():
    # 1, 2, 3: mean 2, variance 1; 2, 4, 6: mean 4, variance 4. Difference 2, its variance (1 + 4) / 3 = 5/3.
    # Welch: degrees (5/3)² / ((1/3)² / 2 + (4/3)² / 2) = (25/9) / (17/18) = 50/17
    effect = compare_means(mean_arm(np.array([2.0, 4, 6])), mean_arm(np.array([1.0, 2, 3])), 0.05)
    assert effect.difference == 2
    assert effect.lift == 1
    assert effect.standard_error == pytest.approx(math.sqrt(5 / 3))
    assert effect.p_value == pytest.approx(2 * stats.t.sf(2 / math.sqrt(5 / 3), 50 / 17))
    reach = stats.t.ppf(0.975, 50 / 17) * math.sqrt(5 / 3)
    npt.assert_allclose(effect.bounds, (2 - reach, 2 + reach))
    # the control's mean is 2 with standard error 1/√3, 3.2 of them reach below 0: no interval of the lift
    assert effect.lift_bounds is not None
    assert compare_means(mean_arm(np.array([2.0, 4, 6])), mean_arm(np.array([-1.0, 2, 3])), 0.05).lift_bounds is None


def test_means_as_scipy_has_them():
    random = np.random.default_rng(1)
    treated, control = random.gamma(2, 3, 60), random.gamma(2, 2, 90)
    found, expected = (
        compare_means(mean_arm(treated), mean_arm(control), 0.1),
        stats.ttest_ind(treated, control, equal_var=False),
    )
    assert found.p_value == pytest.approx(expected.pvalue)
    npt.assert_allclose(found.bounds, expected.confidence_interval(0.9))


def test_fieller_by_hand():
    # (10 − 5 r)² = 2² (1 + r²) with variances 1 and 1: 21 r² − 100 r + 96 = 0
    npt.assert_allclose(fieller(10, 5, 1, 1, 0, 2), ((50 - math.sqrt(484)) / 21, (50 + math.sqrt(484)) / 21))
    assert fieller(10, 2, 1, 1, 0, 2) is None


def test_proportions_by_hand():
    # 30 of 100 against 20 of 100: pooled 1/4, variance of the difference 1/4 · 3/4 · 2/100 times 200/199 (Miettinen and
    # Nurminen), z = 0.1 / sqrt(0.00375 · 200/199) = 1.6289
    effect = compare_proportions(proportion(30, 100), proportion(20, 100), 0.05)
    assert effect.p_value == pytest.approx(2 * stats.norm.sf(0.1 / math.sqrt(0.00375 * 200 / 199)))
    assert effect.lift == pytest.approx(0.5)
    assert effect.bounds[0] < 0 < 0.1 < effect.bounds[1]


@pytest.mark.parametrize(
    ("counts", "low", "high"),
    [
        # Newcombe, "Interval estimation for the difference between independent proportions", 1998, table II, method 6
        (Counts(56, 70, 48, 80), 0.0528, 0.3382),
        (Counts(9, 10, 3, 10), 0.1700, 0.8406),
        (Counts(5, 56, 0, 29), -0.0326, 0.1933),
        (Counts(10, 10, 0, 20), 0.7156, 1.0),
    ],
)
def test_score_intervals_as_published(counts, low, high):
    npt.assert_allclose(difference_interval(counts, 0.05), (low, high), atol=1e-4)


@given(st.integers(1, 200), st.integers(1, 200), st.data())
def test_score_intervals_hold_what_the_test_does_not_reject(treated_units, control_units, data):
    counts = Counts(
        data.draw(st.integers(0, treated_units)), treated_units, data.draw(st.integers(1, control_units)), control_units
    )
    low, high = difference_interval(counts, 0.1)
    assert -1 <= low <= counts.treated / treated_units - counts.control / control_units <= high <= 1
    for bound, sign in ((low, 1), (high, -1)):
        if abs(bound) < 1:
            assert counts.difference_z(bound) == pytest.approx(sign * 1.6448536, abs=1e-5)
    low, high = ratio_interval(counts, 0.1)
    assert 0 <= low <= counts.treated / treated_units / (counts.control / control_units) <= high
    for bound, sign in ((low, 1), (high, -1)):
        if 0 < bound < np.inf:
            assert counts.ratio_z(bound) == pytest.approx(sign * 1.6448536, abs=1e-5)


@pytest.mark.parametrize("happened", [0, 50])
def test_nothing_is_concluded_where_nothing_varies(happened):
    means = compare_means(proportion(happened, 50), proportion(happened, 50), 0.05)
    assert (means.p_value, means.difference, means.bounds) == (1.0, 0.0, (-math.inf, math.inf))
    # of shares something is known: none of 50 and none of 50 fit a difference d while d / (1 - d) is at most
    # 1.96² · 100/99 / 50 = 0.077606, so d up to 0.077606 / 1.077606 = 0.07202
    shares = compare_proportions(proportion(happened, 50), proportion(happened, 50), 0.05)
    assert (shares.p_value, shares.difference) == (1.0, 0.0)
    assert shares.bounds == (pytest.approx(-0.07202, abs=1e-5), pytest.approx(0.07202, abs=1e-5))


def test_a_smaller_loss_is_a_positive_lift():
    # from −10 to −5: half of the loss is gone; mirrored signs and arms give the same lift with the same interval
    found = compare_means(Arm(100, -5.0, 0.5, 99), Arm(100, -10.0, 0.5, 99), 0.05)
    gain = compare_means(Arm(100, 5.0, 0.5, 99), Arm(100, 10.0, 0.5, 99), 0.05)
    assert (found.lift, gain.lift) == (0.5, -0.5)
    assert found.lift_bounds == (-gain.lift_bounds[1], -gain.lift_bounds[0])
    assert Guardrail("profit", -0.02).state(found) is State.HOLDS


def test_a_control_without_any():
    effect = compare_proportions(proportion(20, 100), proportion(0, 100), 0.05)
    assert effect.p_value < 1e-4
    assert effect.lift is None
    assert effect.lift_bounds is None


@given(st.integers(0, 60), st.integers(0, 80))
def test_difference_and_lift_of_proportions_agree(treated, control):
    effect = compare_proportions(proportion(treated, 60), proportion(control, 80), 0.05)
    excluded = effect.bounds[0] > 0 or effect.bounds[1] < 0
    assert excluded == (effect.p_value < 0.05)
    if effect.lift_bounds is not None:
        assert (effect.lift_bounds[0] > 0 or effect.lift_bounds[1] < 0) == excluded


@given(st.lists(st.integers(0, 9), min_size=3, max_size=9), st.lists(st.integers(1, 9), min_size=3, max_size=9))
def test_difference_and_lift_of_means_agree(treated, control):
    effect = compare_means(mean_arm(np.array(treated, float)), mean_arm(np.array(control, float)), 0.05)
    if effect.standard_error > 0:
        excluded = effect.bounds[0] > 0 or effect.bounds[1] < 0
        assert excluded == (effect.p_value < 0.05)
        if effect.lift_bounds is not None:
            assert (effect.lift_bounds[0] > 0 or effect.lift_bounds[1] < 0) == excluded


def test_a_ratio_by_hand():
    # clicks 1, 3 of impressions 2, 4: ratio 4/6. Linearised (y − r x) / 3: (1 − 4/3) / 3 = −1/9, (3 − 8/3) / 3 = 1/9;
    # variance 2/81, of the mean 1/81
    arm = ratio_arm(np.array([1.0, 3]), np.array([2.0, 4]))
    assert arm.mean == pytest.approx(2 / 3)
    assert arm.standard_error == pytest.approx(1 / 9)


def test_weights_by_hand():
    # weights 1 and 3 of the values 0 and 4: mean 3; deviations −3 and 1: (9 + 9) · 2/1 = 36, root 6, by the sum 4
    arm = mean_arm(np.array([0.0, 4]), np.array([1.0, 3]))
    assert (arm.mean, arm.standard_error) == (3.0, 1.5)
    values = np.array([1.0, 2, 4, 9])
    assert mean_arm(values, np.full(4, 2.0)) == mean_arm(values)


def test_cuped_by_hand():
    # within variants outcome = 2 × covariate (+ 5 in the second): θ is 2, and nothing but the effect is left
    covariate, variant = np.array([1.0, 2, 3, 2, 3, 7]), np.array([0, 0, 0, 1, 1, 1])
    outcome = 2 * covariate + 5 * variant
    adjusted = adjust(outcome, covariate[:, None], variant)
    npt.assert_allclose(adjusted, np.array([6, 6, 6, 11, 11, 11]))  # the mean covariate is 3
    assert adjusted.mean() == pytest.approx(outcome.mean())


def test_many_covariates_and_few_units_keep_alpha():
    random, rejected, variant = np.random.default_rng(17), [], np.repeat([0, 1], 20)
    for _ in range(2000):
        before = random.normal(0, 1, (40, 10))
        adjusted = adjust(random.normal(0, 1, 40) + before[:, 0], before, variant)
        arms = [mean_arm(adjusted[variant == number]) for number in (1, 0)]
        rejected.append(compare_means(*arms, 0.05).p_value < 0.05)
    assert np.mean(rejected) == pytest.approx(0.05, abs=3 * math.sqrt(0.05 * 0.95 / 2000))
    with pytest.raises(InputError, match="--covariate: 10 are too many for 13 units"):
        adjust(before[:13, 0], before[:13], variant[14:27])


def test_cuped_without_information():
    outcome, variant = np.array([1.0, 2, 3, 4]), np.array([0, 0, 1, 1])
    npt.assert_allclose(adjust(outcome, np.ones((4, 1)), variant), outcome)
