"""What an exported version says of itself: MODELS/<model>/<version>/manifest.json.

model, version, created, run      which export this is
data, fingerprint, git, packages  what it was trained on, with which code
metrics, settings                 how good it is, and what was asked
items, users, event_types, history_length, last_event   what it knows
popular                           ids of items for when no server answers, the most popular first
signatures                        names, types and shapes of all inputs and outputs
verified                          how closely a fresh process reproduced the scores of training
golden                            a request and its answer per signature, to try a server with
"""

import dataclasses
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from data_pipelines.schema import FIRST_KNOWN, RECOMMENDER
from data_pipelines.splits import Split
from serving.promotion import read_json
from training import runs
from training.export_requests import Requests
from training.serving_graph import ServingGraph
from training.trainer import SMALLER_IS_BETTER

MOST_POPULAR, RECENT_DAYS = 500, 56


def build(run: runs.Run, version: int, graph: ServingGraph, verified: tuple[int, float]) -> dict[str, Any]:
    """Describe a version.

    Args:
        run: what is exported.
        version: its number.
        graph: its functions.
        verified: how many users' scores were compared, and the largest difference.
    """
    split = run.split
    return {
        **common(RECOMMENDER, version, run.path, run.config, graph.signatures),
        "items": split.items.size - FIRST_KNOWN,
        "users": split.users.size - FIRST_KNOWN,
        "event_types": list(split.event_types[FIRST_KNOWN:]),
        "history_length": run.recommender.history_length,
        "popular": popular_items(split),
        "last_event": datetime.fromtimestamp(int(split.timelines.time.max()), UTC).isoformat(),
        "verified": {"users": verified[0], "largest_difference": verified[1]},
    }


def popular_items(split: Split) -> list[str]:
    """The items that were taken most in the last weeks: what a client recommends while no server answers."""
    timelines = split.timelines
    lately = timelines.time > timelines.time.max() - RECENT_DAYS * 86_400
    count = np.bincount(timelines.item[lately], minlength=split.items.size)
    count[:FIRST_KNOWN] = 0
    order = np.argsort(-count, kind="stable")[:MOST_POPULAR]
    return [str(split.items.ids[index]) for index in order if count[index]]


def common(model: str, version: int, run: Path, config: Any, signatures: dict[str, Any]) -> dict[str, Any]:
    """What every model's manifest holds.

    Args:
        model: its name.
        version: its number.
        run: the run's folder.
        config: the run's settings.
        signatures: concrete functions by signature name.
    """
    record, metrics = read_json(run / runs.RECORD), read_json(run / runs.METRICS)
    metrics["training"] = {name: value for name, value in metrics["training"].items() if name != "history"}
    metrics["training"]["smaller_is_better"] = metrics["training"]["monitor"] in SMALLER_IS_BETTER
    return {
        "model": model,
        "version": version,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "run": run.resolve().name,
        **{name: record[name] for name in ("data", "fingerprint", "git", "packages")},
        "metrics": metrics,
        "settings": dataclasses.asdict(config),
        "signatures": {name: _describe(function) for name, function in signatures.items()},
    }


def golden(request: Requests, answer: Requests) -> dict[str, Any]:
    """A request and its answer per signature, in the column format of TensorFlow Serving's REST API."""
    return {
        signature: {
            "inputs": {name: array.tolist() for name, array in request[signature].items()},
            "outputs": {name: array.tolist() for name, array in answer[signature].items()},
        }
        for signature in request
    }


def _describe(function: Any) -> dict[str, Any]:
    """Type and shape of a function's inputs and outputs; a size of -1 is any size, a shape of null any shape."""
    inputs = {spec.name: spec for spec in function.structured_input_signature[0]}
    return {
        side: {name: {"dtype": spec.dtype.name, "shape": _sizes(spec.shape)} for name, spec in sorted(specs.items())}
        for side, specs in (("inputs", inputs), ("outputs", function.structured_outputs))
    }


def _sizes(shape: tf.TensorShape) -> list[int] | None:
    return None if shape.rank is None else [-1 if size is None else size for size in shape]
