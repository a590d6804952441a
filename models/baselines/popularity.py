"""Popularity: the same ranking for everybody, by all purchases or by recent ones."""

from dataclasses import dataclass

import numpy as np

from models.baselines.baseline import Baseline, State, require_positive
from models.baselines.history import History, half_life_weight
from models.recommender import FeaturesLike, Scores


@dataclass
class Popularity(Baseline):
    """Ranks by the number of baskets that hold the item.

    Args:
        half_life_days: a basket this much older than the newest one counts half; None counts all alike.
    """

    half_life_days: float | None = None

    def __post_init__(self) -> None:
        require_positive(half_life_days=self.half_life_days)

    @property
    def name(self) -> str:
        """`popularity` or `recent-popularity`."""
        return "recent-popularity" if self.half_life_days else "popularity"

    def _learn(self, history: History, items: FeaturesLike) -> State:
        weight = half_life_weight(history.age_days, self.half_life_days) if self.half_life_days else None
        baskets = np.bincount(history.item, weight, minlength=items.size)
        return {"baskets": baskets.astype(np.float32)}

    def _evidence(self, history: History) -> Scores:
        return np.tile(self.state["baskets"], (len(history.user), 1))
