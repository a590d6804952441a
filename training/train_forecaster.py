"""Train the demand forecaster: `supplytower train forecaster`.

Rounds of training with early stopping on origins before the test; then every member is trained from fresh weights for
the rounds that validation chose, on all days before the test (or all days, if `final`).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np

from data_pipelines import atomic
from data_pipelines import console as terminal
from data_pipelines.config import describe, resolve
from data_pipelines.demand_panel import load_panel
from data_pipelines.demand_windows import DemandExamples, Windows, training_windows
from data_pipelines.panel import FloatArray, Panel
from data_pipelines.schema import InputError
from data_pipelines.splits import read_manifest
from models.demand_lstm import DemandLSTM
from models.forecasting.forecaster import Forecast
from training import runs
from training.devices import Device, configure
from training.forecast_metrics import ITEM, Sums, hierarchy, pinball, value_weights, wrmsse
from training.forecaster_config import ForecasterConfig, model_arguments
from training.lstm_forecaster import LSTMForecaster, build_demand_model
from training.tensorboard import Board
from training.trainer import Logs, Progressed, Trainer
from training.training_config import add_training_arguments, load_preset

AfterRound = Callable[[int, Logs], None]


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit status."""
    return terminal.run(_main, argv)


def _main(argv: Sequence[str] | None) -> int:
    parser = terminal.command_parser(
        "supplytower train forecaster",
        "Train the LSTM demand forecaster on a prepared data folder and write a run folder.",
        examples=[
            "supplytower train forecaster --data build/data --out build/runs/demand --preset quick",
            "supplytower train forecaster --data build/data --out build/runs/demand-7 --set horizon=7 --set members=3",
            "supplytower train forecaster --data build/data --out build/runs/demand --preset quick --resume",
            "supplytower train forecaster --data build/data --out build/runs/shop --set final=true",
        ],
        settings=describe(ForecasterConfig),
    )
    add_training_arguments(parser)
    arguments = parser.parse_args(argv)
    preset = load_preset("forecaster", arguments.preset)
    config = resolve(ForecasterConfig, preset=preset, file=arguments.config, overrides=arguments.set)
    train(arguments.data, arguments.out, config, resume=arguments.resume)
    return 0


def train(
    data: Path,
    out: Path,
    config: ForecasterConfig,
    *,
    resume: bool = False,
    after_round: AfterRound = lambda round, figures: None,
) -> dict[str, Any]:
    """Train a run from start to finish.

    Args:
        data: the prepared data folder.
        out: the run folder; created.
        config: the settings.
        resume: continue the run in `out` from its last checkpoint.
        after_round: called with (rounds completed, validation figures) while choosing on validation; may raise to stop.

    Returns:
        The training record, as written to metrics.json under "training".

    Raises:
        InputError: if the data or the folder cannot be used.
    """
    device = configure(config.precision, config.jit_compile)
    panel = load_panel(data, config)
    test_start = panel.time - test_steps(panel, config)
    levels = hierarchy(panel, level_names(data, config, panel))
    _require_windows(panel, config, test_start)
    runs.start_run(out, config, data, resume=resume, device=device.description)
    if (out / runs.MODEL).exists():
        terminal.console.print(f"{out} is already trained; nothing to resume")
        return {}
    board = Board(out / runs.TENSORBOARD)
    end, again = panel.time if config.final else test_start, config.refit or config.final
    terminal.console.print(
        f"{len(panel):,} series of {panel.time:,} steps; chosen on {config.validation_windows} windows before step "
        f"{test_start}, "
        + (f"then trained on {end:,} steps; " if again else "and not trained anew; ")
        + device.description
    )
    place = Place(config, device, out, board)
    forecaster, state = choose_rounds(panel.until(test_start), levels, place, after_round)
    record = {
        "rounds": state.best_round,
        "validation": -state.best,
        "monitor": config.monitor,
        "history": state.history,
    }
    if again:
        forecaster = train_members(panel.until(end), state.best_round, place)
    runs.update_metrics(out, "training", record)
    with atomic.replace_file(out / runs.MODEL) as temporary:  # the sign that the run is finished comes last
        forecaster.save(temporary)
    board.hyperparameters(config, {config.monitor: -state.best})
    board.close()
    terminal.console.print(
        f"best validation {config.monitor} {-state.best:.4f} after round {state.best_round}; the model is in {out}\n"
        f"next: supplytower export forecaster --run {out} --models build/models\n"
        f"      supplytower backtest --data {data} --out backtest\n"
        f"      tensorboard --logdir {out}",
        soft_wrap=True,
    )
    return record


@dataclass(frozen=True)
class Place:
    """Settings, device and folder of a run."""

    config: ForecasterConfig
    device: Device
    out: Path
    board: Board | None = None


def choose_rounds(
    panel: Panel, levels: list[Sums], place: Place, after_round: AfterRound = lambda round, figures: None
) -> tuple[LSTMForecaster, Progressed]:
    """Train on what was known before the validation windows, and find how many rounds are best.

    Args:
        panel: the series until the test.
        levels: sums for WRMSSE.
        place: where.
        after_round: see `train`.

    Returns:
        The best round's model and how it went.
    """
    config = place.config
    origins = validation_origins(panel, config)

    def validate(forecaster: LSTMForecaster) -> Logs:
        return validation_figures(forecaster, panel, origins, levels)

    model, state = _train_phase(
        panel.until(origins[0]), "search", config.seed, _rounds(config), place, validate, after_round
    )
    return LSTMForecaster([model]), state


