"""The dynamic programme beside a textbook, and beside trying everything on small cases."""

from functools import cache

import numpy as np
import numpy.testing as npt
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy import stats

from serving.inventory.demand_distribution import DemandDistribution, normal, poisson
from serving.inventory.dynamic_programming import Terms, optimize
from serving.inventory.newsvendor import expected_cost, newsvendor
from serving.inventory.simulator import OrderUpTo, Shop, simulate


def test_textbook_policy():
    # Snyder and Shen, section 4.5; stockpyl 1.0.2 gives s = 110 (111 at last), S = 133 (126) and a cost of 1558.69,
    # with demand cut at four deviations
    demand = normal(np.full((1, 5), 100.0), np.full((1, 5), 20.0), bins=256)
    terms = Terms.of(
        1, holding_cost=1, stockout_cost=20, unit_cost=2, order_cost=50, end_holding_cost=1, end_stockout_cost=20
    )
    policy = optimize(demand, terms, np.array([0.0]))
    assert policy.reorder_point.tolist() == [[110, 110, 110, 110, 111]]
    assert policy.order_up_to.tolist() == [[133, 133, 133, 133, 126]]
    assert policy.order.tolist() == [133]
    assert policy.cost[0] == pytest.approx(1558.69, rel=2e-4)


def by_trying(probability, terms, position):
    """The least expected cost from a position, and the smallest order that reaches it."""
    periods = len(probability)
    lead = int(terms.lead_time[0])
    h, p, c, k = (
        float(getattr(terms, name)[0]) for name in ("holding_cost", "stockout_cost", "unit_cost", "order_cost")
    )
    least, pack, capacity = float(terms.least_order[0]), int(terms.pack[0]), float(terms.capacity[0])
    orders = [0] + [units for units in range(pack, 40, pack) if units >= least]

    @cache
    def stage(period: int, y: int) -> float:
        if period + lead >= periods:
            return 0.0
        total = [(0, 1.0)]
        for day in range(period, period + lead + 1):
            chances = probability[day]
            total = [(sum_ + d, chance * q) for sum_, chance in total for d, q in enumerate(chances) if q > 0]
        return sum(chance * (h * max(y - sum_, 0) + p * max(sum_ - y, 0)) for sum_, chance in total)

    @cache
    def value(period: int, x: int) -> tuple[float, int]:
        if period == periods:
            return c * max(-x, 0), 0
        best = (np.inf, 0)
        for units in orders:
            y = x + units
            if units and (y > capacity or period + lead >= periods or period % terms.review_every[0]):
                continue
            later = sum(q * value(period + 1, y - d)[0] for d, q in enumerate(probability[period]) if q > 0)
            cost = k * (units > 0) + c * units + stage(period, y) + later
            if cost < best[0] - 1e-9:
                best = (cost, units)
        return best

    return value(0, position)


@given(
    weights=st.lists(st.lists(st.integers(0, 5), min_size=3, max_size=3).filter(any), min_size=1, max_size=3),
    lead_time=st.integers(0, 2),
    stockout_cost=st.integers(2, 9),
    unit_cost=st.integers(0, 2),
    order_cost=st.integers(0, 6),
    least_order=st.integers(0, 3),
    pack=st.integers(1, 3),
    capacity=st.sampled_from([6.0, np.inf]),
    review_every=st.integers(1, 2),
    position=st.integers(-2, 5),
)
@settings(max_examples=80, deadline=None)
def test_no_decision_is_cheaper(
    weights, lead_time, stockout_cost, unit_cost, order_cost, least_order, pack, capacity, review_every, position
):
    assume(lead_time < len(weights))
    probability = np.array(weights, float)
    probability /= probability.sum(axis=1, keepdims=True)
    terms = Terms.of(
        1,
        lead_time=lead_time,
        holding_cost=1,
        stockout_cost=stockout_cost + unit_cost,  # else one would rather owe for ever
        unit_cost=unit_cost,
        order_cost=order_cost,
        least_order=least_order,
        pack=pack,
        capacity=capacity,
        review_every=review_every,
    )
    policy = optimize(DemandDistribution(probability[None], np.array([1])), terms, np.array([position], float))
    cost, order = by_trying(probability, terms, position)
    assert policy.cost[0] == pytest.approx(cost, abs=1e-6)
    assert policy.order[0] == order


