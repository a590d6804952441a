"""What is known when a day's campaigns are decided, as arrays of customers and campaigns, and the reasons there are."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from enum import IntEnum

import numpy as np
import polars as pl

from serving.campaigns.allocation import BoolArray, FloatArray, IntArray
from serving.campaigns.campaign import Campaign
from serving.campaigns.caps import History, Times

OFFER = {"user": pl.Int64, "campaign": pl.Int64, "item": pl.Int64, "probability": pl.Float64}
"""A product that a campaign might offer to a customer, all as row numbers."""


class Reason(IntEnum):
    """Why a customer gets a campaign, or the first test that says no."""

    CHOSEN = 0
    AUDIENCE = 1
    CONSENT = 2
    HOLDOUT = 3
    QUIET_HOURS = 4
    CONTACTED = 5
    FREQUENCY_CAP = 6
    NO_OFFER = 7
    STOCK = 8
    NO_PRICE = 9
    VALUE = 10
    DIVERSITY = 11
    TOO_MANY = 12
    OUTRANKED = 13
    BUDGET = 14


@dataclass(frozen=True)
class Situation:
    """What is known on the day, customers and campaigns in a fixed order.

    Args:
        day: of the flight, UTC.
        users: `[users]` ids, all different.
        campaigns: that run on that day.
        audience: `[users, campaigns]` whether the customer is in it.
        channels: names.
        consent: `[users, channels]`.
        send_at: `[users]` when each may be addressed first, UTC.
        history: what was sent before.
        spent: `[campaigns]` money of the flight so far.
        uplift: `[users, campaigns]`.
        items: item_id, price, category and what the stock plan says.
        category: `[items]` number of each item's category.
        rules: that offers may be owed to.
    """

    day: date
    users: pl.Series
    campaigns: Sequence[Campaign]
    audience: BoolArray
    channels: Sequence[str]
    consent: BoolArray
    send_at: Times
    history: History
    spent: FloatArray
    uplift: FloatArray
    items: pl.DataFrame
    category: IntArray
    rules: pl.DataFrame | None = None

    @property
    def channel(self) -> IntArray:
        """`[campaigns]` number of each one's channel."""
        return np.array([self.channels.index(campaign.channel) for campaign in self.campaigns], np.int64)
