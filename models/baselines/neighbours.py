"""Nearest neighbours from a block of similarities."""

from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import sparse

from models.recommender import Scores


def nearest(similarity: Scores, k: int) -> tuple[npt.NDArray[np.int64], Scores]:
    """The `k` most similar columns of each row, in no particular order.

    Args:
        similarity: `[n, m]`.
        k: number of neighbours, fewer if `m` is smaller.

    Returns:
        Columns and their similarities, both `[n, min(k, m)]`.
    """
    k = min(k, similarity.shape[1])
    columns = np.argpartition(similarity, similarity.shape[1] - k, axis=1)[:, similarity.shape[1] - k :]
    return columns, np.take_along_axis(similarity, columns, axis=1)


def weight_matrix(columns: npt.NDArray[np.int64], weights: Scores, n_columns: int) -> Any:
    """Sparse CSR matrix `[n, n_columns]` with `weights` `[n, k]` at `columns` `[n, k]`, zero weights left out."""
    row_ends = np.arange(len(columns) + 1) * columns.shape[1]
    matrix = sparse.csr_matrix((weights.ravel(), columns.ravel(), row_ends), shape=(len(columns), n_columns))
    matrix.eliminate_zeros()
    matrix.sort_indices()
    return matrix


def block_own_column(similarity: Scores, row_user: npt.NDArray[np.int32], column_user: npt.NDArray[np.int32]) -> None:
    """Set the similarity of each user with himself to `-inf`, in place: nobody is his own neighbour.

    Args:
        similarity: `[n, m]`.
        row_user: `[n]` user index of each row.
        column_user: `[m]` user index of each column, ascending.
    """
    if not len(column_user):
        return
    column = np.searchsorted(column_user, row_user).clip(max=len(column_user) - 1)
    row = np.flatnonzero(column_user[column] == row_user)
    similarity[row, column[row]] = -np.inf