def test_the_costs_of_a_menu_of_orders():
    probability = np.array([[0.2, 0.5, 0.3], [0.6, 0.2, 0.2]])
    terms = Terms.of(1, holding_cost=1, stockout_cost=6, unit_cost=1, order_cost=2, capacity=5)
    demand = DemandDistribution(probability[None], np.array([1]))
    policy = optimize(demand, terms, np.array([-1.0]), menu=3)
    assert policy.order[0] == 3
    assert policy.menu[0].tolist() == [0, 1, 2, 3]
    assert policy.menu_cost[0, -1] == policy.menu_cost.min() == pytest.approx(policy.cost[0])
    # what is ordered in the last of two periods is optimal again: 0 now leaves -1, then by hand
    second = DemandDistribution(probability[None, 1:], np.array([1]))
    last = [float(optimize(second, terms, np.array([position])).cost[0]) for position in (-1.0, -2.0, -3.0)]
    expected = 6 * probability[0] @ [1, 2, 3] + probability[0] @ last
    assert policy.menu_cost[0, 0] == pytest.approx(expected)


def test_without_order_costs_it_is_a_base_stock_policy():
    demand = poisson(np.full((3, 10), [[1.0], [4.0], [9.0]]))
    terms = Terms.of(3, lead_time=[0, 2, 5], holding_cost=1, stockout_cost=9, unit_cost=0)
    policy = optimize(demand, terms, np.zeros(3))
    covered = demand.sums(terms.lead_time + 1)
    expected = newsvendor(covered, terms.holding_cost, terms.stockout_cost)
    for row, lead_time in enumerate(terms.lead_time):
        last = 10 - lead_time  # later orders would arrive after the horizon
        npt.assert_array_equal(policy.order_up_to[row, :last], expected[row, :last])
        npt.assert_array_equal(policy.reorder_point[row, :last], expected[row, :last] - 1)
        assert np.isneginf(policy.reorder_point[row, last:]).all()


def test_without_end_to_the_cost_of_a_shortage_there_is_none():
    demand = DemandDistribution(np.array([[[0.9, 0.05, 0.05]] * 4]), np.array([1]))
    policy = optimize(demand, Terms.of(1, lead_time=1, holding_cost=1, stockout_cost=1e9), np.zeros(1))
    assert policy.order_up_to[0, :3].tolist() == [4, 4, 4]  # two days of two


def test_order_costs_keep_the_reorder_point_below_the_target():
    demand = poisson(np.full((4, 14), 5.0))
    terms = Terms.of(4, lead_time=2, holding_cost=1, stockout_cost=9, order_cost=[0, 5, 20, 80])
    policy = optimize(demand, terms, np.zeros(4))
    gap = policy.order_up_to[:, 0] - policy.reorder_point[:, 0]
    assert (np.diff(gap) > 0).all()  # the dearer an order, the larger
    assert (np.diff(policy.cost) > 0).all()


def test_packs_least_orders_and_capacity_are_kept():
    demand = poisson(np.full((3, 7), 3.0))
    terms = Terms.of(3, holding_cost=1, stockout_cost=9, pack=[6, 1, 1], least_order=[0, 20, 0], capacity=[50, 50, 4])
    policy = optimize(demand, terms, np.array([1.0, -10.0, 0.0]))
    assert policy.order[0] % 6 == 0
    assert policy.order[1] >= 20
    assert policy.order[2] == 4
    with pytest.raises(ValueError, match="product 1: lead_time=3 is beyond the horizon of 3 periods"):
        optimize(poisson(np.full((2, 3), 3.0)), Terms.of(2, lead_time=[2, 3]), np.zeros(2))
    with pytest.raises(ValueError, match="product 0: the smallest order of 12 units does not fit into capacity=10"):
        optimize(poisson(np.full((1, 2), 3.0)), Terms.of(1, least_order=7, pack=6, capacity=10), np.zeros(1))


def test_what_is_owed_beyond_the_grid_is_ordered_too():
    demand, terms = poisson(np.full((1, 5), 2.0)), Terms.of(1, holding_cost=1, stockout_cost=9, unit_cost=3)
    near, far = (optimize(demand, terms, np.array([position])) for position in (-5.0, -500.0))
    assert far.order[0] - near.order[0] == 495.0
    assert far.cost[0] - near.cost[0] == pytest.approx(495.0 * 3)


