"""What addressing a customer with an offer is worth.

    value = probability × uplift × worth × (1 - fatigue)^load - cost

probability: of buying the item, from the recommender's score head; uplift: what the contact does to it, 1 where no
randomised history says; worth: of a sale, by the campaign's goal, with the bonus for what is overstocked; load: recent
contacts of the customer, see `caps`.
"""

from collections.abc import Sequence

import numpy as np
import polars as pl

from data_pipelines.schema import CAMPAIGN_ID, OVERSTOCKED, PRICE, UNIT_COST, UPLIFT, USER_ID
from serving.campaigns.allocation import FloatArray
from serving.campaigns.campaign import Campaign
from serving.campaigns.tables import positions


def worth_of_sales(campaigns: Sequence[Campaign], items: pl.DataFrame, margin: float) -> FloatArray:
    """What selling a unit of every item is worth to each campaign, in money.

    Args:
        campaigns: with goal, discount and bonus.
        items: price (may be null), overstocked, and unit_cost where the shop knows it.
        margin: share of the price that remains, where unit_cost is not known.

    Returns:
        `[campaigns, items]`, NaN where the price is needed and not known.
    """
    price, cost = _numbers(items, PRICE), unit_costs(items, margin)
    pushed = np.where(items[OVERSTOCKED].to_numpy(), np.nan_to_num(price), 0.0)
    found = np.empty((len(campaigns), items.height))
    for row, campaign in enumerate(campaigns):
        paid = price * (1.0 - campaign.discount)
        worth = {"profit": paid - cost, "revenue": paid, "conversion": np.full_like(paid, campaign.conversion_value)}
        found[row] = worth[campaign.goal] + campaign.overstock_bonus * pushed
    return found


def unit_costs(items: pl.DataFrame, margin: float) -> FloatArray:
    """What a unit of every item costs the shop, `[items]`: as the table says, else the price less the margin."""
    cost = _numbers(items, PRICE) * (1.0 - margin)
    if UNIT_COST not in items.columns:
        return cost
    known = _numbers(items, UNIT_COST)
    return np.where(np.isnan(known), cost, known)


def _numbers(items: pl.DataFrame, column: str) -> FloatArray:
    """A column with NaN for what is not known."""
    return np.asarray(items[column].cast(pl.Float64).fill_null(np.nan).to_numpy())


def uplift_of(table: pl.DataFrame | None, users: pl.Series, campaigns: Sequence[Campaign]) -> FloatArray:
    """The factor on the purchase probability, `[users, campaigns]`: 1 where nothing is known.

    Args:
        table: user_id and uplift, with campaign_id if it differs between campaigns (null: holds for all).
        users: ids.
        campaigns: in order.
    """
    found = np.ones((len(users), len(campaigns)))
    if table is None:
        return found
    row, value = positions(table[USER_ID], users), table[UPLIFT].to_numpy()
    nobody = pl.Series([None], dtype=pl.String).new_from_index(0, table.height)
    named = table[CAMPAIGN_ID] if CAMPAIGN_ID in table.columns else nobody
    for general in (True, False):  # what is said of a campaign counts more
        for column, campaign in enumerate(campaigns):
            about = (named.is_null() if general else (named == campaign.id).fill_null(False)).to_numpy() & (row >= 0)
            found[row[about], column] = value[about]
    return found


def expected_value(
    probability: FloatArray, uplift: FloatArray, worth: FloatArray, freshness: FloatArray, cost: FloatArray
) -> FloatArray:
    """See the module; all `[offers]`."""
    return np.asarray(probability * uplift * worth * freshness - cost)
