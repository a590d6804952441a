"""The exported versions of a model, and which of them TensorFlow Serving answers with.

    MODELS/<model>/<integer>/   one SavedModel per export
    MODELS/models.config        TensorFlow Serving's configuration: versions to load and their labels

Two labels: `canary` is the newest version; `stable` is the newest one that was not worse than the stable one before it.
Clients ask for a label, so promoting a version or going back is a change of this file, not of the clients. Start the
server with `--model_config_file=MODELS/models.config --allow_version_labels_for_unavailable_models=true`.
Reference: https://www.tensorflow.org/tfx/serving/serving_config
"""

import getpass
import json
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import Any

from google.protobuf import text_format
from tensorflow_serving.config import model_server_config_pb2

from data_pipelines import atomic
from data_pipelines.schema import DEMAND_FORECASTER, RECOMMENDER, InputError

EXPORTERS = {RECOMMENDER: "recommender", DEMAND_FORECASTER: "forecaster"}
"""What `supplytower export` calls each model."""
MODELS_CONFIG, MOVES = "models.config", "promotions.jsonl"
BATCHING = "batching_params.pbtxt"
"""In a version's folder: requests to it may be joined, and how. A server started with --enable_batching and
--enable_per_model_batching_parameters joins none to versions without it: histories of demand must not be padded."""
STABLE, CANARY = "stable", "canary"


def versions(models: Path, model: str) -> list[int]:
    """The integer versions of a model, ascending."""
    folder = models / model
    if not folder.is_dir():
        return []
    return sorted(int(path.name) for path in folder.iterdir() if path.name.isdecimal() and path.is_dir())


def labels(models: Path, model: str) -> dict[str, int]:
    """The labelled versions of a model, empty where it has none."""
    for config in _read(models).model_config_list.config:
        if config.name == model:
            return dict(config.version_labels)
    return {}


def find_version(models: Path, model: str, wanted: str | None) -> Path:
    """The folder of a version.

    Args:
        models: the models folder.
        model: the model's name.
        wanted: a label or a number; None for the newest.

    Raises:
        InputError: if there is no such version.
    """
    existing = versions(models, model)
    if not existing:
        raise InputError(
            f"{models / model}: no exported model; run `supplytower export {EXPORTERS[model]} --models {models}`"
        )
    named = {str(number): number for number in existing} | labels(models, model)
    number = existing[-1] if wanted is None else named.get(wanted)
    if number not in existing:
        raise InputError(f"{models / model}: no version {wanted!r}; there are: {', '.join(named)}")
    return models / model / str(number)


def set_labels(models: Path, model: str, labelled: dict[str, int], base_path: str | None = None) -> None:
    """Write a model's labels into models.config; the other models there stay as they are.

    Args:
        models: the models folder.
        model: the model's name.
        labelled: version of each label; these versions are served.
        base_path: the models folder as the server sees it, e.g. `/models` in a container, for every model in it; if
            None what was said before, of this model or of the others, else this machine's path.

    Raises:
        InputError: if the model is new and the others are said to be in several folders.
    """
    server = _read(models)
    before = [config.base_path for config in server.model_config_list.config if config.name == model]
    others = [config for config in server.model_config_list.config if config.name != model]
    neighbours = [config for config in others if versions(models, PurePosixPath(config.base_path).name)]
    if base_path:
        for config in neighbours:
            config.base_path = f"{base_path}/{PurePosixPath(config.base_path).name}"
    own = model_server_config_pb2.ModelConfig(
        name=model,
        base_path=before[0] if before and not base_path else f"{base_path or _folder(models, neighbours)}/{model}",
        model_platform="tensorflow",
        version_labels=labelled,
    )
    own.model_version_policy.specific.versions.extend(sorted(set(labelled.values())))
    del server.model_config_list.config[:]
    server.model_config_list.config.extend(sorted([*others, own], key=lambda config: config.name))
    atomic.write_text(models / MODELS_CONFIG, text_format.MessageToString(server))


def _folder(models: Path, configs: Sequence[Any]) -> str:
    """The models folder as the server sees it, by what is said of the models in it."""
    said = sorted({str(PurePosixPath(config.base_path).parent) for config in configs})
    if len(said) > 1:
        raise InputError(
            f"{models / MODELS_CONFIG}: models are in {' and in '.join(said)}, but a server sees this folder in one "
            "place; say which with --base-path"
        )
    return said[0] if said else str(models.resolve())


def log_move(models: Path, entry: dict[str, Any]) -> None:
    """Write down that a label was moved: action, model, from, to, and why."""
    at = {"at": datetime.now(UTC).isoformat(timespec="seconds"), "by": getpass.getuser()}
    lines = [json.dumps(line) for line in (*moves(models), at | entry)]
    atomic.write_text(models / MOVES, "".join(line + "\n" for line in lines))


def moves(models: Path) -> list[dict[str, Any]]:
    """What was written down, the oldest first.

    Raises:
        InputError: if a line is damaged.
    """
    file, found = models / MOVES, []
    for number, line in enumerate(file.read_text(encoding="utf-8").splitlines() if file.exists() else (), 1):
        try:
            found.append(json.loads(line))
        except json.JSONDecodeError:
            raise InputError(f"{file}: line {number} is damaged: {line[:60]!r}; repair or delete it") from None
    return found


def _read(models: Path) -> model_server_config_pb2.ModelServerConfig:
    file = models / MODELS_CONFIG
    server = model_server_config_pb2.ModelServerConfig()
    if file.exists():
        try:
            text_format.Parse(file.read_text(encoding="utf-8"), server)
        except (text_format.ParseError, UnicodeDecodeError) as error:
            raise InputError(f"{file}: not a TensorFlow Serving configuration ({error}); repair or delete it") from None
    return server
