"""A run's folder: what was asked, on which data, with which code, and what came out.

RUN/config.yaml      resolved settings
RUN/run.json         data fingerprint, git revision, environment, device
RUN/metrics.json     the training record and, later, the evaluation
RUN/model.npz        the chosen weights with the model's arguments
RUN/checkpoints/     what `--resume` needs
RUN/tensorboard/     event files
"""

import json
import platform
import subprocess
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, TypeVar

from data_pipelines import atomic
from data_pipelines.config import resolve, to_yaml
from data_pipelines.demand_panel import DemandConfig, demand_facts
from data_pipelines.schema import InputError
from data_pipelines.splits import HoldOut, Split, load_split, read_manifest
from training.recommender_config import RecommenderConfig
from training.training_config import TrainingConfig
from training.two_tower_recommender import TwoTowerRecommender

CONFIG, RECORD, METRICS, MODEL = "config.yaml", "run.json", "metrics.json", "model.npz"
C = TypeVar("C", bound=TrainingConfig)
CHECKPOINTS, TENSORBOARD = "checkpoints", "tensorboard"


@dataclass(frozen=True)
class Run:
    """A finished run.

    Args:
        name: the folder's name.
        path: the folder.
        config: its settings.
        split: the data, divided as it was for the run.
        recommender: the trained model.
    """

    name: str
    path: Path
    config: RecommenderConfig
    split: Split
    recommender: TwoTowerRecommender


def start_run(path: Path, config: TrainingConfig, data: Path, *, resume: bool, device: str) -> None:
    """Create the run's folder, or check that the one there is the same run.

    Raises:
        InputError: if the folder holds a run and `resume` is not set, or the settings or the data differ from that
        run's.
    """
    fingerprint = data_fingerprint(data, config)
    if (path / RECORD).exists():
        if not resume:
            raise InputError(f"{path} already holds a run; continue it with --resume, or give another --out")
        _require_data(path, data, config)
        if resolve(type(config), file=path / CONFIG) != config:
            raise InputError(f"{path}: the settings differ from {path / CONFIG}; resume with the same ones")
        return
    if path.exists() and (not path.is_dir() or any(path.iterdir())):
        raise InputError(f"{path}: is there already and is no run; name a new folder with --out")
    record = {
        "data": str(data.resolve()),
        "fingerprint": fingerprint,
        "git": _git_revision(),
        "device": device,
        "python": platform.python_version(),
        "machine": platform.platform(),
        "packages": {name: version(name) for name in ("tensorflow", "keras", "numpy", "polars")},
    }
    atomic.write_text(path / CONFIG, to_yaml(config))
    atomic.write_json(path / RECORD, record)


def load_run(path: Path, data: Path) -> Run:
    """Load a trained run with its data.

    Raises:
        InputError: if there is no finished run, or it was trained on other data.
    """
    config = finished_run(path, data, RecommenderConfig, "recommender")
    hold_out: HoldOut = "nothing" if config.final else "validation"
    split = load_split(data, config, hold_out)
    return Run(path.name, path, config, split, TwoTowerRecommender.load(path / MODEL))


def finished_run(path: Path, data: Path, kind: type[C], command: str) -> C:
    """The settings of a trained run.

    Raises:
        InputError: if there is no finished run, or it was trained on other data.
    """
    if not (path / RECORD).exists():
        raise InputError(f"{path}: no run there; write one with `supplytower train {command} --out {path}`")
    if not (path / MODEL).exists():
        raise InputError(f"{path}: no trained model there; finish `supplytower train {command} --out {path} --resume`")
    config = resolve(kind, file=path / CONFIG)
    _require_data(path, data, config)
    return config


def read_metrics(path: Path) -> dict[str, Any]:
    """The run's metrics.json, empty while there is none."""
    file = path / METRICS
    metrics: dict[str, Any] = json.loads(file.read_text()) if file.exists() else {}
    return metrics


def update_metrics(path: Path, key: str, value: Any) -> None:
    """Set one key of the run's metrics.json and keep the others."""
    atomic.write_json(path / METRICS, read_metrics(path) | {key: value})


def data_fingerprint(data: Path, config: TrainingConfig) -> str:
    """Content hash of what such a run reads: the demand series, or the event tables."""
    facts = demand_facts(data) if isinstance(config, DemandConfig) else read_manifest(data)
    fingerprint: str = facts["fingerprint"]
    return fingerprint


def _require_data(path: Path, data: Path, config: TrainingConfig) -> None:
    trained, given = json.loads((path / RECORD).read_text())["fingerprint"], data_fingerprint(data, config)
    if trained != given:
        raise InputError(
            f"{path} was trained on other data ({trained[:12]}) than {data} ({given[:12]}); give the same --data"
        )


def _git_revision() -> str | None:
    try:
        command = ["git", "describe", "--always", "--dirty", "--abbrev=12"]
        return subprocess.run(
            command, capture_output=True, text=True, check=True, cwd=Path(__file__).parent
        ).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return None
