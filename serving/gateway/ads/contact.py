"""A contact as the ledger keeps it, so that it counts for caps, fatigue and budgets, and can be explained and exported.

Every customer has one topic for the contacts of all campaigns; every flight has one budget, and every product of a
stock plan as many units as the plan can spare.

A contact's body has two lines of JSON: what counts and is exported, and what explains it. Every decision reads all
contacts of its customer, and of each the first line only.
"""

import json
from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any
from urllib.parse import quote

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
COUNTED = {name: kind for name, kind in (CONTACTS | DETAILS).items() if name not in (USER_ID, SEND_AT)}
"""In the first line."""
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
    counted = {name: decision[name] for name in COUNTED}
    # a day may have several; nothing else may stand behind the last slash, or two customers could share an id
    counted[DECISION_ID] = f"{decision[DECISION_ID]}/{quote(entry_id, safe='')}"
    told = {name: value for name, value in decision.items() if name not in (*COUNTED, *NOT_KEPT)}
    body = f"{json.dumps(counted)}\n{json.dumps(told | {'refused': refused})}"
    return Entry(user_id, TOPIC, entry_id, time_ms, body)


def as_decision(entry: Entry) -> dict[str, Any]:
    """All that is kept of the decision of an entry."""
    counted, told = map(json.loads, entry.body.split("\n"))
    return counted | told  # type: ignore[no-any-return]


def as_contacts(entries: Sequence[Entry]) -> pl.DataFrame:
    """Entries as a table of contacts, see `caps`."""
    return _table(entries, CONTACTS)


def as_table(entries: Sequence[Entry]) -> pl.DataFrame:
    """Entries as a table of contacts, with what was shown."""
    return _table(entries, CONTACTS | DETAILS)


def _table(entries: Sequence[Entry], schema: Mapping[str, Kind]) -> pl.DataFrame:
    counted = [json.loads(one.body.partition("\n")[0]) for one in entries]
    rows = [
        {USER_ID: one.user_id, SEND_AT: moment(one.time_ms)} | row for one, row in zip(entries, counted, strict=True)
    ]
    return pl.DataFrame([[row[name] for name in schema] for row in rows], schema=schema, orient="row")
