"""Known demand: textbook figures, and every plan there is on small cases."""

from itertools import product

import numpy as np
import numpy.testing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from serving.inventory.lot_sizing import economic_order_quantity, wagner_whitin


def test_economic_order_quantity():
    # stockpyl 1.0.2, economic_order_quantity(8, 0.225, 1300); Snyder and Shen, example 3.1
    npt.assert_allclose(economic_order_quantity(8, 0.225, 1300), (304.0467800264368, 68.41052550594829))


def test_textbook_plan():
    # Snyder and Shen, example 3.9
    plan = wagner_whitin(np.array([[90, 120, 80, 70]]), np.array([500.0]), np.array([2.0]))
    assert (plan.order.tolist(), plan.cost.tolist()) == ([[210, 0, 150, 0]], [1380])


@given(
    demand=st.lists(st.integers(0, 9), min_size=1, max_size=6),
    order_cost=st.integers(0, 30),
    holding_cost=st.integers(0, 4),
)
@settings(max_examples=60, deadline=None)
def test_no_plan_is_cheaper(demand, order_cost, holding_cost):
    def cost(orders: tuple[int, ...]) -> float:
        """Of ordering in these periods what is needed until the next of them."""
        stock, money = 0, 0.0
        for period, orders_now in enumerate(orders):
            if orders_now:
                until = next((later for later in range(period + 1, len(orders)) if orders[later]), len(orders))
                stock += sum(demand[period:until])
                money += order_cost
            stock -= demand[period]
            if stock < 0:
                return np.inf
            money += holding_cost * stock
        return money

    plan = wagner_whitin(np.array([demand]), np.array([order_cost]), np.array([holding_cost]))
    assert plan.cost[0] == pytest.approx(min(cost(orders) for orders in product((0, 1), repeat=len(demand))))
    stock = np.cumsum(plan.order[0] - demand)
    assert (stock >= 0).all()
    assert stock[-1] == 0
    assert order_cost * (plan.order[0] > 0).sum() + holding_cost * stock.sum() == pytest.approx(plan.cost[0])
