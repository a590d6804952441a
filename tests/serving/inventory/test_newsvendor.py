"""Newsvendor and base stock beside textbook figures."""

import numpy as np
import numpy.testing as npt
import pytest

from serving.inventory.demand_distribution import DemandDistribution, normal, poisson
from serving.inventory.newsvendor import (
    expected_cost,
    expected_shortage,
    fill_rate_level,
    newsvendor,
    normal_newsvendor,
)


@pytest.mark.parametrize(
    ("h", "p", "mean", "deviation", "level", "cost"),
    [
        (2, 18, 120, 10, 132.815515655446, 35.09966638649737),  # stockpyl 1.0.2
        (0.18, 0.70, 50, 8, 56.60395592743389, 1.9976051931766445),  # Snyder and Shen, example 4.3
    ],
)
def test_normal_demand(h, p, mean, deviation, level, cost):
    found, money = normal_newsvendor(h, p, mean, deviation)
    npt.assert_allclose((found, money), (level, cost), rtol=1e-9)


def test_counts():
    # stockpyl 1.0.2: newsvendor_poisson(1, 4, 6) is (8, 3.5701077459)
    demand, h, p = poisson(np.array([[6.0]])), np.array([1.0]), np.array([4.0])
    level = newsvendor(demand, h, p)
    assert level.tolist() == [[8.0]]
    npt.assert_allclose(expected_cost(demand, level, h, p), 3.5701077459, rtol=1e-5)
    # and no other level costs less
    others = [float(expected_cost(demand, np.array([[s]]), h, p)[0, 0]) for s in range(20)]
    assert np.argmin(others) == 8


def test_bins_of_many_units_cost_at_most_half_a_bin():
    h, p = np.array([1.0]), np.array([9.0])
    exact_level, exact_cost = normal_newsvendor(1, 9, 5000, 500)
    demand = normal(np.array([[5000.0]]), np.array([[500.0]]), bins=128)
    width = int(demand.width[0])
    assert width > 1
    level = newsvendor(demand, h, p)
    assert abs(level[0, 0] - exact_level) <= width
    npt.assert_allclose(expected_cost(demand, level, h, p)[0, 0], exact_cost, atol=width / 2)


def test_shortage_by_hand():
    # demand 0, 10 or 20 with 1/2, 1/4, 1/4: of a stock of 5, 5 and 15 units are missing
    demand = DemandDistribution(np.array([[[0.5, 0.25, 0.25]]]), np.array([10]))
    npt.assert_allclose(expected_shortage(demand, np.array([[5.0]])), [[5.0]])
    npt.assert_allclose(expected_cost(demand, np.array([[5.0]]), np.array([2.0]), np.array([3.0])), [[2 * 2.5 + 3 * 5]])


def test_base_stock_covers_the_lead_time():
    # Poisson 2 a day, 4 days to cover: Poisson 8, the 0.9 quantile is 12
    demand = poisson(np.full((1, 6), 2.0)).sums(4)
    assert newsvendor(demand, np.array([1.0]), np.array([9.0]))[0, 0] == 12.0


def test_fill_rate():
    # without lead time and Poisson 1: E[(D - S)^+] is 1, 0.368, 0.104, 0.023 for S = 0, 1, 2, 3
    covered = poisson(np.array([[1.0]]))
    waiting = DemandDistribution(np.ones((1, 1, 1)), np.array([1]))
    levels = [float(fill_rate_level(covered, waiting, rate)[0, 0]) for rate in (0.0, 0.6, 0.64, 0.89, 0.9, 0.97)]
    assert levels == [0.0, 1.0, 2.0, 2.0, 3.0, 3.0]
    with pytest.raises(ValueError, match="fill_rate=1"):
        fill_rate_level(covered, waiting, 1.0)


def test_a_rare_shortage_costs_everything_never_runs_out():
    demand = DemandDistribution(np.array([[[0.5, 0.4, 0.1]]]), np.array([1]))
    assert newsvendor(demand, np.array([1.0]), np.array([1e12]))[0, 0] == 2.0
