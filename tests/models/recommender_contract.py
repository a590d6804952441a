"""What every recommender must do, the two-tower model and each baseline alike.

A test module subclasses `RecommenderContract` and says how to make an unfitted model.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.testing as npt
import pytest

from data_pipelines.features import Feature, FeatureTable
from data_pipelines.schema import FIRST_KNOWN, UNKNOWN
from data_pipelines.timelines import Queries, Timelines
from models.recommender import Recommender

DAY = 86_400
EVENT_TYPE = FIRST_KNOWN

Baskets = Sequence[tuple[float, Sequence[int]]]


def make_timelines(baskets: Mapping[int, Baskets], n_users: int) -> Timelines:
    """Timelines from `{user: [(day, items), …]}`, baskets in time order."""
    rows = [
        (user, int(day * DAY), item)
        for user in sorted(baskets)
        for day, items in baskets[user]
        for item in sorted(items)
    ]
    user, time, item = np.array(rows, np.int64).reshape(-1, 3).T
    offsets = np.searchsorted(user, np.arange(n_users + 1)).astype(np.int64)
    return Timelines(offsets, item.astype(np.int32), time, np.full(len(rows), EVENT_TYPE, np.int32))


def make_queries(timelines: Timelines, asked: Sequence[tuple[int, float]]) -> Queries:
    """Queries without targets from `(user, day)`; what is earlier than the day is visible."""
    user = np.array([user for user, _ in asked], np.int32)
    time = np.array([day * DAY for _, day in asked], np.int64)
    end = [
        start + np.searchsorted(timelines.time[start:stop], t)
        for start, stop, t in zip(timelines.offsets[user], timelines.offsets[user + 1], time, strict=True)
    ]
    return Queries(user, np.array(end, np.int64), time, np.zeros(len(user) + 1, np.int64), np.zeros(0, np.int32))


@dataclass(frozen=True)
class World:
    """A small random shop.

    Args:
        timelines: users 2 to 13 have a basket a day for twelve days, some items unknown; user 14 buys from day 8 on.
        training: the events before day 8.
        queries: every user on day 9, and twice a history without events: the unknown user, and user 2 on day 0.
        items: 18 known items with a categorical, a list-valued and a numeric attribute; the last is never bought.
    """

    timelines: Timelines
    training: Timelines
    queries: Queries
    items: FeatureTable


def make_world() -> World:
    rng = np.random.default_rng(7)
    n_items = FIRST_KNOWN + 18
    latecomer, n_users = 14, 15
    baskets = {}
    for user in range(FIRST_KNOWN, n_users):
        favourites = rng.choice(np.arange(UNKNOWN, n_items - 1), 8, replace=False)
        first = 8 if user == latecomer else 0
        baskets[user] = [
            (day, rng.choice(favourites, rng.integers(1, 5), replace=False).tolist()) for day in range(first, 12)
        ]
    timelines = make_timelines(baskets, n_users)
    asked = [(user, 9.0) for user in range(FIRST_KNOWN, n_users)] + [(UNKNOWN, 9.0), (FIRST_KNOWN, 0.0)]
    return World(timelines, timelines.before(8 * DAY), make_queries(timelines, asked), make_items(n_items))


def make_items(n_items: int) -> FeatureTable:
    """Attributes that repeat every third (category) and every fifth item (tags)."""
    index = np.arange(n_items, dtype=np.int32)
    known = index >= FIRST_KNOWN
    category = np.where(known, index % 3 + 1, 0).astype(np.int32)
    tags = np.where(known[:, None], np.stack([index % 5 + 1, np.where(index % 2, 6, 0)], axis=1), 0).astype(np.int32)
    price = np.stack([index / n_items, ~known], axis=1).astype(np.float32)
    features = (
        Feature("category", "categorical", category, ("", "a", "b", "c")),
        Feature("tags", "list", tags, ("", "p", "q", "r", "s", "t", "u")),
        Feature("price", "numeric", price),
    )
    return FeatureTable(np.array(["", "<unknown>", *(f"item {i}" for i in index[FIRST_KNOWN:])]), features)


class RecommenderContract:
    """The tests; subclasses override `make`."""

    tolerance = 1e-5
    """Difference allowed where the arithmetic may run in another order."""
    knows_users_by_history_only = True
    """False for a model that embeds the user's id or attributes."""

    @pytest.fixture(scope="class")
    @classmethod
    def make(cls) -> Callable[[], Recommender]:
        """How to make an unfitted model."""
        raise NotImplementedError

    @pytest.fixture(scope="class")
    @classmethod
    def world(cls) -> World:
        return make_world()

    @pytest.fixture(scope="class")
    @classmethod
    def fitted(cls, make: Callable[[], Recommender], world: World) -> Recommender:
        return make().fit(world.training, world.items)

    def assert_close(self, actual: np.ndarray, expected: np.ndarray) -> None:
        npt.assert_allclose(actual, expected, rtol=self.tolerance, atol=self.tolerance)

    def test_is_a_recommender_with_a_name(self, fitted: Recommender) -> None:
        assert isinstance(fitted, Recommender)
        assert fitted.name

    def test_scores_every_known_item_and_nothing_else(self, fitted: Recommender, world: World) -> None:
        scores = fitted.score(world.timelines, world.queries)
        assert scores.shape == (len(world.queries), world.items.size)
        assert scores.dtype == np.float32
        assert np.all(scores[:, :FIRST_KNOWN] == -np.inf)
        assert np.all(np.isfinite(scores[:, FIRST_KNOWN:]))

    def test_no_history_gets_a_ranking_that_is_the_same_for_everybody(self, fitted: Recommender, world: World) -> None:
        unknown_user, known_user = fitted.score(world.timelines, world.queries)[-2:, FIRST_KNOWN:]
        assert len(np.unique(unknown_user)) > 1
        if self.knows_users_by_history_only:
            self.assert_close(known_user, unknown_user)

    def test_a_user_without_training_events_is_served_from_his_history(self, fitted: Recommender, world: World) -> None:
        latecomer = np.flatnonzero(world.queries.user == world.timelines.n_users - 1)
        assert world.training.offsets[-2] == world.training.offsets[-1]
        assert np.all(np.isfinite(fitted.score(world.timelines, world.queries.take(latecomer))[:, FIRST_KNOWN:]))

    def test_a_batch_scores_like_its_queries_one_by_one(self, fitted: Recommender, world: World) -> None:
        batch = fitted.score(world.timelines, world.queries)
        single = [fitted.score(world.timelines, world.queries.take(np.array([q]))) for q in range(len(world.queries))]
        self.assert_close(np.concatenate(single), batch)

    def test_no_query_no_score(self, fitted: Recommender, world: World) -> None:
        none = world.queries.take(np.zeros(0, np.int64))
        assert fitted.score(world.timelines, none).shape == (0, world.items.size)

    def test_same_data_same_scores(self, make: Callable[[], Recommender], fitted: Recommender, world: World) -> None:
        again = make().fit(world.training, world.items)
        self.assert_close(again.score(world.timelines, world.queries), fitted.score(world.timelines, world.queries))

    def test_a_saved_model_scores_identically(self, fitted: Recommender, world: World, tmp_path: Path) -> None:
        fitted.save(tmp_path / "model")
        loaded = type(fitted).load(tmp_path / "model")
        assert loaded.name == fitted.name
        npt.assert_array_equal(
            loaded.score(world.timelines, world.queries), fitted.score(world.timelines, world.queries)
        )

    def test_the_future_is_not_looked_at(self, fitted: Recommender, world: World) -> None:
        before = fitted.score(world.timelines, world.queries)
        visible = np.zeros(len(world.timelines.item), bool)
        for user, end in zip(world.queries.user, world.queries.end, strict=True):
            visible[world.timelines.offsets[user] : end] = True
        assert 0 < visible.sum() < len(visible)
        other_items = FIRST_KNOWN + (world.timelines.item + 5) % (world.items.size - FIRST_KNOWN)
        changed = Timelines(
            world.timelines.offsets,
            np.where(visible, world.timelines.item, other_items).astype(np.int32),
            np.where(visible, world.timelines.time, world.timelines.time + 100 * DAY),
            world.timelines.event_type,
        )
        npt.assert_array_equal(fitted.score(changed, world.queries), before)

    def test_events_without_any_attributes_are_enough(self, make: Callable[[], Recommender], world: World) -> None:
        bare = FeatureTable(world.items.ids)
        scores = make().fit(world.training, bare).score(world.timelines, world.queries)
        assert np.all(np.isfinite(scores[:, FIRST_KNOWN:]))
