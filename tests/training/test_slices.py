import numpy as np

from data_pipelines.features import Feature, FeatureTable
from tests.training.evaluation_world import N_ITEMS, TEST, TIMELINES
from training.slices import (
    history_baskets,
    history_slices,
    next_basket_tasks,
    popularity_tercile,
    seen_targets,
    segment_slices,
    task,
)

POPULARITY = np.bincount(TIMELINES.before(30).item, minlength=N_ITEMS)  # items 2, 3, 4: 3, 2, 1 events


def test_baskets_not_events_make_the_length_of_a_history():
    np.testing.assert_array_equal(history_baskets(TIMELINES, TEST), [2, 1, 2])  # user 2 took two items at once
    slices = history_slices(TIMELINES, TEST)
    assert slices["1–5"].all()
    assert not slices["none"].any()


def test_seen_targets():
    # user 2 had 2 but not 4; user 3 never had 5; user 4 had 4 but not 3
    np.testing.assert_array_equal(seen_targets(TIMELINES, TEST), [True, False, False, False, True])


def test_terciles_are_thirds_of_the_known_items():
    # 5, 6 and 7 were never bought, then 4 once, 3 twice, 2 three times: {5, 6}, {7, 4}, {3, 2}
    np.testing.assert_array_equal(popularity_tercile(POPULARITY)[2:], [2, 2, 1, 0, 0, 1])


def test_tasks_keep_queries_with_a_target_left():
    tasks = next_basket_tasks(TIMELINES, TEST, POPULARITY)
    kept = {name: (some.position.tolist(), some.queries.target_item.tolist()) for name, some in tasks.items()}
    assert kept == {
        "next_basket": ([0, 1, 2], [2, 4, 5, 3, 4]),
        "repeat": ([0, 2], [2, 4]),
        "explore": ([0, 1, 2], [4, 5, 3]),
        "rare_items": ([1], [5]),
        "medium_items": ([0, 2], [4, 4]),
        "popular_items": ([0, 2], [2, 3]),
    }
    assert [name for name, some in tasks.items() if some.unseen] == ["explore"]
    assert tasks["explore"].targets.tolist() == [1, 1, 1]


def test_a_task_without_targets_is_empty():
    assert len(task(TEST, np.zeros(5, bool)).queries) == 0


def test_segments_are_the_small_categorical_features():
    region = Feature("region", "categorical", np.array([0, 0, 1, 2, 0], np.int32), ("", "north", "south"))
    zip_code = Feature("zip", "categorical", np.zeros(5, np.int32), ("", *map(str, range(100))))
    age = Feature("age", "numeric", np.zeros((5, 2), np.float32))
    segments = segment_slices(FeatureTable(np.array([""] * 5), (region, zip_code, age)), TEST.user)
    assert {name: mask.tolist() for name, mask in segments["region"].items()} == {
        "missing": [False, False, True],
        "north": [True, False, False],
        "south": [False, True, False],
    }
    assert set(segments) == {"region"}
