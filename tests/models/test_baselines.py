"""The baselines: the shared contract, then each one's numbers on a shop small enough to work out by hand."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import numpy.testing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from data_pipelines.features import Feature, FeatureTable
from data_pipelines.schema import FIRST_KNOWN, UNKNOWN, InputError
from data_pipelines.timelines import Timelines
from models.baselines import BASELINES
from models.baselines.als import Als
from models.baselines.baseline import TIE, Baseline
from models.baselines.content_based import ContentBased
from models.baselines.history import visible_history, whole_history
from models.baselines.item_knn import ItemKnn
from models.baselines.neighbours import nearest
from models.baselines.personal_frequency import PersonalFrequency
from models.baselines.popularity import Popularity
from models.baselines.tifu_knn import TifuKnn
from models.baselines.user_knn import UserKnn
from models.recommender import Recommender
from tests.models.recommender_contract import (
    Baskets,
    RecommenderContract,
    World,
    make_items,
    make_queries,
    make_timelines,
    make_world,
)

A, B, C, D = range(FIRST_KNOWN, FIRST_KNOWN + 4)  # items
ANN, BEN, CEM = range(FIRST_KNOWN, FIRST_KNOWN + 3)  # users
NOBODY_YET = FIRST_KNOWN + 3
ITEMS = FeatureTable(np.array(["", "<unknown>", "a", "b", "c", "d"]))


class TestContract(RecommenderContract):
    @pytest.fixture(scope="class", params=BASELINES)
    @classmethod
    def make(cls, request: pytest.FixtureRequest) -> Callable[[], Recommender]:
        return BASELINES[request.param]

    def test_the_registry_knows_it_by_its_name(self, fitted: Recommender) -> None:
        assert type(BASELINES[fitted.name]()) is type(fitted)

    def test_one_user_is_enough(self, make: Callable[[], Recommender], world: World) -> None:
        alone = make_timelines({ANN: [(0, [A, B]), (1, [A])]}, ANN + 1)
        scores = make().fit(alone, world.items).score(alone, make_queries(alone, [(ANN, 2), (UNKNOWN, 2)]))
        assert np.all(np.isfinite(scores[:, FIRST_KNOWN:]))
        assert scores[1, A] > scores[1, B] > scores[1, C:].max()  # without a history popularity decides


def shop(ann: Baskets = (), ben: Baskets = (), cem: Baskets = ()) -> Timelines:
    return make_timelines({ANN: ann, BEN: ben, CEM: cem}, NOBODY_YET + 1)


def evidence(model: Baseline, timelines: Timelines, user: int, day: float, items: FeatureTable = ITEMS) -> np.ndarray:
    """Fit on everything and give the known items' evidence for one user on one day, 0 where nothing is known."""
    scores = model.fit(timelines, items).score(timelines, make_queries(timelines, [(user, day)]))[0, FIRST_KNOWN:]
    popularity = model.state["popularity"][FIRST_KNOWN:]
    return np.where(scores < 0, 0, scores / (1 + TIE * popularity))


def ranking(model: Baseline, timelines: Timelines, user: int, day: float) -> list[int]:
    scores = model.fit(timelines, ITEMS).score(timelines, make_queries(timelines, [(user, day)]))
    return [int(item) for item in np.argsort(-scores[0], kind="stable")[: ITEMS.size - FIRST_KNOWN]]


# --- histories -------------------------------------------------------------------------------------------------------


def test_an_item_counts_once_per_basket_and_unknown_items_not_at_all() -> None:
    timelines = shop(ann=[(0, [A, A, B]), (1, [UNKNOWN]), (2, [A])])
    history = visible_history(timelines, make_queries(timelines, [(ANN, 4)]))
    assert history.item.tolist() == [A, B, A]
    assert history.basket.tolist() == [0, 0, 2]  # the basket of unknown items remains a shopping trip
    assert history.n_baskets.tolist() == [3]
    assert history.age_days.tolist() == [4, 4, 2]
    assert history.matrix(ITEMS.size).toarray().tolist() == [[0, 0, 2, 1, 0, 0]]


