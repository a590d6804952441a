"""Thompson sampling beside probabilities by hand, and what it earns."""

import numpy as np
import numpy.testing as npt
import pytest

from data_pipelines.schema import InputError
from serving.experiments.thompson_sampling import BetaBernoulli, shares


def known(successes, failures):
    return BetaBernoulli(np.array(successes, float), np.array(failures, float))


def test_the_probability_to_be_best_by_hand():
    npt.assert_allclose(known([1, 1, 1], [1, 1, 1]).best_probability(), 1 / 3)
    # Beta(2, 1) has the density 2x; P(it exceeds a uniform number) = ∫ 2x · x dx = 2/3
    npt.assert_allclose(known([2, 1], [1, 1]).best_probability(), (2 / 3, 1 / 3), atol=1e-5)
    # Beta(1, 2) against two uniform numbers: ∫ 2 (1 − x) x² dx = 2 (1/3 − 1/4) = 1/6
    npt.assert_allclose(known([1, 1, 1], [2, 1, 1]).best_probability(), (1 / 6, 5 / 12, 5 / 12), atol=1e-5)


def test_no_share_falls_below_the_minimum():
    found = shares(known([900, 100], [100, 900]), 0.05)
    npt.assert_allclose(found, (0.95, 0.05), atol=1e-9)
    npt.assert_allclose(shares(known([5, 5], [5, 5]), 0.1), 0.5)


def test_slots():
    found = known([2, 1], [1, 1]).slot_probability(slots=2, draws=90_000, seed=1)
    npt.assert_allclose(found, [[2 / 3, 1 / 3], [1 / 3, 2 / 3]], atol=3 * np.sqrt(2 / 9 / 90_000))
    npt.assert_array_equal(found, known([2, 1], [1, 1]).slot_probability(slots=2, draws=90_000, seed=1))


def test_it_earns_more_than_a_fixed_split_and_finds_the_best():
    rates, batch = np.array([0.05, 0.05, 0.10]), 500
    random = np.random.default_rng(2)
    earned, last = [], []
    for _ in range(8):
        successes, failures, total = np.ones(3), np.ones(3), 0.0
        for _ in range(20):
            share = shares(BetaBernoulli(successes, failures), 0.05)
            units = random.multinomial(batch, share)
            happened = random.binomial(units, rates)
            successes, failures, total = successes + happened, failures + units - happened, total + happened.sum()
        earned.append(total)
        last.append(share[2])
    # a fixed split earns 10,000 × 0.2 / 3 = 667, the best variant alone 1,000, with the floor 950
    assert np.mean(earned) > 850
    assert min(last) > 0.8


def test_nothing_known_is_no_prior():
    with pytest.raises(InputError, match="must be more than 0"):
        known([0, 1], [1, 1])
