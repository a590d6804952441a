"""Personal frequency: what a customer bought most often comes first, in next-basket work a hard baseline to beat.

Decayed, recent baskets count more: `score(u, i) = sum over u's baskets b with i of 2 ** (-age(b) / half_life)`.
Reference: Li et al., "A Next Basket Recommendation Reality Check", TOIS 2023.
"""

from dataclasses import dataclass

from models.baselines.baseline import Baseline, State, require_positive
from models.baselines.history import History, half_life_weight
from models.recommender import FeaturesLike, Scores


@dataclass
class PersonalFrequency(Baseline):
    """Ranks by the number of the user's own baskets that hold the item.

    Args:
        half_life_days: a basket this old at the time of the query counts half; None counts all alike.
    """

    half_life_days: float | None = None

    def __post_init__(self) -> None:
        require_positive(half_life_days=self.half_life_days)

    @property
    def name(self) -> str:
        """`personal-frequency` or `decayed-frequency`."""
        return "decayed-frequency" if self.half_life_days else "personal-frequency"

    def _learn(self, history: History, items: FeaturesLike) -> State:
        return {}

    def _evidence(self, history: History) -> Scores:
        weight = half_life_weight(history.age_days, self.half_life_days) if self.half_life_days else None
        return history.matrix(self.n_items, weight).toarray()