def test_several_queries_may_ask_about_one_user() -> None:
    timelines = shop(ann=[(0, [A]), (1, [B])], ben=[(0, [C])])
    history = visible_history(timelines, make_queries(timelines, [(BEN, 9), (ANN, 1), (ANN, 0), (ANN, 9)]))
    assert history.n_baskets.tolist() == [1, 1, 0, 2]
    assert list(zip(history.query.tolist(), history.item.tolist(), strict=True)) == [(0, C), (1, A), (3, A), (3, B)]


def test_training_histories_leave_out_users_without_events() -> None:
    history = whole_history(shop(ann=[(0, [A])], cem=[(3, [B])]))
    assert history.user.tolist() == [ANN, CEM]
    assert history.age_days.tolist() == [3, 0]  # from the last event of all


# --- popularity and personal frequency -------------------------------------------------------------------------------


def test_popularity_counts_baskets() -> None:
    timelines = shop(ann=[(0, [A, B]), (1, [B])], ben=[(1, [B, C])])
    assert evidence(Popularity(), timelines, CEM, 2).tolist() == pytest.approx([1, 3, 1, 0])


def test_recent_popularity_halves_with_every_half_life() -> None:
    # The last event is on day 4, so with a half-life of 2 days day 0 weighs 1/4 and day 2 weighs 1/2.
    timelines = shop(ann=[(0, [A, B]), (2, [B])], ben=[(4, [C])])
    assert evidence(Popularity(half_life_days=2), timelines, CEM, 99).tolist() == pytest.approx([0.25, 0.75, 1, 0])


def test_personal_frequency_breaks_ties_by_popularity_and_ranks_everything() -> None:
    # Ann bought B twice, A and C once; C is more popular than A. D is not hers, but Ben's.
    timelines = shop(ann=[(0, [A, B, C]), (1, [B])], ben=[(0, [C, D]), (1, [C, D])])
    assert ranking(PersonalFrequency(), timelines, ANN, 2) == [B, C, A, D]
    assert ranking(PersonalFrequency(), timelines, NOBODY_YET, 2) == [C, B, D, A]  # popularity; B and D tie


def test_decayed_frequency_counts_from_the_query() -> None:
    # On day 3 with a half-life of 1 day: A 2⁻³ + 2⁻² = 0.375, B 2⁻¹ = 0.5.
    timelines = shop(ann=[(0, [A]), (1, [A]), (2, [B])])
    assert evidence(PersonalFrequency(half_life_days=1), timelines, ANN, 3).tolist() == pytest.approx(
        [0.375, 0.5, 0, 0]
    )
    assert ranking(PersonalFrequency(half_life_days=100), timelines, ANN, 3)[:2] == [A, B]


# --- TIFU-KNN --------------------------------------------------------------------------------------------------------


def test_tifu_weighs_baskets_and_groups() -> None:
    # Five baskets in two groups: sizes 2 and 3. With r_b = 1/2 and r_g = 1/4:
    #   first group   (1/16, 1/8) / 2, times r_g, over 2 groups: 1/256, 1/128
    #   second group  (1/4, 1/2, 1) / 3, over 2 groups:          1/24, 1/12, 1/6
    model = TifuKnn(groups=2, basket_decay=0.5, group_decay=0.25)
    weight = model._basket_weight(np.arange(5), np.full(5, 5))
    assert weight.tolist() == pytest.approx([1 / 256, 1 / 128, 1 / 24, 1 / 12, 1 / 6])


