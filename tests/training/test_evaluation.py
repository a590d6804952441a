from dataclasses import replace

import numpy as np
import pytest
from rich.progress import Progress

from tests.training.evaluation_world import (
    BY_INDEX,
    EXPLORE,
    N_ITEMS,
    N_USERS,
    TEST,
    FixedProbabilities,
    FixedScores,
    oracle,
    same_for_all,
    split,
)
from training.evaluation import evaluate, make_test_set


@pytest.fixture(scope="module")
def test_set():
    return make_test_set(split())


def test_recall_of_every_task_by_hand(test_set):
    (result,) = evaluate([same_for_all()], test_set, (2,))
    recall = {task: values["recall@2"].tolist() for task, values in result.values.items()}
    # everybody is shown 2, 3; without what the history has, user 2 is shown 4, 5, user 3 is shown 2, 4, user 4 3, 5
    assert recall == {
        "next_basket": [1 / 2, 0, 1 / 2],  # of {2, 4}, {5}, {3, 4}
        "repeat": [1, 0],  # user 2 had 2, user 4 had 4
        "explore": [1, 0, 1],  # {4}, {5}, {3}
        "rare_items": [0],  # 5
        "medium_items": [0, 0],  # 4 and 4
        "popular_items": [1, 1],  # 2 and 3
        "explore_period": [1, 0, 1],  # {4}, {5, 6}, {3}
    }


def test_catalogue_metrics_by_hand(test_set):
    (result,) = evaluate([same_for_all()], test_set, (2,))
    assert result.exposure["coverage@2"] == pytest.approx(2 / 6)
    # exposures 0, 0, 0, 0, 3, 3: (3 · 3 + 5 · 3) / (6 · 6)
    assert result.exposure["gini@2"] == pytest.approx(24 / 36)
    # user 2 had both items, user 3 had 3, user 4 had 2
    assert result.exposure["repeat_share@2"] == pytest.approx((1 + 0.5 + 0.5) / 3)
    # six events and one for each of six items: items 2 and 3 have shares 4/12 and 3/12
    assert result.exposure["novelty@2"] == pytest.approx(-(np.log2(4 / 12) + np.log2(3 / 12)) / 2)


def test_an_oracle_finds_everything(test_set):
    (result,) = evaluate([oracle()], test_set, (2,))
    for task in ("next_basket", "explore"):
        for metric in ("recall@2", "ndcg@2", "hr@2", "mrr@2", "map@2"):
            np.testing.assert_allclose(result.values[task][metric], 1)
    assert result.auc == {"uniform": 1, "popularity": 1}


def test_results_do_not_depend_on_the_chunks(test_set):
    random = np.random.default_rng(0)
    scores = np.where(np.arange(N_ITEMS) < 2, -np.inf, random.random((N_USERS, N_ITEMS)))
    model = FixedProbabilities(scores, random.random((N_USERS, N_ITEMS)))
    (whole,), (single,) = (evaluate([model], test_set, (1, 3), chunk_size=size) for size in (10, 1))
    for task, values in whole.values.items():
        for metric, expected in values.items():
            np.testing.assert_array_equal(single.values[task][metric], expected)
    assert single.exposure == whole.exposure
    assert single.auc == whole.auc
    assert whole.reliability is not None
    assert single.reliability is not None
    np.testing.assert_array_equal(single.reliability.pairs, whole.reliability.pairs)
    assert single.reliability.log_loss == pytest.approx(whole.reliability.log_loss)


def test_a_score_head_is_measured_by_its_probabilities(test_set):
    probabilities = np.zeros((N_USERS, N_ITEMS))
    probabilities[np.repeat(TEST.user, [2, 1, 2]), TEST.target_item] = 0.5
    reversed_scores = np.tile(np.where(np.isinf(BY_INDEX), -np.inf, -BY_INDEX), (N_USERS, 1))
    (result,) = evaluate([FixedProbabilities(reversed_scores, probabilities)], test_set, (2,))
    assert result.auc["uniform"] == 1  # by the probabilities, although the ranking is poor
    assert result.reliability is not None
    assert result.reliability.pairs.sum() == 3 * 6
    assert result.reliability.base_rate == pytest.approx(5 / 18)
    assert result.reliability.predicted_per_observed == pytest.approx(0.5)
    (without,) = evaluate([FixedScores(reversed_scores)], test_set, (2,))
    assert without.reliability is None


def test_popularity_is_worth_little_against_popular_negatives(test_set):
    popularity = np.tile(np.where(np.arange(N_ITEMS) < 2, -np.inf, test_set.popularity), (N_USERS, 1))
    (result,) = evaluate([FixedScores(popularity)], test_set)
    uniform, matched = result.auc["uniform"], result.auc["popularity"]
    assert uniform is not None
    assert matched is not None
    assert uniform > matched


def test_the_validation_part_asks_its_own_questions():
    world = split()
    validation = make_test_set(replace(world, validation=TEST.take(np.array([1]))), "validation")
    assert len(validation.queries) == 1
    assert "explore_period" not in validation.tasks
    (result,) = evaluate([same_for_all()], validation, (2,))
    assert result.values["next_basket"]["recall@2"].tolist() == [0]


def test_slices(test_set):
    assert set(test_set.slices) == {"history", "region"}
    assert {name: mask.sum() for name, mask in test_set.slices["region"].items()} == {"missing": 1, "north": 2}


def test_a_question_of_both_kinds_is_scored_once():
    world = split()
    later = replace(EXPLORE, time=EXPLORE.time + np.array([0, 1, 0]))  # user 3 is asked at another time
    test_set = make_test_set(replace(world, explore=later))
    assert test_set.further.user.tolist() == [3]
    assert test_set.tasks["explore_period"].position.tolist() == [0, 3, 2]

    class Asked(FixedScores):
        def score(self, timelines, queries):
            asked.extend(zip(queries.user.tolist(), queries.time.tolist(), strict=True))
            return super().score(timelines, queries)

    asked = []
    (result,) = evaluate([Asked(same_for_all().scores)], test_set, (2,))
    assert asked == [(3, 31), (4, 32), (2, 30), (3, 32)]  # the shortest history first
    assert result.values["explore_period"]["recall@2"].tolist() == [1, 0, 1]


def test_one_progress_bar_per_model(test_set):
    bar = Progress(disable=True)
    evaluate([same_for_all("a"), same_for_all("b")], test_set, progress=bar)
    assert [(task.description, task.completed) for task in bar.tasks] == [("a", 3), ("b", 3)]


def test_nan_scores_are_refused(test_set):
    with pytest.raises(ValueError, match="NaN"):
        evaluate([FixedScores(np.full((N_USERS, N_ITEMS), np.nan))], test_set)
