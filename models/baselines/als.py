"""ALS: matrix factorisation for implicit feedback, by the implicit library.

The user's factors are solved from the visible history at the time of the query (folding in), so that users who were not
there at training, and what was bought since, count too.
Reference: Hu, Koren, Volinsky, "Collaborative Filtering for Implicit Feedback Datasets", ICDM 2008.
"""

from dataclasses import dataclass

import numpy as np
from implicit.cpu.als import AlternatingLeastSquares
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from models.baselines.baseline import Baseline, State, require_positive
from models.baselines.history import History
from models.recommender import FeaturesLike, Scores


@dataclass
class Als(Baseline):
    """Inner product of user and item factors.

    Args:
        factors: length of the vectors.
        regularization: weight of the squared factors in the loss.
        confidence: weight of one basket with the item against an item not taken.
        iterations: passes over users and items.
        seed: of the initial factors.
    """

    factors: int = 64
    regularization: float = 1.0
    confidence: float = 1.0
    iterations: int = 15
    seed: int = 0

    def __post_init__(self) -> None:
        require_positive(factors=self.factors, confidence=self.confidence, iterations=self.iterations)

    @property
    def name(self) -> str:
        """`als`."""
        return "als"

    def _learn(self, history: History, items: FeaturesLike) -> State:
        with threadpool_limits(1, "blas"):  # the library has threads of its own
            model = self._solver()
            model.fit(history.matrix(items.size), show_progress=False)
        return {"item_factors": model.item_factors}

    def _evidence(self, history: History) -> Scores:
        item_factors = self.state["item_factors"]
        with threadpool_limits(1, "blas"):
            model = self._solver()
            model.item_factors = item_factors
            user_factors = model.recalculate_user(np.arange(len(history.user)), history.matrix(self.n_items))
        return user_factors @ item_factors.T

    def _solver(self) -> AlternatingLeastSquares:
        return AlternatingLeastSquares(
            factors=self.factors,
            regularization=self.regularization,
            alpha=self.confidence,
            iterations=self.iterations,
            random_state=self.seed,
        )
