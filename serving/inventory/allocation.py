"""One budget and one warehouse for all products: which of each product's possible orders to place.

    min Σ_i cost_i(option)   subject to   Σ_i use_ir(option) <= limit_r   for every resource r (money, volume)

A price for each resource divides this into one choice per product (Lagrangian relaxation). The prices that give the
highest lower bound are found by cutting planes; the choice at slightly higher prices is feasible, and what is left over
is spent on the changes that save most for their use. The gap between the plan's cost and the bound says how much a
perfect plan could save at most.

Reference: Fisher, "The Lagrangian relaxation method for solving integer programming problems", Management Science 1981;
Kelley, "The cutting-plane method for solving convex programs", 1960; Sinha and Zoltners, "The multiple-choice knapsack
problem", Operations Research 1979.
"""

from dataclasses import dataclass

import numpy as np
from scipy.optimize import linprog

from serving.inventory.demand_distribution import FloatArray, IntArray

ROUNDS, TOLERANCE = 60, 1e-7
PASSES = 20
"""Of spending what is left."""


class InfeasibleError(ValueError):
    """Even the least that must be ordered exceeds a limit."""


@dataclass(frozen=True)
class Allocation:
    """A plan within the limits.

    Args:
        choice: `[n]` option of each product.
        cost: of the plan.
        bound: no plan within the limits costs less.
        price: `[resources]` what one more unit of each resource would save.
        use: `[resources]` what the plan takes.
    """

    choice: IntArray
    cost: float
    bound: float
    price: FloatArray
    use: FloatArray

    @property
    def gap(self) -> float:
        """What a perfect plan could save at most, in money."""
        return max(self.cost - self.bound, 0.0)


def allocate(cost: FloatArray, use: FloatArray, limit: FloatArray) -> Allocation:
    """Choose an option for every product.

    Args:
        cost: `[n, options]`, infinite where an option is not allowed.
        use: `[n, options, resources]`, not negative.
        limit: `[resources]`.

    Returns:
        The plan.

    Raises:
        InfeasibleError: naming the resource, what is needed at least, and what there is.
    """
    cost, use, limit = np.asarray(cost, float), np.asarray(use, float), np.asarray(limit, float)
    allowed = np.where(np.isfinite(cost)[..., None], use, np.inf)
    least = allowed.min(axis=1).sum(axis=0)  # [resources]
    if (over := np.flatnonzero(least > limit * (1 + 1e-9) + 1e-9)).size:
        resource = over[0]
        raise InfeasibleError(
            f"resource {resource}: at least {least[resource]:g} are needed, {limit[resource]:g} are there"
        )
    free = _choose(cost, use, np.zeros(len(limit)))
    if (_used(use, free) <= limit + 1e-9).all():
        total = float(_at(cost, free).sum())
        return Allocation(free, total, total, np.zeros(len(limit)), _used(use, free))
    price, bound = _best_prices(cost, use, limit)
    choice = _spend(_feasible(cost, use, limit, price, allowed), cost, use, limit)
    return Allocation(choice, float(_at(cost, choice).sum()), bound, price, _used(use, choice))


def _choose(cost: FloatArray, use: FloatArray, price: FloatArray) -> IntArray:
    """The best option of each product at these prices; of equal ones that of least use."""
    priced = cost + use @ price
    near = priced <= priced.min(axis=1, keepdims=True) + 1e-12 * np.maximum(np.abs(priced.min()), 1.0)
    choice: IntArray = np.where(near, use.sum(axis=-1), np.inf).argmin(axis=1)
    return choice


def _at(values: FloatArray, choice: IntArray) -> FloatArray:
    return np.asarray(values[np.arange(len(choice)), choice])


def _used(use: FloatArray, choice: IntArray) -> FloatArray:
    return np.asarray(_at(use, choice).sum(axis=0))


def _best_prices(cost: FloatArray, use: FloatArray, limit: FloatArray) -> tuple[FloatArray, float]:
    """Maximise the dual `Σ_i min (cost + price use) - price limit` over prices >= 0; returns prices and bound."""
    count = len(limit)
    finite = np.where(np.isfinite(cost), cost, np.nan)
    spread = np.nansum(np.nanmax(finite, axis=1) - np.nanmin(finite, axis=1))
    highest = spread / np.maximum(limit * 1e-3, 1e-9) + 1.0  # at such a price nothing is bought
    price, best, best_price = np.zeros(count), -np.inf, np.zeros(count)
    rows, rights = [], []
    for _ in range(ROUNDS):
        choice = _choose(cost, use, price)
        slope = _used(use, choice) - limit
        value = float(_at(cost, choice).sum() + price @ slope)
        if value > best:
            best, best_price = value, price
        rows.append(np.concatenate([[1.0], -slope]))  # dual <= value + slope (price' - price)
        rights.append(value - slope @ price)
        answer = linprog(
            np.concatenate([[-1.0], np.zeros(count)]),
            A_ub=np.array(rows),
            b_ub=np.array(rights),
            bounds=[(None, None), *((0.0, top) for top in highest)],
        )
        if answer.x is None or answer.x[0] - best <= TOLERANCE * max(abs(best), 1.0):
            break
        price = answer.x[1:]
    return best_price, best


def _feasible(cost: FloatArray, use: FloatArray, limit: FloatArray, price: FloatArray, allowed: FloatArray) -> IntArray:
    """The choice at the lowest multiple of the prices that keeps the limits."""
    least = allowed.sum(axis=-1).argmin(axis=1)
    direction = np.maximum(price, price.max() * 1e-6 + 1e-12)
    low, high = 1.0, 2.0
    while (_used(use, _choose(cost, use, direction * high)) > limit + 1e-9).any() and high < 1e12:
        low, high = high, high * 2.0
    for _ in range(50):
        middle = (low + high) / 2.0
        if (_used(use, _choose(cost, use, direction * middle)) > limit + 1e-9).any():
            low = middle
        else:
            high = middle
    choice = _choose(cost, use, direction * high)
    return choice if (_used(use, choice) <= limit + 1e-9).all() else least


def _spend(choice: IntArray, cost: FloatArray, use: FloatArray, limit: FloatArray) -> IntArray:
    """Spend what is left on the changes that save most for what they take of it."""
    rows = np.arange(len(choice))
    choice = choice.copy()
    for _ in range(PASSES):
        left = limit - _used(use, choice)
        saving = _at(cost, choice)[:, None] - cost
        extra = use - _at(use, choice)[:, None, :]
        fits = (extra <= left + 1e-9).all(axis=-1) & (saving > 1e-9)
        taken = np.maximum(extra, 0.0) @ (1.0 / np.maximum(limit, 1e-9))
        worth = np.where(fits, saving / np.maximum(taken, 1e-12), -np.inf)
        change = worth.argmax(axis=1)
        best = worth[rows, change]
        order = np.argsort(-best, kind="stable")
        order = order[np.isfinite(best[order])]
        if not order.size:
            return choice
        together = np.cumsum(np.maximum(extra[order, change[order]], 0.0), axis=0)
        accepted = order[(together <= left + 1e-9).all(axis=-1)]
        choice[accepted] = change[accepted]
    return choice