def train_members(panel: Panel, rounds: int, place: Place) -> LSTMForecaster:
    """Train every member from fresh weights on all of a panel.

    Args:
        panel: the series until the last day that may be learnt from.
        rounds: of training.
        place: where.
    """
    seeds = range(place.config.seed, place.config.seed + place.config.members)
    return LSTMForecaster([_train_phase(panel, f"member_{seed}", seed, rounds, place)[0] for seed in seeds])


def _train_phase(
    panel: Panel,
    name: str,
    seed: int,
    rounds: int,
    place: Place,
    validate: Callable[[LSTMForecaster], Logs] | None = None,
    after_round: AfterRound = lambda round, figures: None,
) -> tuple[DemandLSTM, Progressed]:
    config, board = place.config, place.board
    keras.utils.set_random_seed(seed)
    with place.device.strategy.scope():
        model = build_demand_model(model_arguments(config, panel))
    model.set_tables(panel.numeric[:, : panel.time])
    windows = _windows(panel, config)
    examples = DemandExamples(
        panel=panel,
        windows=windows,
        batch_size=config.batch_size,
        steps=max(config.windows_per_epoch // config.batch_size, config.rounds_per_epoch),
        history=model.memory,
        horizon=config.horizon,
        weight=series_weights(panel, config),
        seed=seed,
    )
    forecaster = LSTMForecaster([model])  # once: every new one is traced anew
    trainer = Trainer(
        model,
        examples,
        config,
        place.device,
        place.out / runs.CHECKPOINTS / name,
        (lambda: validate(forecaster)) if validate is not None else None,
        (lambda step, figures: board.log(name, step, figures)) if board is not None else lambda step, figures: None,
        after_round,
    )
    terminal.console.print(f"{name}: {len(windows):,} windows, {rounds} rounds at the most", highlight=False)
    if trainer.resume():
        terminal.console.print(f"{name}: resuming after round {trainer.state.round}, step {trainer.state.step}")
    with terminal.progress() as progress:
        state = trainer.run(rounds, progress)
    if validate is not None:
        trainer.load_best()
    return model, state


def validation_figures(forecaster: LSTMForecaster, panel: Panel, origins: Sequence[int], levels: list[Sums]) -> Logs:
    """WRMSSE and mean pinball loss over the origins."""
    figures: list[tuple[float, float]] = []
    for origin in origins:
        past = panel.until(origin)
        answer: Forecast = forecaster.forecast(past)
        actual: FloatArray = panel.demand[:, origin : origin + answer.mean.shape[1]]
        error = wrmsse(past, actual, answer.mean, levels)["mean"]
        figures.append((error, float(pinball(actual, answer.quantiles, answer.levels).mean())))
    mean = np.mean(figures, axis=0)
    return {"wrmsse": float(mean[0]), "pinball": float(mean[1])}


def validation_origins(panel: Panel, config: ForecasterConfig) -> list[int]:
    """Origins one horizon apart, the last of which ends with the panel."""
    return [panel.time - config.horizon * number for number in range(config.validation_windows, 0, -1)]


def test_steps(panel: Panel, config: ForecasterConfig) -> int:
    """Length of the test in steps of the panel."""
    return -(-config.test_days // panel.step_days)


def level_names(data: Path, config: ForecasterConfig, panel: Panel) -> tuple[str, ...]:
    """The sums that are scored: as configured, else the data's own, else the total, every category and the items."""
    if config.levels:
        return config.levels
    known = ("total", *(category.name for category in panel.statics), ITEM)
    own = read_manifest(data)["defaults"].get("levels") or known
    return tuple(level for level in own if level in known)  # of few series a fine category may say nothing


def series_weights(panel: Panel, config: ForecasterConfig) -> FloatArray:
    """Weight of every series in the loss of the mean, `[n]`, one on average."""
    if config.weighting == "none":
        return np.ones(len(panel), np.float32)
    share = value_weights(panel) * len(panel)
    return np.asarray(np.sqrt(share) if config.weighting == "sqrt" else share, np.float32)


def _windows(panel: Panel, config: ForecasterConfig) -> Windows:
    windows = training_windows(panel, config.horizon)
    if config.recent_days:
        recent = windows.origin >= panel.time - config.recent_days // panel.step_days
        windows = Windows(windows.series[recent], windows.origin[recent])
    return windows


def _rounds(config: ForecasterConfig) -> int:
    return config.epochs * config.rounds_per_epoch


def _require_windows(panel: Panel, config: ForecasterConfig, test_start: int) -> None:
    """Enough days for one training window before the validation windows."""
    needed = config.horizon * (config.validation_windows + 1) + 1
    if test_start < needed:
        raise InputError(
            f"{test_start} steps of demand before the test: horizon={config.horizon} with "
            f"validation_windows={config.validation_windows} needs at least {needed}; lower one of them"
        )
    if not len(training_windows(panel.until(test_start - config.horizon * config.validation_windows), config.horizon)):
        raise InputError("no series has demand early enough to learn from; lower validation_windows or horizon")


if __name__ == "__main__":
    raise SystemExit(main())
