"""Settings of a recommender run: how the data is divided, what the model is, how it is trained.

The defaults are what validation chose on Complete Journey (see benchmarks/RESULTS.md); the presets are YAML files
in training/presets/recommender.
"""

from dataclasses import dataclass
from typing import Any, Literal

from data_pipelines.schema import InputError
from data_pipelines.splits import Split, SplitConfig
from models.attributes import attribute_specs
from training.training_config import TrainingConfig, require_counts

COUNTS = (
    "dim",
    "history_length",
    "sequence_events",
    "sequence_baskets",
    "n_negatives",
)
SHARES = ("id_dropout", "user_dropout", "dropout", "repeat_dropout")
SAMPLED_ABOVE = 200_000
"""Catalogues above this many items are trained with the sampled loss."""


@dataclass(frozen=True)
class RecommenderConfig(TrainingConfig, SplitConfig):
    """Everything that decides a run, beside the data. Same settings, same data, same weights."""

    dim: int = 64
    """Width of item and query vectors."""
    lstm_units: int = 64
    """Width of the LSTM over the last baskets; 0 leaves the branch out."""
    history_length: int = 1024
    """Most recent events of a user that the model sees at all (repeat statistics)."""
    sequence_events: int = 512
    """Most recent events that the LSTM and the decayed bags see."""
    sequence_baskets: int = 32
    """LSTM steps; a step is one basket (one event where every event has its own time)."""
    bag_half_lives_days: tuple[float, ...] = (14.0, 90.0, 365.0)
    """One decayed bag of history per half-life; empty leaves the branch out."""
    use_user: bool = True
    """Whether the query tower sees user id and user attributes."""
    use_context: bool = True
    """Whether the query tower sees weekday, hour and the time since the last event."""
    affinity_half_lives_days: tuple[float, ...] = (28.0, 365.0)
    """One affinity of the user to the items' attribute values per half-life of the history; empty leaves them out."""
    repeat_units: int = 32
    """Hidden width of the repeat head; 0 leaves it out."""
    use_weekly: bool = True
    """Whether an item's recent popularity and its promotions, week by week, count; needs real timestamps."""
    id_dropout: float = 0.3
    """Probability that an item's id is hidden in a training step, so that its attributes must speak."""
    id_shrinkage: float = 20.0
    """Training events at which an item's id counts half beside its attributes; 0 lets all ids count in full."""
    user_dropout: float = 0.8
    """Probability that a user's id and attributes are hidden in a training step."""
    dropout: float = 0.4
    """Share of history events, and of joined query features, dropped in a training step."""
    repeat_dropout: float = 0.1
    """Dropout in the repeat head."""

    loss: Literal["auto", "full", "sampled"] = "auto"
    """Softmax over the whole catalogue or over sampled items; `auto` samples above 200,000 items."""
    n_negatives: int = 512
    """Items drawn per batch for the score head, and as mixed negatives of the sampled loss."""
    temperature: float = 1.0
    """Divides the ranking logits of the sampled loss."""
    score_weight: float = 1.0
    """Weight of the score head's loss beside the ranking loss; 0 trains without it."""
    discovery_weight: float = 1.0
    """Weight of the loss that ranks what is new to the user within `discovery_days`; 0 trains without it."""
    discovery_days: float = 28.0
    """How far the discovery loss looks ahead from each question."""
    max_targets: int = 64
    """Targets of one question that count in training."""

    monitor: Literal["ndcg@10", "recall@10"] = "ndcg@10"
    """The validation figure that decides."""
    max_train_queries: int = 0
    """Train on a random sample of the questions (0: all)."""

    def __post_init__(self) -> None:
        """Refuse what cannot work."""
        super().__post_init__()
        require_counts(self, COUNTS)
        for name in SHARES:
            if not 0 <= getattr(self, name) < 1:
                raise InputError(f"{name}={getattr(self, name)}: must be at least 0 and below 1")
        if not (self.lstm_units or self.bag_half_lives_days or self.use_user or self.use_context):
            raise InputError("lstm_units=0: the query tower has no branch left; keep at least one")
        if self.temperature <= 0:
            raise InputError(f"temperature={self.temperature}: must be above 0")


def model_arguments(config: RecommenderConfig, split: Split) -> dict[str, Any]:
    """Constructor arguments of `models.two_tower.TwoTower` for a run on this split."""
    loss = config.loss
    if loss == "auto":
        loss = "sampled" if split.items.size > SAMPLED_ABOVE else "full"
    return {
        "item_specs": attribute_specs(split.items),
        "user_specs": attribute_specs(split.users),
        "n_items": split.items.size,
        "n_users": split.users.size,
        "n_event_types": len(split.event_types),
        "dim": config.dim,
        "id_dropout": config.id_dropout,
        "id_shrinkage": config.id_shrinkage,
        "affinity_half_lives_days": list(config.affinity_half_lives_days),
        "repeat_units": config.repeat_units,
        "repeat_dropout": config.repeat_dropout,
        "n_weeks": len(split.weekly.values) if config.use_weekly else 0,
        "n_covariates": split.weekly.values.shape[2] if config.use_weekly else 0,
        "loss": loss,
        "n_negatives": config.n_negatives,
        "temperature": config.temperature,
        "score_weight": config.score_weight,
        "discovery_weight": config.discovery_weight,
        "query": {
            "lstm_units": config.lstm_units,
            "sequence_events": config.sequence_events,
            "sequence_baskets": config.sequence_baskets,
            "bag_half_lives_days": list(config.bag_half_lives_days),
            "use_user": config.use_user,
            "use_context": config.use_context,
            "user_dropout": config.user_dropout,
            "dropout": config.dropout,
        },
    }
