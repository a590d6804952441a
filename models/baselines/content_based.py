"""Content-based: items that are described like those of the history.

Each value of a categorical or list-valued attribute is a term. Items are TF-IDF vectors of length 1, a user is the mean
of the vectors in his history, and the score is their cosine; numbers (prices) are left out. Knows items that nobody has
bought, and says nothing where the catalogue has no attributes.
Reference: Lops, de Gemmis, Semeraro, "Content-based Recommender Systems: State of the Art and Trends", 2011.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import sparse
from sklearn.feature_extraction.text import TfidfTransformer

from models.baselines.baseline import Baseline, State
from models.baselines.history import History
from models.recommender import FeaturesLike, Scores


@dataclass
class ContentBased(Baseline):
    """Cosine between the user's mean item description and each item's."""

    @property
    def name(self) -> str:
        """`content-based`."""
        return "content-based"

    def _learn(self, history: History, items: FeaturesLike) -> State:
        return {"terms": TfidfTransformer().fit_transform(_terms(items)).astype(np.float32)}

    def _evidence(self, history: History) -> Scores:
        terms = self.state["terms"]  # [n_items, n_terms], rows of length 1
        profile = history.matrix(self.n_items) @ terms  # the sum points where the mean does
        length = np.sqrt(np.asarray(profile.multiply(profile).sum(axis=1)))  # [n, 1]
        return (profile @ terms.T).toarray() / np.maximum(length, 1e-12)


def _terms(items: FeaturesLike) -> Any:
    """Which item has which attribute value, CSR `[n_items, n_terms]`; code 0 (missing) is no term."""
    blocks = [sparse.csr_matrix((items.size, 1), dtype=np.float32)]  # there is always one column
    for feature in items.features:
        if feature.kind != "numeric":
            codes = feature.values.reshape(items.size, -1)  # [n_items, width]
            item, slot = np.nonzero(codes)
            shape = (items.size, len(feature.vocabulary))
            blocks.append(sparse.csr_matrix((np.ones(len(item), np.float32), (item, codes[item, slot])), shape=shape))
    return sparse.hstack(blocks, format="csr")
