"""Who gets which campaign today: `supplytower campaigns plan`.

Writes a row per customer and campaign that runs: sent or not, what, when, and why. What was decided is kept in a log,
see `audit_log`, so that planning a day again decides nothing twice.
"""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path

import numpy as np
import polars as pl

from data_pipelines import console as terminal
from data_pipelines.config import describe, resolve
from data_pipelines.result_table import require_apart, require_table, write_table
from data_pipelines.schema import CAMPAIGN_ID, COST, DECIDED, ITEM_ID, SEND_AT, TIME_ZONE, USER_ID, VALUE, InputError
from serving.campaigns.allocation import BoolArray, FloatArray, IntArray
from serving.campaigns.audience import matches
from serving.campaigns.audit_log import AuditLog, default_folder
from serving.campaigns.bought_together import BOUGHT_TOGETHER, require_rules, suggestions, with_rules
from serving.campaigns.campaign import TEMPLATES, Campaign, read_campaigns
from serving.campaigns.caps import History, Times
from serving.campaigns.consent import allowed
from serving.campaigns.customers import CATEGORY
from serving.campaigns.decide import Outcome, decide
from serving.campaigns.decisions import to_table
from serving.campaigns.offers import candidates, products, reminders, scored_offers, sellable
from serving.campaigns.plan_summary import show
from serving.campaigns.policy import Policy, next_allowed, zone
from serving.campaigns.purchase_probability import Questions, ask_models, ask_server
from serving.campaigns.screening import Screening, screen
from serving.campaigns.situation import Reason, Situation
from serving.campaigns.sources import Sources, add_sources, load
from serving.campaigns.stock_limits import less_promised, require_stock_plan
from serving.campaigns.value import uplift_of

