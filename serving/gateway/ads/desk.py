"""Ads, decided one by one: what is known now, the decision, and its place in the ledger before it is told.

A decision holds only if nothing happened since it looked: the ledger takes the contact, its cost and its units together
if the customer has no newer contacts and the budgets suffice, and else everything is looked at again.
"""

import asyncio
import logging
import uuid
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import polars as pl

from data_pipelines.schema import (
    CAMPAIGN_ID,
    CHANNEL,
    DECIDED,
    DECISION_ID,
    ITEM_ID,
    ITEM_NAME,
    PROBABILITY,
    UPLIFT,
    VALUE,
)
from serving.campaigns.decisions import KEYS
from serving.campaigns.stock_limits import SPARE_UNITS
from serving.gateway.ads.contact import (
    TOPIC,
    as_contacts,
    as_decision,
    as_entry,
    flight_budget,
    flight_spend,
    stock_budget,
    stock_spend,
)
from serving.gateway.ads.decision import AdCase, Screened, visit, with_probability, words
from serving.gateway.ads.messages import AdAnswer, AdAsked, CampaignRefused
from serving.gateway.ads.snapshot import AdSnapshot, Offering
from serving.gateway.event_store import UserHistory
from serving.gateway.gateway import Gateway
from serving.gateway.ledger import Entry, Spend
from serving.gateway.model_client import UnusableAnswerError
from serving.gateway.problem import invalid
from serving.gateway.recommender import as_asked, with_context

ATTEMPTS = 5
"""Times that a decision is made when others were quicker."""
NO_CAMPAIGN = "no campaign of this channel runs today"
NO_MODEL = "the model server does not answer"
BUSY = "others were quicker, several times; ask again"
CLOSENESS = {code: int(reason) for reason, code in KEYS.items()} | {"no_model": 98, "busy": 99}
"""By reason code: how many tests were passed."""
logger = logging.getLogger(__name__)


