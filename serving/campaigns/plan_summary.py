"""What a day's plan comes to, campaign by campaign: who was left out why, who is addressed, and for how much."""

import polars as pl
from rich.table import Table

from data_pipelines import console as terminal
from data_pipelines.schema import CAMPAIGN_ID, COST, DECIDED, VALUE
from serving.campaigns.decide import Outcome
from serving.campaigns.decisions import SENTENCES
from serving.campaigns.situation import Situation

WIDE = 160


def show(table: pl.DataFrame, situation: Situation, outcome: Outcome, kept_back: list[int]) -> None:
    """Print it.

    Args:
        table: of the decisions.
        situation: what was known.
        outcome: the decisions as numbers.
        kept_back: `[campaigns]` products that are likely to sell out.
    """
    value = table.filter(DECIDED).group_by(CAMPAIGN_ID).agg(pl.col(VALUE).sum(), pl.len(), pl.col(COST).sum())
    found = {row[CAMPAIGN_ID]: row for row in value.iter_rows(named=True)}
    names = [campaign.id for campaign in situation.campaigns]
    shown = Table("", *names, box=None, pad_edge=False)
    for column in shown.columns[1:]:
        column.justify = "right"
    of = [found.get(name, {VALUE: 0.0, "len": 0, COST: 0.0}) for name in names]
    shown.add_row("customers", *(f"{len(situation.users):,}" for _ in names))
    for reason, sentence in SENTENCES.items():
        counts = (outcome.reason == reason).sum(axis=0)
        if counts.any():
            shown.add_row(
                sentence.replace("{channel}", "the channel"), *(f"- {count:,}" if count else "" for count in counts)
            )
    shown.add_row("addressed", *(f"{row['len']:,}" for row in of))
    shown.add_row("cost", *(f"{row[COST]:,.2f}" for row in of))
    shown.add_row("budget of the day", *(f"{budget:,.2f}" for budget in outcome.budget))
    shown.add_row("expected value, cost deducted", *(f"{row[VALUE]:,.2f}" for row in of))
    shown.add_row(
        "one more contact would bring", *(f"{price:,.4f}" if price else "" for price in outcome.allocation.price)
    )
    if any(kept_back):
        shown.add_row("products kept back by the stock", *(f"{count:,}" for count in kept_back))
    terminal.output(WIDE).print(shown)
    terminal.console.print(
        f"the plan is worth at least {1 - outcome.allocation.gap:.2%} of the best one", soft_wrap=True, highlight=False
    )
