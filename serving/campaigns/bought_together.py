"""What goes with what a customer bought: association rules between products as a source of offers.

A rule {pasta} → {sauce} speaks to a customer who bought all of its antecedent lately and its consequent not. Rules are
ranked by confidence · √lift, as suggestions beside a basket are; a product is offered for the best rule that speaks for
it, and the decision says which one that was. The tables are those of `supplytower rules mine`.

Reference: Agrawal, Imielinski and Swami, "Mining association rules between sets of items in large databases", SIGMOD
1993.
"""

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

import numpy as np
import polars as pl

from data_pipelines.schema import (
    ANTECEDENT,
    CONFIDENCE,
    CONSEQUENT,
    EVENT_TYPE,
    LEVEL,
    LIFT,
    TIMESTAMP,
    EventType,
    InputError,
)
from serving.campaigns.allocation import BoolArray
from serving.campaigns.campaign import Campaign
from serving.campaigns.tables import positions
from serving.table_file import read_file, require_columns

BOUGHT_TOGETHER = "bought_together"
MINE = "write it with `supplytower rules mine --data DATA --out RULES`"
LATELY_DAYS = 28
"""Days for which a purchase calls for what goes with it."""
RULE = "rule"
NAME = f"{ANTECEDENT}_name"


def read_rules(path: Path) -> pl.DataFrame:
    """Read the rules between products, the best first.

    Args:
        path: the folder that `supplytower rules mine` wrote, or its table of rules.

    Returns:
        rule (its number), antecedent (list of ids), antecedent_name, consequent (one id), confidence, lift. Rules for
        several products at once are left out: for each of these there is a rule that is believed more.

    Raises:
        InputError: if it cannot be read, or holds no rule between products.
    """
    file = path / "rules.parquet" if path.is_dir() else path
    table = read_file(file, (), MINE)
    require_columns(table, (LEVEL, ANTECEDENT, NAME, CONSEQUENT, CONFIDENCE, LIFT), file)
    for name in (ANTECEDENT, CONSEQUENT):
        if table[name].dtype != pl.List(pl.String):
            raise InputError(f"{file}: {name} holds {table[name].dtype}, not lists of ids; {MINE}")
    rules = table.filter((pl.col(LEVEL) == "item") & (pl.col(CONSEQUENT).list.len() == 1))
    if rules.is_empty():
        raise InputError(f"{file}: holds no rules between products; mine with --level item, or --min-support lower")
    rules = rules.sort(pl.col(CONFIDENCE) * pl.col(LIFT).sqrt(), descending=True, maintain_order=True)
    return rules.select(ANTECEDENT, NAME, pl.col(CONSEQUENT).list.first(), CONFIDENCE, LIFT).with_row_index(RULE)


def require_rules(rules: Path | None, campaigns: Sequence[Campaign]) -> None:
    """Refuse campaigns that go by rules where there are none.

    Raises:
        InputError: naming the first one.
    """
    asking = [campaign.id for campaign in campaigns if campaign.offers == BOUGHT_TOGETHER]
    if asking and rules is None:
        raise InputError(f"campaign {asking[0]!r}: offers: {BOUGHT_TOGETHER} needs --rules RULES; {MINE}")


def suggestions(
    rules: pl.DataFrame | None,
    items: pl.Series,
    events: pl.DataFrame,
    at: datetime,
    campaigns: Sequence[Campaign],
    passed: BoolArray,
) -> pl.DataFrame | None:
    """What rules call for, for everybody whom a campaign may address that goes by them.

    Args:
        rules: from `read_rules`.
        items: ids.
        events: the log before `at`, with `user` and `item` as numbers.
        at: UTC.
        campaigns: in order.
        passed: `[users, campaigns]` pairs worth looking at.

    Returns:
        user, item and the number of the best rule, each pair once, the best rules first; None where no campaign asks.
    """
    asking = [number for number, campaign in enumerate(campaigns) if campaign.offers == BOUGHT_TOGETHER]
    if rules is None or not asking:
        return None
    lately = (pl.col(EVENT_TYPE) == EventType.PURCHASE) & (
        pl.col(TIMESTAMP) >= pl.lit(at) - pl.duration(days=LATELY_DAYS)
    )
    bought = events.filter(lately & pl.lit(pl.Series(passed[:, asking].any(axis=1))).gather("user"))
    bought = bought.select("user", "item").unique()
    called = rules.select(
        pl.col(RULE).cast(pl.Int64),
        pl.Series("called", positions(rules[CONSEQUENT], items)),
        pl.col(ANTECEDENT).list.len().alias("needed"),
        ANTECEDENT,
    ).explode(ANTECEDENT)
    parts = called.with_columns(item=positions(called[ANTECEDENT], items)).drop(ANTECEDENT)
    met = bought.join(parts.filter((pl.col("called") >= 0) & (pl.col("item") >= 0)), on="item").drop("item")
    several = met.filter(pl.col("needed") > 1).group_by("user", RULE, "called", "needed").len()
    whole = [met.filter(pl.col("needed") == 1), several.filter(pl.col("len") == pl.col("needed"))]
    best = pl.concat([some.select("user", pl.col("called").alias("item"), RULE) for some in whole])
    best = best.group_by("user", "item").agg(pl.col(RULE).min())
    return best.join(bought, on=["user", "item"], how="anti").sort(RULE, "user", "item")


def with_rules(offers: pl.DataFrame, called: pl.DataFrame | None, campaigns: Sequence[Campaign]) -> pl.DataFrame:
    """Offers with the rule that each is owed to; campaigns that go by rules keep only what one calls for.

    Args:
        offers: user, campaign and item as numbers.
        called: from `suggestions`.
        campaigns: in order.
    """
    if called is None:
        return offers
    by_rules = pl.Series(np.array([campaign.offers == BOUGHT_TOGETHER for campaign in campaigns], bool))
    goes_by = pl.lit(by_rules).gather("campaign")
    joined = offers.join(called, on=["user", "item"], how="left", maintain_order="left")
    return joined.filter(~goes_by | pl.col(RULE).is_not_null()).with_columns(pl.when(goes_by).then(RULE).alias(RULE))


def told(offers: pl.DataFrame, rules: pl.DataFrame | None) -> list[pl.Series]:
    """The antecedent in words, confidence and lift of the rule that each offer is owed to; null where there is none."""
    kinds = {NAME: pl.String, CONFIDENCE: pl.Float64, LIFT: pl.Float64}
    if rules is None or RULE not in offers.columns:
        columns = [pl.Series(name, [None], dtype=kind).new_from_index(0, offers.height) for name, kind in kinds.items()]
    else:
        columns = [rules[name].gather(offers[RULE]) for name in kinds]
    return [column.alias(name) for column, name in zip(columns, (ANTECEDENT, CONFIDENCE, LIFT), strict=True)]
