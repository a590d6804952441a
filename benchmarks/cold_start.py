"""Products with at most four weeks of history: the LSTM beside what else one can do with them.

    python -m benchmarks.cold_start --data DATA

Really new products that sell enough to judge a forecast are few, so a fifth of the series is made new: all but their
last 1 to 28 days before the origin are hidden, from training too. `category mean` is what the other products of the
finest category that has any sold per weekday in the last four weeks.
"""

import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from rich.table import Table

from data_pipelines import console as terminal
from data_pipelines.config import resolve
from data_pipelines.demand_panel import load_panel
from data_pipelines.panel import FloatArray, Panel
from models.forecasting.forecaster import LEVELS
from models.forecasting.registry import FORECASTERS
from training.devices import configure
from training.forecast_metrics import pinball, point_metrics
from training.forecaster_config import ForecasterConfig
from training.train_forecaster import Place, test_steps, train_members
from training.training_config import load_preset

SHARE, MOST_DAYS, WEEK, RECENT_DAYS = 0.2, 28, 7, 28


def main(argv: Sequence[str] | None = None) -> int:
    """Measure and print."""
    parser = terminal.command_parser(
        "python -m benchmarks.cold_start",
        "Forecast products with at most four weeks of history.",
        examples=["python -m benchmarks.cold_start --data build/data"],
    )
    parser.add_argument("--data", type=Path, required=True, help="folder written by `supplytower data prepare`")
    parser.add_argument("--preset", choices=("quick", "full"), default="full")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="a setting of the LSTM")
    arguments = parser.parse_args(argv)
    config = resolve(ForecasterConfig, preset=load_preset("forecaster", arguments.preset), overrides=arguments.set)
    panel = load_panel(arguments.data, config)
    origin = panel.time - test_steps(panel, config)
    cold, known = make_cold(panel.until(origin))
    actual = panel.demand[cold, origin : origin + config.horizon]
    device = configure(config.precision, config.jit_compile)
    with tempfile.TemporaryDirectory() as folder, terminal.quiet():
        rounds = config.epochs * config.rounds_per_epoch
        lstm = train_members(known, rounds, Place(config, device, Path(folder)))
    new = known.take(cold)
    answers = {
        "LSTM": lstm.forecast(new).mean,
        "seasonal naive": FORECASTERS["seasonal-naive"]().fit(new).predict(config.horizon).mean,
        "weekday mean": FORECASTERS["weekday-mean"]().fit(new).predict(config.horizon).mean,
        "category mean": category_mean(known, cold, config.horizon),
    }
    table = Table(title=f"{len(cold):,} series with 1 to {MOST_DAYS} days of history, {config.horizon} steps ahead")
    for column in ("model", "MAE", "RMSE", "WAPE", "bias"):
        table.add_column(column, justify="right" if column != "model" else "left")
    for name, mean in answers.items():
        figures = point_metrics(new.demand, actual, mean)
        table.add_row(name, *(f"{figures[column]:.3f}" for column in ("mae", "rmse", "wape", "bias")))
    terminal.console.print(table)
    quantiles = lstm.forecast(new).quantiles
    terminal.console.print(f"pinball loss of the LSTM: {pinball(actual, quantiles, LEVELS).mean():.4f}")
    return 0


def make_cold(past: Panel, seed: int = 0) -> tuple[np.ndarray, Panel]:
    """Rows of the series made new, and the panel with only their last days."""
    generator = np.random.default_rng(seed)
    rows = np.sort(generator.permutation(len(past))[: int(SHARE * len(past))])
    age = np.arange(past.time, 0, -1)[None, :]
    demand = past.demand.copy()
    days = generator.integers(1, MOST_DAYS + 1, (len(rows), 1))
    demand[rows] = np.where(age <= days, demand[rows], np.nan)
    return rows, replace(past, demand=demand)


def category_mean(panel: Panel, rows: np.ndarray, horizon: int) -> FloatArray:
    """Mean demand of the other products of the finest category per weekday, `[rows, horizon]`."""
    old = np.ones(len(panel), bool)
    old[rows] = False
    recent = panel.demand[:, -RECENT_DAYS:].reshape(len(panel), -1, WEEK)
    by_weekday = np.nanmean(recent[old], axis=1)  # [old, weekday]
    result = np.tile(by_weekday.mean(axis=0), (len(rows), 1))
    for column in range(panel.static.shape[1]):  # from coarse to fine: the finer one replaces the coarser
        code, size = panel.static[:, column], len(panel.statics[column].vocabulary)
        sums = np.zeros((size, WEEK))
        np.add.at(sums, code[old], np.nan_to_num(by_weekday))
        count = np.bincount(code[old], minlength=size)
        there = count[code[rows]] > 0
        result[there] = (sums / np.maximum(count, 1)[:, None])[code[rows]][there]
    return np.tile(result, (1, -(-horizon // WEEK)))[:, :horizon].astype(np.float32)


if __name__ == "__main__":
    raise SystemExit(terminal.run(main))
