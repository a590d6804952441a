"""What planning begins with: customers, items, what they did, who agreed, what was sent, and what is in stock."""

import argparse
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property
from pathlib import Path

import polars as pl

from data_pipelines import console as terminal
from data_pipelines.config import parse_moment
from data_pipelines.item_names import item_names
from data_pipelines.schema import (
    CAMPAIGN_ID,
    CONSEQUENT,
    EVENT_TYPE,
    EVENTS,
    ITEM_ID,
    ITEM_NAME,
    ITEMS,
    PRICE,
    PROBABILITY,
    SEGMENT,
    STOCKOUT_PROBABILITY,
    TIMESTAMP,
    UNIT_COST,
    UPLIFT,
    USER_ID,
    USERS,
    InputError,
)
from serving.basket_rules import read_rules
from serving.campaigns.caps import no_contacts, read_contacts
from serving.campaigns.consent import read_consent
from serving.campaigns.customers import derive_profiles, join_customers, read_profiles, with_category
from serving.campaigns.policy import Policy
from serving.campaigns.stock_limits import read_stock_plan, with_stock
from serving.campaigns.tables import numbers, positions, read_table, times

PREPARE = "see `supplytower data prepare --help`"


@dataclass(frozen=True)
class Sources:
    """What planning begins with.

    Args:
        at: the moment of the plan, UTC without a time zone.
        customers: a row per user, sorted by user_id.
        items: a row per item, with category and what the stock plan says.
        events: of the log, before `at`.
        consent: who agreed; None if nobody was asked.
        contacts: what was sent by other means.
        uplift: factors on the probability; None if there was no experiment.
        scores: probabilities; None if the model is to be asked.
        rules: what is bought together; None if not given.
    """

    at: datetime
    customers: pl.DataFrame
    items: pl.DataFrame
    events: pl.DataFrame
    consent: pl.DataFrame | None
    contacts: pl.DataFrame
    uplift: pl.DataFrame | None
    scores: pl.DataFrame | None
    rules: pl.DataFrame | None = None

    @cached_property
    def numbered_events(self) -> pl.DataFrame:
        """Events with `user` and `item` as row numbers of customers and items, sorted by user and time."""
        user = positions(self.events[USER_ID], self.customers[USER_ID])
        item = positions(self.events[ITEM_ID], self.items[ITEM_ID])
        numbered = self.events.select(EVENT_TYPE, TIMESTAMP).with_columns(user=user, item=item)
        return numbered.filter((pl.col("user") >= 0) & (pl.col("item") >= 0)).sort(
            "user", TIMESTAMP, maintain_order=True
        )


def add_sources(parser: argparse.ArgumentParser) -> None:
    """Give a command the options that say what is known."""
    parser.add_argument("--data", type=Path, required=True, help="folder written by `supplytower data prepare`")
    parser.add_argument("--models", type=Path, help="folder written by `supplytower export recommender`")
    parser.add_argument("--version", help="number or label of the model's version (default: the newest)")
    parser.add_argument("--model-server", metavar="ADDRESS", help="ask there instead, e.g. grpc://127.0.0.1:8500")
    parser.add_argument("--scores", type=Path, help="table of probabilities instead: user_id, item_id, probability")
    parser.add_argument(
        "--campaigns", type=Path, nargs="+", required=True, metavar="FILE", help="YAML files, or names of templates"
    )
    parser.add_argument("--profiles", type=Path, help="folder or table written by `supplytower profile build`")
    parser.add_argument("--stock-plan", type=Path, help="table written by `supplytower inventory plan`")
    parser.add_argument("--rules", type=Path, help="folder written by `supplytower rules mine`, for bought_together")
    parser.add_argument("--consent", type=Path, help="table of who agreed: user_id, channel (or all), consent")
    parser.add_argument("--contacts", type=Path, help="table of what was sent otherwise: user_id, channel, send_at")
    parser.add_argument("--uplift", type=Path, help="table written by `supplytower campaigns uplift`")
    parser.add_argument("--at", help="moment of the plan, UTC (default: right after the last event)")
    parser.add_argument("--config", type=Path, help="YAML file of settings")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="one setting, over the file")


