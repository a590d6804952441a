"""What policies would have cost on demand that followed: `supplytower inventory simulate`.

Writes a row per policy and product (stock, sales, what was missing, costs by kind) and shows the policies side by side.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
from rich.table import Table

from data_pipelines import console as terminal
from data_pipelines.atomic import write_text
from data_pipelines.config import describe, resolve
from data_pipelines.result_table import require_apart, require_page, require_table, write_table
from data_pipelines.schema import UNIQUE_ID, InputError
from serving.inventory.orders import within_shelf_life
from serving.inventory.policies import POLICIES, Situation
from serving.inventory.report import COSTS, kept_cost, simulation_page
from serving.inventory.simulator import Outcome, simulate
from serving.inventory.sources import Sources, add_sources, demand_table, load
from serving.inventory.stock_table import StockDefaults

WIDE, USUAL_DAYS, ALL, CLAIRVOYANT = 120, 28, "all", "clairvoyant"
BY_COST = ("seasonal-naive", "safety-stock", "newsvendor", "dynamic-programme")
"""Policies that depend on what a missing unit costs, from which the frontier is drawn."""
FACTORS = (1 / 16, 1 / 8, 1 / 4, 1 / 2, 1.0, 2.0, 4.0, 8.0, 16.0)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit status."""
    return terminal.run(_main, argv)


def _main(argv: Sequence[str] | None) -> int:
    parser = terminal.command_parser(
        "supplytower inventory simulate",
        "Replay ordering policies on the demand that followed a forecast, and compare what they cost.\n\n"
        "With --models the last days of the data are forecast as if they were not known, and replayed.\n\n"
        f"policies: {', '.join(POLICIES)}",
        examples=[
            "supplytower inventory simulate --models build/models --data build/data --out sim.csv --report sim.html",
            "supplytower inventory simulate --demand demand.parquet --forecast forecast.parquet --out sim.parquet",
            "supplytower inventory simulate --demand demand.csv --forecast forecast.csv --stock stock.csv "
            "--policy newsvendor,dynamic-programme --set review_days=7 --out sim.csv",
        ],
        settings=describe(StockDefaults),
    )
    parser.add_argument(
        "--demand", type=Path, help="table of what was asked for: unique_id, ds, y (default: of --data)"
    )
    parser.add_argument("--policy", default="all", help="comma-separated, or all that apply (default: all)")
    add_sources(parser)
    parser.add_argument("--out", type=Path, required=True, help="table to write, .parquet or .csv")
    parser.add_argument("--report", type=Path, help="page with pictures, .html")
    arguments = parser.parse_args(argv)
    require_table(arguments.out)
    if arguments.report is not None:
        require_page(arguments.report)
    require_apart(arguments, written=("out", "report"), read=("demand", "forecast", "stock", "config"))
    defaults = resolve(StockDefaults, file=arguments.config, overrides=arguments.set)
    chosen = select_policies(arguments.policy, defaults)
    demand = demand_table(arguments)
    if demand is None:
        raise InputError("--demand: name the table of what was asked for, or give --data")
    sources = load(arguments, defaults, demand, replay=True)
    if arguments.stock is None and not defaults.on_hand:
        sources = with_usual_stock(sources)
    with terminal.console.status("replaying"):
        situation = to_situation(sources, defaults)
        outcomes, missing = replay(situation, chosen, skip=arguments.policy == ALL)
        said = verdict(outcomes)
        page = None
        if arguments.report is not None:
            tried = frontier(situation, [name for name in outcomes if name in BY_COST])
            page = simulation_page(outcomes, sources, tried, said)
    if page is not None:
        write_text(arguments.report, page)
    write_table(pl.concat([_rows(name, sources.forecast.ids, one) for name, one in outcomes.items()]), arguments.out)
    for notice in (*sources.notices(), *missing):
        terminal.console.print(f"Note: {notice}", soft_wrap=True)
    terminal.output(WIDE).print(summary_table(outcomes, len(sources.forecast.days)))
    terminal.console.print(said, soft_wrap=True, highlight=False)
    terminal.console.print(f"{len(outcomes) * len(sources.names):,} rows are in {arguments.out}", soft_wrap=True)
    return 0


def select_policies(names: str, defaults: StockDefaults) -> tuple[str, ...]:
    """Policies by the value of `--policy`.

    Raises:
        InputError: if a name is unknown.
    """
    if names == ALL:
        unfit = {"lost-sales": not defaults.lost_sales, "service-level": defaults.target is None}
        return tuple(name for name in POLICIES if not unfit.get(name, False))
    chosen = tuple(dict.fromkeys(name.strip() for name in names.split(",")))
    for name in chosen:
        if name not in POLICIES:
            raise InputError(f"--policy {name}: unknown; give {ALL}, or some of {', '.join(POLICIES)}")
    return chosen


