"""All that an ad decision needs besides the customer's own events: read once, beside the requests, for all campaigns.

The tables are those of `supplytower campaigns plan`, and so is their meaning. What a decision about one customer would
find slowly in them is worked out here: which products a campaign may offer, which of them sell best, and where the
`top` and `bottom` of an audience begin.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl

from data_pipelines.config import resolve
from data_pipelines.schema import (
    CAMPAIGN_ID,
    COST,
    EVENT_TYPE,
    EVENTS,
    ITEM_ID,
    OVERSTOCKED,
    PRICE,
    PROFILES_FILE,
    SEND_AT,
    STOCKOUT_PROBABILITY,
    TIME_ZONE,
    TIMESTAMP,
    UNIQUE_ID,
    UNIT_COST,
    USER_ID,
    USERS,
    InputError,
)
from serving.basket_rules import read_rules, rules_file
from serving.campaigns.allocation import BoolArray, IntArray
from serving.campaigns.audience import row_condition
from serving.campaigns.audit_log import AuditLog
from serving.campaigns.bought_together import require_rules
from serving.campaigns.campaign import Campaign, read_campaigns, template
from serving.campaigns.caps import no_contacts
from serving.campaigns.consent import read_consent
from serving.campaigns.customers import CATEGORY, derive_profiles, join_customers, read_profiles
from serving.campaigns.offers import best_sellers, is_interest, popularity, products, sellable
from serving.campaigns.policy import Policy, zone
from serving.campaigns.sources import PREPARE, read_items, read_uplift
from serving.campaigns.stock_limits import SPARE_UNITS, read_stock_plan, with_stock
from serving.campaigns.tables import positions, read_table, times
from serving.gateway.ads.rule_book import RuleBook
from serving.gateway.rows_by_user import RowsByUser
from serving.gateway.watched_files import WatchedFiles
from serving.table_file import read_file

ITEM_COLUMNS = (ITEM_ID, PRICE, UNIT_COST, CATEGORY, OVERSTOCKED, STOCKOUT_PROBABILITY, SPARE_UNITS)
"""What decisions look at."""
NEVER = datetime(1970, 1, 1)


@dataclass(frozen=True)
class AdFiles:
    """Where everything is; None where there is nothing.

    Args:
        campaigns: YAML files, or names of templates.
        items: table of item_id, category and price.
        data: prepared folder with the users, and the events that say what is popular.
        policy: YAML file of `Policy`.
        stock: what is in stock, at best from `supplytower inventory plan`.
        profiles: folder of `supplytower profile build`, or its table.
        consent: table of user_id, channel and consent.
        uplift: table of user_id and uplift.
        rules: folder of `supplytower rules mine`, for campaigns that go by rules.
        contact_log: log folder of `supplytower campaigns plan`: what it sent counts for caps and budgets.
    """

    campaigns: tuple[Path, ...]
    items: Path
    data: Path | None = None
    policy: Path | None = None
    stock: Path | None = None
    profiles: Path | None = None
    consent: Path | None = None
    uplift: Path | None = None
    rules: Path | None = None
    contact_log: Path | None = None

    @property
    def all(self) -> list[Path]:
        """What to look at for changes."""
        tables = [] if self.data is None else [self.data / f"{table.name}.parquet" for table in (USERS, EVENTS)]
        profiles = self.profiles / PROFILES_FILE if self.profiles and self.profiles.is_dir() else self.profiles
        rules = rules_file(self.rules) if self.rules else None
        given = (self.items, self.policy, self.stock, profiles, self.consent, self.uplift, rules, self.contact_log)
        return [*map(template, self.campaigns), *tables, *filter(None, given)]


@dataclass(frozen=True)
class Offering:
    """A campaign and what it may offer.

    Args:
        campaign: the flight.
        audience: the condition on a customer's row.
        mine: `[items]` what may be offered and will not sell out.
        best: items, the best sellers among them.
        sold_out: whether all its products are likely to sell out.
        sent: money that batch plans have spent of it.
    """

    campaign: Campaign
    audience: pl.Expr
    mine: BoolArray
    best: IntArray
    sold_out: bool
    sent: float


@dataclass(frozen=True)
class AdSnapshot:
    """What is known of campaigns, items and customers.

    Args:
        policy: what holds for all campaigns; one offer at a time.
        offerings: of all flights, also those that do not run today.
        items: `ITEM_COLUMNS`, as far as there are.
        category: `[items]` number of each item's category.
        item_row: row by item_id.
        customers: a row per customer who was known when the tables were made.
        consent: who agreed; None: nobody was asked.
        uplift: factors; None: nothing is known.
        contacts: what batch plans sent.
        rules: what is bought together; None: nobody looked.
        browsing: whether the log has views or carts.
        stock_version: changes with what the stock plan can spare.
    """

    policy: Policy
    offerings: tuple[Offering, ...]
    items: pl.DataFrame
    category: IntArray
    item_row: dict[str, int]
    customers: RowsByUser
    consent: RowsByUser | None
    uplift: RowsByUser | None
    contacts: RowsByUser
    rules: RuleBook | None
    browsing: bool
    stock_version: str

    @property
    def channels(self) -> list[str]:
        """Of all campaigns."""
        return sorted({one.campaign.channel for one in self.offerings})


def read_snapshot(files: AdFiles, record_days: float) -> AdSnapshot:
    """Read all tables.

    Args:
        files: where they are.
        record_days: for how long the gateway remembers contacts.

    Raises:
        InputError: if one cannot be read, a campaign does not fit them, or its caps are longer than the memory.
    """
    policy = replace(resolve(Policy, file=files.policy), offers_per_customer=1)
    campaigns = read_campaigns(files.campaigns)
    _require_memory(policy, campaigns, record_days)
    require_rules(files.rules, campaigns)
    items = read_items(files.items, policy)
    events, at = _events(files.data, items)
    customers = _customers(files, events, items, at)
    if TIME_ZONE in customers.columns:
        for name in customers[TIME_ZONE].drop_nulls().unique():
            zone(name, f"{TIME_ZONE} of the customers")
    items = with_stock(
        items, _stock_plan(files.stock), policy.stockout_limit, policy.overstock_days, only_planned=policy.only_planned
    )
    contacts = no_contacts() if files.contact_log is None else AuditLog(files.contact_log).contacts()
    popular = popularity(events.with_columns(item=positions(events[ITEM_ID], items[ITEM_ID])), at)
    popular = popular[popular >= 0]
    return AdSnapshot(
        policy,
        tuple(_offering(campaign, customers, items, popular, contacts, policy) for campaign in campaigns),
        items.select([name for name in ITEM_COLUMNS if name in items.columns]).rechunk(),
        items[CATEGORY].fill_null("").rank("dense").cast(pl.Int64).to_numpy(),
        {item_id: row for row, item_id in enumerate(items[ITEM_ID])},
        RowsByUser(customers),
        None if files.consent is None else RowsByUser(read_consent(files.consent)),
        None if files.uplift is None else RowsByUser(read_uplift(files.uplift)),
        RowsByUser(contacts),
        None if files.rules is None else RuleBook.of(read_rules(files.rules), items[ITEM_ID]),
        events.select(is_interest().any()).item(),
        hashlib.sha256(items.select(ITEM_ID, SPARE_UNITS).drop_nulls().write_csv().encode()).hexdigest()[:12],
    )


def _require_memory(policy: Policy, campaigns: Sequence[Campaign], record_days: float) -> None:
    """What is forgotten counts for no cap."""
    spans = {f"caps of {cap.channel}": cap.days for cap in policy.frequency_caps}
    spans |= {f"campaign {campaign.id!r}": float(campaign.days) for campaign in campaigns}
    for name, days in spans.items():
        if days > record_days:
            raise InputError(
                f"{name}: lasts {days:g} days, but contacts are forgotten after record_days={record_days:g}; start the "
                f"gateway with --set record_days={days:g}"
            )


def _events(data: Path | None, items: pl.DataFrame) -> tuple[pl.DataFrame, datetime]:
    """The log and its end; an empty one where there is none."""
    log = None if data is None else data / f"{EVENTS.name}.parquet"
    if log is None or not log.exists():
        texts = pl.DataFrame(schema=[(name, pl.String) for name in (USER_ID, ITEM_ID, EVENT_TYPE)])
        return texts.with_columns(pl.lit(None, pl.Datetime("us")).alias(TIMESTAMP)), NEVER
    events = read_table(log, (USER_ID, ITEM_ID, EVENT_TYPE, TIMESTAMP), PREPARE)
    events = events.with_columns(times(events, TIMESTAMP, log))
    last = events[TIMESTAMP].max()
    return events, last + timedelta(seconds=1) if isinstance(last, datetime) else NEVER


def _customers(files: AdFiles, events: pl.DataFrame, items: pl.DataFrame, at: datetime) -> pl.DataFrame:
    derived = derive_profiles(events, items, at)
    path = None if files.data is None else files.data / f"{USERS.name}.parquet"
    users = derived.select(USER_ID) if path is None or not path.exists() else read_table(path, (USER_ID,))
    profiles = None if files.profiles is None else read_profiles(files.profiles)
    if profiles is not None:  # also those who are in no other table
        users = pl.concat([users, profiles.select(USER_ID)], how="diagonal")
    return join_customers(users, derived, profiles)


def _stock_plan(path: Path | None) -> pl.DataFrame | None:
    """The plan, if the table is one; of another, the catalogue knows what is not there."""
    if path is None or STOCKOUT_PROBABILITY not in read_file(path, (ITEM_ID, UNIQUE_ID)).columns:
        return None
    return read_stock_plan(path)


def _offering(
    campaign: Campaign,
    customers: pl.DataFrame,
    items: pl.DataFrame,
    popular: IntArray,
    contacts: pl.DataFrame,
    policy: Policy,
) -> Offering:
    all_products = products(campaign, items)
    mine = all_products & sellable(items, policy.stockout_limit)
    inside = pl.col(SEND_AT).is_between(campaign.start, campaign.end + timedelta(1), closed="left")
    return Offering(
        campaign,
        row_condition(campaign.audience, customers, f"campaign {campaign.id!r}: audience"),
        mine,
        best_sellers(popular, mine, policy.products_per_campaign),
        bool(all_products.any() and not mine.any()),
        float(contacts.filter((pl.col(CAMPAIGN_ID) == campaign.id) & inside)[COST].sum()),
    )


class AdSnapshots(WatchedFiles[AdSnapshot]):
    """The current snapshot of files that may be replaced while the gateway runs.

    Args:
        files: see `read_snapshot`.
        record_days: see `read_snapshot`.
        reload_seconds: how often they are looked at.

    Raises:
        InputError: if they cannot be read at the start.
    """

    def __init__(self, files: AdFiles, *, record_days: float, reload_seconds: float = 5.0):
        read = lambda: read_snapshot(files, record_days)  # noqa: E731
        super().__init__("campaigns", files.all, read, reload_seconds=reload_seconds)


def moment(time_ms: int) -> datetime:
    """UTC without its time zone, as all tables have it."""
    return datetime.fromtimestamp(time_ms / 1000, UTC).replace(tzinfo=None)
