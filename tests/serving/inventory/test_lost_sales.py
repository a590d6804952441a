"""Levels for customers who do not wait."""

import numpy as np
import numpy.testing as npt
import pytest

from serving.inventory.demand_distribution import poisson
from serving.inventory.dynamic_programming import Terms, optimize
from serving.inventory.lost_sales import lower_bound, optimize_levels
from serving.inventory.simulator import OrderUpTo, Shop, simulate

RATES = np.array([[0.5], [2.0], [6.0]]) * np.ones(30)


def shop(lead_time: int, stockout_cost: float) -> Shop:
    terms = Terms.of(3, lead_time=lead_time, holding_cost=1, stockout_cost=stockout_cost)
    return Shop(terms, np.full(3, 5.0), np.zeros(3), lost_sales=True)


@pytest.mark.parametrize(("lead_time", "saving"), [(2, 0.02), (7, 0.08)])
def test_it_beats_the_levels_of_patient_customers_the_more_the_longer_one_waits(lead_time, saving):
    demand, some = poisson(RATES), shop(lead_time, 9)
    found = optimize_levels(demand, some)
    backorders = optimize(demand, some.terms, some.on_hand)
    levels = OrderUpTo.of(backorders, some.terms)
    fresh = demand.sample(2_000, np.random.default_rng(7))  # paths that nothing was chosen on
    ours, theirs = (simulate(fresh, some, policy).cost.mean(axis=1).sum() for policy in (found.policy, levels))
    assert ours < (1 - saving) * theirs


def test_without_lead_time_waiting_makes_no_difference_and_the_bound_is_the_cost():
    demand, some = poisson(RATES), shop(0, 9)
    found = optimize_levels(demand, some)
    assert found.cost.sum() == pytest.approx(lower_bound(demand, some).sum(), rel=0.02)
    backorders = optimize(demand, some.terms, some.on_hand)
    npt.assert_allclose(found.policy.order_up_to[:, 3:-1], backorders.order_up_to[:, 3:-1], atol=1)


def test_the_bound_is_below_every_policy():
    demand, some = poisson(RATES), shop(3, 20)
    found = optimize_levels(demand, some, paths=500)
    bound = lower_bound(demand, some, paths=500)
    assert (bound < found.cost).all()
    assert bound.sum() > 0.4 * found.cost.sum()


@pytest.mark.parametrize("review_every", [7, 14])
def test_the_bound_holds_where_orders_are_rare(review_every):
    terms = Terms.of(3, review_every=review_every, holding_cost=1, stockout_cost=9, unit_cost=2, end_holding_cost=-2)
    some = Shop(terms, np.full(3, 5.0), np.zeros(3), lost_sales=True)
    assert (lower_bound(poisson(RATES), some) <= optimize_levels(poisson(RATES), some).cost * 1.02).all()


def test_after_a_shortage_no_more_is_ordered_than_will_be_asked_for():
    # nothing in stock and ten days to wait: the backorder model orders ten days of demand at once for those who left
    terms = Terms.of(3, lead_time=10, holding_cost=1, stockout_cost=9)
    some = Shop(terms, np.zeros(3), np.zeros(3), lost_sales=True)
    found = optimize_levels(poisson(RATES), some)
    at_once = optimize(poisson(RATES), terms, np.zeros(3)).order
    assert (found.policy(0, np.zeros((3, 1)))[:, 0] < at_once / 2).all()


def test_the_same_seed_finds_the_same_levels():
    demand, some = poisson(RATES), shop(2, 9)
    first, second = (optimize_levels(demand, some, paths=50, seed=3) for _ in range(2))
    npt.assert_array_equal(first.policy.order_up_to, second.policy.order_up_to)
