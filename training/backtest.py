"""Measure forecasters side by side on rolling origins: `supplytower backtest`.

Every model is fitted anew on what was known at each origin and forecasts the days after it. All choices (blend weights,
the champion of every class of demand, the champion overall) are made on the earlier origins; the last one is the test,
and nothing is chosen on it. Forecasts are kept in DIR/forecasts, so a backtest that was stopped goes on, and another
model can be added without fitting the others again.
    DIR/backtest.json        all figures
    DIR/report.html          the same to look at
    DIR/forecasts/           one file per model and origin
    DIR/tensorboard/         the report's pictures
Reference: Tashman, "Out-of-sample tests of forecasting accuracy", 2000 (rolling origins).
"""

import json
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.progress import Progress

from data_pipelines import atomic
from data_pipelines import console as terminal
from data_pipelines.config import describe, resolve, to_yaml
from data_pipelines.demand_panel import demand_facts, load_panel
from data_pipelines.item_names import series_names
from data_pipelines.panel import Panel
from data_pipelines.schema import InputError
from models.forecasting.forecaster import Forecast, Forecaster
from models.forecasting.registry import FORECASTERS
from training.backtest_report import console_table, seed_spread, write_report
from training.backtest_summary import LSTM, Kept, Origin, summarise
from training.devices import configure
from training.forecast_metrics import hierarchy
from training.forecaster_config import ForecasterConfig
from training.lstm_forecaster import RefittedLSTM
from training.reconciliation import require_library, sums_panel
from training.train_forecaster import Place, level_names, test_steps, train_members
from training.training_config import load_preset