class AdDesk:
    """Decides, for one gateway.

    Args:
        gateway: with campaigns.
    """

    def __init__(self, gateway: Gateway):
        self._gateway = gateway
        self._short: dict[str, float] = {}  # units of products that were advertised, as last seen: they only grow
        self._stock_version = ""

    async def answer(
        self, body: AdAsked, snapshot: AdSnapshot, offerings: Sequence[Offering], time_ms: int
    ) -> AdAnswer:
        """Decide on a request.

        Args:
            body: the request.
            snapshot: the tables.
            offerings: campaigns that are asked about and run today.
            time_ms: now.
        """
        request_id = body.request_id or uuid.uuid4().hex
        (stored,), known = await asyncio.gather(
            self._gateway.store.history([body.user_id]), self._known(body.user_id, offerings)
        )
        if before := _of(request_id, known[0]):
            return self._told(body, before, "repeated")
        if not offerings:
            refused: list[CampaignRefused] | None = [] if body.explain else None
            return AdAnswer(
                show=False, reason=NO_CAMPAIGN, reason_code="no_campaign", refused=refused, request_id=request_id
            )
        history = with_context(self._gateway, stored, body.context)
        case = AdCase(snapshot, offerings, visit(snapshot, body.user_id, history, time_ms))
        return await self._decide(body, request_id, case, history, known)

    async def _known(self, user_id: str, offerings: Sequence[Offering]) -> tuple[list[Entry], list[float]]:
        """A customer's contacts, and what was spent of each flight.

        Contacts are read last: where money that this very request has spent is seen, so is its contact.
        """
        ledger = self._gateway.store.ledger
        spent = await ledger.spent([flight_budget(one.campaign) for one in offerings])
        return await ledger.entries(user_id, TOPIC), spent

    async def _decide(
        self,
        body: AdAsked,
        request_id: str,
        case: AdCase,
        history: UserHistory,
        known: tuple[Sequence[Entry], Sequence[float]],
    ) -> AdAnswer:
        """Decide until the ledger takes it."""
        offers: pl.DataFrame | None = None
        for attempt in range(ATTEMPTS):
            if attempt:
                known = await self._known(body.user_id, case.offerings)
                if before := _of(request_id, known[0]):  # sent twice at the same time
                    return self._told(body, before, "repeated")
            entries, spent = known
            screened = case.screened(as_contacts(entries), spent)
            refused = [_because(name, KEYS[reason], words(reason)) for name, reason in screened.refused.items()]
            if not screened.passed.size:
                return self._refused(body, request_id, refused)
            if offers is None:
                offers = await self._offers(case, screened, history)
                if offers is None:
                    return self._refused(body, request_id, refused + _all(case, screened, "no_model", NO_MODEL))
            rows = case.decided(screened, offers, self._units_short(case.snapshot))
            chosen = next((row for row in rows if row[DECIDED]), None)
            refused += [_because(row[CAMPAIGN_ID], row["reason"], row["reasons"]) for row in rows if not row[DECIDED]]
            if chosen is None:
                return self._refused(body, request_id, refused)
            entry = as_entry(body.user_id, request_id, case.here.time_ms, chosen, [one.model_dump() for one in refused])
            spends = self._spends(case, chosen)
            record = await self._gateway.store.ledger.claim(entry, spends, len(entries))
            if record is not None:
                return self._told(body, record, "chosen" if record == entry else "repeated")
            if len(spends) > 1:
                await self._look_again(case.snapshot, offers)
        return self._refused(body, request_id, _all(case, screened, "busy", BUSY))

    async def _offers(self, case: AdCase, screened: Screened, history: UserHistory) -> pl.DataFrame | None:
        """Offers of what is in stock, with their probabilities; None if the model does not answer."""
        gateway, settings = self._gateway, self._gateway.settings
        offers = case.candidates(screened)
        rows = np.unique(offers["item"].to_numpy())
        ids = case.snapshot.items[ITEM_ID].gather(rows).to_list()
        there = np.array(gateway.catalogue.current().passes(ids, {}, in_stock_only=True), bool)
        rows, ids = rows[there], [item_id for item_id, fine in zip(ids, there, strict=True) if fine]
        offers = offers.filter(pl.Series(np.isin(offers["item"].to_numpy(), rows), dtype=pl.Boolean))
        if not ids:
            return offers.with_columns(pl.lit(None, pl.Float64).alias(PROBABILITY))
        gateway.metrics.model_calls.labels("score").inc()
        asked = as_asked(gateway, case.here.user_id, history)
        try:
            found = await gateway.client.score([asked], [ids], model=settings.recommender, label=settings.label)
            if np.shape(found) != (1, len(ids)) or not np.isfinite(found).all():
                raise UnusableAnswerError
        except RuntimeError as error:
            if not isinstance(code := getattr(error, "code", None), str):
                raise
            logger.error("no ad: the model does not score", extra={"code": code})  # the message may hold a customer's
            return None
        return with_probability(offers, rows, np.asarray(found, np.float64)[0])

    def _spends(self, case: AdCase, chosen: Mapping[str, Any]) -> list[Spend]:
        """What a contact takes: money of the flight, and units of the product where these are counted."""
        number = case.names.index(chosen[CAMPAIGN_ID])
        found = [flight_spend(case.offerings[number], case.here.at.date())]
        spare = case.spare_units(chosen[ITEM_ID])
        if spare is not None:
            units = max(chosen[PROBABILITY] * chosen[UPLIFT], 0.0)
            found.append(stock_spend(case.snapshot, chosen[ITEM_ID], units, spare))
        return found

    async def _look_again(self, snapshot: AdSnapshot, offers: pl.DataFrame) -> None:
        """Read how much of all products on offer was advertised: that may be why the ledger refused."""
        items = snapshot.items[offers["item"].unique()].drop_nulls(SPARE_UNITS)[ITEM_ID].to_list()
        units = await self._gateway.store.ledger.spent([stock_budget(snapshot, item_id) for item_id in items])
        self._units_short(snapshot).update(zip(items, units, strict=True))

    def _units_short(self, snapshot: AdSnapshot) -> dict[str, float]:
        if snapshot.stock_version != self._stock_version:
            self._stock_version, self._short = snapshot.stock_version, {}
        return self._short

    def _told(self, body: AdAsked, record: Entry, outcome: str) -> AdAnswer:
        """What is on record as shown."""
        kept = as_decision(record)
        if kept[CHANNEL] != body.channel:
            raise invalid(("request_id",), f"was answered for the channel {kept[CHANNEL]!r}; give another one")
        if body.campaigns and kept[CAMPAIGN_ID] not in body.campaigns:
            raise invalid(("request_id",), f"was answered with {kept[CAMPAIGN_ID]!r}; give another one")
        refused = [CampaignRefused(**one) for one in kept["refused"]]
        self._count(refused, "repeated" if outcome == "repeated" else None)
        self._gateway.metrics.ads.labels(kept[CAMPAIGN_ID], outcome).inc()
        item_id = kept[ITEM_ID]
        return AdAnswer(
            show=True,
            campaign_id=kept[CAMPAIGN_ID],
            item_id=item_id,
            item_name=self._gateway.catalogue.current().describe([item_id]).get(item_id, {}).get(ITEM_NAME),
            creative=kept["creative"],
            decision_id=kept[DECISION_ID],
            value=kept[VALUE],
            reason=kept["reasons"],
            reason_code="chosen",
            refused=refused if body.explain else None,
            request_id=record.entry_id,
        )

    def _refused(self, body: AdAsked, request_id: str, refused: list[CampaignRefused]) -> AdAnswer:
        """That nothing is shown; the reason of the campaign that came closest."""
        self._count(refused, None)
        closest = max(refused, key=lambda one: CLOSENESS[one.reason_code])
        return AdAnswer(
            show=False,
            reason=f"{closest.campaign_id}: {closest.reason}",
            reason_code=closest.reason_code,
            refused=refused if body.explain else None,
            request_id=request_id,
        )

    def _count(self, refused: Sequence[CampaignRefused], outcome: str | None) -> None:
        for one in refused:
            self._gateway.metrics.ads.labels(one.campaign_id, outcome or one.reason_code).inc()


def _of(request_id: str, entries: Sequence[Entry]) -> Entry | None:
    """The contact of a request."""
    return next((one for one in entries if one.entry_id == request_id), None)


def _because(campaign_id: str, code: str, reason: str) -> CampaignRefused:
    return CampaignRefused(campaign_id=campaign_id, reason=reason, reason_code=code)


def _all(case: AdCase, screened: Screened, code: str, said: str) -> list[CampaignRefused]:
    """The same reason for all campaigns that passed."""
    return [_because(case.names[number], code, said) for number in screened.passed]
