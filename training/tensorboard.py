"""What TensorBoard shows of a run: scalars, hyperparameters and the item space with names."""

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from tensorboard.plugins import projector
from tensorboard.plugins.hparams import api as hparams

from data_pipelines import atomic


class Board:
    """Writes one run's event files.

    Args:
        folder: where they go; scalars of each phase of the run in a sub-folder of its own.
    """

    def __init__(self, folder: Path):
        self.folder = folder
        self.writer: Any = tf.summary.create_file_writer(str(folder))
        self.phases: dict[str, Any] = {}

    def log(self, phase: str, step: int, figures: dict[str, float]) -> None:
        """Write scalars: `loss`-like ones and figures of the training itself in their own groups."""
        if phase not in self.phases:
            self.phases[phase] = tf.summary.create_file_writer(str(self.folder / phase))
        with self.phases[phase].as_default(step=step):
            for name, value in figures.items():
                tf.summary.scalar(_group(name), value)

    def hyperparameters(self, config: Any, figures: dict[str, float]) -> None:
        """Write the settings and the final figures for the HParams page."""
        values = {name: _plain(value) for name, value in dataclasses.asdict(config).items()}
        with self.writer.as_default(step=0):
            hparams.hparams(values)
            for name, value in figures.items():
                tf.summary.scalar(f"final/{name}", value)

    def embeddings(self, vectors: np.ndarray[Any, Any], names: list[str]) -> None:
        """Write item vectors `[n, dim]` and their names for the projector page."""
        atomic.write_text(
            self.folder / "items.tsv", "\n".join("\t".join(f"{x:.5g}" for x in row) for row in vectors.tolist()) + "\n"
        )
        labels = "\n".join(name.replace("\t", " ").replace("\n", " ") for name in names)
        atomic.write_text(self.folder / "item_names.tsv", labels + "\n")
        config = projector.ProjectorConfig()
        embedding = config.embeddings.add()
        embedding.tensor_name, embedding.tensor_path = "items", "items.tsv"
        embedding.metadata_path = "item_names.tsv"
        projector.visualize_embeddings(str(self.folder), config)

    def close(self) -> None:
        """Flush everything to disk."""
        for writer in (self.writer, *self.phases.values()):
            writer.close()


def _group(name: str) -> str:
    if "@" in name:
        return f"validation/{name}"
    return f"loss/{name}" if "loss" in name else f"training/{name}"


def _plain(value: Any) -> Any:
    return value if isinstance(value, bool | int | float | str) else str(value)
