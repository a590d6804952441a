"""Models whose answers are known by hand, for `fake_serving`: name -> (versions, labels)."""

import numpy as np

from data_pipelines.schema import DEMAND_FORECASTER, RECOMMENDER
from tests.serving.fake_serving import Version

ITEMS = np.array([b"milk", b"bread", b"tea"], object)
HISTORY = {
    "user_id": ("DT_STRING", (-1,)),
    "timestamp": ("DT_INT64", (-1,)),
    "history_item_id": ("DT_STRING", (-1, -1)),
    "history_event_type": ("DT_STRING", (-1, -1)),
    "history_timestamp": ("DT_INT64", (-1, -1)),
}
AWKWARD = np.array(
    [0.1, 1 / 3, 16777217, 1e-45, 1.1754944e-38, 3.4028235e38, -0.0, 2.7182817, np.nan, np.inf, -np.inf], np.float32
)
"""Rounded, subnormal, smallest normal, largest, negative zero and not finite."""


def half_plus_two(inputs):
    return {"y": inputs["x"] / 2 + 2}


def recommend(inputs):
    """The items that are not excluded, scores 3, 2, 1; a row that has fewer ends with ""."""
    k = int(np.max(inputs["k"]))
    item_id, score = np.full((len(inputs["user_id"]), k), b"", object), np.full((len(inputs["user_id"]), k), -1e9, "f4")
    for row, excluded in enumerate(inputs["exclude_item_id"]):
        kept = [(item, 3 - n) for n, item in enumerate(ITEMS) if item not in set(excluded)][:k]
        for column, (item, value) in enumerate(kept):
            item_id[row, column], score[row, column] = item, value
    return {"item_id": item_id, "score": score}


def score(inputs):
    """How many events a history has, divided by 10, for candidates that are no padding."""
    events = (inputs["history_item_id"] != b"").sum(axis=1, keepdims=True)
    return {"probability": ((inputs["candidate_item_id"] != b"") * events / 10).astype(np.float32)}


def embed_user(inputs):
    newest = inputs["history_timestamp"].max(axis=1)
    return {"embedding": np.stack([inputs["timestamp"] - newest, np.ones_like(newest)], axis=1).astype(np.float32)}


def embed_item(inputs):
    return {"embedding": np.array([[len(one), 1] for one in inputs["item_id"]], np.float32)}


def forecast(inputs):
    """Everywhere the sum of known demand, plus the known prices; the date and the horizon are in the levels' place."""
    horizon = int(np.max(inputs["horizon"]))
    if horizon > 28:
        raise ValueError("horizon: longer than the model was trained for")
    total = np.nansum(inputs["demand"], axis=1) + np.nansum(inputs["price"], axis=1)
    mean = np.tile(total[:, None], horizon).astype(np.float32)
    return {"mean": mean, "quantiles": np.stack([mean - 1, mean + 1], axis=2), "levels": np.array([0.1, 0.9], "f4")}


def echo(inputs):
    return {f"{name}_again": one for name, one in inputs.items()}


ECHOED = {
    "words": ("DT_STRING", (-1,)),
    "int32": ("DT_INT32", (-1,)),
    "int64": ("DT_INT64", (-1,)),
    "float64": ("DT_DOUBLE", (-1, 2)),
    "flag": ("DT_BOOL", (-1,)),
}
Y = {"y": ("DT_FLOAT", (-1,))}
EMBEDDING = {"embedding": ("DT_FLOAT", (-1, 2))}


def make_models():
    recommender = {
        "serving_default": (
            HISTORY | {"k": ("DT_INT32", None), "exclude_item_id": ("DT_STRING", (-1, -1))},
            {"item_id": ("DT_STRING", (-1, -1)), "score": ("DT_FLOAT", (-1, -1))},
            recommend,
        ),
        "score": (
            HISTORY | {"candidate_item_id": ("DT_STRING", (-1, -1))},
            {"probability": ("DT_FLOAT", (-1, -1))},
            score,
        ),
        "user_embedding": (HISTORY, EMBEDDING, embed_user),
        "item_embedding": ({"item_id": ("DT_STRING", (-1,))}, EMBEDDING, embed_item),
    }
    forecaster = {
        "serving_default": (
            {
                "demand": ("DT_FLOAT", (-1, -1)),
                "start_date": ("DT_STRING", (-1,)),
                "horizon": ("DT_INT32", None),
                "price": ("DT_FLOAT", (-1, -1)),
                "brand": ("DT_STRING", (-1,)),
            },
            {"mean": ("DT_FLOAT", (-1, -1)), "quantiles": ("DT_FLOAT", (-1, -1, 2)), "levels": ("DT_FLOAT", (2,))},
            forecast,
        )
    }
    half = {"serving_default": ({"x": ("DT_FLOAT", (-1,))}, Y, half_plus_two)}
    third = {"serving_default": ({"x": ("DT_FLOAT", (-1,))}, Y, lambda inputs: {"y": inputs["x"] / 3 + 2})}
    again = {f"{name}_again": spec for name, spec in ECHOED.items()}
    constant = {
        "serving_default": (
            {"n": ("DT_INT32", ())},
            {"awkward": ("DT_FLOAT", (-1,)), "none": ("DT_FLOAT", (-1, -1, 3))},
            lambda inputs: {"awkward": AWKWARD, "none": np.zeros((0, 2, 3), np.float32)},
        )
    }
    return {
        "half_plus_two": ({1: Version(1, half), 2: Version(2, third)}, {"stable": 1, "canary": 2}),
        "echo": ({7: Version(7, {"serving_default": (ECHOED, again, echo)})}, {}),
        "constant": ({1: Version(1, constant)}, {}),
        RECOMMENDER: ({3: Version(3, recommender)}, {"stable": 3}),
        DEMAND_FORECASTER: ({1: Version(1, forecaster)}, {"stable": 1}),
    }