def test_tifu_makes_each_basket_a_group_of_a_short_history() -> None:
    # Groups 1 and 2 of m = 4, r_b = 1/10, r_g = 1/2: 1/10 * (1/2)³ / 2 and (1/2)² / 2; a short history weighs less
    # against the neighbours'.
    model = TifuKnn(groups=4, basket_decay=0.1, group_decay=0.5)
    assert model._basket_weight(np.arange(2), np.full(2, 2)).tolist() == pytest.approx([1 / 160, 1 / 8])


@given(n_baskets=st.integers(1, 60), groups=st.integers(1, 20))
def test_tifu_without_decay_gives_each_group_the_same_share(n_baskets: int, groups: int) -> None:
    weight = TifuKnn(groups=groups, basket_decay=1, group_decay=1)._basket_weight(
        np.arange(n_baskets), np.full(n_baskets, n_baskets)
    )
    n_groups = min(groups, n_baskets)
    assert weight.sum() == pytest.approx(1)
    sizes = np.round(1 / (weight * n_groups)).astype(int)  # a basket of a group of size s weighs 1 / (s * n_groups)
    assert np.all(np.diff(sizes) >= 0)
    assert sizes[-1] - sizes[0] <= 1


@given(n_baskets=st.integers(1, 60), groups=st.integers(1, 20))
def test_tifu_groups_are_consecutive_and_lighter_the_older(n_baskets: int, groups: int) -> None:
    # r_b = 1 and r_g = 1/2: times the group's size, the weights are powers of 1/2 that rise by one step per group.
    baskets = np.arange(n_baskets), np.full(n_baskets, n_baskets)
    flat = TifuKnn(groups=groups, basket_decay=1, group_decay=1)._basket_weight(*baskets)
    halved = TifuKnn(groups=groups, basket_decay=1, group_decay=0.5)._basket_weight(*baskets)
    groups_back = -np.log2(halved / flat)
    assert groups_back[0] == pytest.approx(groups - 1)
    assert groups_back[-1] == pytest.approx(max(groups - n_baskets, 0))
    assert np.all(np.isin(np.diff(groups_back).round(6), [0, -1]))


def test_tifu_mixes_in_the_nearest_other_users() -> None:
    # One group without decay: v = share of the baskets with the item.
    #   Ann (1, 0, 0, 0), Ben (1/2, 1/2, 0, 0), Cem (1, 1, 1, 1); from Ann, Ben is at √(1/2), Cem at √3,
    # though Cem has the larger product with her. Ben only: 0.6 * Ann + 0.4 * Ben = (0.8, 0.2, 0, 0).
    timelines = shop(ann=[(0, [A])], ben=[(0, [A]), (1, [B])], cem=[(0, [A, B, C, D])])
    one = TifuKnn(groups=1, basket_decay=1, neighbours=1, own_share=0.6)
    assert evidence(one, timelines, ANN, 5).tolist() == pytest.approx([0.8, 0.2, 0, 0])
    # Both others: their mean is (3/4, 3/4, 1/2, 1/2); asking for more neighbours than there are changes nothing.
    many = TifuKnn(groups=1, basket_decay=1, neighbours=50, own_share=0.6)
    assert evidence(many, timelines, ANN, 5).tolist() == pytest.approx([0.9, 0.3, 0.2, 0.2])


# --- neighbours ------------------------------------------------------------------------------------------------------


def test_nearest_are_the_largest() -> None:
    columns, value = nearest(np.array([[0.1, 0.9, 0.5], [3, 1, 2]], np.float32), 2)
    assert [sorted(row) for row in columns.tolist()] == [[1, 2], [0, 2]]
    assert [sorted(row) for row in value.tolist()] == [[pytest.approx(0.5), pytest.approx(0.9)], [2, 3]]