def test_what_will_never_be_sold_is_held_to_the_end():
    demand, terms = poisson(np.full((1, 5), 2.0)), Terms.of(1, holding_cost=3, stockout_cost=9, unit_cost=3)
    many, more = (optimize(demand, terms, np.array([position])) for position in (1_000.0, 1_000_000.0))
    assert (many.order[0], more.order[0]) == (0.0, 0.0)
    assert many.cost[0] == pytest.approx(3 * (5 * 1_000 - 2 * (1 + 2 + 3 + 4 + 5)), rel=1e-3)
    assert more.cost[0] - many.cost[0] == pytest.approx(3 * 5 * 999_000, rel=1e-9)


def test_the_expected_cost_is_what_a_simulation_costs():
    rates = np.array([[2.0, 1, 4, 2, 3, 5, 2, 1, 4, 2], [0.3, 0.5] * 5])
    demand = poisson(rates)
    terms = Terms.of(2, lead_time=[0, 2], holding_cost=1, stockout_cost=9, order_cost=4)
    policy = optimize(demand, terms, np.zeros(2))
    paths = demand.sample(20_000, np.random.default_rng(0))
    up_to = OrderUpTo.of(policy, terms)
    outcome = simulate(paths, Shop(terms, np.zeros(2), np.zeros(2)), up_to)
    before_any_arrives = [0.0, 9 * (0.3 + 0.8)]  # 0.3 owed after the first day, 0.3 + 0.5 after the second
    npt.assert_allclose(outcome.cost.mean(axis=1), policy.cost + before_any_arrives, rtol=0.02)
    # and neither a higher nor a lower target is cheaper
    for change in (-1.0, 1.0):
        moved = OrderUpTo(policy.reorder_point, policy.order_up_to + change, terms)
        other = simulate(paths, Shop(terms, np.zeros(2), np.zeros(2)), moved)
        assert (other.cost.mean(axis=1) > outcome.cost.mean(axis=1)).all()


def test_a_thousand_products_are_solved_as_each_alone():
    generator = np.random.default_rng(1)
    rates = np.exp(generator.normal(0, 1.5, 1000))[:, None] * np.ones(7)
    demand = poisson(rates)
    terms = Terms.of(1000, lead_time=generator.integers(0, 4, 1000), holding_cost=1, stockout_cost=9, order_cost=3)
    position = generator.integers(0, 5, 1000).astype(float)
    together = optimize(demand, terms, position)
    for row in (0, 17, 500, 999):
        rows = np.array([row])
        alone = optimize(demand.take(rows), terms.take(rows), position[rows])
        assert (alone.order[0], alone.reorder_point[0, 0]) == (together.order[row], together.reorder_point[row, 0])
        assert alone.cost[0] == pytest.approx(
            together.cost[row], rel=1e-5
        )  # bins of almost no probability are left out


@pytest.mark.parametrize(
    "terms",
    [
        {},
        {"pack": 12},
        {"pack": 24, "lead_time": 7, "review_every": 7},
        {"least_order": 40},
        {"least_order": 20, "pack": 6},
        {"order_cost": 12, "review_every": 3},
        {"pack": 6, "order_cost": 12},
    ],
    ids=str,
)
@pytest.mark.parametrize("rate", [1.0, 4.0, 100.0])
def test_the_policy_costs_in_simulation_what_the_programme_expects(terms, rate):
    # the policy keeps two levels a period of a programme that may do otherwise at every position
    some = Terms.of(1, **{"lead_time": 2, "holding_cost": 1, "stockout_cost": 9} | terms)
    demand, start = poisson(np.full((1, 28), rate)), np.array([np.round(3 * rate)])
    policy = optimize(demand, some, start)
    paths = demand.sample(3_000, np.random.default_rng(0))
    before = expected_cost(demand.sums(1, starts=1), start[:, None], np.ones(1), np.full(1, 9.0)).sum()
    for lead in range(2, int(some.lead_time[0]) + 1):  # days that no order can change
        before += expected_cost(demand.sums(lead, starts=1), start[:, None], np.ones(1), np.full(1, 9.0)).sum()
    outcome = simulate(paths, Shop(some, start, np.zeros(1)), OrderUpTo.of(policy, some))
    assert outcome.cost.mean() == pytest.approx(policy.cost[0] + before, rel=0.03)


def test_where_nothing_costs_anything_nothing_is_ordered_in_advance():
    demand = poisson(np.full((1, 14), 0.5))
    some = Terms.of(1, lead_time=3, stockout_cost=1, order_cost=5)
    order = optimize(demand, some, np.zeros(1)).order[0]
    assert order <= stats.poisson(7).ppf(1 - 1e-8)  # all that may be asked for, and no more
