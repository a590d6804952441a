"""Item-kNN: items that the same users took as the items of the history.

    score(u, j) = sum over the items i of u's history of n(u, i) * sim(i, j), j among the k nearest of i

where n(u, i) counts the user's baskets with the item. An item is its own nearest neighbour (similarity 1), so the items
of the history are candidates too. Cosine compares the items' columns of n, Jaccard the sets U of users who took them:
`|Ui ∩ Uj| / |Ui ∪ Uj|`.
Reference: Sarwar et al., "Item-based Collaborative Filtering Recommendation Algorithms", WWW 2001.
"""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from implicit.nearest_neighbours import ItemItemRecommender
from scipy import sparse
from sklearn.preprocessing import normalize

from data_pipelines.schema import InputError
from models.baselines.baseline import Baseline, State, require_positive
from models.baselines.history import History
from models.baselines.neighbours import nearest, weight_matrix
from models.recommender import FeaturesLike, Scores

BLOCK_VALUES = 2**22  # similarities held at a time: 16 MB


@dataclass
class ItemKnn(Baseline):
    """Sum of the similarities to the items of the history.

    Args:
        similarity: `cosine` (computed by the implicit library) or `jaccard`.
        neighbours: similar items kept for each item, itself included.
    """

    similarity: Literal["cosine", "jaccard"] = "cosine"
    neighbours: int = 100

    def __post_init__(self) -> None:
        require_positive(neighbours=self.neighbours)
        if self.similarity not in ("cosine", "jaccard"):
            raise InputError(f"similarity={self.similarity!r} must be 'cosine' or 'jaccard'")

    @property
    def name(self) -> str:
        """`item-knn-cosine` or `item-knn-jaccard`."""
        return f"item-knn-{self.similarity}"

    def _learn(self, history: History, items: FeaturesLike) -> State:
        baskets = history.matrix(items.size)  # [n_users, n_items]
        similarity = _cosine if self.similarity == "cosine" else _jaccard
        return {"similarity": similarity(baskets, self.neighbours)}

    def _evidence(self, history: History) -> Scores:
        return (history.matrix(self.n_items) @ self.state["similarity"]).toarray()


def _cosine(baskets: Any, k: int) -> Any:
    """The `k` nearest items of each by cosine, CSR `[n_items, n_items]`, from CSR `[n_users, n_items]`."""
    model = ItemItemRecommender(K=k)  # products of columns of length 1 are cosines
    model.fit(normalize(baskets.astype(np.float64), axis=0).tocsr(), show_progress=False)
    return model.similarity.astype(np.float32)


def _jaccard(baskets: Any, k: int) -> Any:
    """The `k` nearest items of each by Jaccard, in blocks of rows; arguments and result as for `_cosine`."""
    n_items = baskets.shape[1]
    by_user = baskets.sign()
    by_item = by_user.T.tocsr()
    n_users = np.diff(by_item.indptr).astype(np.float32)
    no_tie = np.arange(n_items, dtype=np.float32) * 1e-12  # partitioning is slow where most values are equal (to 0)
    rows = max(1, BLOCK_VALUES // n_items)
    blocks = []
    for first in range(0, n_items, rows):
        both = (by_item[first : first + rows] @ by_user).toarray()  # [rows, n_items]
        either = n_users[first : first + rows, None] + n_users
        either -= both
        both /= np.maximum(either, 1, out=either)
        columns, value = nearest(both - no_tie, k)
        blocks.append(weight_matrix(columns, np.maximum(value, 0), n_items))
    return sparse.vstack(blocks, format="csr")
