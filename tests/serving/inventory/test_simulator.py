"""A few days by hand, and what must hold whatever happens."""

import numpy as np
import numpy.testing as npt
from hypothesis import given, settings
from hypothesis import strategies as st

from serving.inventory.dynamic_programming import Terms
from serving.inventory.simulator import NO_EXPIRY, OrderUpTo, Shop, simulate

COSTS = {"holding_cost": 1, "stockout_cost": 9, "order_cost": 5, "unit_cost": 2}


def run(demand, on_hand, level, *, on_order=0, lost_sales=False, shelf_life=None, **terms):
    demand = np.array(demand, float)[None, None]
    terms = Terms.of(1, **COSTS | terms)
    life = None if shelf_life is None else np.array([shelf_life])
    shop = Shop(terms, np.array([on_hand], float), np.array([on_order], float), lost_sales, life)
    policy = OrderUpTo.base_stock(np.full((1, demand.shape[2]), float(level)), terms)
    return simulate(demand, shop, policy, keep_days=True)


def test_backorders_by_hand():
    # S = 5, lead time 1. Day 1: 3 in stock, order 2; 4 asked, 3 go, 1 owed. Day 2: 2 arrive, position 2 - 1 = 1, order
    # 4; 1 owed and 1 asked go. Day 3: 4 arrive, position 4, order 1; 0 asked.
    outcome = run([4, 1, 0], on_hand=3, level=5, lead_time=1)
    assert outcome.daily.stock[0, 0].tolist() == [0, 0, 4]
    assert (outcome.sold.item(), outcome.served.item(), outcome.owed.item(), outcome.lost.item()) == (5, 4, 0, 0)
    assert (outcome.orders.item(), outcome.ordered.item(), outcome.received.item()) == (3, 7, 6)
    assert outcome.stockout_days.item() == 1
    assert (outcome.holding_cost.item(), outcome.stockout_cost.item(), outcome.order_cost.item()) == (4, 9, 15)
    assert outcome.purchase_cost.item() == 14
    assert outcome.fill_rate() == 4 / 5
    assert outcome.service_level(3) == 1 - 1 / 3


def test_lost_sales_by_hand():
    # as above, but the missing unit is lost: on day 2 the position is 2, order 3, one of two units goes
    outcome = run([4, 1, 0], on_hand=3, level=5, lead_time=1, lost_sales=True)
    assert outcome.daily.stock[0, 0].tolist() == [0, 1, 4]
    assert (outcome.sold.item(), outcome.lost.item(), outcome.owed.item(), outcome.ordered.item()) == (4, 1, 0, 6)


def test_without_lead_time_an_order_serves_its_own_day():
    outcome = run([4, 2], on_hand=0, level=5, lead_time=0)
    assert outcome.daily.stock[0, 0].tolist() == [1, 3]
    assert outcome.served.item() == 6


def test_what_is_on_order_arrives_after_the_lead_time():
    outcome = run([0, 0, 0, 0], on_hand=0, level=3, on_order=3, lead_time=2)
    assert outcome.daily.stock[0, 0].tolist() == [0, 3, 3, 3]  # a day of two had gone by
    assert outcome.orders.item() == 0


def test_orders_are_placed_on_review_days_only():
    outcome = run([1, 1, 1, 1, 1], on_hand=0, level=4, lead_time=0, review_every=3)
    assert outcome.daily.stock[0, 0].tolist() == [3, 2, 1, 3, 2]
    assert outcome.orders.item() == 2


def test_the_oldest_units_go_first_and_the_old_spoil():
    # shelf life of 2 days. Day 1: 5 arrive, 1 goes. Day 2: 1 arrives, the oldest goes, 3 of day 1 spoil. Day 3: 4
    # arrive.
    outcome = run([1, 1, 1], on_hand=0, level=5, lead_time=0, shelf_life=2)
    assert outcome.daily.stock[0, 0].tolist() == [4, 1, 4]
    assert outcome.spoiled.item() == 3
    assert run([1, 1, 1], on_hand=0, level=5, lead_time=0, shelf_life=NO_EXPIRY).spoiled.item() == 0


def test_packs_and_least_orders():
    outcome = run([1, 0, 0], on_hand=5, level=6, lead_time=0, pack=4)
    assert outcome.ordered.item() == 4  # 1 is missing, a pack is ordered
    assert run([1, 0, 0], on_hand=5, level=6, lead_time=0, least_order=7).ordered.item() == 7


@given(
    demand=st.lists(st.integers(0, 9), min_size=1, max_size=12),
    on_hand=st.integers(0, 9),
    on_order=st.integers(0, 5),
    level=st.integers(0, 15),
    lead_time=st.integers(0, 4),
    lost_sales=st.booleans(),
    shelf_life=st.one_of(st.none(), st.integers(1, 4)),
    review_every=st.integers(1, 4),
    pack=st.integers(1, 3),
)
@settings(max_examples=150, deadline=None)
def test_no_unit_is_created_or_lost(demand, on_hand, on_order, level, lead_time, pack, **options):
    outcome = run(demand, on_hand, level, on_order=on_order, lead_time=lead_time, pack=pack, **options)
    assert outcome.opening + outcome.received == outcome.sold + outcome.spoiled + outcome.closing
    assert outcome.demanded == sum(demand) == outcome.sold + outcome.lost + outcome.owed
    assert outcome.received <= outcome.ordered + on_order
    assert (outcome.daily.stock >= 0).all()
    assert outcome.holding_cost == outcome.daily.stock.sum()
    assert outcome.served <= outcome.sold


def test_products_and_paths_do_not_touch_each_other(monkeypatch):
    generator = np.random.default_rng(0)
    demand = generator.poisson(3, (7, 5, 9)).astype(float)
    terms = Terms.of(7, lead_time=generator.integers(0, 4, 7), **COSTS)
    shop = Shop(terms, generator.integers(0, 9, 7).astype(float), np.zeros(7), shelf_life=np.arange(1, 8))
    policy = OrderUpTo.base_stock(generator.integers(3, 20, (7, 9)).astype(float), terms)
    together = simulate(demand, shop, policy)
    monkeypatch.setattr("serving.inventory.simulator.CHUNK_CELLS", 10)  # two products at a time
    npt.assert_array_equal(simulate(demand, shop, policy).cost, together.cost)
    alone = simulate(demand[3:4, 2:3], shop.take(np.array([3])), policy.take(np.array([3])))
    assert alone.cost.item() == together.cost[3, 2]
