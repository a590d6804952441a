"""What to order today: `supplytower inventory plan`.

Writes a row per product: what to order and why, what it will cost, and the chance that the product runs out before an
order of today can arrive. How the orders are found is in `orders`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
from rich.table import Table

from data_pipelines import console as terminal
from data_pipelines.atomic import write_text
from data_pipelines.config import describe, resolve
from data_pipelines.result_table import require_apart, require_page, require_table, write_table
from data_pipelines.schema import DS, LEAD_TIME_DAYS, ON_HAND, ON_ORDER, UNIQUE_ID, InputError
from serving.inventory.demand_distribution import DemandDistribution, FloatArray
from serving.inventory.lost_sales import lower_bound
from serving.inventory.newsvendor import expected_shortage
from serving.inventory.orders import Orders, find_orders, within_shelf_life
from serving.inventory.report import plan_page
from serving.inventory.simulator import Shop
from serving.inventory.sources import Sources, add_sources, load
from serving.inventory.stock_table import StockDefaults
from serving.inventory.trajectory import LEVELS, Trajectory, follow

SHOWN = 10
LIMITS = ("budget", "volume")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit status."""
    return terminal.run(_main, argv)


def _main(argv: Sequence[str] | None) -> int:
    parser = terminal.command_parser(
        "supplytower inventory plan",
        "Say what to order today, and why: one row per product.",
        examples=[
            "supplytower inventory plan --models build/models --data build/data --out plan.parquet --report plan.html",
            "supplytower inventory plan --forecast forecast.parquet --stock stock.csv --budget 5000 --out plan.csv",
            "supplytower inventory plan --forecast f.parquet --data build/data --set order_cost=20 --out plan.csv",
            "supplytower inventory plan --forecast f.parquet --stock s.csv --set service_level=0.95 --out plan.csv",
        ],
        settings=describe(StockDefaults),
    )
    add_sources(parser)
    parser.add_argument("--budget", type=float, help="money for the orders of today")
    parser.add_argument("--volume", type=float, help="room for all that is in stock, under way and ordered")
    parser.add_argument("--out", type=Path, required=True, help="table to write, .parquet or .csv")
    parser.add_argument("--schedule", type=Path, help="table of the days ahead: expected orders and stock, by product")
    parser.add_argument("--report", type=Path, help="page with pictures, .html")
    arguments = parser.parse_args(argv)
    require_table(arguments.out)
    if arguments.schedule is not None:
        require_table(arguments.schedule, "--schedule")
    if arguments.report is not None:
        require_page(arguments.report)
    require_apart(arguments, written=("out", "schedule", "report"), read=("forecast", "stock", "config"))
    defaults = resolve(StockDefaults, file=arguments.config, overrides=arguments.set)
    for name in LIMITS:
        if (limit := getattr(arguments, name)) is not None and not limit >= 0:
            raise InputError(f"--{name} {limit:g}: must be at least 0")
    sources = load(arguments, defaults)
    with terminal.console.status("planning"):
        plan = make_plan(sources, defaults, arguments.budget, arguments.volume)
        page = None if arguments.report is None else plan_page(plan.table, sources, plan.shop, plan.ahead)
    if arguments.schedule is not None:
        write_table(schedule(sources, plan.ahead), arguments.schedule)
    if page is not None:
        write_text(arguments.report, page)
    write_table(plan.table, arguments.out)
    for notice in plan.notices:
        terminal.console.print(f"Note: {notice}", soft_wrap=True)
    _report(plan.table, arguments.out)
    _report_limits(plan.orders, plan.uses, defaults)
    if plan.shop.lost_sales and plan.shop.shelf_life is None and plan.ahead.cost.sum() > 0:
        least = lower_bound(plan.demand, plan.shop).sum() / plan.ahead.cost.sum()
        terminal.console.print(f"lost sales: a perfect policy would cost at most {1 - least:.0%} less", highlight=False)
    return 0


@dataclass(frozen=True)
class Plan:
    """Today's orders, and all that explains them.

    Args:
        table: a row per product, see `to_table`.
        demand: of the days that are forecast.
        shop: terms and stock, with what shelf lives allow.
        orders: of the products in the order of the sources.
        ahead: simulated futures.
        uses: of each limit what a unit takes, and how much there is.
        notices: what had to be assumed, in sentences.
    """

    table: pl.DataFrame
    demand: DemandDistribution
    shop: Shop
    orders: Orders
    ahead: Trajectory
    uses: dict[str, tuple[FloatArray, float]]
    notices: tuple[str, ...]