def load(arguments: argparse.Namespace, policy: Policy) -> Sources:
    """Read all tables.

    Raises:
        InputError: if something cannot be read, or nobody knows probabilities.
    """
    known = [name for name in ("models", "model_server", "scores") if getattr(arguments, name) is not None]
    if len(known) != 1:
        raise InputError("give one of --models, --model-server and --scores: who knows the purchase probabilities")
    data: Path = arguments.data
    if not data.is_dir():
        raise InputError(f"--data {data}: no such folder; {PREPARE}")
    if policy.only_planned and arguments.stock_plan is None:
        raise InputError("only_planned=true: needs --stock-plan, or nothing could be advertised")
    with terminal.console.status("reading"):
        log = data / f"{EVENTS.name}.parquet"
        events = read_table(log, (USER_ID, ITEM_ID, EVENT_TYPE, TIMESTAMP), PREPARE)
        events = events.with_columns(times(events, TIMESTAMP, log))
        at = _moment(arguments.at, events)
        events = events.filter(pl.col(TIMESTAMP) < at)
        items = read_items(data / f"{ITEMS.name}.parquet", policy)
        derived = derive_profiles(events, items, at)
        users_file = data / f"{USERS.name}.parquet"
        seen = events.select(USER_ID).unique()  # who left a full cart and never bought is a customer too
        users = read_table(users_file, (USER_ID,)) if users_file.exists() else seen
        users = pl.concat([users, seen.join(users, on=USER_ID, how="anti")], how="diagonal")
        profiles = None if arguments.profiles is None else read_profiles(arguments.profiles)
        if profiles is not None and not users[USER_ID].is_in(profiles[USER_ID].implode()).any():
            raise InputError(
                f"--profiles {arguments.profiles}: has none of the users of {data}; build it from this data"
            )
        customers = join_customers(users, derived, profiles)
        stock = None if arguments.stock_plan is None else read_stock_plan(arguments.stock_plan)
        if stock is not None and not stock[ITEM_ID].is_in(items[ITEM_ID].implode()).any():
            raise InputError(
                f"--stock-plan {arguments.stock_plan}: has none of the items of {data}; plan with this data"
            )
        rules = None if arguments.rules is None else read_rules(arguments.rules)
        if rules is not None and not rules[CONSEQUENT].is_in(items[ITEM_ID].implode()).any():
            raise InputError(f"--rules {arguments.rules}: are about none of the items of {data}; mine this data")
        sources = Sources(
            at,
            customers,
            with_stock(items, stock, policy.stockout_limit, policy.overstock_days, only_planned=policy.only_planned),
            events,
            None if arguments.consent is None else read_consent(arguments.consent),
            no_contacts() if arguments.contacts is None else read_contacts(arguments.contacts),
            None if arguments.uplift is None else read_uplift(arguments.uplift),
            None if arguments.scores is None else read_scores(arguments.scores),
            rules,
        )
    _mention_missing(sources, policy)
    return sources


def read_items(path: Path, policy: Policy) -> pl.DataFrame:
    """Read the items, with their category and a name, and a price even if none is known.

    Raises:
        InputError: if they cannot be read, one is there twice, or an amount of money is no number.
    """
    items = read_table(path, (ITEM_ID,), PREPARE)
    if (twice := items[ITEM_ID].filter(items[ITEM_ID].is_duplicated())).len():
        raise InputError(f"{path}: {ITEM_ID} {twice[0]!r} is there twice; keep one row for each item")
    if PRICE not in items.columns:
        items = items.with_columns(pl.lit(None, pl.Float64).alias(PRICE))
    items = items.with_columns(_amounts(items, name, path) for name in (PRICE, UNIT_COST) if name in items.columns)
    named = items if ITEM_NAME in items.columns else items.with_columns(item_names(items)[ITEM_NAME])
    return with_category(named, policy.category_column)


def _amounts(items: pl.DataFrame, name: str, path: Path) -> pl.Series:
    """A column of money, null where nothing is known."""
    found = items[name].cast(pl.Float64, strict=False)
    if (bad := (found.is_null() & items[name].is_not_null()).arg_true()).len():
        value = items[name][bad[0]]
        raise InputError(f"{path}: {name} in row {bad[0] + 1} is {value!r}; give a number, or leave it out")
    return found


def _moment(given: str | None, events: pl.DataFrame) -> datetime:
    if given is not None:
        return parse_moment(given, "--at")
    last = events[TIMESTAMP].max()
    if not isinstance(last, datetime):
        raise InputError("there are no events: say with --at for when to plan")
    return last.replace(tzinfo=None, microsecond=0) + timedelta(seconds=1)


def read_uplift(path: Path) -> pl.DataFrame:
    """Read factors on the purchase probability; negative ones are of customers whom a contact drives away.

    Raises:
        InputError: if it cannot be read, or a factor is no number.
    """
    table = read_table(path, (USER_ID, UPLIFT))
    named = [pl.col(CAMPAIGN_ID).cast(pl.String)] if CAMPAIGN_ID in table.columns else []
    return table.select(USER_ID, *named, numbers(table, UPLIFT, path, float("-inf")).alias(UPLIFT))


def read_scores(path: Path) -> pl.DataFrame:
    """Read purchase probabilities.

    Raises:
        InputError: if it cannot be read, or one is not from 0 to 1.
    """
    table = read_table(path, (USER_ID, ITEM_ID, PROBABILITY))
    table = table.select(USER_ID, ITEM_ID, numbers(table, PROBABILITY, path, 0.0, 1.0).alias(PROBABILITY))
    return table.unique([USER_ID, ITEM_ID], keep="first", maintain_order=True)


def _mention_missing(sources: Sources, policy: Policy) -> None:
    """What had to be assumed."""
    said = []
    if sources.consent is None:
        said.append("no --consent: everybody is taken to have agreed to every channel")
    planned = sources.items[STOCKOUT_PROBABILITY].drop_nulls()
    kept_back = int((planned > policy.stockout_limit).sum())
    if planned.is_empty():
        said.append("no --stock-plan: it is not known what will sell out or is overstocked")
    elif kept_back > planned.len() / 2 and not policy.only_planned:
        said.append(
            f"by the stock plan {kept_back:,} of {planned.len():,} products are likely to sell out, so they are not "
            "advertised; was it made without `--stock`? Then it took all shelves to be empty"
        )
    if sources.customers[SEGMENT].null_count() == sources.customers.height:
        said.append("no --profiles: customers have no segments, only what their purchases say")
    for line in said:
        terminal.console.print(f"Note: {line}", soft_wrap=True, highlight=False)
