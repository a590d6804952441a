"""The sequential limit beside its formula and the fixed test."""

import math

import numpy as np
import pytest

from serving.experiments.effects import Arm
from serving.experiments.sequential import compare, limit, p_value


def test_the_limit_by_hand():
    # α = 0.05: −2 log α = 5.9915, x = 5.9915 + log 6.9915 = 7.9362; at n = N the limit is
    # sqrt((1 + 1 / 7.9362) log(8.9362 / 0.0025)) = sqrt(1.12600 × 8.18163) = 3.0352
    assert float(limit(1.0, 0.05)) == pytest.approx(3.0352, abs=1e-4)
    # it is never lower than near the plan, where it costs least, and grows without bound
    grid = np.geomspace(1e-3, 1e3, 601)
    assert 0.5 < grid[np.argmin(limit(grid, 0.05))] < 2
    assert limit(1e6, 0.05) > limit(1e3, 0.05) > limit(10, 0.05)


def test_the_p_value_is_alpha_at_the_limit():
    for progress in (0.01, 0.5, 1.0, 7.0):
        assert float(p_value(limit(progress, 0.05), progress, 0.05)) == pytest.approx(0.05)
    assert float(p_value(0.0, 0.5, 0.05)) == 1.0


def test_comparing():
    # standard error 0.5: a difference of 1.6 is 3.2 of them, over the limit of 3.0352 at the plan
    treated, control = Arm(500, 11.6, 0.3, 499), Arm(500, 10.0, 0.4, 499)
    effect = compare(treated, control, 0.05, 1.0)
    assert effect.p_value < 0.05
    assert effect.bounds[0] == pytest.approx(1.6 - 0.5 * float(limit(1.0, 0.05)))
    assert compare(Arm(500, 11.5, 0.3, 499), control, 0.05, 1.0).p_value > 0.05


def test_too_few_units_say_nothing():
    effect = compare(Arm(99, 20.0, 0.3, 98), Arm(500, 10.0, 0.4, 499), 0.05, 0.5)
    assert effect.p_value == 1.0
    assert effect.bounds == (-math.inf, math.inf)
    assert effect.lift_bounds is None
    assert compare(Arm(500, 1.0, 0.0, 499), Arm(500, 1.0, 0.0, 499), 0.05, 0.5).p_value == 1.0
