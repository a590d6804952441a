"""Who gets which campaign: the most value within the budgets, with a customer's few slots in mind.

    max Σ value_ic x_ic   s.t.   Σ_i x_ic <= budget_c / cost_c,   x feasible for every customer i

where a customer takes a campaign once, `room_ih` contacts of channel h and `slots_i` of all at most. These caps are
laminar, so at given prices p_c per contact (Lagrangian relaxation of the budgets) choosing greedily by value_ic - p_c
is optimal for every customer, and campaigns are gross substitutes: a dearer campaign makes no other one less wanted.
So the prices at which nobody overspends have a least element, and raising the price of whoever overspends just so far
as needed finds it (an ascending auction, here on a fixed grid of prices). What the grid leaves of the budgets is spent
on the best of what is left.

The least prices do not depend on a budget that is not used up. Hence taking budget from a campaign never raises what
that campaign spends: either what it spent still fits, and nothing changes, or it does not, and it spends less.

Any prices bound the value of every plan (weak duality), also of fractional ones; the best that are found give the gap.
Reference: Fisher, "The Lagrangian relaxation method", Management Science 1981; Kelso and Crawford, "Job matching,
coalition formation, and gross substitutes", Econometrica 1982; Gul and Stacchetti, Journal of Economic Theory 1999.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]

PRICES, LOWEST_PRICE = 96, 1e-4
"""Levels of the grid, and the lowest as a share of the highest value."""
TIE = 1e-12
POLISHING = 2
"""Times that every price is set to its best, for the bound."""


@dataclass(frozen=True)
class Allocation:
    """Who gets what.

    Args:
        chosen: `[customers, campaigns]`.
        price: `[campaigns]` value that one more contact would bring, about.
        total: value of the plan.
        bound: no plan within the budgets is worth more.
    """

    chosen: BoolArray
    price: FloatArray
    total: float
    bound: float

    @property
    def gap(self) -> float:
        """Share of the bound that the plan lacks; of what the best plan is worth, it lacks no more."""
        return max(self.bound - self.total, 0.0) / self.bound if self.bound > 0 else 0.0


@dataclass(frozen=True)
class Problem:
    """What is to be decided; all values are from before budgets.

    Args:
        value: `[customers, campaigns]` of a contact, net of its cost; 0 or less where it must not be.
        channel: `[campaigns]` number of its channel.
        contacts: `[campaigns]` that the budget pays for; need not be whole, may be infinite.
        room: `[customers, channels]` contacts.
        slots: `[customers]` contacts of all channels.
    """

    value: FloatArray
    channel: IntArray
    contacts: FloatArray
    room: IntArray
    slots: IntArray

    def take(self, rows: BoolArray) -> "Problem":
        """Some of the customers."""
        return Problem(self.value[rows], self.channel, self.contacts, self.room[rows], self.slots[rows])


def allocate(problem: Problem) -> Allocation:
    """Find a plan; equal inputs give equal plans, of equal values the earlier customer and campaign go first."""
    customers, campaigns = problem.value.shape
    whole = np.zeros((customers, campaigns), bool)
    rows = (problem.value > 0).any(axis=1) & (problem.slots > 0)
    top = float(problem.value.max(initial=0.0))
    if not rows.any():
        return Allocation(whole, np.zeros(campaigns), 0.0, 0.0)
    some = problem.take(rows)
    value = some.value - TIE * top * np.arange(campaigns)  # no two campaigns are worth the same to a customer
    quota = affordable(problem.contacts)
    price, chosen = _least_prices(some, value, quota, top)
    bound = _bound(some, value, chosen, price)
    chosen = _spend_rest(some, value - price, chosen, quota)
    whole[rows] = chosen
    return Allocation(whole, price, float(some.value[chosen].sum()), bound)


def affordable(contacts: FloatArray) -> FloatArray:
    """Whole contacts: a budget of 0.3 pays for three of 0.1, though floating point says 2.9999999999999996."""
    return np.asarray(np.floor(contacts + 1e-9))


def _least_prices(some: Problem, value: FloatArray, quota: FloatArray, top: float) -> tuple[FloatArray, BoolArray]:
    """The least prices of the grid at which no campaign is chosen more often than it can pay, and who chooses."""
    grid = np.concatenate([[0.0], np.geomspace(LOWEST_PRICE * top, top * 1.0001, PRICES)])
    level = np.zeros(len(quota), np.int64)
    while True:
        price = grid[level]
        chosen = _choose(some, value - price)
        over = np.flatnonzero(chosen.sum(axis=0) > quota)
        if not over.size:
            return price, chosen
        critical = value - _thresholds(some, value - price, chosen)
        for campaign in over:
            needed = _price_of(critical[:, campaign], int(quota[campaign]))
            level[campaign] = max(level[campaign] + 1, np.searchsorted(grid, needed))


def _price_of(critical: FloatArray, quota: int) -> float:
    """The lowest price at which so many customers at most want it, from those at which each of them ceases to."""
    if quota >= len(critical):
        return 0.0
    at = len(critical) - 1 - quota
    return max(float(np.partition(critical, at)[at]), 0.0)


def _choose(some: Problem, net: FloatArray) -> BoolArray:
    """Every customer's best campaigns at these net values, `[customers, campaigns]`."""
    customers, campaigns = net.shape
    chosen, order, rows = np.zeros(net.shape, bool), np.argsort(-net, axis=1), np.arange(customers)
    slots, room = some.slots.copy(), some.room.copy()
    for rank in range(campaigns):
        best = order[:, rank]
        channel = some.channel[best]
        fits = (net[rows, best] > 0) & (slots > 0) & (room[rows, channel] > 0)
        chosen[rows, best] = fits
        slots -= fits
        room[rows, channel] -= fits
    return chosen


