"""Proof that an export answers as the model did in training, before anybody can load it.

The expected numbers come from the training side: index arrays through tf.data into the Keras model. The answers come
from the SavedModel in a fresh process that was given strings.
"""

import numpy as np
import numpy.typing as npt

from data_pipelines.schema import CANDIDATE_ITEM_ID, ITEM_ID, PROBABILITY, SCORE, SCORE_SIGNATURE, SERVING_DEFAULT
from data_pipelines.splits import Split
from data_pipelines.timelines import Queries
from serving.fresh_process import ExportError
from serving.promotion import TOLERANCE
from training.export_requests import Requests
from training.two_tower_recommender import TwoTowerRecommender


def verify(
    answer: Requests, request: Requests, recommender: TwoTowerRecommender, split: Split, queries: Queries
) -> float:
    """Compare answers with the model's own scores.

    Args:
        answer: what the export answered to `request`.
        request: made from `queries`.
        recommender: the model as it scored in training.
        split: the data.
        queries: the questions.

    Returns:
        The largest difference found.

    Raises:
        ExportError: if an answer differs.
    """
    ids = np.asarray(split.items.ids)
    by_name = np.argsort(ids)

    def position(names: npt.NDArray[np.str_]) -> npt.NDArray[np.intp]:
        return by_name[np.searchsorted(ids, names, sorter=by_name)]

    logits = recommender.score(split.timelines, queries)
    probability = recommender.probability(split.timelines, queries)
    served = answer[SERVING_DEFAULT]
    best = -np.sort(-logits, axis=1)[:, : served[SCORE].shape[1]]
    candidates = position(request[SCORE_SIGNATURE][CANDIDATE_ITEM_ID])
    pairs = {
        "score of each recommended item": (
            served[SCORE],
            np.take_along_axis(logits, position(served[ITEM_ID]), axis=1),
        ),
        "best scores of the catalogue": (served[SCORE], best),
        "purchase probability": (
            answer[SCORE_SIGNATURE][PROBABILITY],
            np.take_along_axis(probability, candidates, axis=1),
        ),
    }
    for name, (actual, expected) in pairs.items():
        if not np.allclose(actual, expected, rtol=TOLERANCE, atol=TOLERANCE):
            worst = np.abs(actual - expected).max()
            raise ExportError(f"the exported model answers otherwise than in training: {name} differs by {worst:.3g}")
    return max(float(np.abs(actual - expected).max()) for actual, expected in pairs.values())
