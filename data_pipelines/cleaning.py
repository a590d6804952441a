"""Named, counted cleaning steps: what is a record of an event, but not of what a user wants.

Steps run in the order of `STEPS`, each on what the one before left, each as a Narwhals expression. They look at whole
users and items without regard to time. The rule that chooses by popularity (`rare_items`) is therefore off by default:
its place is the training vocabulary, where it cannot see the test period (`min_item_users` of the split).
"""

from collections.abc import Callable
from dataclasses import dataclass

import narwhals as nw

from data_pipelines.frames import Lazy, height, materialise, rows
from data_pipelines.report import CleaningStep
from data_pipelines.schema import (
    BASKET_ID,
    EVENT_TYPE,
    ITEM_ID,
    QUANTITY,
    SESSION_ID,
    SOURCE_ROW,
    TIMESTAMP,
    USER_ID,
    InputError,
)

EVENT_KEY = (USER_ID, ITEM_ID, EVENT_TYPE, TIMESTAMP, BASKET_ID, SESSION_ID)
"""Two rows that agree in all of these (as far as the table has them) are one event, delivered twice."""


@dataclass(frozen=True)
class CleaningConfig:
    """Settings of `supplytower data prepare`."""

    drop_duplicates: bool = True
    """Keep the first of the rows that agree in user, item, event type, time, basket and session. Quantities are not
    added up: a log that delivers a message twice is far commoner than two lines for one item in a basket."""
    drop_non_positive_quantity: bool = True
    """Remove events whose quantity is zero or negative: returns, voided lines, coupons booked as items."""
    bulk_median_quantity: float = 50.0
    """Remove items whose median quantity per event is larger: fuel by the millilitre, cable by the centimetre. Their
    rows in the items table go too. 0 keeps them."""
    min_item_users: int = 1
    """Remove events of items that fewer users took. 1 keeps all; prefer the setting of the same name in training, which
    counts users in the training period only."""
    max_events_per_user_day: float = 300.0
    """Remove users with more events per active day than this and than `max_times_median_user`: bots, shared logins,
    tills. 0 keeps them."""
    max_times_median_user: float = 20.0
    """How many times the median user's events per active day a user may have; see `max_events_per_user_day`."""
    min_user_events: int = 1
    """Remove users with fewer events. 1 keeps all."""
    max_quarantine_share: float = 0.5
    """Stop if a larger share of a table's rows cannot be used: then the file is wrong, not the rows."""

    def __post_init__(self) -> None:
        for name in ("bulk_median_quantity", "max_events_per_user_day", "max_times_median_user"):
            if getattr(self, name) < 0:
                raise InputError(f"{name}={getattr(self, name)} is negative; 0 switches the rule off")
        for name in ("min_item_users", "min_user_events"):
            if getattr(self, name) < 1:
                raise InputError(f"{name}={getattr(self, name)} is too small; 1 keeps everything")
        if not 0 <= self.max_quarantine_share <= 1:
            raise InputError(f"max_quarantine_share={self.max_quarantine_share} is not a share between 0 and 1")


@dataclass(frozen=True)
class Cleaned:
    """The events that remain, and what each step removed.

    Args:
        events: the remaining events.
        bulk_items: one column `item_id`, the items that `bulk_units` removed.
        steps: one entry per step, in order.
    """

    events: Lazy
    bulk_items: Lazy
    steps: tuple[CleaningStep, ...]


def clean(events: Lazy, config: CleaningConfig) -> Cleaned:
    """Apply all steps.

    Args:
        events: checked events with `schema.SOURCE_ROW`.
        config: which steps apply, and how.

    Returns:
        The remaining events and the counts.

    Raises:
        InputError: if a step leaves nothing.
    """
    bulk_items = events.select(ITEM_ID).head(0)
    remaining = height(events)
    steps = []
    for name, step in STEPS.items():
        kept, rule = step(events, config)
        removed = 0
        if kept is not events:
            kept = materialise(kept)
            removed = remaining - height(kept)
        if removed == remaining:
            raise InputError(f"cleaning step {name!r} ({rule}) would remove all {remaining:,} events left; relax it")
        if step is bulk_units and removed:
            bulk_items = materialise(events.join(kept, on=ITEM_ID, how="anti").select(ITEM_ID).unique())
        events, remaining = kept, remaining - removed
        steps.append(CleaningStep(name, rule, removed, remaining))
    return Cleaned(events, bulk_items, tuple(steps))