def _thresholds(some: Problem, net: FloatArray, chosen: BoolArray) -> FloatArray:
    """The net value above which each customer chooses each campaign, the others' being as they are."""
    channels = range(some.room.shape[1])
    of = [some.channel == channel for channel in channels]
    taken = np.where(chosen, net, np.inf)
    waiting = np.where(chosen, 0.0, np.maximum(net, 0.0))
    least = np.stack([taken[:, mine].min(axis=1, initial=np.inf) for mine in of], axis=1)  # [customers, channels]
    best = np.stack([waiting[:, mine].max(axis=1, initial=0.0) for mine in of], axis=1)
    used = np.stack([chosen[:, mine].sum(axis=1) for mine in of], axis=1)
    full, all_full = used >= some.room, used.sum(axis=1) >= some.slots
    enters = np.where(full, 0.0, best)  # if a place becomes free that is not of its channel
    found = np.empty_like(net)
    for channel in channels:
        beaten = np.where(full[:, channel], least[:, channel], np.where(all_full, least.min(axis=1), 0.0))
        follows = np.maximum(np.delete(enters, channel, axis=1).max(axis=1, initial=0.0), best[:, channel])
        mine = of[channel]
        found[:, mine] = np.where(chosen[:, mine], follows[:, None], beaten[:, None])
    return found


def _bound(some: Problem, value: FloatArray, chosen: BoolArray, price: FloatArray) -> float:
    """The least of the dual function `Σ price contacts + Σ_i max (value - price) x` that a few steps find."""
    price, best = price.copy(), np.inf

    def dual() -> float:
        paid = float(np.sum(some.contacts[price > 0] * price[price > 0]))
        return paid + float((some.value - price)[chosen].sum() + TIE * some.value.max() * chosen.sum())

    best = dual()
    for _ in range(POLISHING):
        for campaign in np.flatnonzero(price > 0):
            critical = value[:, campaign] - _thresholds(some, value - price, chosen)[:, campaign]
            price[campaign] = _price_of(critical, int(some.contacts[campaign] + 1e-9))
            chosen = _choose(some, value - price)
            best = min(best, dual())
    return best


def _spend_rest(some: Problem, net: FloatArray, chosen: BoolArray, quota: FloatArray) -> BoolArray:
    """Spend what is left: every customer asks for the best that fits, every campaign takes the best who ask."""
    chosen, left = chosen.copy(), quota - chosen.sum(axis=0)
    while True:
        used = np.stack([chosen[:, some.channel == h].sum(axis=1) for h in range(some.room.shape[1])], axis=1)
        fits = (used < some.room)[:, some.channel] & (used.sum(axis=1) < some.slots)[:, None]
        fits &= ~chosen & (some.value > 0) & (left >= 1)
        asking = np.flatnonzero(fits.any(axis=1))
        if not asking.size:
            return chosen
        worth = np.where(fits[asking], net[asking], -np.inf)
        wanted = worth.argmax(axis=1)
        for campaign in np.unique(wanted):
            asks = np.flatnonzero(wanted == campaign)
            first = np.argsort(-worth[asks, campaign], kind="stable")[: int(min(left[campaign], len(asks)))]
            chosen[asking[asks[first]], campaign] = True
            left[campaign] -= len(first)
