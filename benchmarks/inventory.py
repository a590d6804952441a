"""What forecasts are worth in stock: policies replayed on the demand that really followed.

    supplytower backtest --data DATA --out BACKTEST --models seasonal-naive,weekday-mean,ets,lightgbm,lstm
    python -m benchmarks.inventory --data DATA --backtest BACKTEST

Every policy orders up to a level every day, for the days ahead of one origin, with forecasts made at that origin; what
is missing is owed. A unit left over costs 1 a day, a missing one 9. All begin with the same stock: what the last four
weeks sold on average in a lead time and a day. The clairvoyant knows the demand. Costs before an order can arrive are
the same for all, and counted.
"""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import yaml
from rich.console import Console
from rich.table import Table
from scipy import stats

from data_pipelines import console as terminal
from data_pipelines.config import resolve
from data_pipelines.demand_panel import load_panel
from data_pipelines.schema import InputError
from serving.inventory.demand_distribution import FloatArray, from_quantiles
from serving.inventory.dynamic_programming import Terms
from serving.inventory.policies import Situation, base_stock, dynamic_programme, window_sums
from serving.inventory.simulator import OrderUpTo, Outcome, Shop, simulate
from training.backtest import ASKED, FORECASTS
from training.forecaster_config import ForecasterConfig

HOLDING, STOCKOUT, RECENT_DAYS, RESAMPLES, WIDE = 1.0, 9.0, 84, 2000, 140
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
    parser.add_argument("--lead-time", type=int, nargs="+", default=[2, 7], metavar="DAYS", help="(default: 2 7)")
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
    for lead_time in arguments.lead_time:
        costs, outcomes = replay(np.nan_to_num(past.demand), actual, kept, lead_time)
        title = f"{len(panel):,} products, lead time {lead_time}, from {origin}"
        Console(width=WIDE).print(to_table(costs, outcomes, title))
    return 0


def replay(
    past: FloatArray, actual: FloatArray, kept: dict[str, dict[str, FloatArray]], lead_time: int
) -> tuple[dict[str, FloatArray], dict[str, Outcome]]:
    """Cost of every policy, `[n]`, and what happened.

    Args:
        past: `[n, time]` demand before the origin.
        actual: `[n, horizon]` demand from it on.
        kept: forecasts by model, as a backtest keeps them.
        lead_time: days.
    """
    n, horizon = actual.shape
    terms = Terms.of(n, lead_time=lead_time, holding_cost=HOLDING, stockout_cost=STOCKOUT)
    usual = past[:, -28:].mean(axis=1)
    shop = Shop(terms, np.ceil(usual * (lead_time + 1)), np.zeros(n))
    z = stats.norm.ppf(STOCKOUT / (STOCKOUT + HOLDING)) * np.sqrt(lead_time + 1)
    week = np.sqrt(np.square(past[:, -RECENT_DAYS:] - past[:, -RECENT_DAYS - 7 : -7]).mean(axis=1))
    deviation = past[:, -RECENT_DAYS:].std(axis=1)
    most = window_sums(past[:, -RECENT_DAYS:], lead_time + 1)[:, : -lead_time - 1].max(axis=1)
    levels = {
        "fixed: the most of twelve weeks": np.repeat(most[:, None], horizon, axis=1),
        NAIVE: window_sums(kept["seasonal-naive"]["mean"], lead_time + 1) + (z * week)[:, None],
        ETS: window_sums(kept["ets"]["mean"], lead_time + 1) + (z * deviation)[:, None],
        "clairvoyant": window_sums(actual, lead_time + 1),
    }
    policies = {name: OrderUpTo.base_stock(np.ceil(level - 1e-9), terms) for name, level in levels.items()}
    for model in ("weekday-mean", "ets", "lightgbm", "xgboost", "lstm"):
        if model not in kept:
            continue
        given = [float(level) for level in kept[model]["levels"]]
        demand = from_quantiles(given, np.maximum.accumulate(kept[model]["quantiles"], axis=-1))
        situation = Situation(demand, shop, past, actual)
        policies[f"{model} quantiles, newsvendor"] = base_stock(situation)
        if model in ("lightgbm", "lstm"):
            policies[f"{model} quantiles, dynamic programme"] = dynamic_programme(situation)
    outcomes = {name: simulate(actual[:, None], shop, policy) for name, policy in policies.items()}
    return {name: outcome.cost[:, 0] for name, outcome in outcomes.items()}, outcomes


def to_table(costs: dict[str, FloatArray], outcomes: dict[str, Outcome], title: str) -> Table:
    """The dearest policy first, with ratios and their 95 % intervals over products."""
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