WIDE = 160


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit status."""
    return terminal.run(_main, argv)


def _main(argv: Sequence[str] | None) -> int:
    names = ", ".join(path.stem for path in sorted(TEMPLATES.glob("*.yaml")))
    parser = terminal.command_parser(
        "supplytower campaigns plan",
        "Say who gets which campaign today, and why: one row per customer and campaign.\n"
        f"Templates, to be copied or named as they are: {names}; they lie in {TEMPLATES}.",
        examples=[
            "supplytower campaigns plan --models build/models --data build/data --campaigns win-back \\\n"
            "      --out decisions.parquet",
            "supplytower campaigns plan --models build/models --data build/data --campaigns spring.yaml fall.yaml \\\n"
            "      --profiles build/profiles --stock-plan build/plan.parquet --consent consent.csv --out today.parquet",
            "supplytower campaigns plan --models build/models --data build/data --campaigns cross-sell \\\n"
            "      --rules build/rules --out decisions.parquet",
            "supplytower campaigns plan --scores scores.parquet --data build/data --campaigns spring.yaml \\\n"
            '      --set "caps=[email 1 per 3 days, all 1 per 1 day]" --out today.parquet',
        ],
        settings=describe(Policy),
    )
    add_sources(parser)
    parser.add_argument("--out", type=Path, required=True, help="table to write, .parquet or .csv")
    parser.add_argument("--log", type=Path, help="folder of what was decided (default: campaigns_log beside --out)")
    arguments = parser.parse_args(argv)
    require_table(arguments.out)
    require_apart(arguments, written=("out",), read=("scores", "stock_plan", "consent", "contacts", "uplift", "config"))
    policy = resolve(Policy, file=arguments.config, overrides=arguments.set)
    campaigns = read_campaigns(arguments.campaigns)
    require_rules(arguments.rules, campaigns)
    require_stock_plan(arguments.stock_plan, campaigns)
    sources = load(arguments, policy)
    log = AuditLog(arguments.log or default_folder(arguments.out))
    with log.locked():
        _plan(arguments, policy, campaigns, sources, log)
    return 0


def _plan(
    arguments: argparse.Namespace, policy: Policy, campaigns: list[Campaign], sources: Sources, log: AuditLog
) -> None:
    """Decide what has not been decided yet, write it down, and write the table."""
    day = sources.at.date()
    running = [campaign for campaign in campaigns if campaign.start <= day <= campaign.end]
    _mention_resting(campaigns, running, day)
    if not running:
        raise InputError(f"no campaign runs on {day}; change start and end, or plan another day with --at")
    decided = log.of_day(day)
    before = set() if decided is None else set(decided[CAMPAIGN_ID])
    new = [campaign for campaign in running if campaign.id not in before]
    for campaign in running:
        if campaign.id in before:
            said = (
                f"Note: {campaign.id} has been decided for {day} before (see {log.folder}): that stands; name another "
            )
            said += "--log to try something else"
            terminal.console.print(said, soft_wrap=True, highlight=False)
    if new:
        result = plan_day(sources, policy, new, log, arguments)
        decided = log.write(day, result.table)
        show(result.table, result.situation, result.outcome, result.kept_back)
    assert decided is not None
    wanted = [campaign.id for campaign in running]
    write_table(decided.filter(pl.col(CAMPAIGN_ID).is_in(wanted)), arguments.out)
    sent = decided.filter(pl.col(CAMPAIGN_ID).is_in(wanted) & pl.col(DECIDED))
    terminal.console.print(
        f"{sent.height:,} contacts for {sent[COST].sum():,.2f}, worth {sent[VALUE].sum():,.2f}; all decisions are in "
        f"{arguments.out}\nNext:\n  supplytower campaigns explain USER CAMPAIGN --decisions {arguments.out}",
        soft_wrap=True,
        highlight=False,
    )


@dataclass(frozen=True)
class DayPlan:
    """What was decided for a day.

    Args:
        table: see `decisions`.
        situation: what was known.
        outcome: the decisions as numbers.
        kept_back: `[campaigns]` products that are likely to sell out.
    """

    table: pl.DataFrame
    situation: Situation
    outcome: Outcome
    kept_back: list[int]


def plan_day(
    sources: Sources, policy: Policy, campaigns: list[Campaign], log: AuditLog, arguments: argparse.Namespace
) -> DayPlan:
    """Decide a day's campaigns.

    Args:
        sources: tables.
        policy: what holds for all campaigns.
        campaigns: that run on the day.
        log: what was decided before.
        arguments: who knows the probabilities.
    """
    situation = find_situation(sources, policy, campaigns, log)
    assortment = np.array([products(campaign, sources.items) for campaign in campaigns])
    may_be_sold = sellable(sources.items, policy.stockout_limit)
    screening = screen(situation, policy)
    offers = find_offers(sources, policy, situation, screening, assortment & may_be_sold, arguments)
    with terminal.console.status("deciding"):
        outcome = decide(situation, policy, screening, offers)
        sold_out = assortment.any(axis=1) & ~(assortment & may_be_sold).any(axis=1)
        outcome.reason[(outcome.reason == Reason.NO_OFFER) & sold_out] = Reason.STOCK
        table = to_table(situation, outcome, policy)
    kept_back = (assortment & ~may_be_sold).sum(axis=1).tolist()
    return DayPlan(table, situation, outcome, kept_back)


def find_situation(sources: Sources, policy: Policy, campaigns: list[Campaign], log: AuditLog) -> Situation:
    """Look up what the campaigns ask for."""
    customers, users = sources.customers, sources.customers[USER_ID]
    channels = sorted({campaign.channel for campaign in campaigns})
    audience = [matches(one.audience, customers, f"campaign {one.id!r}: audience").to_numpy() for one in campaigns]
    send_at = send_times(customers, policy, sources.at)
    contacts = pl.concat([log.contacts(), sources.contacts])
    spent = np.zeros(len(campaigns))
    for number, campaign in enumerate(campaigns):
        inside = pl.col(SEND_AT).dt.date().is_between(campaign.start, campaign.end)
        spent[number] = contacts.filter(inside & (pl.col(CAMPAIGN_ID) == campaign.id))[COST].sum()
    return Situation(
        sources.at.date(),
        users,
        campaigns,
        np.array(audience).T.reshape(len(users), len(campaigns)),
        channels,
        allowed(sources.consent, users, channels),
        send_at,
        History(contacts, users, send_at),
        spent,
        uplift_of(sources.uplift, users, campaigns),
        less_promised(sources.items, log.of_day(sources.at.date())),
        categories(sources.items),
        sources.rules,
    )


def categories(items: pl.DataFrame) -> IntArray:
    """A number for every item's category, `[items]`; an item without one is a category of its own."""
    alone = pl.format("item {}", ITEM_ID)
    known = pl.format("category {}", CATEGORY)
    return items.select(pl.coalesce(known, alone).rank("dense").cast(pl.Int64)).to_series().to_numpy()