DEFAULT_MODELS = ("seasonal-naive", "weekday-mean", "ets", "xgboost", "lightgbm", LSTM)
SUMS_MODEL = "weekday-mean"
RESULTS, FORECASTS, ASKED = "backtest.json", "forecasts", "asked.json"
DAYS_IN_YEAR = 364


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit status."""
    return terminal.run(_main, argv)


def _main(argv: Sequence[str] | None) -> int:
    known = ", ".join([LSTM, *FORECASTERS])
    parser = terminal.command_parser(
        "supplytower backtest",
        "Measure the LSTM and other forecasters on rolling origins; write a table, backtest.json and report.html.\n\n"
        f"models: {known}",
        examples=[
            "supplytower backtest --data build/data --out build/backtest",
            "supplytower backtest --data build/data --out build/backtest --models lstm,lightgbm,ets --windows 3",
            "supplytower backtest --data build/data --out build/week --horizon 7 --set max_series=500 --preset quick",
        ],
        settings=describe(ForecasterConfig),
    )
    parser.add_argument("--data", type=Path, required=True, help="folder written by `supplytower data prepare`")
    parser.add_argument("--out", type=Path, required=True, help="folder to write; one that was stopped goes on")
    parser.add_argument("--models", help=f"comma-separated, or all (default: {','.join(DEFAULT_MODELS)})")
    parser.add_argument("--windows", type=int, default=3, help="origins before the test (default: 3)")
    parser.add_argument("--horizon", type=int, help="steps ahead (default: 28 days, 4 weeks)")
    parser.add_argument(
        "--mint",
        action="store_true",
        help="also reconcile the best model with forecasts of the totals (MinT; needs supplytower[hierarchy])",
    )
    parser.add_argument("--preset", choices=("quick", "full"), default="full", help="of the LSTM (default: full)")
    parser.add_argument("--config", type=Path, help="YAML file of settings, over the preset")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="one setting, over the file")
    arguments = parser.parse_args(argv)
    step_days = demand_facts(arguments.data)["step_days"]
    horizon = max(28 // step_days, 1) if arguments.horizon is None else arguments.horizon
    words = [f"horizon={horizon}", f"test_days={horizon * step_days}", *arguments.set]
    preset = load_preset("forecaster", arguments.preset)
    config = resolve(ForecasterConfig, preset=preset, file=arguments.config, overrides=words)
    if arguments.windows < 1:
        raise InputError(f"--windows {arguments.windows}: must be at least 1; choices are made on them")
    models = select_models(arguments.models)
    summary = backtest(arguments.data, arguments.out, config, models, windows=arguments.windows, mint=arguments.mint)
    terminal.console.print(console_table(summary))
    if summary["seeds"]:
        terminal.console.print(seed_spread(summary), highlight=False, soft_wrap=True)
    terminal.console.print(f"report: {arguments.out / 'report.html'}", soft_wrap=True)
    return 0


def select_models(names: str | None) -> tuple[str, ...]:
    """Models by the value of `--models`.

    Raises:
        InputError: if a name is unknown.
    """
    known = (LSTM, *FORECASTERS)
    if names is None:
        return DEFAULT_MODELS
    if names == "all":
        return known
    chosen = tuple(dict.fromkeys(name.strip() for name in names.split(",") if name.strip()))
    for name in chosen:
        if name not in known:
            raise InputError(f"--models {name}: unknown; give all, or some of {', '.join(known)}")
    if not chosen:
        raise InputError("--models: names no model; give all, or some of " + ", ".join(known))
    return chosen


def backtest(
    data: Path, out: Path, config: ForecasterConfig, models: Sequence[str], *, windows: int = 3, mint: bool = False
) -> dict[str, Any]:
    """Fit and measure.

    Args:
        data: the prepared data folder.
        out: where results go.
        config: which series, and the LSTM's settings.
        models: names of forecasters.
        windows: origins before the test.
        mint: also reconcile the best model with forecasts of the sums, see `training.reconciliation`.

    Returns:
        What is written to backtest.json, see `training.backtest_summary.summarise`.

    Raises:
        InputError: if the data cannot be used, leave too few days, or `out` holds a backtest of something else.
    """
    if mint:
        require_library()
    panel = load_panel(data, config)
    names = level_names(data, config, panel)
    origins = choose_origins(panel, config, windows)
    _require_same(out, data, config)
    tasks = [(origin, name) for origin in origins for name in models]
    forecasts: dict[int, dict[str, Kept]] = {origin.step: {} for origin in origins}
    with terminal.progress(Console(stderr=True)) as bar:  # the shared console is silent meanwhile
        task = bar.add_task("fitting", total=len(tasks))
        for origin, name in tasks:
            bar.update(task, description=f"{name}, {origin.day}")
            path = out / FORECASTS / f"{origin.day}" / f"{name}.npz"
            make = _maker(name, config)
            forecasts[origin.step][name] = _read(path) or _fit(path, make, panel.until(origin.step), config.horizon)
            bar.advance(task)
        sums = _forecast_sums(out, panel, origins, names, config.horizon, bar) if mint else None
    summary = summarise(panel, origins, forecasts, names, config.horizon, sums)
    atomic.write_json(out / RESULTS, summary)
    shown = series_names(data, panel.ids)
    write_report(out, summary, panel, origins, forecasts, names=shown, config=to_yaml(config))
    return summary


def choose_origins(panel: Panel, config: ForecasterConfig, windows: int) -> list[Origin]:
    """The test's origin last; before it, origins one horizon apart, and the test's season a year before.

    Raises:
        InputError: if there is too little history.
    """
    test = panel.time - test_steps(panel, config)
    steps = [test - config.horizon * number for number in range(windows, 0, -1)]
    year = DAYS_IN_YEAR // panel.step_days
    if test - year >= year and test - year < steps[0]:
        steps.insert(0, test - year)
    if steps[0] <= config.horizon + 1:
        raise InputError(
            f"{panel.time} steps of demand are too few for --windows {windows} of --horizon {config.horizon} before a "
            "test of the same length; lower one of them"
        )
    return [Origin(step, str(panel.dates(step, step + 1)[0]), test=step == test) for step in (*steps, test)]


def _forecast_sums(
    out: Path, panel: Panel, origins: Sequence[Origin], names: Sequence[str], horizon: int, bar: Progress
) -> dict[int, Forecast]:
    """Forecasts of the sums by origin, each sum a series of its own."""
    sums = sums_panel(panel, hierarchy(panel, names))
    task = bar.add_task(f"{SUMS_MODEL} of the totals", total=len(origins))
    forecasts = {}
    for origin in origins:
        path = out / FORECASTS / origin.day / f"sums-{SUMS_MODEL}.npz"
        kept = _read(path) or _fit(path, FORECASTERS[SUMS_MODEL], sums.until(origin.step), horizon)
        forecasts[origin.step] = kept.forecast
        bar.advance(task)
    return forecasts


def _maker(name: str, config: ForecasterConfig) -> Callable[[], Forecaster]:
    return FORECASTERS[name] if name in FORECASTERS else lambda: lstm(config)


def lstm(config: ForecasterConfig) -> RefittedLSTM:
    """The LSTM with its members, trained for the rounds of the settings whenever it is fitted."""
    device = configure(config.precision, config.jit_compile)

    def train(panel: Panel) -> Any:
        with tempfile.TemporaryDirectory() as folder:
            return train_members(panel, config.epochs * config.rounds_per_epoch, Place(config, device, Path(folder)))

    return RefittedLSTM(train)


def _fit(path: Path, make: Callable[[], Forecaster], past: Panel, horizon: int) -> Kept:
    with terminal.quiet():
        began = time.perf_counter()
        forecaster = make().fit(past)
        forecast = forecaster.predict(horizon)
        seconds = time.perf_counter() - began
        members = forecaster.predict_members(horizon) if isinstance(forecaster, RefittedLSTM) else None
    arrays = {"mean": forecast.mean, "quantiles": forecast.quantiles, "levels": np.array(forecast.levels)}
    arrays |= {"seconds": np.array(seconds)} | ({"members": members} if members is not None else {})
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic.replace_file(path) as temporary, temporary.open("wb") as file:
        np.savez_compressed(file, **arrays)  # type: ignore[arg-type]
    return Kept(forecast, seconds, members)


def _read(path: Path) -> Kept | None:
    """A forecast that was kept, None if there is none."""
    if not path.exists():
        return None
    try:
        with np.load(path) as data:
            levels = tuple(float(level) for level in data["levels"])
            members = data["members"] if "members" in data.files else None
            return Kept(Forecast(data["mean"], data["quantiles"], levels), float(data["seconds"]), members)
    except (OSError, ValueError, KeyError) as error:
        raise InputError(f"{path}: not readable ({error}); delete it") from None


def _require_same(out: Path, data: Path, config: ForecasterConfig) -> None:
    """What is kept in the folder is of the same data and settings."""
    asked = {"fingerprint": demand_facts(data)["fingerprint"], "settings": to_yaml(config)}
    path = out / ASKED
    if path.exists():
        kept = json.loads(path.read_text())
        for name, value in asked.items():
            if kept.get(name) != value:
                raise InputError(f"{out}: holds a backtest with other {name}; give the same, or another --out")
    atomic.write_json(path, asked)


if __name__ == "__main__":
    raise SystemExit(main())
