"""Settings of a forecaster run: which series, what the model is, how it is trained and judged.

The defaults are what windows before the test chose (see benchmarks/RESULTS.md); the presets are YAML files in
training/presets/forecaster.
"""

from dataclasses import dataclass
from typing import Any, Literal

from data_pipelines.demand_panel import DemandConfig
from data_pipelines.panel import Panel
from data_pipelines.schema import InputError
from models.forecasting.calendar import repeats_yearly
from models.forecasting.forecaster import LEVELS
from training.training_config import TrainingConfig, require_counts

SHARES = ("dropout", "static_dropout", "history_dropout")
DAYS_OF_WEEK, DAYS_OF_YEAR = 7, 364


@dataclass(frozen=True)
class ForecasterConfig(TrainingConfig, DemandConfig):
    """Everything that decides a run, beside the data. Same settings, same data, same weights."""

    members: int = 1
    """Models of different seeds whose forecasts are averaged, in one export; with refit=false there is one."""

    horizon: int = 28
    """Steps ahead (days, or weeks of weekly data)."""
    context: int = 84
    """Steps of history that the LSTM reads; same weekdays and last year are looked up beyond them."""
    lstm_units: int = 64
    """Width of the LSTM."""
    hidden: int = 128
    """Width of the decoder."""
    dim: int = 8
    """Width of the embedding of each category."""
    dropout: float = 0.1
    """Dropout in the decoder."""
    static_dropout: float = 0.1
    """Probability that a category is hidden in a training step, so that a new one can be forecast."""
    history_dropout: float = 0.1
    """Probability that a training window is cut to at most 28 days, as if the product were new."""
    head: Literal["negative_binomial", "tweedie", "rmsse"] = "negative_binomial"
    """Loss of the mean: likelihood of counts (single products), Tweedie deviance, or squared scaled errors."""
    weighting: Literal["none", "sqrt", "value"] = "none"
    """Weight of a series in that loss: equal, or by (the root of) its money of the last 28 days."""
    levels: tuple[str, ...] = ()
    """Sums that WRMSSE is computed on: `total`, `item`, a category, `store_id x dept_id`; empty: the data's own."""

    windows_per_epoch: int = 51_200
    """Windows drawn for one pass."""
    recent_days: int = 0
    """Learn from origins of the last so many days only (0: all)."""
    validation_windows: int = 3
    """Origins before the test on which rounds are chosen, one horizon apart."""

    batch_size: int = 256
    """Windows per training step."""
    warmup_steps: int = 50
    """Steps over which the learning rate rises from zero."""
    clip_norm: float = 1.0
    """Gradients longer than this, all weights together, are cut to it (0: never)."""
    weight_decay: float = 0.001
    """Decoupled weight decay of AdamW."""
    learning_rate: float = 0.002
    """Peak learning rate of AdamW."""
    ema_share: float = 0.125
    """The weights that are judged and kept are moving averages over about this share of all steps (0: the last)."""
    epochs: int = 8
    """Passes at the most."""
    rounds_per_epoch: int = 1
    """Validations (and checkpoints) per pass."""
    monitor: Literal["wrmsse", "pinball"] = "wrmsse"
    """The validation figure that decides; smaller is better."""

    def __post_init__(self) -> None:
        """Refuse what cannot work."""
        TrainingConfig.__post_init__(self)
        DemandConfig.__post_init__(self)
        counts = ("members", "horizon", "context", "lstm_units", "hidden", "dim", "windows_per_epoch")
        require_counts(self, (*counts, "validation_windows"))
        for name in SHARES:
            if not 0 <= getattr(self, name) < 1:
                raise InputError(f"{name}={getattr(self, name)}: must be at least 0 and below 1")


def model_arguments(config: ForecasterConfig, panel: Panel) -> dict[str, Any]:
    """Constructor arguments of `models.demand_lstm.DemandLSTM` for a run on this panel."""
    daily = panel.step_days == 1
    return {
        "horizon": config.horizon,
        "levels": list(LEVELS),
        "planned": list(panel.planned),
        "categorical_sizes": [len(category.vocabulary) for category in panel.categories],
        "static_sizes": [len(category.vocabulary) for category in panel.statics],
        "context": config.context,
        "season": DAYS_OF_WEEK if daily else 1,
        "year": DAYS_OF_YEAR // panel.step_days,
        "step_days": panel.step_days,
        "units": config.lstm_units,
        "hidden": config.hidden,
        "dim": config.dim,
        "dropout": config.dropout,
        "static_dropout": config.static_dropout,
        "history_dropout": config.history_dropout,
        "head": config.head,
        "country": panel.country,
        "yearly": repeats_yearly(panel.time, panel.step_days),
    }
