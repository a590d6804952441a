"""Settings that every training shares: order, optimizer, rounds, device."""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import yaml

from data_pipelines.schema import InputError

PRESETS = Path(__file__).parent / "presets"


@dataclass(frozen=True)
class TrainingConfig:
    """How a model is trained, whatever it is."""

    seed: int = 1
    """Seeds the initial weights, the order of the training examples and dropout."""
    batch_size: int = 128
    """Examples per training step."""
    learning_rate: float = 0.003
    """Peak learning rate of AdamW."""
    schedule: Literal["cosine", "constant"] = "cosine"
    """How the learning rate goes on after `warmup_steps`: down to 5 % over `epochs`, or level."""
    warmup_steps: int = 100
    """Steps over which the learning rate rises from zero."""
    weight_decay: float = 0.05
    """Decoupled weight decay of AdamW."""
    clip_norm: float = 0.0
    """Gradients longer than this, all weights together, are cut to it (0: never)."""
    ema_share: float = 0.0
    """The weights that are judged and kept are moving averages over about this share of all steps (0: those of the last
    step); they vary less from seed to seed (Polyak and Juditsky, 1992)."""
    epochs: int = 1
    """Passes over the training examples at the most."""
    rounds_per_epoch: int = 2
    """Validations (and checkpoints) per pass."""
    patience: int = 3
    """Rounds without a better validation figure after which training stops."""
    monitor: str = "loss"
    """The validation figure that decides."""
    checkpoint_steps: int = 0
    """Also save every so many steps within a round (0: only between rounds); `--resume` goes on from there."""
    refit: bool = True
    """After validation chose the number of rounds, train anew with the validation part included."""
    final: bool = False
    """After validation chose the number of rounds, train anew on everything, the test included: for production."""
    precision: Literal["auto", "float32", "mixed_bfloat16"] = "auto"
    """`auto`: mixed bfloat16 on a GPU, float32 on a CPU."""
    jit_compile: Literal["auto", "true", "false"] = "auto"
    """Compile the step with XLA; `auto`: on a GPU only, where it pays."""

    def __post_init__(self) -> None:
        """Refuse what cannot work."""
        require_counts(self, ("batch_size", "epochs", "rounds_per_epoch", "patience"))
        if self.learning_rate <= 0:
            raise InputError(f"learning_rate={self.learning_rate}: must be above 0")
        if not 0 <= self.ema_share < 1:
            raise InputError(f"ema_share={self.ema_share}: must be at least 0 and below 1")


def require_counts(config: Any, names: Sequence[str]) -> None:
    """Refuse settings below 1.

    Raises:
        InputError: naming the first of them.
    """
    for name in names:
        if getattr(config, name) < 1:
            raise InputError(f"{name}={getattr(config, name)}: must be at least 1")


def add_training_arguments(parser: argparse.ArgumentParser) -> None:
    """Give a training command its options."""
    parser.add_argument("--data", type=Path, required=True, help="folder written by `supplytower data prepare`")
    parser.add_argument("--out", type=Path, required=True, help="run folder to create")
    parser.add_argument("--preset", choices=("quick", "full"), default="full", help="named settings (default: full)")
    parser.add_argument("--config", type=Path, help="YAML file of settings, over the preset")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="one setting, over the file")
    parser.add_argument("--resume", action="store_true", help="continue a run that was stopped")


def load_preset(model: str, name: str) -> dict[str, Any]:
    """The settings of a preset of `recommender` or `forecaster`: `quick` or `full`."""
    preset: dict[str, Any] = yaml.safe_load((PRESETS / model / f"{name}.yaml").read_text()) or {}
    return preset