def test_item_knn_by_hand() -> None:
    # Columns of n over (Ann, Ben, Cem): A (2, 1, 0), B (1, 1, 0), C (0, 1, 1), D none.
    timelines = shop(ann=[(0, [A, B]), (1, [A])], ben=[(0, [A, B, C])], cem=[(0, [C])])
    cosine_ab, cosine_ac, cosine_bc = 3 / np.sqrt(5 * 2), 1 / np.sqrt(5 * 2), 1 / 2
    # Ann's history is 2 A + 1 B.
    by_cosine = [2 + cosine_ab, 2 * cosine_ab + 1, 2 * cosine_ac + cosine_bc, 0]
    npt.assert_allclose(evidence(ItemKnn("cosine"), timelines, ANN, 9), by_cosine, rtol=1e-5)
    # Sets: A {Ann, Ben}, B {Ann, Ben}, C {Ben, Cem}; J(A, B) = 2/2, J(A, C) = J(B, C) = 1/3.
    npt.assert_allclose(evidence(ItemKnn("jaccard"), timelines, ANN, 9), [3, 3, 1, 0], rtol=1e-5)
    # One neighbour is the item itself: personal frequency.
    assert evidence(ItemKnn("cosine", neighbours=1), timelines, ANN, 9).tolist() == pytest.approx([2, 1, 0, 0])