def make_plan(
    sources: Sources, defaults: StockDefaults, budget: float | None = None, volume: float | None = None
) -> Plan:
    """Find the orders of today.

    Args:
        sources: forecast and stock.
        defaults: for the service level; the terms are in the sources.
        budget: money for the orders of today.
        volume: room for all that is in stock, under way and ordered.

    Raises:
        InputError: if there is no room for what is there.
    """
    demand = sources.forecast.distribution()
    shop, blocked = within_shelf_life(demand, sources.stock.shop)
    uses = _limits(sources, budget, volume)
    orders = find_orders(demand, shop, target=defaults.target, uses=uses)
    ahead = follow(demand, shop, orders.policy, orders.order)
    notices = list(sources.notices())
    if blocked.size:
        notices.append(
            f"{blocked.size:,} products spoil before their smallest order is likely to be sold, e.g. "
            f"{sources.forecast.ids[blocked[0]]!r}: they are ordered by the smallest order at the most"
        )
    table = to_table(sources, demand, shop, orders, ahead)
    return Plan(table, demand, shop, orders, ahead, uses, tuple(notices))


def _limits(sources: Sources, budget: float | None, volume: float | None) -> dict[str, tuple[FloatArray, float]]:
    """What a unit of each product takes of each limit, and how much there is for the orders.

    Raises:
        InputError: if there is no room for what is there.
    """
    stock, uses = sources.stock, {}
    if budget is not None:
        uses["budget"] = stock.shop.terms.unit_cost, budget
    if volume is not None:
        taken = float(stock.shop.position @ stock.volume)
        if taken > volume:
            raise InputError(
                f"--volume {volume:g}: what is in stock and under way takes {taken:,.2f}, {taken - volume:,.2f} more "
                "than that; nothing could be ordered"
            )
        uses["volume"] = stock.volume, volume - taken
    return uses


def to_table(
    sources: Sources, demand: DemandDistribution, shop: Shop, orders: Orders, ahead: Trajectory
) -> pl.DataFrame:
    """A row per product, the dearest orders first."""
    terms, position, step = shop.terms, shop.position, sources.forecast.step_days
    waits = terms.lead_time > 0  # else an order of today is there at once
    until = demand.sums(np.maximum(terms.lead_time, 1), starts=1)
    cumulated = np.cumsum(sources.forecast.mean, axis=1)
    cover = (cumulated <= position[:, None] + 1e-9).sum(axis=1)
    rows, horizon = np.arange(len(position)), demand.probability.shape[1]
    following, seen = np.minimum(terms.review_every, horizon - 1), terms.review_every < horizon
    point, level = orders.policy.reorder_point[:, 0], orders.policy.order_up_to[:, 0]
    table = pl.DataFrame(
        {
            UNIQUE_ID: sources.forecast.ids,
            "name": sources.names,
            "order": orders.order,
            "order_value": orders.order * terms.unit_cost,
            ON_HAND: shop.on_hand,
            ON_ORDER: shop.on_order,
            LEAD_TIME_DAYS: terms.lead_time * step,
            "demand_until_arrival": until.mean()[:, 0] * waits,
            "missing_until_arrival": expected_shortage(until, position[:, None])[:, 0] * waits,
            "stockout_probability": chance_of_more(until, position) * waits,
            "days_of_cover": cover * step,
            "reorder_point": np.where(np.isfinite(point), np.round(point), np.nan),
            "order_up_to": np.where(np.isfinite(level), level, np.nan),
            "expected_cost": ahead.cost,
            "next_review": sources.forecast.days[0] + terms.review_every * step,
            "next_order": np.where(seen, ahead.order[rows, following], np.nan),
            "wanted": orders.wanted,
        }
    ).fill_nan(None)
    have = pl.format("{} in stock and {} on order", _number(ON_HAND), _number(ON_ORDER))
    last = (
        pl.when(pl.col("days_of_cover") >= horizon * step)
        .then(pl.lit(f"{horizon * step} days or more"))
        .when(pl.col("days_of_cover") == 0)
        .then(pl.lit(f"less than {'a day' if step == 1 else f'{step} days'}"))
        .when(pl.col("days_of_cover") == 1)
        .then(pl.lit("about a day"))
        .otherwise(pl.format("about {} days", pl.col("days_of_cover")))
    )
    cut = pl.when(pl.col("order") < pl.col("wanted")).then(
        pl.format("; {} would be best, the limits allow {}", _number("wanted"), _number("order"))
    )
    filled = pl.format(
        "{} last {}; order at {} or less, up to {}", have, last, _number("reorder_point"), _number("order_up_to")
    )
    reason = (
        pl.when(pl.lit(cumulated[:, -1] <= 0))
        .then(pl.lit("no demand is expected"))
        .when(pl.col("wanted") > 0)
        .then(filled + cut.otherwise(pl.lit("")))
        .otherwise(pl.format("{} last {}", have, last))
    )
    return table.with_columns(reason=reason).sort("order_value", UNIQUE_ID, descending=[True, False])


