"""How fast orders are found: the dynamic programme beside stockpyl, a plan of many products, and the simulator.

    python -m benchmarks.inventory_speed

stockpyl is measured if it is installed; it asks for packages that do not go well with ours, so give it an environment
of its own and this one's path: PYTHONPATH=. python -m benchmarks.inventory_speed
"""

import resource
import time
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from typing import Any

import numpy as np

from data_pipelines import console as terminal
from serving.inventory.demand_distribution import from_quantiles, normal
from serving.inventory.dynamic_programming import Terms, optimize
from serving.inventory.orders import find_orders
from serving.inventory.simulator import OrderUpTo, Shop, simulate
from serving.inventory.trajectory import follow

LEVELS = (0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99)
PRODUCTS, DAYS = 10_000, 28
SIMULATED, PATHS = 2_000, 100
REPEATS = 5


def main(argv: Sequence[str] | None = None) -> int:
    """Measure and print."""
    terminal.command_parser(
        "python -m benchmarks.inventory_speed",
        "Time the dynamic programme, an order plan and the simulator.",
        examples=["python -m benchmarks.inventory_speed"],
    ).parse_args(argv)
    programme()
    plan()
    simulator()
    return 0


def timed(function: Callable[[], Any], repeats: int = 1) -> tuple[float, Any]:
    """Seconds of the fastest call, and its answer."""
    best, answer = np.inf, None
    for _ in range(repeats):
        begin = time.perf_counter()
        answer = function()
        best = min(best, time.perf_counter() - begin)
    return best, answer


def programme() -> None:
    """28 periods of normal demand, one product."""
    demand = normal(np.full((1, DAYS), 100.0), np.full((1, DAYS), 20.0), bins=256)
    terms = Terms.of(1, holding_cost=1, stockout_cost=20, unit_cost=2, order_cost=50)
    ours, policy = timed(lambda: optimize(demand, terms, np.zeros(1)), REPEATS)
    print(
        f"dynamic programme, {DAYS} periods, one product: {ours * 1e3:.1f} ms, S of today {policy.order_up_to[0, 0]:g}"
    )
    if find_spec("stockpyl") is None:
        print("stockpyl is not installed: not compared")
        return
    from stockpyl.finite_horizon import finite_horizon_dp

    theirs, answer = timed(lambda: finite_horizon_dp(DAYS, 1, 20, 1, 20, 2, 50, 100, 20))
    print(f"stockpyl's: {theirs:.1f} s, {theirs / ours:,.0f} times as long; S of today {answer[1][1]:g}")


def plan() -> None:
    """Many products with lead times and order costs, from quantiles to orders and the days ahead."""
    generator = np.random.default_rng(0)
    mean = np.exp(generator.normal(0.0, 1.2, PRODUCTS))[:, None] * np.ones(DAYS)
    dispersion = generator.uniform(0.5, 5.0, (PRODUCTS, 1))
    drawn = generator.negative_binomial(
        dispersion[..., None], (dispersion / (dispersion + mean))[..., None], (PRODUCTS, DAYS, 200)
    )
    quantiles = np.quantile(drawn, LEVELS, axis=-1).transpose(1, 2, 0)
    del drawn
    terms = Terms.of(
        PRODUCTS,
        lead_time=np.where(np.arange(PRODUCTS) % 2, 2, 7),
        holding_cost=1,
        stockout_cost=9,
        order_cost=5,
        unit_cost=generator.uniform(1, 20, PRODUCTS),
    )
    shop = Shop(terms, np.round(mean[:, 0] * 5), np.zeros(PRODUCTS))
    reading, demand = timed(lambda: from_quantiles(LEVELS, quantiles))
    solving, orders = timed(lambda: find_orders(demand, shop))
    ahead, _ = timed(lambda: follow(demand, shop, orders.policy, orders.order))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(
        f"plan of {PRODUCTS:,} products x {DAYS} days: distributions {reading:.1f} s, programme {solving:.1f} s, "
        f"days ahead {ahead:.1f} s, together {reading + solving + ahead:.1f} s; peak {peak:.1f} GB"
    )


def simulator() -> None:
    """Base stock with lead times."""
    generator = np.random.default_rng(0)
    demand = generator.poisson(2.0, (SIMULATED, PATHS, DAYS)).astype(float)
    terms = Terms.of(SIMULATED, lead_time=3, holding_cost=1, stockout_cost=9)
    shop = Shop(terms, np.full(SIMULATED, 8.0), np.zeros(SIMULATED))
    policy = OrderUpTo.base_stock(np.full((SIMULATED, DAYS), 12.0), terms)
    seconds, _ = timed(lambda: simulate(demand, shop, policy), REPEATS)
    print(f"simulator: {demand.size / seconds / 1e6:.0f} million product-days/s")


if __name__ == "__main__":
    raise SystemExit(main())
