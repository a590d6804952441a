"""What forecasts are worth in stock: policies replayed on the demand that really followed.

    supplytower backtest --data DATA --out BACKTEST --models seasonal-naive,weekday-mean,ets,lightgbm,lstm
    python -m benchmarks.inventory --data DATA --backtest BACKTEST [--terms shop] [--lost-sales]

Policies order for the days ahead of one origin, with forecasts made at that origin. Two sets of terms:

unit  a unit left over costs 1 a day, a missing one 9; daily review; lead times of 2 and of 7 days
shop  the defaults of `supplytower inventory`: unit cost from price and margin, a quarter of it a year for holding, the
      margin for a missing unit and day; lead times of 1 to 7 days drawn by category; daily and weekly review

All begin with the same stock: what the last four weeks sold on average in a lead time and review. Costs before an order
can arrive are the same for all, and counted. Two rows are no policies but bounds: the clairvoyant knows the demand, and
`their distribution known` has, for every product, the negative binomial with the mean and the variance that the four
weeks then had, but not what is drawn on which day.
"""

import json
import zlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import yaml
from rich.console import Console
from rich.table import Table

from data_pipelines import console as terminal
from data_pipelines.config import resolve
from data_pipelines.demand_panel import load_panel
from data_pipelines.panel import Panel
from data_pipelines.schema import PRICE, SERIES, UNIQUE_ID, InputError
from serving.inventory.demand_distribution import FloatArray, from_quantiles, negative_binomial
from serving.inventory.dynamic_programming import Terms
from serving.inventory.policies import POLICIES, Situation, safety_factor, window_sums
from serving.inventory.simulator import OrderUpTo, Outcome, Shop, simulate
from serving.inventory.stock_table import StockDefaults, read_stock
from training.backtest import ASKED, FORECASTS
from training.forecaster_config import ForecasterConfig

HOLDING, STOCKOUT, RECENT_DAYS, USUAL_DAYS, LONGEST = 1.0, 9.0, 84, 28, 7
RESAMPLES, WIDE, CATEGORY = 2000, 150, "department"
NAIVE, ETS = "seasonal naive + normal safety stock", "AutoETS + normal safety stock"


def main(argv: Sequence[str] | None = None) -> int:
    """Measure and print."""
    parser = terminal.command_parser(
        "python -m benchmarks.inventory",
        "Replay ordering policies on the demand that really followed a backtest's origin.",
        examples=["python -m benchmarks.inventory --data build/data --backtest build/backtest"],
    )
    parser.add_argument("--data", type=Path, required=True, help="folder written by `supplytower data prepare`")
    parser.add_argument("--backtest", type=Path, required=True, help="folder written by `supplytower backtest`")
    parser.add_argument("--origin", help="date of an origin of the backtest (default: the last one, the test)")
    parser.add_argument("--terms", choices=("unit", "shop"), default="unit", help="what products cost (default: unit)")
    parser.add_argument("--lost-sales", action="store_true", help="a customer who finds nothing goes elsewhere")
    arguments = parser.parse_args(argv)
    folder: Path = arguments.backtest / FORECASTS
    origins = sorted(path.name for path in folder.iterdir())
    origin = arguments.origin or origins[-1]
    if origin not in origins:
        raise InputError(f"--origin {origin}: there are {', '.join(origins)}")
    settings = yaml.safe_load(json.loads((arguments.backtest / ASKED).read_text())["settings"])
    config = resolve(ForecasterConfig, overrides=[f"max_series={settings['max_series']}"])
    panel = load_panel(arguments.data, config)
    step = int(np.searchsorted(panel.dates(0, panel.time), np.datetime64(origin)))
    past = panel.until(step)
    kept = {path.stem: dict(np.load(path)) for path in sorted((folder / origin).glob("*.npz"))}
    horizon = next(iter(kept.values()))["mean"].shape[1]
    actual = np.nan_to_num(panel.demand[:, step : step + horizon])
    known = np.nan_to_num(past.demand)
    shops = unit_shops(known) if arguments.terms == "unit" else real_shops(known, panel, arguments.data, horizon)
    for name, shop in shops.items():
        outcomes = replay(known, actual, kept, replace(shop, lost_sales=arguments.lost_sales))
        waits = "missing units are lost" if arguments.lost_sales else "customers wait"
        Console(width=WIDE).print(to_table(outcomes, f"{len(panel):,} products, {name}, from {origin}; {waits}"))
    return 0


def unit_shops(past: FloatArray) -> dict[str, Shop]:
    """The same costs for all products."""
    terms = {
        f"lead time {days}": Terms.of(len(past), lead_time=days, holding_cost=HOLDING, stockout_cost=STOCKOUT)
        for days in (2, 7)
    }
    return {name: with_usual_stock(past, one) for name, one in terms.items()}