def _number(name: str) -> pl.Expr:
    return pl.col(name).round(0).cast(pl.Int64)


def chance_of_more(demand: DemandDistribution, units: FloatArray) -> FloatArray:
    """Probability that the first period's demand exceeds so many units, `[n]`."""
    value = np.arange(demand.probability.shape[-1]) * demand.width[:, None]
    chance = (demand.probability[:, 0] * (value > units[:, None] + 1e-9)).sum(axis=1)
    return np.asarray(np.minimum(chance, 1.0))


def schedule(sources: Sources, ahead: Trajectory) -> pl.DataFrame:
    """A row per product and day: what will be ordered and in stock, from simulated futures."""
    n, days = ahead.order.shape
    columns = {
        UNIQUE_ID: np.repeat(np.array(sources.forecast.ids), days),
        DS: np.tile(sources.forecast.days, n),
        "order": ahead.order.reshape(-1),
        "stock": ahead.stock.reshape(-1),
        "stockout_probability": ahead.missing.reshape(-1),
    }
    spread = {f"stock_q{level:g}": ahead.quantiles[..., i].reshape(-1) for i, level in enumerate(LEVELS)}
    return pl.DataFrame(columns | spread)


def _report(table: pl.DataFrame, out: Path) -> None:
    ordered = table.filter(pl.col("order") > 0)
    shown = Table("product", "order", "value", "runs out first", "why", box=None, pad_edge=False)
    for row in ordered.head(SHOWN).iter_rows(named=True):
        chance = f"{row['stockout_probability']:.0%}"
        shown.add_row(row["name"], f"{row['order']:,.0f}", f"{row['order_value']:,.2f}", chance, row["reason"])
    terminal.console.print(shown)
    terminal.console.print(
        f"{ordered.height:,} of {table.height:,} products to order today: {ordered['order'].sum():,.0f} units for "
        f"{ordered['order_value'].sum():,.2f}; expected cost of holding, missing and ordering "
        f"{table['expected_cost'].sum():,.2f}; the plan is in {out}",
        soft_wrap=True,
        highlight=False,
    )


def _report_limits(orders: Orders, uses: dict[str, tuple[FloatArray, float]], defaults: StockDefaults) -> None:
    """How far each limit reaches, and what one more of it would save."""
    shared, short = orders.shared, (orders.order < orders.wanted).sum()
    for i, (name, (each, limit)) in enumerate(uses.items()):
        needed = float(orders.wanted @ each)
        if shared is None or needed <= limit:
            said = f"enough for all orders, {needed:,.2f}"
        else:
            said = f"{needed - limit:,.2f} less than all orders need ({needed:,.2f}); {shared.use[i]:,.2f} used"
            if limit > 0 and defaults.target is None:
                said += f"; one more would save {shared.price[i]:.3f}"
        terminal.console.print(f"{name} {limit:,.2f}: {said}", soft_wrap=True, highlight=False)
    if shared is not None and short:
        rest = (
            f"service_level={defaults.service_level:g} is not reached for them"
            if defaults.target
            else f"a perfect plan would cost at most {shared.gap:,.2f} less"
        )
        said = f"{short:,} products get less than would be best; {rest}"
        terminal.console.print(said, soft_wrap=True, highlight=False)


if __name__ == "__main__":
    raise SystemExit(main())