def with_usual_stock(sources: Sources) -> Sources:
    """Every product begins with what is usually asked for in its lead time and review interval."""
    shop, usual = sources.stock.shop, USUAL_DAYS // sources.forecast.step_days
    lately = sources.past[:, -usual:] if sources.past.shape[1] else sources.forecast.mean
    on_hand = np.ceil(lately.mean(axis=1) * (shop.terms.lead_time + shop.terms.review_every))
    notice = (
        "no --stock: products begin with the usual demand of a lead time and review; the defaults hold for the rest"
    )
    stock = replace(sources.stock, shop=replace(shop, on_hand=on_hand), notices=(notice, *sources.stock.notices[1:]))
    return replace(sources, stock=stock)


def to_situation(sources: Sources, defaults: StockDefaults) -> Situation:
    """What the policies may know."""
    demand = sources.forecast.distribution()
    shop, _ = within_shelf_life(demand, sources.stock.shop)
    return Situation(demand, shop, sources.past, sources.future, defaults.target, sources.forecast.step_days)


def replay(situation: Situation, chosen: Sequence[str], *, skip: bool = False) -> tuple[dict[str, Outcome], list[str]]:
    """What happens under each policy, the cheapest first, and which could not be made.

    Args:
        situation: with the demand that followed.
        chosen: names of `POLICIES`.
        skip: leave out policies that need more of the past than is known.

    Raises:
        InputError: if a policy cannot be made and none is to be left out.
    """
    outcomes, missing = {}, []
    for name in chosen:
        try:
            policy = POLICIES[name](situation)
        except ValueError as error:
            if not skip:
                raise InputError(f"--policy {name}: {error}") from None
            missing.append(f"{name} is left out: it {error}")
            continue
        outcomes[name] = simulate(situation.future[:, None], situation.shop, policy, keep_days=True)
    return dict(sorted(outcomes.items(), key=lambda item: item[1].cost.sum())), missing


def frontier(situation: Situation, chosen: Sequence[str]) -> dict[str, list[tuple[float, float]]]:
    """Share of units served and cost of keeping stock of policies that reckon with other costs of a missing unit."""
    points: dict[str, list[tuple[float, float]]] = {name: [] for name in chosen}
    shop = situation.shop
    for factor in FACTORS:
        terms = replace(shop.terms, stockout_cost=shop.terms.stockout_cost * factor)
        reckoned = replace(situation, shop=replace(shop, terms=terms))
        for name in chosen:
            outcome = simulate(situation.future[:, None], shop, POLICIES[name](reckoned))
            points[name].append((outcome.fill_rate(), kept_cost(outcome)))
    return points


def verdict(outcomes: dict[str, Outcome]) -> str:
    """The cheapest policy that does not know the future, beside the rule of thumb and the others."""
    cost = {name: float(one.cost.sum()) for name, one in outcomes.items()}
    real = [name for name in cost if name != CLAIRVOYANT] or list(cost)
    best = real[0]
    others = [f"{1.0 - cost[best] / cost[name]:.1%} less than {name}" for name in real[1:] if cost[name] > 0]
    return f"{best} costs {cost[best]:,.2f}" + (f": {', '.join(others)}" if others else "")


def _rows(policy: str, ids: list[str], outcome: Outcome) -> pl.DataFrame:
    totals = {name: part[:, 0] for name, part in outcome.totals().items()}
    return pl.DataFrame({"policy": policy, UNIQUE_ID: ids} | totals)


def summary_table(outcomes: dict[str, Outcome], days: int) -> Table:
    """Policies side by side, the cheapest first."""
    table = Table(box=None, pad_edge=False)
    columns = ("policy", "cost", *COSTS.values(), "units served", "days served", "orders", "mean stock")
    for name in columns:
        table.add_column(name, justify="left" if name == "policy" else "right")
    for name, one in outcomes.items():
        money = (one.cost, *(getattr(one, field) for field in COSTS))
        table.add_row(
            name,
            *(f"{part.sum():,.2f}" for part in money),
            f"{one.fill_rate():.1%}",
            f"{one.service_level(days):.1%}",
            f"{one.orders.sum():,.0f}",
            f"{one.mean_stock.sum():,.0f}",
        )
    return table


if __name__ == "__main__":
    raise SystemExit(main())
