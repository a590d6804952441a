"""Units that are needed, beside textbooks and statsmodels."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from statsmodels.stats.power import TTestIndPower
from statsmodels.stats.proportion import samplesize_proportions_2indep_onetail

from data_pipelines.schema import InputError
from serving.experiments.sample_ratio import check_propensities, check_sample_ratio
from serving.experiments.sample_size import Question, detectable, power_of, units_for


def test_rates_as_in_the_textbook():
    # Fleiss, Levin and Paik, 4.1 without continuity correction: .25 against .40, alpha .05, power .8:
    # (1.959964 sqrt(2 · .325 · .675) + .841621 sqrt(.25 · .75 + .4 · .6))² / .15² = 151.87
    assert units_for(Question(0.25), 0.15) == 152
    expected = samplesize_proportions_2indep_onetail(0.005, 0.1, 0.9, alpha=0.05)
    assert units_for(Question(0.1, power=0.9), 0.005) == pytest.approx(expected, abs=1)


def test_a_fall_needs_fewer_units_than_a_rise_where_rates_are_low():
    # the treated arm's variance .08 · .92 is less than .12 · .88: (1.959964 sqrt(2 · .09 · .91) + .841621
    # sqrt(.1 · .9 + .08 · .92))² / .02² = 3213
    assert units_for(Question(0.1), -0.02) == 3213 < units_for(Question(0.1), 0.02)


def test_means_as_statsmodels_has_them():
    # two samples, effect of half a deviation, alpha .05, power .8: 64 each (Cohen, 1988, table 2.4.1)
    assert units_for(Question(10, deviation=4), 2) == 64
    expected = TTestIndPower().solve_power(0.1, None, 0.01, 0.9, 0.5)
    assert units_for(Question(10, deviation=4, alpha=0.01, power=0.9, ratio=0.5), 0.4) == pytest.approx(expected, abs=1)


def test_a_covariate_saves_its_share():
    # correlation 0.6 explains 0.36 of the variance: 64 % of the units
    plain, less = (units_for(Question(1, deviation=10, correlation=rho), 0.5) for rho in (0, 0.6))
    assert less / plain == pytest.approx(0.64, rel=1e-3)


def test_peeking_costs():
    # the limit at the plan is 3.0352: ((3.0352 + 0.8416) / (1.9600 + 0.8416))² = 1.915
    plain, peeking = (units_for(Question(1, deviation=10, sequential=sequential), 0.5) for sequential in (False, True))
    assert peeking / plain == pytest.approx(1.915, rel=1e-3)


@given(baseline=st.floats(0.01, 0.5), units=st.integers(1000, 10**6), power=st.floats(0.5, 0.95), mean=st.booleans())
def test_there_and_back(baseline, units, power, mean):
    question = Question(baseline, deviation=3 * baseline if mean else None, power=power)
    effect = detectable(question, units)
    assert effect is not None
    assert units_for(question, effect) == pytest.approx(units, rel=1e-4, abs=1)
    assert power_of(question, effect, units) == pytest.approx(power, abs=1e-6)


def test_too_few_units_for_any_rate():
    assert detectable(Question(0.9), 10) is None


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: Question(0.0), "baseline 0: a rate lies between 0 and 1; for a mean give its deviation too"),
        (lambda: Question(1.4), "baseline 1.4: a rate"),
        (lambda: Question(1.4, deviation=0), "deviation 0: must be more than 0"),
        (lambda: Question(0.1, alpha=1), "alpha 1: must lie between 0 and 1"),
        (lambda: Question(0.1, power=0.04), "power 0.04: must exceed alpha 0.05"),
        (lambda: Question(0.1, correlation=1), "correlation 1"),
        (lambda: units_for(Question(0.1), 0), "effect 0"),
        (lambda: units_for(Question(0.1), 1e-9), "effect +1e-09: is too small for any number of units"),
        (lambda: units_for(Question(0.1), 0.95), "takes the rate from 0.1 to 1.05"),
    ],
)
def test_what_is_no_question(make, said):
    with pytest.raises(InputError) as caught:
        make()
    assert said in str(caught.value)


def test_sample_ratio_by_hand():
    # 520 and 480 of 1000 with equal shares: 20² / 500 · 2 = 1.6, one degree of freedom
    found = check_sample_ratio([520, 480], [0.5, 0.5])
    assert found.p_value == pytest.approx(float(stats.chi2.sf(1.6, 1)))
    assert found.passes
    assert not check_sample_ratio([5200, 4800], [1, 1]).passes
    assert check_sample_ratio([5200, 4800], [0.52, 0.48]).p_value == 1.0


def test_propensities_by_hand():
    # one propensity per variant: the check above, times two for the two variants
    variant = np.repeat([0, 1], [520, 480])
    found = check_propensities(variant, np.full(1000, 0.5), 2)
    assert found.p_value == pytest.approx(2 * check_sample_ratio([520, 480], [0.5, 0.5]).p_value)
    assert found.expected == (500, 500)
    assert not check_propensities(variant, np.where(variant, 0.75, 0.25), 2).passes


@pytest.mark.parametrize(("lost", "alarms"), [(0.0, 0.05), (0.1, 1.0)])
def test_moving_shares_are_checked(lost, alarms):
    # three variants, four days with other shares; then a tenth of one variant's units is lost
    shares = np.array([[0.34, 0.33, 0.33], [0.2, 0.2, 0.6], [0.1, 0.05, 0.85], [0.05, 0.05, 0.9]])
    random, rejected = np.random.default_rng(16), []
    for _ in range(500):
        day = np.repeat(range(4), 5000)
        variant = (random.random((20_000, 1)) > np.cumsum(shares, axis=1)[day]).sum(axis=1)
        kept = (variant != 2) | (random.random(20_000) >= lost)
        found = check_propensities(variant[kept], shares[day, variant][kept], 3)
        rejected.append(found.p_value < 0.05 if not lost else not found.passes)
    # Bonferroni may reject less often than stated, since the variants' units depend on each other
    assert alarms - 0.03 <= np.mean(rejected) <= alarms + 3 * (0.05 * 0.95 / 500) ** 0.5
