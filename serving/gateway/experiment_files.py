"""The experiments that run, as their file says now."""

from collections.abc import Mapping
from pathlib import Path

from serving.experiments.experiment import Experiment, read_experiments
from serving.gateway.watched_files import WatchedFiles


class ExperimentFiles(WatchedFiles[Mapping[str, Experiment]]):
    """Experiments by id, of a YAML file that may be replaced while the gateway runs.

    Args:
        path: the file, see `serving.experiments.experiment`.
        reload_seconds: how often it is looked at.

    Raises:
        InputError: if it cannot be read at the start.
    """

    def __init__(self, path: Path, *, reload_seconds: float = 5.0):
        super().__init__("experiments", [path], lambda: _by_id(path), reload_seconds=reload_seconds)


def _by_id(path: Path) -> dict[str, Experiment]:
    return {one.id: one for one in read_experiments(path)}
