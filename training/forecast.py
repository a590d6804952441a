"""Forecast all series with an exported model: `supplytower forecast`.

Writes unique_id, ds, y_hat and one column per quantile (`q0.05` ...), and a picture of some series beside it.
"""

from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import tensorflow as tf

from data_pipelines import atomic
from data_pipelines import console as terminal
from data_pipelines.demand_panel import DemandConfig, load_panel
from data_pipelines.figures import LIGHT
from data_pipelines.item_names import series_names
from data_pipelines.panel import Panel
from data_pipelines.result_table import require_table, write_table
from data_pipelines.schema import (
    DEMAND_FORECASTER,
    DS,
    LEVELS,
    MEAN,
    QUANTILES,
    SERVING_DEFAULT,
    UNIQUE_ID,
    Y_HAT,
    InputError,
)
from models.forecasting.forecaster import Forecast, proper
from serving.model_versions import find_version
from serving.promotion import read_manifest
from training.demand_plots import fan_charts, series_with_forecasts
from training.forecast_requests import make_requests
from training.lstm_forecaster import SERIES_AT_ONCE, require_horizon

SHOWN = 6


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit status."""
    return terminal.run(_main, argv)


def _main(argv: Sequence[str] | None) -> int:
    parser = terminal.command_parser(
        "supplytower forecast",
        "Forecast the demand after the last day of the data with an exported model; write a table and a picture.",
        examples=[
            "supplytower forecast --models build/models --data build/data --horizon 28 --out forecast.parquet",
            "supplytower forecast --models build/models --data build/data --out forecast.csv --version stable",
            "supplytower forecast --models build/models --data build/data --hold-back --out test.parquet",
        ],
    )
    parser.add_argument("--models", type=Path, required=True, help="folder written by `supplytower export forecaster`")
    parser.add_argument("--data", type=Path, required=True, help="folder written by `supplytower data prepare`")
    parser.add_argument("--out", type=Path, required=True, help="table to write, .parquet or .csv")
    parser.add_argument("--horizon", type=int, help="steps ahead (default: as many as the model was trained for)")
    parser.add_argument(
        "--hold-back",
        type=int,
        nargs="?",
        const=0,
        metavar="STEPS",
        help="forecast the last steps of the data as if they were not known, to compare (default: the whole horizon)",
    )
    parser.add_argument("--version", help="number or label of the version (default: the newest)")
    arguments = parser.parse_args(argv)
    require_table(arguments.out)
    version = find_version(arguments.models, DEMAND_FORECASTER, arguments.version)
    if arguments.hold_back is not None and arguments.hold_back < 0:
        raise InputError(f"--hold-back {arguments.hold_back}: must be at least 1")
    panel, answer = forecast(version, arguments.data, arguments.horizon, arguments.hold_back)
    table = to_table(panel, answer)
    picture = arguments.out.with_suffix(".png")
    largest = np.argsort(-answer.mean.sum(axis=1), kind="stable")[:SHOWN]
    names = series_names(arguments.data, panel.ids)
    shown = series_with_forecasts(panel, largest, panel.time, answer, names, "the forecaster")
    write_table(table, arguments.out)
    with atomic.replace_file(picture) as temporary:
        temporary.write_bytes(fan_charts(shown, LIGHT))
    terminal.console.print(
        f"{len(panel):,} series, {answer.mean.shape[1]} steps from {table[DS].min()!s}: "
        f"{answer.mean.sum():,.0f} units expected; wrote {arguments.out} and {picture}",
        soft_wrap=True,
    )
    return 0


def forecast(
    version: Path, data: Path, horizon: int | None = None, hold_back: int | None = None
) -> tuple[Panel, Forecast]:
    """Forecast what follows the data.

    Args:
        version: folder of the exported version.
        data: the prepared data folder.
        horizon: steps ahead; None for the trained horizon.
        hold_back: steps at the end of the data that are not to be seen; 0 for as many as are forecast.

    Returns:
        The series that the model was trained on, as they are in the data, and their forecast.

    Raises:
        InputError: if a file is missing or damaged, the horizon is longer than trained, or the data of another kind.
    """
    manifest = read_manifest(version)
    horizon = require_horizon(manifest["horizon"] if horizon is None else horizon, manifest["horizon"])
    settings = {field.name: manifest["settings"][field.name] for field in fields(DemandConfig)}
    panel = load_panel(data, DemandConfig(**settings | {"future_days": horizon * manifest["step_days"]}))
    if panel.step_days != manifest["step_days"]:
        raise InputError(
            f"{data}: steps of {panel.step_days} days, but the model forecasts steps of {manifest['step_days']}"
        )
    if hold_back is not None:
        hold_back = hold_back or horizon
        if hold_back >= panel.time:
            raise InputError(f"--hold-back {hold_back}: the data have {panel.time} steps; leave some to forecast from")
        panel = panel.until(panel.time - hold_back)
    requests = make_requests(panel, manifest["history"], horizon)
    _require_inputs(requests, manifest, data)
    function = tf.saved_model.load(str(version)).signatures[SERVING_DEFAULT]
    answers: list[tuple[Any, Any]] = []
    with terminal.progress() as bar:
        for begin in bar.track(range(0, len(panel), SERIES_AT_ONCE), description="forecasting"):
            some = {
                name: tf.constant(array if array.ndim == 0 else array[begin : begin + SERIES_AT_ONCE])
                for name, array in requests.items()
            }
            answer = function(**some)
            answers.append((answer[MEAN].numpy(), answer[QUANTILES].numpy()))
    levels = tuple(round(float(level), 4) for level in answer[LEVELS].numpy())
    mean, quantiles = (np.concatenate(parts) for parts in zip(*answers, strict=True))
    return panel, proper(mean, quantiles, levels)


def to_table(panel: Panel, answer: Forecast) -> pl.DataFrame:
    """unique_id, ds, y_hat and the quantiles, a row per series and step."""
    n, horizon = answer.mean.shape
    columns: dict[str, Any] = {
        UNIQUE_ID: np.repeat(panel.ids, horizon),
        DS: np.tile(panel.dates(panel.time, panel.time + horizon), n),
        Y_HAT: answer.mean.reshape(-1),
    }
    for i, level in enumerate(answer.levels):
        columns[f"q{level:g}"] = answer.quantiles[:, :, i].reshape(-1)
    return pl.DataFrame(columns)


def _require_inputs(requests: dict[str, Any], manifest: dict[str, Any], data: Path) -> None:
    """The data have the covariates and categories that the model asks for, and no others are sent."""
    wanted = manifest["signatures"][SERVING_DEFAULT]["inputs"]
    if missing := sorted(set(wanted) - set(requests)):
        raise InputError(f"{data}: has no {missing[0]!r}, which the model was trained with; prepare the same columns")
    for name in set(requests) - set(wanted):
        del requests[name]


if __name__ == "__main__":
    raise SystemExit(main())
