"""Every customer and every campaign of a day: whether it is sent, and why or why not.

First the tests that need no offer (`screening`), then every offer is weighed and each pair of customer and campaign
keeps its best one (`best_offers`), last the budgets are spent (`allocation`). What comes before does not
depend on budgets, except that a campaign whose budget is used up takes no category and no stock from the others.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl

from data_pipelines.schema import ITEM_ID
from serving.campaigns.allocation import Allocation, FloatArray, Problem, affordable, allocate
from serving.campaigns.best_offers import weigh
from serving.campaigns.pacing import budget_of_day
from serving.campaigns.policy import Policy
from serving.campaigns.screening import Screening
from serving.campaigns.situation import Reason, Situation


@dataclass(frozen=True)
class Outcome:
    """What was decided.

    Args:
        screening: before the offers.
        offer: one row per pair of customer and campaign that had offers: its best, see `weigh`.
        reason: `[users, campaigns]`.
        allocation: of the budgets.
        budget: `[campaigns]` money of the day.
    """

    screening: Screening
    offer: pl.DataFrame
    reason: npt.NDArray[np.int8]
    allocation: Allocation
    budget: FloatArray


def decide(situation: Situation, policy: Policy, screening: Screening, offers: pl.DataFrame) -> Outcome:
    """Decide who gets what.

    Args:
        situation: what is known.
        policy: what holds for all campaigns.
        screening: from `screen`.
        offers: user, campaign and item as numbers, and probability; pairs that the tests refuse are left out.
    """
    users, campaigns = len(situation.users), len(situation.campaigns)
    passed = screening.reason[offers["user"].to_numpy(), offers["campaign"].to_numpy()] == Reason.CHOSEN
    budget = np.array(
        [
            budget_of_day(campaign, situation.day, spent)
            for campaign, spent in zip(situation.campaigns, situation.spent, strict=True)
        ]
    )
    cost = np.array([campaign.cost for campaign in situation.campaigns])
    contacts = np.where(cost > 0, budget / np.where(cost > 0, cost, 1.0), np.inf)
    paid = affordable(contacts)[offers["campaign"].to_numpy()] >= 1
    parts = [passed & paid] + ([passed & ~paid] if (passed & ~paid).any() else [])
    offer = pl.concat([weigh(situation, policy, offers.filter(pl.Series(part))) for part in parts])
    row, column = offer["user"].to_numpy(), offer["campaign"].to_numpy()
    said, reason = offer["reason"].to_numpy(), screening.reason.copy()
    reason[(reason == Reason.CHOSEN)] = Reason.NO_OFFER
    reason[row, column] = said
    value = np.full((users, campaigns), -1.0)
    value[row, column] = np.where(said == Reason.CHOSEN, offer["value"].to_numpy(), -1.0)
    found = allocate(Problem(value, situation.channel, contacts, screening.room, screening.slots))
    refused = (value > 0) & ~found.chosen
    reason[refused] = np.where(value - found.price > 0, Reason.OUTRANKED, Reason.BUDGET)[refused]
    return Outcome(screening, offer, reason, found, budget)


def offered(outcome: Outcome, situation: Situation) -> pl.Series:
    """The item ids of the best offers, in the order of `outcome.offer`."""
    return situation.items[ITEM_ID].gather(outcome.offer["item"])
