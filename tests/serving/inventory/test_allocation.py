"""Plans within limits, beside the exact answer of a mixed-integer programme."""

import numpy as np
import numpy.testing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import Bounds, LinearConstraint, milp

from serving.inventory.allocation import InfeasibleError, allocate


def exact(cost, use, limit):
    """The least cost, by HiGHS."""
    n, options = cost.shape
    one_each = np.kron(np.eye(n), np.ones(options))
    resources = use.reshape(n * options, -1).T
    answer = milp(
        np.where(np.isfinite(cost), cost, 0).ravel(),
        constraints=[LinearConstraint(one_each, 1, 1), LinearConstraint(resources, -np.inf, limit)],
        integrality=np.ones(cost.size),
        bounds=Bounds(0, np.isfinite(cost).ravel().astype(float)),
    )
    return answer.fun


def problem(seed, n=8, options=5, resources=2):
    """Ordering more costs less in the end, with less and less to gain."""
    generator = np.random.default_rng(seed)
    use = np.cumsum(generator.integers(1, 9, (n, options, resources)), axis=1).astype(float)
    use -= use[:, :1]
    cost = -np.cumsum(np.sort(generator.exponential(5, (n, options)), axis=1)[:, ::-1], axis=1)
    return cost, use


def test_without_a_limit_that_binds_everyone_takes_the_best():
    cost, use = problem(0)
    answer = allocate(cost, use, np.array([1e9, 1e9]))
    npt.assert_array_equal(answer.choice, cost.argmin(axis=1))
    assert (answer.gap, answer.price.tolist()) == (0.0, [0.0, 0.0])


def test_the_price_is_what_one_more_unit_saves():
    # a unit saves 3 for the first product and 2 for the second; there is money for the first and one of the second
    cost = np.array([[0.0, -3, -6], [0, -2, -4]])
    use = np.array([[0.0, 1, 2], [0, 1, 2]])[..., None]
    answer = allocate(cost, use, np.array([3.0]))
    assert answer.choice.tolist() == [2, 1]
    assert answer.cost == -8.0
    assert answer.price[0] == pytest.approx(2.0)
    assert answer.gap == pytest.approx(0.0, abs=1e-6)


@given(seed=st.integers(0, 10_000), share=st.floats(0.0, 1.1), resources=st.integers(1, 2))
@settings(max_examples=60, deadline=None)
def test_plans_keep_the_limits_and_the_bound_is_one(seed, share, resources):
    cost, use = problem(seed, resources=resources)
    limit = share * use[:, -1].sum(axis=0)
    answer = allocate(cost, use, limit)
    assert (answer.use <= limit + 1e-6).all()
    npt.assert_allclose(answer.cost, cost[np.arange(8), answer.choice].sum())
    best = exact(cost, use, limit)
    assert answer.bound <= best + 1e-6
    assert best - 1e-6 <= answer.cost
    assert answer.cost - best <= 0.1 * (cost.max(axis=1) - cost.min(axis=1)).sum() + 1e-6


def test_with_many_products_the_gap_is_small():
    cost, use = problem(1, n=2000)
    limit = 0.4 * use[:, -1].sum(axis=0)
    answer = allocate(cost, use, limit)
    assert (answer.use <= limit + 1e-6).all()
    assert answer.gap < 0.002 * abs(answer.cost)


def test_what_is_not_allowed_is_not_chosen():
    cost = np.array([[0.0, -5, np.inf], [np.inf, 1, 0]])
    use = np.array([[0.0, 1, 0], [0, 1, 2]])[..., None]
    assert allocate(cost, use, np.array([2.0])).choice.tolist() == [1, 1]


def test_too_little_for_what_must_be():
    cost, use = np.array([[np.inf, 1.0]]), np.array([[[0.0], [5.0]]])
    with pytest.raises(InfeasibleError, match="resource 0: at least 5 are needed, 3 are there"):
        allocate(cost, use, np.array([3.0]))
