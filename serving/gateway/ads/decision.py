"""Whether a campaign is shown to one customer now: the rules of `supplytower campaigns plan`, for one customer.

What differs from a plan: nothing waits until quiet hours are over, one campaign is shown at the most, and budgets and
what the stock can spare are shared with those who came before today, not with those who might come later.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

import numpy as np
import polars as pl

from data_pipelines.schema import EVENT_TYPE, ITEM_ID, PROBABILITY, TIME_ZONE, TIMESTAMP
from serving.campaigns.allocation import FloatArray, IntArray
from serving.campaigns.bought_together import BOUGHT_TOGETHER, with_rules
from serving.campaigns.caps import History
from serving.campaigns.consent import allowed
from serving.campaigns.decide import decide
from serving.campaigns.decisions import PLANNED, to_table
from serving.campaigns.offers import candidates
from serving.campaigns.policy import is_quiet, zone
from serving.campaigns.screening import Screening, screen
from serving.campaigns.situation import Reason, Situation
from serving.campaigns.stock_limits import SPARE_UNITS
from serving.campaigns.value import uplift_of
from serving.gateway.ads.customer_row import customer_row
from serving.gateway.ads.snapshot import AdSnapshot, Offering, moment
from serving.gateway.event_store import UserHistory

WORDS = PLANNED | {
    Reason.CHOSEN: "shown",
    Reason.QUIET_HOURS: "it is night where the customer is",
    Reason.TOO_MANY: "the stock can spare no more of the products",
    Reason.BUDGET: "what may be spent until tonight is spent",
}
LATER = np.datetime64("9999-01-01", "us")
"""In quiet hours nothing is shown: whoever is here now may be gone when they end."""


@dataclass(frozen=True)
class Visit:
    """A customer who is here now.

    Args:
        user_id: who.
        events: live ones: user (0) and item as row numbers of the snapshot's items, event_type, timestamp.
        time_ms: now.
    """

    user_id: str
    events: pl.DataFrame
    time_ms: int

    @property
    def at(self) -> datetime:
        """Now, UTC."""
        return moment(self.time_ms)


def visit(snapshot: AdSnapshot, user_id: str, history: UserHistory, time_ms: int) -> Visit:
    """A customer with what the campaigns can look at of the live events: those about items that the shop has."""
    row = np.array([snapshot.item_row.get(item_id, -1) for item_id in history.item_id], np.int64)
    events = pl.DataFrame(
        {
            "user": np.zeros(len(row), np.int64),
            "item": row,
            EVENT_TYPE: pl.Series(history.event_type, dtype=pl.String),
            TIMESTAMP: pl.Series(history.time_ms, dtype=pl.Int64).cast(pl.Datetime("ms")).cast(pl.Datetime("us")),
        }
    )
    return Visit(user_id, events.filter(pl.Series(row >= 0, dtype=pl.Boolean)), time_ms)


@dataclass(frozen=True)
class Screened:
    """What the tests that need no offer say.

    Args:
        refused: campaigns and the tests that they fail.
        passed: numbers of the others.
        situation: of the others.
        screening: of the others.
    """

    refused: dict[str, Reason]
    passed: IntArray
    situation: Situation
    screening: Screening


class AdCase:
    """One customer and some campaigns: what does not change while the decision is made.

    Args:
        snapshot: the tables.
        offerings: campaigns that run today.
        here: the customer.
    """

    def __init__(self, snapshot: AdSnapshot, offerings: Sequence[Offering], here: Visit):
        self.snapshot, self.offerings, self.here = snapshot, offerings, here
        self.campaigns = [one.campaign for one in offerings]
        self.names = [one.id for one in self.campaigns]
        self._users = pl.Series([here.user_id], dtype=pl.String)
        self._channels = sorted({one.channel for one in self.campaigns})
        row = customer_row(snapshot, here.user_id, here.events, here.at)
        audience = row.select(one.audience.alias(str(number)) for number, one in enumerate(offerings))
        self._audience = np.array([audience.row(0)], bool)
        consent, uplift = (None if one is None else one.of(here.user_id) for one in (snapshot.consent, snapshot.uplift))
        self._consent = allowed(consent, self._users, self._channels)
        self._uplift = uplift_of(uplift, self._users, self.campaigns)
        self._now = np.array([np.datetime64(here.at, "us")])
        self._when = np.array([LATER]) if _is_night(snapshot, row, here.at) else self._now
        self._sent_before = snapshot.contacts.of(here.user_id)
        self._rules: pl.DataFrame | None = None  # that may speak to the customer

    def screened(self, contacts: pl.DataFrame, spent: Sequence[float]) -> Screened:
        """Ask everything that needs no offer.

        Args:
            contacts: of the customer, from the ledger.
            spent: of each flight, from the ledger.
        """
        money = np.array([one.sent for one in self.offerings]) + np.array(spent)
        situation = Situation(
            self.here.at.date(),
            self._users,
            self.campaigns,
            self._audience,
            self._channels,
            self._consent,
            self._when,
            History(pl.concat([self._sent_before, contacts]), self._users, self._now),
            money,
            self._uplift,
            self.snapshot.items.clear(),
            np.zeros(0, np.int64),
        )
        found = screen(situation, self.snapshot.policy)
        codes = found.reason[0]
        passed = np.flatnonzero(codes == Reason.CHOSEN)
        return Screened(
            {name: Reason(int(code)) for name, code in zip(self.names, codes, strict=True) if code != Reason.CHOSEN},
            passed,
            replace(
                situation,
                campaigns=[self.campaigns[number] for number in passed],
                audience=self._audience[:, passed],
                spent=money[passed],
                uplift=self._uplift[:, passed],
            ),
            replace(
                found,
                reason=found.reason[:, passed],
                holdout=found.holdout[:, passed],
                contacts=found.contacts[:, passed],
            ),
        )

    def candidates(self, screened: Screened) -> pl.DataFrame:
        """Offers to be scored: user, campaign (its number among all of the case) and item as row numbers."""
        passed, open_ = screened.passed, [self.offerings[number] for number in screened.passed]
        campaigns, mine, policy = screened.situation.campaigns, [one.mine for one in open_], self.snapshot.policy
        called = None
        if self.snapshot.rules is not None and any(one.offers == BOUGHT_TOGETHER for one in campaigns):
            self._rules, called = self.snapshot.rules.suggestions(
                self.here.events, self.here.at, campaigns, mine, policy.products_per_customer
            )
        found = candidates(
            self.here.events,
            self.here.at,
            campaigns,
            policy,
            np.ones((1, len(passed)), bool),
            mine,
            called,
            best=[one.best for one in open_],
            browsing=self.snapshot.browsing,
        )
        found = with_rules(found, called, campaigns)
        return found.with_columns(campaign=pl.Series(passed[found["campaign"].to_numpy()], dtype=pl.Int64))

    def decided(self, screened: Screened, offers: pl.DataFrame, taken: Mapping[str, float]) -> list[dict[str, Any]]:
        """The rows of the table of decisions, for the campaigns that passed.

        Args:
            screened: from `screened`.
            offers: from `candidates`, with probability.
            taken: units that the stock can spare no more, by item_id.
        """
        place = np.full(len(self.offerings), -1)
        place[screened.passed] = np.arange(len(screened.passed))
        campaign, item = place[offers["campaign"].to_numpy()], offers["item"].to_numpy()
        rows = np.unique(item)
        local = offers.with_columns(
            campaign=pl.Series(campaign, dtype=pl.Int64), item=pl.Series(np.searchsorted(rows, item), dtype=pl.Int64)
        ).filter(pl.Series(campaign >= 0, dtype=pl.Boolean))
        items = self.snapshot.items[rows]
        if taken:
            gone: FloatArray = np.array([taken.get(item_id, 0.0) for item_id in items[ITEM_ID]])
            items = items.with_columns((pl.col(SPARE_UNITS) - gone).clip(0))
        situation = replace(screened.situation, items=items, category=self.snapshot.category[rows], rules=self._rules)
        outcome = decide(situation, self.snapshot.policy, screened.screening, local)
        sold_out = np.array([self.offerings[number].sold_out for number in screened.passed])
        outcome.reason[(outcome.reason == Reason.NO_OFFER) & sold_out] = Reason.STOCK
        return to_table(situation, outcome, self.snapshot.policy, WORDS).to_dicts()

    def spare_units(self, item_id: str) -> float | None:
        """Units of a product that the stock plan can spare, None where it does not say."""
        found: float | None = self.snapshot.items[SPARE_UNITS][self.snapshot.item_row[item_id]]
        return found


def with_probability(offers: pl.DataFrame, items: IntArray, probability: FloatArray) -> pl.DataFrame:
    """Offers with their probabilities.

    Args:
        offers: from `AdCase.candidates`.
        items: row numbers of the items that were scored, ascending.
        probability: `[items]`.
    """
    place = np.searchsorted(items, offers["item"].to_numpy())
    return offers.with_columns(pl.Series(PROBABILITY, probability[place], dtype=pl.Float64))


def words(reason: Reason) -> str:
    """A reason in words."""
    return WORDS[reason].replace("{channel}", "this channel")


def _is_night(snapshot: AdSnapshot, row: pl.DataFrame, at: datetime) -> bool:
    name = row[TIME_ZONE][0] if TIME_ZONE in row.columns else None
    local = at.replace(tzinfo=UTC).astimezone(zone(name or snapshot.policy.time_zone, TIME_ZONE))
    return is_quiet(local.time(), snapshot.policy.quiet)
