"""User-kNN: what the most similar users bought, weighted by the similarity.

Users are compared by the baskets in which they took each item. Cosine looks at the vectors as they are; Pearson's
correlation over the whole catalogue first subtracts each user's mean.
Reference: Herlocker et al., "An Algorithmic Framework for Performing Collaborative Filtering", SIGIR 1999.
"""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from data_pipelines.schema import InputError
from models.baselines.baseline import Baseline, State, require_positive
from models.baselines.history import History
from models.baselines.neighbours import block_own_column, nearest, weight_matrix
from models.recommender import FeaturesLike, Scores


@dataclass
class UserKnn(Baseline):
    """Similarity-weighted mean of the neighbours' item frequencies.

    Args:
        similarity: `cosine` or `pearson`; users with a similarity of 0 or less are no neighbours.
        neighbours: number of similar users.
    """

    similarity: Literal["cosine", "pearson"] = "cosine"
    neighbours: int = 100

    def __post_init__(self) -> None:
        require_positive(neighbours=self.neighbours)
        if self.similarity not in ("cosine", "pearson"):
            raise InputError(f"similarity={self.similarity!r} must be 'cosine' or 'pearson'")

    @property
    def name(self) -> str:
        """`user-knn-cosine` or `user-knn-pearson`."""
        return f"user-knn-{self.similarity}"

    def _learn(self, history: History, items: FeaturesLike) -> State:
        return {"user": history.user, "vectors": history.matrix(items.size)}

    def _evidence(self, history: History) -> Scores:
        vectors = self.state["vectors"]
        similarity = self._similarity(history.matrix(self.n_items), vectors)
        block_own_column(similarity, history.user, self.state["user"])
        columns, value = nearest(similarity, self.neighbours)
        weights = np.maximum(value, 0)
        weights /= np.maximum(weights.sum(axis=1, keepdims=True), 1e-12)
        return (weight_matrix(columns, weights, vectors.shape[0]) @ vectors).toarray()

    def _similarity(self, own: Any, vectors: Any) -> Scores:
        """Similarity `[n, n_users]` of the rows of two CSR matrices; 0 where a row is empty."""
        own_mean, own_norm = self._mean_and_norm(own)
        mean, norm = self._mean_and_norm(vectors)
        # the product of centred vectors is the product of the vectors less n_items times the means
        products = (own @ vectors.T).toarray() - self.n_items * np.outer(own_mean, mean)
        return (products / np.maximum(np.outer(own_norm, norm), 1e-12)).astype(np.float32)

    def _mean_and_norm(self, matrix: Any) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        """Mean (0 for cosine) and Euclidean norm about the mean of each row."""
        squares = np.asarray(matrix.multiply(matrix).sum(axis=1), np.float64).ravel()
        mean = np.asarray(matrix.sum(axis=1), np.float64).ravel() / self.n_items
        if self.similarity == "cosine":
            mean = np.zeros_like(mean)
        return mean, np.sqrt(squares - self.n_items * mean**2)
