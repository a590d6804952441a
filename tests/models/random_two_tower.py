"""A tiny two-tower model whose every weight is random: what holds for it holds for any trained one."""

from typing import Any

import keras
import numpy as np

from data_pipelines.features import Feature, FeatureTable
from models.attributes import attribute_specs
from models.recommender import FeaturesLike
from models.two_tower import TwoTower
from tests.models.histories import as_arrays
from tests.models.recommender_contract import make_items

N_ITEMS, N_USERS = 14, 5
QUERY: dict[str, Any] = {"lstm_units": 4, "sequence_events": 48, "sequence_baskets": 4}


def make_users(n_users: int = N_USERS) -> FeatureTable:
    region = Feature("region", "categorical", np.arange(n_users, dtype=np.int32) % 3, ("", "north", "south"))
    return FeatureTable(np.array([f"user {user}" for user in range(n_users)]), (region,))


def make_model(
    items: FeaturesLike | None = None, n_users: int = N_USERS, *, random: bool = True, **changed: Any
) -> TwoTower:
    """Build the model; without `random` its weights are those that training begins with."""
    keras.utils.set_random_seed(1)
    items = make_items(N_ITEMS) if items is None else items
    users = make_users(n_users)
    arguments = {
        "item_specs": attribute_specs(items),
        "user_specs": attribute_specs(users),
        "n_items": items.size,
        "n_users": n_users,
        "n_event_types": 4,
        "dim": 4,
        "repeat_units": 4,
        "n_negatives": 6,
        **changed,
        "query": QUERY | changed.get("query", {}),
    }
    model = TwoTower(**arguments)
    model(as_arrays([[]]))
    model.item_tower.attributes.set_table(items)
    if model.query_tower.use_user:
        model.query_tower.user_attributes.set_table(users)
    if random:
        rng = np.random.default_rng(2)
        for variable in model.trainable_variables:
            variable.assign(rng.normal(0.0, 0.3, variable.shape))
        if model.repeat_head is not None:
            model.repeat_head.statistics.assign(rng.normal(size=model.repeat_head.statistics.shape))
    return model