def real_shops(past: FloatArray, panel: Panel, data: Path, horizon: int) -> dict[str, Shop]:
    """The documented defaults, prices of the data, and a lead time for each category.

    Raises:
        InputError: if the products have no such category.
    """
    names = [category.name for category in panel.statics]
    if CATEGORY not in names:
        raise InputError(f"{data}: products have no {CATEGORY!r} but {', '.join(names)}")
    categories = panel.static[:, names.index(CATEGORY)]
    ids = [str(one) for one in panel.ids]
    prices = pl.read_parquet(data / f"{SERIES.name}.parquet").select(UNIQUE_ID, PRICE)
    drawn = {category: 1 + zlib.crc32(str(category).encode()) % LONGEST for category in np.unique(categories)}
    lead_time = np.array([drawn[category] for category in categories])
    shops = {}
    for review in (1, 7):
        stock = read_stock(None, ids, StockDefaults(review_days=review, lead_time_days=1), horizon, prices)
        terms = replace(stock.shop.terms, lead_time=lead_time)
        shops[f"lead times by {CATEGORY}, review every {review} days"] = with_usual_stock(past, terms)
    return shops


def with_usual_stock(past: FloatArray, terms: Terms) -> Shop:
    """A shop that begins with what is usually asked for in a lead time and review."""
    usual = past[:, -USUAL_DAYS:].mean(axis=1)
    return Shop(terms, np.ceil(usual * (terms.lead_time + terms.review_every)), np.zeros(len(past)))


def replay(
    past: FloatArray, actual: FloatArray, kept: dict[str, dict[str, FloatArray]], shop: Shop
) -> dict[str, Outcome]:
    """What happened under every policy.

    Args:
        past: `[n, time]` demand before the origin.
        actual: `[n, horizon]` demand from it on.
        kept: forecasts by model, as a backtest keeps them.
        shop: terms and stock.
    """
    terms, days = shop.terms, shop.terms.lead_time + shop.terms.review_every
    deviation = past[:, -RECENT_DAYS:].std(axis=1)
    safety = (safety_factor(terms) * deviation * np.sqrt(days))[:, None]
    ets = np.ceil(np.maximum(window_sums(kept["ets"]["mean"], days) + safety, 0.0) - 1e-9)
    mean, variance = actual.mean(axis=1), actual.var(axis=1, ddof=1)
    dispersion = np.square(mean) / np.maximum(variance - mean, 1e-3 * np.maximum(mean, 1e-3))
    flat = np.ones(actual.shape[1])
    known = negative_binomial(np.maximum(mean, 1e-6)[:, None] * flat, np.maximum(dispersion, 1e-6)[:, None] * flat)
    situation = Situation(known, shop, past, actual)
    policies = {
        "fixed min-max": POLICIES["min-max"](replace(situation, past=past[:, -RECENT_DAYS:])),
        NAIVE: POLICIES["seasonal-naive"](situation),
        ETS: OrderUpTo.base_stock(ets, terms),
        "their distribution known": POLICIES["newsvendor"](situation),
        "clairvoyant": POLICIES["clairvoyant"](situation),
    }
    for model in ("weekday-mean", "ets", "lightgbm", "xgboost", "lstm"):
        if model not in kept:
            continue
        given = [float(level) for level in kept[model]["levels"]]
        demand = from_quantiles(given, np.maximum.accumulate(kept[model]["quantiles"], axis=-1))
        ours = replace(situation, demand=demand)
        names = ["newsvendor"]
        if model in ("lightgbm", "lstm"):
            names += ["dynamic-programme", *(["lost-sales"] if shop.lost_sales else [])]
        policies |= {f"{model} quantiles, {name}": POLICIES[name](ours) for name in names}
    return {name: simulate(actual[:, None], shop, policy) for name, policy in policies.items()}


def to_table(outcomes: dict[str, Outcome], title: str) -> Table:
    """The dearest policy first, with ratios and their 95 % intervals over products."""
    costs = {name: outcome.cost[:, 0] for name, outcome in outcomes.items()}
    table = Table(title=title, title_justify="left", box=None, pad_edge=False)
    for column in ("policy", "cost", "holding", "missing", "fill rate", "/ seasonal naive", "/ AutoETS"):
        table.add_column(column, justify="left" if column == "policy" else "right")
    generator = np.random.default_rng(0)
    drawn = generator.integers(0, len(costs[NAIVE]), (RESAMPLES, len(costs[NAIVE])))
    resampled = {name: cost[drawn].sum(axis=1) for name, cost in costs.items()}
    for name in sorted(costs, key=lambda name: -costs[name].sum()):
        ratios = []
        for peer in (NAIVE, ETS):
            low, high = np.quantile(resampled[name] / resampled[peer], (0.025, 0.975))
            ratios.append(f"{costs[name].sum() / costs[peer].sum():.3f} ({low:.3f} to {high:.3f})")
        one = outcomes[name]
        money = (one.cost.sum(), one.holding_cost.sum(), one.stockout_cost.sum())
        table.add_row(name, *(f"{value:,.0f}" for value in money), f"{one.fill_rate():.3f}", *ratios)
    return table


if __name__ == "__main__":
    raise SystemExit(main())
