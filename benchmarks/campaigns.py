"""How fast a day's campaigns are decided: a million decisions on customers and campaigns, from scores to reasons.

    python -m benchmarks.campaigns

Each customer may get one of ten campaigns, each of which has three products to offer; half of the customers were
addressed before, budgets pay for two thirds of them, and a stock plan keeps a fifth of the products back. Besides, what
thousands of rules call for is looked up for all customers, each of whom bought forty products lately.
"""

import resource
import tempfile
import time
from collections.abc import Sequence
from datetime import date, datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl

from data_pipelines import console as terminal
from serving.campaigns.audit_log import AuditLog
from serving.campaigns.bought_together import BOUGHT_TOGETHER, suggestions
from serving.campaigns.campaign import Campaign
from serving.campaigns.caps import CONTACTS, History
from serving.campaigns.decide import Outcome, decide
from serving.campaigns.decisions import to_table
from serving.campaigns.policy import Policy
from serving.campaigns.screening import Screening, screen
from serving.campaigns.situation import OFFER, Situation
from serving.campaigns.stock_limits import with_stock

CUSTOMERS, CAMPAIGNS, OFFERS, ITEMS = 100_000, 10, 3, 2_000
RULES, BOUGHT = 6_000, 40
CHANNELS = ("email", "push", "sms")
AT = datetime(2018, 1, 1, 12)


def main(argv: Sequence[str] | None = None) -> int:
    """Measure and print."""
    terminal.command_parser(
        "python -m benchmarks.campaigns",
        "Time a million decisions on customers and campaigns.",
        examples=["python -m benchmarks.campaigns"],
    ).parse_args(argv)
    situation, offers, policy = shop()
    begin = time.perf_counter()
    screening: Screening = screen(situation, policy)
    screened = time.perf_counter()
    outcome: Outcome = decide(situation, policy, screening, offers)
    decided = time.perf_counter()
    table = to_table(situation, outcome, policy)
    with tempfile.TemporaryDirectory() as folder:
        AuditLog(Path(folder)).write(situation.day, table)
        written = time.perf_counter()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(
        f"{table.height:,} decisions on {offers.height:,} offers: tests {screened - begin:.1f} s, offers and budgets "
        f"{decided - screened:.1f} s, reasons and log {written - decided:.1f} s, together {written - begin:.1f} s; "
        f"peak {peak:.1f} GB; {outcome.allocation.chosen.sum():,} contacts, gap {outcome.allocation.gap:.2%}"
    )
    rules, events = purchases()
    begin = time.perf_counter()
    campaign = Campaign("c", "email", AT.date(), AT.date(), 1.0, cost_per_contact=0.01, offers=BOUGHT_TOGETHER)
    everybody, everything = np.ones((CUSTOMERS, 1), bool), np.ones((1, ITEMS), bool)
    ids, most = situation.items["item_id"], policy.products_per_customer
    called = suggestions(rules, ids, events, AT, [campaign], everybody, everything, most)
    assert called is not None
    print(
        f"{RULES:,} rules, {events.height:,} purchases of {CUSTOMERS:,} customers: {called.height:,} offers in "
        f"{time.perf_counter() - begin:.1f} s"
    )
    return 0


def shop() -> tuple[Situation, pl.DataFrame, Policy]:
    """Customers, campaigns and scores at random."""
    generator = np.random.default_rng(0)
    users = pl.Series("user_id", [f"user{number:07d}" for number in range(CUSTOMERS)])
    items = pl.DataFrame(
        {
            "item_id": [f"item{number}" for number in range(ITEMS)],
            "price": generator.lognormal(1.0, 0.6, ITEMS),
            "category": [f"category{number % 40}" for number in range(ITEMS)],
        }
    )
    stock = pl.DataFrame(
        {
            "item_id": items["item_id"],
            "stockout_probability": generator.beta(0.3, 2.0, ITEMS),
            "days_of_cover": generator.uniform(0.0, 60.0, ITEMS),
            "spare_units": generator.uniform(0.0, 2_000.0, ITEMS),
        }
    )
    budget = CUSTOMERS * 2 / 3 / CAMPAIGNS * 0.01
    campaigns = [
        Campaign(
            f"campaign{number}",
            CHANNELS[number % len(CHANNELS)],
            date(2018, 1, 1),
            date(2018, 1, 14),
            budget * 14,
            cost_per_contact=0.01,
            holdout=0.1,
        )
        for number in range(CAMPAIGNS)
    ]
    addressed = generator.permutation(CUSTOMERS)[: CUSTOMERS // 2]
    contacts = pl.DataFrame(
        {
            "user_id": users.gather(addressed),
            "channel": generator.choice(CHANNELS, len(addressed)),
            "send_at": [AT - timedelta(hours=float(hours)) for hours in generator.uniform(1, 400, len(addressed))],
            "campaign_id": "before",
            "cost": 0.01,
        }
    ).cast(CONTACTS)  # type: ignore[arg-type]
    send_at = np.full(CUSTOMERS, np.datetime64(AT, "us"))
    shape = (CUSTOMERS, CAMPAIGNS)
    situation = Situation(
        AT.date(),
        users,
        campaigns,
        generator.random(shape) < 0.9,
        CHANNELS,
        generator.random((CUSTOMERS, len(CHANNELS))) < 0.95,
        send_at,
        History(contacts, users, send_at),
        np.zeros(CAMPAIGNS),
        np.ones(shape),
        with_stock(items, stock, 0.2, 28.0),
        np.arange(ITEMS) % 40,
    )
    rows = CUSTOMERS * CAMPAIGNS * OFFERS
    taste = np.repeat(generator.gamma(2.0, 0.02, CUSTOMERS), CAMPAIGNS * OFFERS)
    offers = pl.DataFrame(
        {
            "user": np.repeat(np.arange(CUSTOMERS), CAMPAIGNS * OFFERS),
            "campaign": np.tile(np.repeat(np.arange(CAMPAIGNS), OFFERS), CUSTOMERS),
            "item": generator.integers(0, ITEMS, rows),
            "probability": np.minimum(taste * generator.gamma(2.0, 0.5, rows), 1.0),
        },
        schema_overrides=OFFER,
    )
    return situation, offers, Policy()


def purchases() -> tuple[pl.DataFrame, pl.DataFrame]:
    """Rules of two or three products and what customers bought, both more often of what is popular."""
    generator = np.random.default_rng(1)
    popular = np.arange(1, ITEMS + 1) ** -0.8
    drawn = generator.choice(ITEMS, (RULES, 3), p=popular / popular.sum()).astype(str)
    names = np.char.add("item", drawn)
    sizes = generator.choice([1, 2], RULES, p=[0.6, 0.4])
    rules = pl.DataFrame(
        {
            "rule": np.arange(RULES, dtype=np.uint32),
            "antecedent": [list(dict.fromkeys(row[:size])) for row, size in zip(names.tolist(), sizes, strict=True)],
            "consequent": names[:, 2],
        }
    )
    events = pl.DataFrame(
        {
            "user": np.repeat(np.arange(CUSTOMERS), BOUGHT),
            "item": generator.choice(ITEMS, CUSTOMERS * BOUGHT, p=popular / popular.sum()),
            "event_type": "purchase",
            "timestamp": AT - timedelta(days=1),
        }
    )
    return rules, events


if __name__ == "__main__":
    raise SystemExit(main())
