"""How fast the forecaster trains and answers.

    python -m benchmarks.forecast_speed --data DATA --models MODELS

Series a second from the exported SavedModel, with a year of history each; training windows a second beside the input
pipeline alone; and the LSTM of the same size and length in PyTorch, which only encodes: it has no decoder, no calendar
and no quantiles. PyTorch is left out where it is not installed.
"""

import time
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path
from statistics import median

import keras
import numpy as np
import tensorflow as tf
from rich.table import Table

from data_pipelines import console as terminal
from data_pipelines.config import resolve
from data_pipelines.demand_panel import load_panel
from data_pipelines.demand_windows import DemandExamples, training_windows
from data_pipelines.schema import DEMAND_FORECASTER, SERVING_DEFAULT
from serving.model_versions import find_version
from serving.promotion import read_manifest
from training.devices import configure
from training.forecast_requests import make_requests
from training.forecaster_config import ForecasterConfig, model_arguments
from training.lstm_forecaster import build_demand_model
from training.training_config import load_preset

STEPS, REPEATS, SERIES = 20, 5, 512


def main(argv: Sequence[str] | None = None) -> int:
    """Measure and print."""
    parser = terminal.command_parser(
        "python -m benchmarks.forecast_speed",
        "Measure the forecaster's training and inference.",
        examples=["python -m benchmarks.forecast_speed --data build/data --models build/models"],
    )
    parser.add_argument("--data", type=Path, required=True, help="folder written by `supplytower data prepare`")
    parser.add_argument("--models", type=Path, required=True, help="folder written by `supplytower export forecaster`")
    arguments = parser.parse_args(argv)
    config = resolve(ForecasterConfig, preset=load_preset("forecaster", "full"))
    configure(config.precision, config.jit_compile)
    panel = load_panel(arguments.data, config)
    model = build_demand_model(model_arguments(config, panel))
    model.compile(optimizer=keras.optimizers.AdamW(), jit_compile=False)
    weight = np.ones(len(panel), np.float32)
    windows = training_windows(panel, config.horizon)
    examples = DemandExamples(
        panel, windows, config.batch_size, STEPS, model.memory, config.horizon, weight, config.seed
    )
    step = tf.function(lambda inputs, targets: model.train_step((inputs, targets)), autograph=False)
    version = find_version(arguments.models, DEMAND_FORECASTER, None)
    function = tf.saved_model.load(str(version)).signatures[SERVING_DEFAULT]
    requests = make_requests(panel.take(np.arange(min(SERIES, len(panel)))), model.memory, config.horizon)
    wanted = read_manifest(version)["signatures"][SERVING_DEFAULT]["inputs"]
    tensors = {name: tf.constant(value) for name, value in requests.items() if name in wanted}
    size = STEPS * config.batch_size

    def train() -> None:
        for batch in examples.batches(0, 0, STEPS):
            step(*batch)

    def load() -> None:
        for _ in examples.batches(0, 0, STEPS):
            pass

    measured = {
        "training windows": (size, train),
        "input pipeline alone, windows": (size, load),
        "series from the SavedModel": (len(panel.ids[:SERIES]), lambda: function(**tensors)["mean"].numpy()),
    }
    if find_spec("torch"):
        measured["PyTorch LSTM of the same size, windows"] = (size, torch_step(config, model))
    table = Table("what", "a second")
    for name, (count, run) in measured.items():
        table.add_row(name, f"{count / timed(run):,.0f}")
    terminal.console.print(table)
    return 0


def timed(run: Callable[[], object]) -> float:
    """Median seconds, the first call not counted."""
    run()
    seconds = []
    for _ in range(REPEATS):
        began = time.perf_counter()
        run()
        seconds.append(time.perf_counter() - began)
    return median(seconds)


def torch_step(config: ForecasterConfig, model: keras.Model) -> Callable[[], None]:
    """Training steps of an LSTM with a linear output per day ahead."""
    import torch

    features = int(model.lstm.cell.kernel.shape[0])
    lstm = torch.nn.LSTM(features, config.lstm_units, batch_first=True)
    output = torch.nn.Linear(config.lstm_units, config.horizon)
    optimizer = torch.optim.AdamW([*lstm.parameters(), *output.parameters()])
    history = torch.randn(config.batch_size, config.context, features)
    target = torch.randn(config.batch_size, config.horizon)

    def run() -> None:
        for _ in range(STEPS):
            _, (state, _) = lstm(history)
            loss = torch.nn.functional.mse_loss(output(state[0]), target)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()

    return run


if __name__ == "__main__":
    raise SystemExit(terminal.run(main))
