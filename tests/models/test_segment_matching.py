import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from models.segment_matching import match_ids

OLD = np.array([[0.0, 0.0], [10.0, 0.0], [0.0, 10.0]])


def test_ids_follow_the_centroids_whatever_their_order():
    moved = OLD[[2, 0, 1]] + 0.5
    assert match_ids(moved, OLD, [7, 4, 9], np.ones(3), 12) == [9, 7, 4]


def test_the_sum_of_distances_counts_not_the_nearest_first():
    # nearest first would pair 1.2 with 2 (0.8) and leave 0 to 3.5, together 4.3; the other way it is 1.2 + 1.5 = 2.7
    assert match_ids(np.array([[1.2], [3.5]]), np.array([[0.0], [2.0]]), [1, 2], np.full(2, 5.0), 3) == [1, 2]


def test_a_segment_that_came_gets_a_new_id_and_one_that_went_keeps_its_own():
    new = np.array([[0.1, 0.0], [50.0, 50.0], [10.1, 0.0], [-40.0, 0.0]])
    # the third segment is gone: its id 3 is given to neither newcomer, nor is 4, which was used before
    assert match_ids(new, OLD, [1, 2, 3], np.ones(3), 5) == [1, 5, 2, 6]


def test_a_segment_that_went_pushes_no_other_out_of_its_id():
    # of 0 and 10 the first is gone: 9.9 is the second, 11 is new. By all distances 10 to 11 and 0 to 9.9 would be less
    # (1 + 9.9 against 0.1 + 11), though 0 to 9.9 is no pair
    assert match_ids(np.array([[9.9], [11.0]]), np.array([[0.0], [10.0]]), [1, 2], np.ones(2), 3) == [2, 3]


def test_a_tight_segment_may_move_up_to_halfway_to_the_next():
    # the nearest other centroid is 10 away; 4.9 is less than halfway, 5.1 is not
    assert match_ids(np.array([[-4.9, 0.0]]), OLD, [1, 2, 3], np.full(3, 0.1), 4) == [1]
    assert match_ids(np.array([[-5.1, 0.0]]), OLD, [1, 2, 3], np.full(3, 0.1), 4) == [4]
    assert match_ids(np.array([[-5.1, 0.0]]), OLD, [1, 2, 3], np.full(3, 6.0), 4) == [1]
    assert match_ids(np.array([[1.1], [9.0]]), np.array([[0.0]]), [1], np.ones(1), 2) == [2, 3]  # alone: the radius


@given(st.permutations(range(3)), st.integers(0, 1000))
def test_ids_are_distinct_and_small_moves_keep_them(order, seed):
    noise = np.random.default_rng(seed).uniform(-1, 1, OLD.shape)
    ids = match_ids(OLD[list(order)] + noise, OLD, [1, 2, 3], np.full(3, 2.0), 4)
    assert ids == [place + 1 for place in order]
