"""The settings of `supplytower campaigns uplift`."""

from dataclasses import dataclass
from typing import Literal

from data_pipelines.schema import InputError


@dataclass(frozen=True)
class UpliftConfig:
    """How an effect is learnt from a randomised history, and how it is measured."""

    learner: Literal["two_models", "class_transformation"] = "two_models"
    """two_models: one for each arm, and their difference; class_transformation: one of whether outcome and arm
    agree."""
    inverse_penalty: float = 0.01
    """Of the logistic regressions, scikit-learn's C: less trusts single features less."""
    held_out: float = 0.5
    """Share of the customers on whom the ranking is measured, by models that have not seen them."""
    planned_share: float = 0.5
    """Of the customers of both arms, those who were to be contacted; other shares are warned of."""
    resamples: int = 1000
    """Bootstrap samples behind an interval."""
    confidence: float = 0.95
    """How often intervals hold what they are to hold."""
    seed: int = 0
    """Of the split and the samples; the same seed and tables give the same factors."""

    def __post_init__(self) -> None:
        """Refuse what cannot be."""
        for name in ("held_out", "planned_share", "confidence"):
            self._require(name, 0 < getattr(self, name) < 1, "above 0 and below 1")
        self._require("inverse_penalty", self.inverse_penalty > 0, "above 0")
        self._require("resamples", self.resamples >= 1, "at least 1")

    def _require(self, name: str, fine: bool, rule: str) -> None:
        if not fine:
            raise InputError(f"{name}={getattr(self, name):g}: must be {rule}")
