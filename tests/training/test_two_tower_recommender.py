"""The two-tower model behind the contract of every recommender, with random weights: training has its own tests."""

import keras
import numpy as np
import numpy.testing as npt
import pytest

from data_pipelines.features import Feature, FeatureTable
from data_pipelines.schema import FIRST_KNOWN
from data_pipelines.timelines import Queries
from data_pipelines.weekly import WeeklyCovariates
from models.attributes import attribute_specs
from models.recommender import FeaturesLike, TimelinesLike
from tests.models.recommender_contract import RecommenderContract, World, make_world
from training.two_tower_recommender import TwoTowerRecommender, build_model


class RandomTwoTower:
    """Stands for the training command: `fit` makes a model whose every weight is random."""

    def fit(self, timelines: TimelinesLike, items: FeaturesLike) -> TwoTowerRecommender:
        keras.utils.set_random_seed(1)
        region = Feature("region", "categorical", np.arange(timelines.n_users, dtype=np.int32) % 3, ("", "n", "s"))
        users = FeatureTable(np.array([str(user) for user in range(timelines.n_users)]), (region,))
        query = {"lstm_units": 4, "sequence_events": 16, "sequence_baskets": 4}
        model = build_model(
            {
                "item_specs": attribute_specs(items),
                "user_specs": attribute_specs(users),
                "n_items": items.size,
                "n_users": timelines.n_users,
                "n_event_types": 3,
                "dim": 4,
                "repeat_units": 4,
                "n_weeks": 2,
                "query": query,
            }
        )
        model.set_tables(items, users, timelines, WeeklyCovariates(0, np.zeros((2, items.size, 0), np.float32)))
        rng = np.random.default_rng(2)
        for variable in model.trainable_variables:
            variable.assign(rng.normal(0.0, 0.3, variable.shape))
        return TwoTowerRecommender(model, history_length=40, batch_size=5)


class TestTwoTowerRecommender(RecommenderContract):
    tolerance = 1e-4
    knows_users_by_history_only = False

    @pytest.fixture(scope="class")
    @classmethod
    def make(cls):
        return RandomTwoTower


@pytest.fixture(scope="module")
def world() -> World:
    return make_world()


@pytest.fixture(scope="module")
def recommender(world) -> TwoTowerRecommender:
    return RandomTwoTower().fit(world.training, world.items)


def test_top_k_are_the_highest_scores_best_first(recommender, world):
    scores = recommender.score(world.timelines, world.queries)
    top = recommender.top_k(world.timelines, world.queries, 6)
    assert top.shape == (len(world.queries), 6)
    npt.assert_allclose(np.take_along_axis(scores, top, axis=1), -np.sort(-scores, axis=1)[:, :6], rtol=1e-5)
    assert (top >= FIRST_KNOWN).all()


def test_probabilities(recommender, world):
    probability = recommender.probability(world.timelines, world.queries)
    assert (probability[:, :FIRST_KNOWN] == 0).all()
    assert ((probability[:, FIRST_KNOWN:] > 0) & (probability[:, FIRST_KNOWN:] < 1)).all()


def test_calibration_makes_the_mean_probability_that_of_the_targets(recommender, world):
    scores = recommender.score(world.timelines, world.queries)
    # targets that the model half knows: the items on its ranks 1 and 4, 2 and 5, or 3 and 6
    rank = np.arange(len(world.queries))[:, None] % 3 + np.array([0, 3])
    target = np.sort(np.take_along_axis(np.argsort(-scores, axis=1), rank, axis=1), axis=1)
    offsets = 2 * np.arange(len(target) + 1)
    queries = world.queries
    questions = Queries(queries.user, queries.end, queries.time, offsets, target.ravel().astype(np.int32))

    recommender.calibrate(world.timelines, questions)
    slope, intercept = recommender.model.calibration.numpy()
    assert slope > 0.01
    # of logistic regression with an intercept: what is predicted in all is what happened in all
    probability = recommender.probability(world.timelines, questions)[:, FIRST_KNOWN:]
    assert probability.mean() == pytest.approx(2 / probability.shape[1], rel=1e-3)
    npt.assert_array_equal(recommender.score(world.timelines, questions), scores)  # the ranking is another thing
    recommender.calibrate(world.timelines, questions)
    npt.assert_allclose(recommender.model.calibration.numpy(), [slope, intercept], rtol=1e-5)  # not on top of itself
