import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.exposure_metrics import coverage, exposure, gini, novelty, repeat_share


def test_exposure_counts_known_items():
    top = np.array([[2, 3], [2, 0]], np.int32)
    np.testing.assert_array_equal(exposure(top, 5), [2, 1, 0])  # items 2, 3 and 4
    assert coverage(exposure(top, 5)) == pytest.approx(2 / 3)


def test_gini_by_hand():
    # sorted 0, 1, 2: (−2·0 + 0·1 + 2·2) / (3 · 3) = 4/9
    assert gini(np.array([2, 0, 1])) == pytest.approx(4 / 9)
    assert gini(np.array([5, 5, 5])) == pytest.approx(0)
    assert gini(np.zeros(3, np.int64)) == 0


@given(st.integers(2, 50), st.integers(1, 100))
def test_gini_of_a_single_shown_item_is_one_minus_one_nth(n, times):
    assert gini(np.eye(1, n, dtype=np.int64)[0] * times) == pytest.approx(1 - 1 / n)


def test_novelty_is_mean_self_information():
    # after adding one event each, items 2, 3 and 4 have 4, 2 and 2 of 8: 1, 2 and 2 bits
    popularity = np.array([0, 9, 3, 1, 1])
    top = np.array([[2, 3], [3, 4], [2, 0], [0, 0]], np.int32)
    np.testing.assert_allclose(novelty(top, popularity), [1.5, 2, 1, 0])


def test_repeat_share_ignores_empty_ranks():
    top = np.array([[2, 3], [4, 0], [0, 0]], np.int32)
    repeated = np.array([[True, False], [True, False], [False, False]])
    np.testing.assert_allclose(repeat_share(top, repeated), [0.5, 1, 0])
