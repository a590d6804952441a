"""A trained model rebuilt so that any server can run it: float32, and an LSTM without the cuDNN kernel."""

from typing import Any

import keras

from models.two_tower import TwoTower
from training.two_tower_recommender import build_model

MOST_UNROLLED_STEPS = 64


def servable(model: TwoTower) -> TwoTower:
    """Copy a model for export.

    A model built where there is a GPU may hold cuDNN's LSTM and compute in bfloat16. Short LSTMs are unrolled: the same
    numbers, without the cost of a loop in the graph (a third of the time of a single request).

    Args:
        model: the built and trained model; it is not changed.

    Returns:
        A model with the same weights.
    """
    arguments: dict[str, Any] = model.arguments
    policy = keras.config.dtype_policy()
    keras.config.set_dtype_policy("float32")
    try:
        copy = build_model(arguments | {"query": arguments["query"] | {"use_cudnn": False}})
    finally:
        keras.config.set_dtype_policy(policy)
    for to, source in zip(copy.variables, model.variables, strict=True):
        to.assign(source)
    tower = copy.query_tower
    if tower.lstm_units and tower.sequence_baskets <= MOST_UNROLLED_STEPS:
        tower.lstm.unroll = True
    return copy
