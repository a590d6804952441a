"""Settings of `supplytower campaigns simulate`."""

from dataclasses import dataclass

from data_pipelines.schema import InputError


@dataclass(frozen=True)
class SimulationConfig:
    """How campaigns are replayed."""

    test_share: float = 0.3
    """Share of the campaigns, the last ones, that are the test."""
    contact_share: float = 0.1
    """Contact budget: share of those addressed by a campaign whom it pays for."""
    min_history_days: int = 28
    """Campaigns that begin earlier in the event log are left out: nothing is known of anybody."""
    min_answers: int = 10
    """Campaigns before which fewer answers were seen are not targeted: there is nothing to learn from."""
    recent_days: int = 56
    """What a customer did lately, beside what they did ever."""
    trees: int = 150
    """LightGBM: boosting rounds."""
    learning_rate: float = 0.03
    """LightGBM: shrinkage of every tree."""
    leaves: int = 8
    """LightGBM: leaves per tree."""
    inverse_penalty: float = 0.01
    """Logistic regression: C, the inverse of the ridge penalty."""
    seeds: int = 5
    """LightGBM models that are averaged."""
    seed: int = 0
    """The first of them, and of the bootstrap."""
    resamples: int = 2000
    """Bootstrap samples for the intervals."""

    def __post_init__(self) -> None:
        """Refuse values that mean nothing."""
        for name in ("test_share", "contact_share"):
            if not 0 < getattr(self, name) < 1:
                raise InputError(f"{name}={getattr(self, name):g}: must be above 0 and below 1")
        for name in ("min_answers", "recent_days", "trees", "seeds", "resamples"):
            if getattr(self, name) < 1:
                raise InputError(f"{name}={getattr(self, name)}: must be at least 1")
        for name in ("learning_rate", "inverse_penalty"):
            if not getattr(self, name) > 0:
                raise InputError(f"{name}={getattr(self, name):g}: must be above 0")
        if self.leaves < 2 or self.min_history_days < 0:
            raise InputError("leaves must be at least 2, and min_history_days not negative")