@pytest.mark.parametrize("similarity", ["cosine", "jaccard"])
def test_item_knn_keeps_the_most_similar_items(similarity: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("models.baselines.item_knn.BLOCK_VALUES", 60)  # several blocks of three items
    world = make_world()
    counts = whole_history(world.training).matrix(world.items.size).toarray().astype(float)
    if similarity == "cosine":
        norm = np.sqrt((counts**2).sum(axis=0))
        full = counts.T @ counts / np.maximum(np.outer(norm, norm), 1e-12)
    else:
        taken = np.sign(counts)
        both = taken.T @ taken
        size = taken.sum(axis=0)
        full = both / np.maximum(size[:, None] + size - both, 1)
    model = ItemKnn(similarity, neighbours=4).fit(world.training, world.items)  # type: ignore[arg-type]
    kept = model.state["similarity"].toarray()
    npt.assert_allclose(np.sort(kept, axis=1)[:, -4:], np.sort(full, axis=1)[:, -4:], atol=1e-6)
    npt.assert_allclose(kept[kept > 0], full[kept > 0], atol=1e-6)
    assert (kept > 0).sum(axis=1).max() == 4


def test_user_knn_weighs_neighbours_by_similarity() -> None:
    # n: Ann (2, 1, 0, 0), Ben (1, 0, 1, 0), Cem (0, 2, 0, 1).
    # Cosines with Ann: Ben 2 / √(5 · 2), Cem 2 / √(5 · 5) = 2/5.
    timelines = shop(ann=[(0, [A, B]), (1, [A])], ben=[(0, [A, C])], cem=[(0, [B, D]), (1, [B])])
    ben, cem = 2 / np.sqrt(10), 0.4
    expected = np.array([ben, 2 * cem, ben, cem]) / (ben + cem)
    npt.assert_allclose(evidence(UserKnn("cosine"), timelines, ANN, 9), expected, rtol=1e-5)
    assert evidence(UserKnn("cosine", neighbours=1), timelines, ANN, 9).tolist() == pytest.approx([1, 0, 1, 0])


def test_user_knn_pearson_is_the_correlation_over_the_catalogue() -> None:
    world = make_world()
    model = UserKnn("pearson").fit(world.training, world.items)
    vectors = model.state["vectors"]
    npt.assert_allclose(model._similarity(vectors, vectors), np.corrcoef(vectors.toarray()), atol=1e-5)


@pytest.mark.parametrize("model", [UserKnn("cosine"), UserKnn("pearson"), TifuKnn(own_share=0)])
def test_nobody_is_his_own_neighbour(model: Baseline) -> None:
    # Only Ann has A: without her own vector nothing speaks for it.
    timelines = shop(ann=[(0, [A, B])], ben=[(0, [B, C])], cem=[(0, [C, D])])
    assert evidence(model, timelines, ANN, 9)[0] == 0


# --- content and factors ---------------------------------------------------------------------------------------------


def described(category: Sequence[int], tags: Sequence[Sequence[int]]) -> FeatureTable:
    padding = [[0] * len(tags[0])] * FIRST_KNOWN
    return FeatureTable(
        ITEMS.ids,
        (
            Feature("category", "categorical", np.array([0, 0, *category], np.int32), ("", "x", "y")),
            Feature("tags", "list", np.array([*padding, *tags], np.int32), ("", "p", "q")),
        ),
    )


def test_content_based_is_the_cosine_of_tf_idf_vectors() -> None:
    # Terms: A {x}, B {x, p}, C {y}, D without attributes; six rows with padding and unknown.
    # Smoothed idf ln((1 + 6) / (1 + df)) + 1: x (df 2) 1.8473, p (df 1) 2.2528.
    # Ann bought A only: cos(A, B) = x / √(x² + p²) = 1.8473 / 2.9133 = 0.6341.
    timelines = shop(ann=[(0, [A])])
    found = evidence(ContentBased(), timelines, ANN, 1, described([1, 1, 2, 0], [[0], [1], [0], [0]]))
    npt.assert_allclose(found, [1, 0.6341, 0, 0], atol=1e-4)


def test_content_based_recommends_what_nobody_has_bought() -> None:
    timelines = shop(ann=[(0, [A])], ben=[(0, [B]), (1, [B])])
    items = described([1, 2, 2, 1], [[1, 2], [0, 0], [1, 0], [1, 2]])
    found = evidence(ContentBased(), timelines, ANN, 1, items)
    assert found[D - FIRST_KNOWN] == pytest.approx(1, abs=1e-5)  # described like A
    assert found[B - FIRST_KNOWN] == 0


def test_als_folds_in_a_user_it_was_not_trained_on() -> None:
    # Two tastes: half of the users take A and B, the others C and D. The newcomer, who took A, should see B first.
    tastes = {user: [(0, [A, B] if user % 2 else [C, D])] for user in range(FIRST_KNOWN, 22)}
    training = make_timelines(tastes, 23)
    later = make_timelines({**tastes, 22: [(1, [A])]}, 23)
    model = Als(factors=4, regularization=0.1, confidence=10).fit(training, ITEMS)
    scores = model.score(later, make_queries(later, [(22, 2)]))[0]
    assert scores[B] > 0.5 > scores[C:].max()


# --- mistakes --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("make", "names"),
    [
        (lambda: Popularity(half_life_days=0), "half_life_days=0"),
        (lambda: PersonalFrequency(half_life_days=-1), "half_life_days=-1"),
        (lambda: TifuKnn(groups=0), "groups=0"),
        (lambda: TifuKnn(group_decay=1.5), r"group_decay=1\.5"),
        (lambda: ItemKnn("euclidean"), "similarity='euclidean'"),  # type: ignore[arg-type]
        (lambda: UserKnn("jaccard"), "similarity='jaccard'"),  # type: ignore[arg-type]
        (lambda: UserKnn(neighbours=0), "neighbours=0"),
        (lambda: Als(factors=0), "factors=0"),
    ],
)
def test_hyperparameters_out_of_range_are_named(make: Callable[[], Baseline], names: str) -> None:
    with pytest.raises(InputError, match=names):
        make()


def test_a_file_of_another_baseline_is_refused(tmp_path: Path) -> None:
    world = make_world()
    Popularity().fit(world.training, world.items).save(tmp_path / "model.npz")
    with pytest.raises(InputError, match="holds a Popularity, not a TifuKnn"):
        TifuKnn.load(tmp_path / "model.npz")


def test_hyperparameters_are_saved(tmp_path: Path) -> None:
    model = TifuKnn(groups=3, basket_decay=0.8, group_decay=0.5, neighbours=2, own_share=0.25)
    model.fit(make_world().training, make_items(20)).save(tmp_path / "model.npz")
    assert TifuKnn.load(tmp_path / "model.npz") == model
