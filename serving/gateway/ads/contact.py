"""A contact as the ledger keeps it, so that it counts for caps, fatigue and budgets, and can be explained and exported.

Every customer has one topic for the contacts of all campaigns; every flight has one budget, and every product of a
stock plan as many units as the plan can spare.
"""

import json
from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

import polars as pl

from data_pipelines.schema import DECIDED, DECISION_ID, ITEM_ID, SEND_AT, USER_ID, VALUE
from serving.campaigns.campaign import Campaign
from serving.campaigns.caps import CONTACTS
from serving.campaigns.pacing import budget_of_day
from serving.gateway.ads.snapshot import AdSnapshot, Offering, moment
from serving.gateway.ledger import Entry, Spend

Kind = type[pl.DataType] | pl.DataType
TOPIC = "contact"
DETAILS: dict[str, Kind] = {DECISION_ID: pl.String, ITEM_ID: pl.String, VALUE: pl.Float64}
NOT_KEPT = (USER_ID, DECIDED, SEND_AT, "reason", "day")
"""Of the table of decisions: the entry has them, or they follow from it."""


def flight_budget(campaign: Campaign) -> str:
    """The name of a flight's budget."""
    return f"{campaign.id}/{campaign.start}"


def flight_spend(offering: Offering, day: date) -> Spend:
    """A contact's cost, and what may be spent of the flight until the end of the day, by contacts of this kind."""
    campaign = offering.campaign
    return Spend(flight_budget(campaign), campaign.cost, budget_of_day(campaign, day, offering.sent))


def stock_budget(snapshot: AdSnapshot, item_id: str) -> str:
    """The name of the units of a product that a stock plan can spare."""
    return f"stock/{snapshot.stock_version}/{item_id}"


def stock_spend(snapshot: AdSnapshot, item_id: str, units: float, spare: float) -> Spend:
    """The units that a contact is expected to sell, and those that can be spared."""
    return Spend(stock_budget(snapshot, item_id), units, spare)


def as_entry(
    user_id: str, entry_id: str, time_ms: int, decision: dict[str, Any], refused: list[dict[str, str]]
) -> Entry:
    """The entry of a decision to show.

    Args:
        user_id: to whom.
        entry_id: of the request.
        time_ms: when.
        decision: its row of the table of decisions.
        refused: the other campaigns, and why they are not shown.
    """
    kept = {name: value for name, value in decision.items() if name not in NOT_KEPT}
    kept[DECISION_ID] = f"{decision[DECISION_ID]}/{entry_id}"  # a day may have several
    return Entry(user_id, TOPIC, entry_id, time_ms, json.dumps(kept | {"refused": refused}))


def as_contacts(entries: Sequence[Entry]) -> pl.DataFrame:
    """Entries as a table of contacts, see `caps`."""
    return _table(entries, CONTACTS)


def as_table(entries: Sequence[Entry]) -> pl.DataFrame:
    """Entries as a table of contacts, with what was shown."""
    return _table(entries, CONTACTS | DETAILS)


def _table(entries: Sequence[Entry], schema: Mapping[str, Kind]) -> pl.DataFrame:
    rows = [{USER_ID: one.user_id, SEND_AT: moment(one.time_ms)} | json.loads(one.body) for one in entries]
    return pl.DataFrame([[row[name] for name in schema] for row in rows], schema=schema, orient="row")
