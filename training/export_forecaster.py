"""Export a trained forecaster for TensorFlow Serving: `supplytower export forecaster`.

Writes MODELS/demand_forecaster/<next version>/ whole or not at all: the SavedModel (see `training.forecast_graph`),
warm-up requests and manifest.json; then labels the version in MODELS/models.config.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from data_pipelines import console as terminal
from data_pipelines.demand_panel import load_panel
from data_pipelines.panel import Panel
from data_pipelines.schema import DEMAND_FORECASTER, MEAN, QUANTILES, SERVING_DEFAULT
from serving.fresh_process import ExportError, replay
from serving.promotion import TOLERANCE, read_json, read_manifest
from training import export_manifest, runs
from training.forecast_graph import ForecastGraph
from training.forecast_requests import make_requests
from training.forecaster_config import ForecasterConfig
from training.lstm_forecaster import LSTMForecaster
from training.publishing import publish, report, run_export
from training.warmup import write_warmup

VERIFIED_SERIES, SHOWN_SERIES = 64, 2


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit status."""
    return terminal.run(_main, argv)


def _main(argv: Sequence[str] | None) -> int:
    parser = terminal.command_parser(
        "supplytower export forecaster",
        "Write a trained run as the next version of MODELS/demand_forecaster, for TensorFlow Serving.\n"
        "A fresh process must reproduce the run's own forecasts from the exported files, or nothing is written.",
        examples=[
            "supplytower export forecaster --run build/runs/demand --models build/models",
            "supplytower export forecaster --run build/runs/demand --models build/models --base-path /models",
        ],
    )
    arguments, target = run_export(parser, argv, export, "forecaster")
    manifest = read_manifest(target)
    report(
        arguments.models,
        target,
        f"{manifest['verified']['series']} series",
        f"supplytower forecast --models {arguments.models} --data {manifest['data']} --out forecast.parquet",
    )
    return 0


def export(
    run: Path, models: Path, data: Path | None = None, *, base_path: str | None = None, promote: bool = False
) -> Path:
    """Export a run.

    Args:
        run: the run folder.
        models: the models folder.
        data: the run's data folder; None for the one in its record.
        base_path: the models folder as the server sees it.
        promote: make the version stable even if it is worse than the stable one.

    Returns:
        The new version's folder.

    Raises:
        InputError: if the run or its data cannot be used, or the disk is full.
        ExportError: if the export does not answer as the model did in training.
    """
    data = data or Path(read_json(run / runs.RECORD)["data"])
    config = runs.finished_run(run, data, ForecasterConfig, "forecaster")
    panel = load_panel(data, config)
    with tf.device("CPU"):
        forecaster = LSTMForecaster.load(run / runs.MODEL, use_cudnn=False)
    graph = ForecastGraph(forecaster.members, panel)
    history = forecaster.members[0].memory
    some = panel.take(np.linspace(0, len(panel) - 1, min(VERIFIED_SERIES, len(panel))).astype(int))
    typical = {SERVING_DEFAULT: make_requests(some, history, config.horizon)}
    shown = {SERVING_DEFAULT: make_requests(some.take(np.arange(min(SHOWN_SERIES, len(some)))), 28, 7)}
    shown[SERVING_DEFAULT] = {name: _plain(array) for name, array in shown[SERVING_DEFAULT].items()}

    def write(folder: Path, version: int) -> dict[str, Any]:
        graph.save(folder)
        answer, answer_shown = replay(folder, [typical, shown])
        difference = _verify(answer[SERVING_DEFAULT], forecaster, some)
        write_warmup(folder, DEMAND_FORECASTER, [shown, typical])
        return {
            **export_manifest.common(DEMAND_FORECASTER, version, run, config, graph.signatures),
            "horizon": config.horizon,
            "step_days": panel.step_days,
            "history": history,
            "last_day": str(panel.dates(panel.time - 1, panel.time)[0]),
            "categories": {
                category.name: list(category.vocabulary[1:]) for category in (*panel.categories, *panel.statics)
            },
            "planned": [name for name, planned in zip(panel.numeric_names, panel.planned, strict=True) if planned],
            "verified": {"series": len(some), "largest_difference": difference},
            "golden": export_manifest.golden(shown, answer_shown),
        }

    return publish(models, DEMAND_FORECASTER, write, base_path=base_path, promote=promote)


def _verify(answer: dict[str, Any], forecaster: LSTMForecaster, panel: Panel) -> float:
    """Compare an answer with the model's own forecast; returns the largest difference relative to the mean."""
    expected = forecaster.forecast(panel)
    worst = 0.0
    for name, values in ((MEAN, expected.mean), (QUANTILES, expected.quantiles)):
        if not np.allclose(answer[name], values, rtol=TOLERANCE, atol=TOLERANCE):
            raise ExportError(
                f"the exported model answers otherwise than in training: {name} differs by "
                f"{np.abs(answer[name] - values).max():.3g}"
            )
        worst = max(worst, float((np.abs(answer[name] - values) / (1.0 + values)).max()))
    return worst


def _plain(array: Any) -> Any:
    """Without NaN, which JSON does not have: the golden request must be one that any client can send."""
    return np.nan_to_num(array) if array.dtype.kind == "f" else array


if __name__ == "__main__":
    raise SystemExit(main())
