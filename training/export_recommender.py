"""Export a trained run for TensorFlow Serving: `supplytower export recommender`.

Writes MODELS/recommender/<next version>/ whole or not at all: the SavedModel (see `training.serving_graph` for its
signatures), warm-up requests and manifest.json; then labels the version in MODELS/models.config.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from data_pipelines import console as terminal
from data_pipelines.schema import FIRST_KNOWN, RECOMMENDER
from serving.fresh_process import replay
from serving.model_versions import BATCHING
from serving.promotion import read_json, read_manifest
from training import export_manifest, runs
from training.export_requests import make_requests, typical_queries
from training.export_verification import verify
from training.publishing import publish, report, run_export
from training.servable import servable
from training.serving_graph import ServingGraph, Vocabularies
from training.warmup import write_warmup

BATCHED = """\
# histories of different lengths go into one batch: the shorter ones are padded, which the model does not see
max_batch_size { value: 32 }
batch_timeout_micros { value: 1000 }
max_enqueued_batches { value: 1000 }
pad_variable_length_inputs: true
"""
VERIFIED_USERS = 16
VERIFIED_CANDIDATES = 100
K_VERIFIED, K_SHOWN = 50, 5


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit status."""
    return terminal.run(_main, argv)


def _main(argv: Sequence[str] | None) -> int:
    parser = terminal.command_parser(
        "supplytower export recommender",
        "Write a trained run as the next version of MODELS/recommender, for TensorFlow Serving.\n"
        "A fresh process must reproduce the run's own scores from the exported files, or nothing is written.",
        examples=[
            "supplytower export recommender --run build/runs/first --models build/models",
            "supplytower export recommender --run build/runs/first --models build/models --base-path /models",
            "tensorflow_model_server --rest_api_port=8501 --model_config_file=build/models/models.config \\\n"
            "      --allow_version_labels_for_unavailable_models=true",
        ],
    )
    arguments, target = run_export(parser, argv, export, "recommender")
    manifest = read_manifest(target)
    report(
        arguments.models,
        target,
        f"{manifest['verified']['users']} users",
        f"supplytower recommend --models {arguments.models} --data {manifest['data']} --out recs.parquet",
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
    loaded = runs.load_run(run, data)
    split, recommender = loaded.split, loaded.recommender
    graph = ServingGraph(
        servable(recommender.model),
        Vocabularies(split.items.ids, split.users.ids, split.event_types),
        recommender.history_length,
    )
    queries = typical_queries(split, VERIFIED_USERS)
    drawn = np.random.default_rng(0).integers(FIRST_KNOWN, split.items.size, VERIFIED_CANDIDATES, dtype=np.int32)
    typical = make_requests(data, split, queries, K_VERIFIED, drawn)
    shown = make_requests(data, split, queries.take(np.array([0, -1])), K_SHOWN, drawn[:K_SHOWN])

    def write(folder: Path, version: int) -> dict[str, Any]:
        graph.save(folder)
        answer, answer_shown = replay(folder, [typical, shown])
        difference = verify(answer, typical, recommender, split, queries)
        write_warmup(folder, RECOMMENDER, [shown, typical])
        (folder / BATCHING).write_text(BATCHED, encoding="utf-8")
        manifest = export_manifest.build(loaded, version, graph, verified=(len(queries), difference))
        return manifest | {"golden": export_manifest.golden(shown, answer_shown)}

    return publish(models, RECOMMENDER, write, base_path=base_path, promote=promote)


if __name__ == "__main__":
    raise SystemExit(main())
