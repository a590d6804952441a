"""Plans beside the linear programme's bound and the exact answer, and what a smaller budget does."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import Bounds, LinearConstraint, linprog, milp

from serving.campaigns.allocation import Problem, allocate


def constraints(problem: Problem) -> tuple[np.ndarray, np.ndarray]:
    """Rows and limits: every budget, every customer's slots, every customer's room in every channel."""
    n, m = problem.value.shape
    rows, limits, index = [], [], np.arange(n * m).reshape(n, m)

    def add(columns, limit):
        rows.append(np.isin(np.arange(n * m), columns).astype(float))
        limits.append(limit)

    for campaign in np.flatnonzero(np.isfinite(problem.contacts)):
        add(index[:, campaign], problem.contacts[campaign])
    for customer in range(n):
        add(index[customer], problem.slots[customer])
        for channel in range(problem.room.shape[1]):
            add(index[customer, problem.channel == channel], problem.room[customer, channel])
    return np.array(rows), np.array(limits)


def highest(problem: Problem) -> float:
    """The linear programme's bound, by HiGHS."""
    rows, limits = constraints(problem)
    allowed = np.c_[np.zeros(problem.value.size), (problem.value > 0).ravel()]
    return -linprog(-problem.value.ravel(), A_ub=rows, b_ub=limits, bounds=allowed, method="highs").fun


def exact(problem: Problem) -> float:
    """The best plan, by HiGHS."""
    rows, limits = constraints(problem)
    found = milp(
        -problem.value.ravel(),
        constraints=LinearConstraint(rows, -np.inf, limits),
        integrality=np.ones(problem.value.size),
        bounds=Bounds(0, (problem.value > 0).ravel().astype(float)),
    )
    return -found.fun


def drawn(seed: int, decimals: int = 6) -> Problem:
    generator = np.random.default_rng(seed)
    n, m, channels = generator.integers(1, 20), generator.integers(1, 6), generator.integers(1, 4)
    return Problem(
        np.round(generator.normal(1.0, 1.5, (n, m)), decimals),
        generator.integers(0, channels, m),
        np.where(generator.random(m) < 0.2, np.inf, generator.uniform(0, n / 2 + 1, m)),
        generator.integers(0, 3, (n, channels)),
        generator.integers(0, 4, n),
    )


def test_the_price_sends_a_customer_to_the_next_best_campaign():
    # the first customer is worth 10 and 9, the second 8 and nothing; campaign 0 pays for one contact.
    # By value alone the first customer would take it (10 in all); at a price above 1 the plan is 9 + 8 = 17
    problem = Problem(
        np.array([[10.0, 9.0], [8.0, 0.0]]),
        np.array([0, 0]),
        np.array([1.0, 5.0]),
        np.ones((2, 1), int),
        np.ones(2, int),
    )
    found = allocate(problem)
    assert found.chosen.tolist() == [[False, True], [True, False]]
    assert found.total == 17.0
    assert found.gap == pytest.approx(0.0, abs=1e-9)


def test_one_campaign_takes_those_who_are_worth_most():
    value = np.array([[3.0], [1.0], [2.0], [-1.0]])
    found = allocate(Problem(value, np.array([0]), np.array([2.9]), np.ones((4, 1), int), np.ones(4, int)))
    assert found.chosen[:, 0].tolist() == [True, False, True, False]


@settings(max_examples=150, deadline=None)
@given(seed=st.integers(0, 100_000), decimals=st.sampled_from([0, 1, 6]))
def test_plans_keep_every_limit_and_the_bound_is_one(seed, decimals):
    problem = drawn(seed, decimals)
    found = allocate(problem)
    rows, limits = constraints(problem)
    assert (rows @ found.chosen.ravel() <= limits + 1e-9).all()
    assert not found.chosen[problem.value <= 0].any()
    assert found.total == pytest.approx(problem.value[found.chosen].sum())
    bound = highest(problem)
    assert found.total <= bound + 1e-7 <= found.bound + 2e-7


def test_plans_are_near_the_best():
    problems = [drawn(seed) for seed in range(60)]
    ours, best = sum(allocate(one).total for one in problems), sum(exact(one) for one in problems)
    assert ours >= 0.985 * best


def test_with_many_customers_the_gap_is_small():
    generator = np.random.default_rng(3)
    value = generator.exponential(0.05, (5_000, 1)) * generator.uniform(0.5, 1.5, (5_000, 8)) - 0.01
    room, slots = np.ones((5_000, 3), int), np.full(5_000, 2)
    found = allocate(Problem(value, np.arange(8) % 3, np.full(8, 400.0), room, slots))
    assert found.gap < 0.005
    assert (found.chosen.sum(axis=0) == 400).all()


@settings(max_examples=150, deadline=None)
@given(seed=st.integers(0, 100_000), decimals=st.sampled_from([0, 1, 6]), share=st.floats(0.0, 1.0), data=st.data())
def test_less_budget_never_means_more_contacts(seed, decimals, share, data):
    problem = drawn(seed, decimals)
    campaign = data.draw(st.integers(0, problem.value.shape[1] - 1))
    contacts = problem.contacts.copy()
    contacts[campaign] = share * (contacts[campaign] if np.isfinite(contacts[campaign]) else len(problem.value))
    less = Problem(problem.value, problem.channel, contacts, problem.room, problem.slots)
    assert allocate(less).chosen[:, campaign].sum() <= allocate(problem).chosen[:, campaign].sum()


def test_nobody_and_nothing():
    empty = Problem(np.zeros((0, 2)), np.array([0, 0]), np.ones(2), np.zeros((0, 1), int), np.zeros(0, int))
    assert allocate(empty).chosen.shape == (0, 2)
    none = Problem(np.full((3, 2), -1.0), np.array([0, 0]), np.ones(2), np.ones((3, 1), int), np.ones(3, int))
    assert (allocate(none).total, allocate(none).gap) == (0.0, 0.0)