def send_times(customers: pl.DataFrame, policy: Policy, at: datetime) -> Times:
    """When every customer may be addressed first, `[users]`, UTC.

    Raises:
        InputError: naming a time zone that there is not.
    """
    local = customers[TIME_ZONE] if TIME_ZONE in customers.columns else pl.Series([None], dtype=pl.String)
    names = local.cast(pl.String).fill_null(policy.time_zone)
    moment, quiet = at.replace(tzinfo=UTC), policy.quiet
    found = {
        name: next_allowed(moment, zone(name, f"{TIME_ZONE} of the customers"), quiet).replace(tzinfo=None)
        for name in names.unique()
    }
    times = names.replace_strict(found, return_dtype=pl.Datetime("us"))
    return np.broadcast_to(times.to_numpy().astype("datetime64[us]"), (customers.height,))


def find_offers(
    sources: Sources,
    policy: Policy,
    situation: Situation,
    screening: Screening,
    assortment: BoolArray,
    arguments: argparse.Namespace,
) -> pl.DataFrame:
    """Offers with their probabilities, from a table of scores or from the model."""
    passed = np.asarray(screening.reason == Reason.CHOSEN, bool)
    campaigns, called = situation.campaigns, None
    if any(one.offers == BOUGHT_TOGETHER for one in campaigns):
        most = policy.products_per_customer if sources.scores is None else sources.items.height
        numbers = sources.items[ITEM_ID], sources.numbered_events
        called = suggestions(sources.rules, *numbers, sources.at, campaigns, passed, assortment, most)
    if sources.scores is not None:
        found = scored_offers(sources.scores, situation.users, sources.items, passed, assortment)
        reminding = [number for number, one in enumerate(campaigns) if one.offers == "reminder"]
        if reminding:
            due, reminds = reminders(sources.numbered_events, sources.at), pl.col("campaign").is_in(reminding)
            found = pl.concat(
                [found.filter(~reminds), found.filter(reminds).join(due, on=["user", "item"], how="semi")]
            )
        return with_rules(found, called, campaigns)
    events = sources.numbered_events
    found = candidates(events, sources.at, campaigns, policy, passed, assortment, called)
    pairs = found.select("user", "item").unique().sort("user", "item")
    questions = Questions(situation.users, sources.items[ITEM_ID], events, pairs, sources.at)
    probability: FloatArray
    if not pairs.height:
        probability = np.zeros(0)
    elif arguments.model_server is not None:
        probability = ask_server(arguments.model_server, arguments.version, questions)
    else:
        probability = ask_models(arguments.models, arguments.version, questions)
    scored = found.join(
        pairs.with_columns(probability=probability), on=["user", "item"], how="left", maintain_order="left"
    )
    return with_rules(scored, called, campaigns)


def _mention_resting(campaigns: list[Campaign], running: list[Campaign], day: date) -> None:
    for campaign in campaigns:
        if campaign not in running:
            said = f"Note: {campaign.id} runs from {campaign.start} to {campaign.end}, not on {day}"
            terminal.console.print(said, soft_wrap=True, highlight=False)


if __name__ == "__main__":
    raise SystemExit(main())
