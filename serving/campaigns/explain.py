"""Why a customer got a campaign, or did not: `supplytower campaigns explain`."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import polars as pl
from rich.table import Table

from data_pipelines import console as terminal
from data_pipelines.schema import (
    ANTECEDENT,
    CAMPAIGN_ID,
    CHANNEL,
    CONFIDENCE,
    COST,
    DECIDED,
    DECISION_ID,
    ITEM_ID,
    ITEM_NAME,
    LIFT,
    PRICE,
    SEND_AT,
    STOCKOUT_PROBABILITY,
    UNIT_COST,
    UPLIFT,
    USER_ID,
    VALUE,
    InputError,
)
from serving.campaigns.audience import suggestion
from serving.campaigns.decisions import KEYS
from serving.campaigns.situation import Reason
from serving.campaigns.tables import read_table

WIDE = 120
ORDER = {name: int(reason) for reason, name in KEYS.items()}


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit status."""
    return terminal.run(_main, argv)


def _main(argv: Sequence[str] | None) -> int:
    parser = terminal.command_parser(
        "supplytower campaigns explain",
        "Say why a customer got a campaign, or did not: every test with its value.",
        examples=["supplytower campaigns explain 1234 win-back --decisions decisions.parquet"],
    )
    parser.add_argument("user", help="user_id")
    parser.add_argument("campaign", help="id of the campaign")
    parser.add_argument("--decisions", type=Path, required=True, help="table written by `supplytower campaigns plan`")
    arguments = parser.parse_args(argv)
    for row in find(arguments.decisions, arguments.user, arguments.campaign).iter_rows(named=True):
        _show(row)
    return 0


def find(decisions: Path, user: str, campaign: str) -> pl.DataFrame:
    """The decisions on a customer and a campaign.

    Raises:
        InputError: if there is none, naming what there is.
    """
    table = read_table(decisions, (DECISION_ID, CAMPAIGN_ID, USER_ID, ITEM_NAME, DECIDED, "reason", "audience"))
    of_campaign = table.filter(pl.col(CAMPAIGN_ID) == campaign)
    if of_campaign.is_empty():
        names = table[CAMPAIGN_ID].unique().sort().to_list()
        said = suggestion(campaign, names)
        raise InputError(f"{decisions}: no campaign {campaign!r}{said}; there are {', '.join(names)}")
    found = of_campaign.filter(pl.col(USER_ID) == user)
    if found.is_empty():
        raise InputError(f"{decisions}: no customer {user!r}; an id is e.g. {table[USER_ID][0]!r}")
    return found


def tests(row: dict[str, Any]) -> list[tuple[str, str, str]]:
    """Every test of a decision up to the one that said no: its name, what it found, and whether it passed."""
    weighed = row[VALUE] is not None
    offer = f"{_product(row)}, the best of {row['offers']:,}{_rule(row)}" if weighed else ""
    sell_out = row[STOCKOUT_PROBABILITY]
    said: dict[Reason, tuple[str, str]] = {
        Reason.AUDIENCE: ("in the audience", row["audience"] or "everybody"),
        Reason.CONSENT: ("agreed to be addressed", str(row[CHANNEL])),
        Reason.HOLDOUT: ("not held out", f"point {row['holdout_point']:.3f}, held out below {row['holdout']:g}"),
        Reason.QUIET_HOURS: ("not quiet before the end", "" if row[SEND_AT] is None else f"at {row[SEND_AT]} UTC"),
        Reason.CONTACTED: ("new to this flight", f"{row['contacts']} contacts, at most {row['contacts_limit']}"),
        Reason.FREQUENCY_CAP: (
            "not addressed too often",
            f"{row['room']} more by {row[CHANNEL]}, {row['slots']} in all",
        ),
        Reason.NO_OFFER: ("a product to offer", offer),
        Reason.STOCK: (
            "will not sell out",
            ("not in the stock plan" if weighed else "none of the products")
            if sell_out is None
            else f"{sell_out:.1%}, at most {row['stockout_limit']:.0%}",
        ),
        Reason.NO_PRICE: ("price known", "" if row[PRICE] is None else f"{row[PRICE]:.2f}"),
        Reason.VALUE: ("worth more than it costs", f"{_sum(row)}; a sale {_worth(row)}" if weighed else ""),
        Reason.DIVERSITY: ("the best offer of its category", ""),
        Reason.TOO_MANY: ("the stock can spare it", ""),
        Reason.OUTRANKED: ("among the best for the customer", ""),
        Reason.BUDGET: (
            "within the budget",
            f"{row['budget_of_day']:,.2f} for the day; one more contact would bring {row['contact_price']:.4f}",
        ),
    }
    failed = ORDER[row["reason"]]
    order = [reason for reason in said if not failed or reason <= failed]
    if failed == Reason.OUTRANKED:
        order = [*order[:-1], Reason.OUTRANKED]
    return [(said[one][0], said[one][1], "no" if one == failed else "yes") for one in order]


def _sum(row: dict[str, Any]) -> str:
    parts = f"{row['probability']:.4f} probability × {row[UPLIFT]:g} uplift × {row['worth']:.2f} worth of a sale"
    return f"{row[VALUE]:.4f} = {parts} × {row['freshness']:.2f} freshness - {row[COST]:g} cost"


def _worth(row: dict[str, Any]) -> str:
    """What a sale is worth, and why."""
    paid = "" if row[PRICE] is None else f"; price {row[PRICE]:.2f}"
    off = f", {row['discount']:.0%} off" if row["discount"] else ""
    cost = "" if row["goal"] != "profit" or row[UNIT_COST] is None else f", costs the shop {row[UNIT_COST]:.2f}"
    return f"by {row['goal']}{paid}{off}{cost}{', overstocked' if row['overstocked'] else ''}"


def _product(row: dict[str, Any]) -> str:
    return row[ITEM_ID] if row[ITEM_NAME] == row[ITEM_ID] else f"{row[ITEM_NAME]} ({row[ITEM_ID]})"


def _rule(row: dict[str, Any]) -> str:
    """Why this product, where a rule called for it."""
    if row.get(ANTECEDENT) is None:
        return ""
    return f"; goes with {row[ANTECEDENT]}: confidence {row[CONFIDENCE]:.0%}, lift {row[LIFT]:.1f}"


def _show(row: dict[str, Any]) -> None:
    output = terminal.output(WIDE)
    verdict = f"sent at {row[SEND_AT]} UTC" if row[DECIDED] else "not sent"
    output.print(f"{row[DECISION_ID]}: {verdict}", highlight=False)
    shown = Table("test", "passed", "found", box=None, pad_edge=False)
    for name, found, passed in tests(row):
        shown.add_row(name, passed, found)
    output.print(shown)
    output.print(row["reasons"], highlight=False)


if __name__ == "__main__":
    raise SystemExit(main())