def duplicates(events: Lazy, config: CleaningConfig) -> tuple[Lazy, str]:
    """Keep the first row of each event."""
    if not config.drop_duplicates:
        return events, OFF
    key = [name for name in EVENT_KEY if name in events.collect_schema()]
    first = events.group_by(key).agg(nw.col(SOURCE_ROW).min()).select(SOURCE_ROW)
    return events.join(first, on=SOURCE_ROW, how="semi"), f"same {', '.join(key)}: the first is kept"


def non_positive_quantity(events: Lazy, config: CleaningConfig) -> tuple[Lazy, str]:
    """Remove returns and voided lines; an unknown quantity counts as a purchase."""
    if not config.drop_non_positive_quantity or QUANTITY not in events.collect_schema():
        return events, OFF
    quantity = nw.col(QUANTITY)
    return events.filter(quantity.is_null() | (quantity > 0)), "quantity ≤ 0"


def bulk_units(events: Lazy, config: CleaningConfig) -> tuple[Lazy, str]:
    """Remove items that are measured, not counted."""
    limit = config.bulk_median_quantity
    if not limit or QUANTITY not in events.collect_schema():
        return events, OFF
    items = events.group_by(ITEM_ID).agg(nw.col(QUANTITY).median()).filter(nw.col(QUANTITY) > limit)
    return events.join(items.select(ITEM_ID), on=ITEM_ID, how="anti"), f"items with a median quantity > {limit:g}"


def rare_items(events: Lazy, config: CleaningConfig) -> tuple[Lazy, str]:
    """Remove items that too few users took."""
    if config.min_item_users == 1:
        return events, OFF
    items = events.group_by(ITEM_ID).agg(nw.col(USER_ID).n_unique())
    items = items.filter(nw.col(USER_ID) >= config.min_item_users).select(ITEM_ID)
    return events.join(items, on=ITEM_ID, how="semi"), f"items of fewer than {config.min_item_users} users"


def outlier_users(events: Lazy, config: CleaningConfig) -> tuple[Lazy, str]:
    """Remove users who are far busier than a person, on an absolute scale and on this shop's own."""
    if not config.max_events_per_user_day:
        return events, OFF
    users = (
        events.with_columns(day=nw.col(TIMESTAMP).dt.date())
        .group_by(USER_ID)
        .agg(events=nw.len(), days=nw.col("day").n_unique())
        .select(USER_ID, rate=nw.col("events") / nw.col("days"))
    )
    median = float(rows(users.select(nw.col("rate").median()))[0]["rate"])
    limit = max(config.max_events_per_user_day, config.max_times_median_user * median)
    normal = users.filter(nw.col("rate") <= limit).select(USER_ID)
    return events.join(normal, on=USER_ID, how="semi"), f"users with > {limit:g} events per active day"


def short_users(events: Lazy, config: CleaningConfig) -> tuple[Lazy, str]:
    """Remove users with too few events."""
    if config.min_user_events == 1:
        return events, OFF
    users = events.group_by(USER_ID).agg(nw.len().alias("events"))
    users = users.filter(nw.col("events") >= config.min_user_events).select(USER_ID)
    return events.join(users, on=USER_ID, how="semi"), f"users with fewer than {config.min_user_events} events"


OFF = "off"
STEPS: dict[str, Callable[[Lazy, CleaningConfig], tuple[Lazy, str]]] = {
    step.__name__: step
    for step in (duplicates, non_positive_quantity, bulk_units, rare_items, outlier_users, short_users)
}
