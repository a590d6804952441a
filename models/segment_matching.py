"""The same id for the same segment in every refit.

New centroids are matched to the previous ones so that the distances add up to the least (Kuhn, "The Hungarian method
for the assignment problem", 1955). A pair that is farther apart than the previous segment's customers are from their
centroid, and than halfway to the next previous segment, is no pair: the old segment is gone, the new one gets an id
that was never used. Such pairs count their limit only, or a segment that went would push the others out of their ids.
"""

import numpy as np
import numpy.typing as npt
from scipy.optimize import linear_sum_assignment

FloatArray = npt.NDArray[np.float64]


def match_ids(
    centroids: FloatArray, previous: FloatArray, previous_ids: list[int], radius: FloatArray, next_id: int
) -> list[int]:
    """Give ids to new segments.

    Args:
        centroids: `[k, d]` new ones, on the scale of the previous fit.
        previous: `[m, d]`.
        previous_ids: `[m]`.
        radius: `[m]` root mean square distance of the previous customers to their centroid.
        next_id: the first id that was never used.

    Returns:
        `[k]` ids.
    """
    distance = np.linalg.norm(centroids[:, None] - previous[None], axis=2)  # [k, m]
    between = np.linalg.norm(previous[:, None] - previous[None], axis=2)  # [m, m]
    np.fill_diagonal(between, np.inf)
    halfway = between.min(axis=1, initial=np.inf) / 2
    reach = np.where(np.isfinite(halfway), np.maximum(radius, halfway), radius)
    ids = [-1] * len(centroids)
    for new, old in zip(*linear_sum_assignment(np.minimum(distance, reach)), strict=True):
        if distance[new, old] <= reach[old]:
            ids[new] = previous_ids[old]
    fresh = iter(range(next_id, next_id + len(ids)))
    return [next(fresh) if one < 0 else one for one in ids]
