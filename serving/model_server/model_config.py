"""Which versions of which models are wanted: models.config, or simply the folders that are there.

    model_config_list { config {
      name: "recommender" base_path: "/models/recommender" model_platform: "tensorflow"
      model_version_policy { specific { versions: 3 versions: 4 } }      # or latest { num_versions: 1 }, or all {}
      version_labels { key: "stable" value: 3 } version_labels { key: "canary" value: 4 }
    } }

Without the file every folder with integer versions is a model, its latest version is served, and both labels name it.
A base_path that is not there, such as that of a container, is looked for by its last name in the models folder.
Reference: https://www.tensorflow.org/tfx/serving/serving_config
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from google.protobuf import text_format
from tensorflow_serving.config import model_server_config_pb2

from data_pipelines.schema import InputError
from serving.model_versions import CANARY, MODELS_CONFIG, STABLE


@dataclass(frozen=True)
class WantedModel:
    """A model to serve.

    Args:
        name: what clients call it.
        folder: where its versions are.
        latest: how many of the newest versions are served; None for all of them.
        specific: the versions to serve, instead of the newest.
        labels: versions by label; None where all labels are to name the newest version in service.
    """

    name: str
    folder: Path
    latest: int | None = 1
    specific: frozenset[int] = frozenset()
    labels: Mapping[str, int] | None = None

    def versions(self) -> dict[int, Path]:
        """The folders of the wanted versions that exist, ascending."""
        if not self.folder.is_dir():
            return {}
        found = {int(path.name): path for path in self.folder.iterdir() if _is_version(path)}
        numbers = sorted(found)
        if self.specific:
            numbers = [number for number in numbers if number in self.specific]
        elif self.latest is not None:
            numbers = numbers[-self.latest :]
        return {number: found[number] for number in numbers}


AUTOMATIC_LABELS = (STABLE, CANARY)
_DIGITS = 19  # a version is a 64-bit number


def read(models: Path) -> str | None:
    """The text of models.config; None if there is none."""
    try:
        return (models / MODELS_CONFIG).read_text(encoding="utf-8")
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{models / MODELS_CONFIG}: cannot be read ({error})") from None


def parse(models: Path, text: str) -> list[WantedModel]:
    """The models of a models.config.

    Raises:
        InputError: if it is not one.
    """
    server = model_server_config_pb2.ModelServerConfig()
    try:
        text_format.Parse(text, server)
    except text_format.ParseError as error:
        raise InputError(f"{models / MODELS_CONFIG}: not a TensorFlow Serving configuration ({error})") from None
    return from_proto(models, server)


def from_proto(models: Path, server: Any) -> list[WantedModel]:
    """The models of a ModelServerConfig message.

    Raises:
        InputError: if a model has no name, no path, or is there twice.
    """
    wanted = [_model(models, config) for config in server.model_config_list.config]
    names = [model.name for model in wanted]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise InputError(f"Illegal to list model {twice[0]} multiple times in config list")
    return wanted


def every_model(models: Path) -> list[WantedModel]:
    """A model per folder that holds a version."""
    folders = sorted(path for path in models.iterdir() if path.is_dir() and not path.name.startswith("."))
    return [WantedModel(path.name, path) for path in folders if any(map(_is_version, path.iterdir()))]


def _model(models: Path, config: Any) -> WantedModel:
    if not config.name or not config.base_path:
        raise InputError(f"model {config.name!r} with base_path {config.base_path!r}: both must be given")
    folder = models / config.base_path
    if not folder.is_dir():
        folder = models / Path(config.base_path).name
    policy = config.model_version_policy
    choice = policy.WhichOneof("policy_choice")
    return WantedModel(
        config.name,
        folder,
        None if choice == "all" else max(policy.latest.num_versions, 1),
        frozenset(policy.specific.versions),
        dict(config.version_labels),
    )


def _is_version(path: Path) -> bool:
    return path.name.isascii() and path.name.isdecimal() and len(path.name) < _DIGITS and path.is_dir()
