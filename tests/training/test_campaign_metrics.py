"""Answers reached within a budget and areas under the curve, by hand and against their definitions."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from training.campaign_metrics import contacted, mean_auc, placements, reached

SCORES = st.lists(st.integers(0, 4), min_size=1, max_size=30).map(lambda values: np.array(values, dtype=float))


def test_ties_share_the_places_that_are_left() -> None:
    # two of five are contacted: the best for sure, the three equal ones share one place
    assert contacted(np.array([1.0, 9, 1, 0, 1]), 0.4) == pytest.approx([1 / 3, 1, 1 / 3, 0, 1 / 3])
    assert contacted(np.zeros(4), 0.5) == pytest.approx([0.5] * 4)  # random
    assert contacted(np.arange(10.0), 0.1).tolist() == [0] * 9 + [1]
    assert contacted(np.arange(11.0), 0.1).sum() == 2  # ⌈1.1⌉


@given(SCORES, st.floats(0, 1))
def test_the_budget_is_spent_and_the_best_come_first(score: np.ndarray, share: float) -> None:
    chance = contacted(score, share)
    assert chance.sum() == pytest.approx(np.ceil(share * len(score) - 1e-9))
    assert ((chance >= 0) & (chance <= 1)).all()
    order = np.argsort(-score, kind="stable")
    assert (np.diff(chance[order]) <= 1e-12).all()


def test_every_campaign_has_its_own_budget() -> None:
    # half of each: of the first both that answered are reached, of the second none of one: 2 of 3
    scores = [np.array([4.0, 3, 2, 1]), np.array([2.0, 1])]
    answered = [np.array([True, True, False, False]), np.array([False, True])]
    assert reached(scores, answered, 0.5) == pytest.approx(2 / 3)
    assert reached(scores, answered, 1.0) == 1
    assert reached(scores, answered, 0.0) == 0


@given(SCORES, st.data())
def test_the_area_is_that_of_scikit_learn(score: np.ndarray, data: st.DataObject) -> None:
    answered = np.array(data.draw(st.lists(st.booleans(), min_size=len(score), max_size=len(score))))
    if answered.any() and not answered.all():
        assert mean_auc([score], [answered]) == pytest.approx(roc_auc_score(answered, score))
    elif answered.all():
        assert np.isnan(placements(score, answered)).all()


def test_campaigns_weigh_by_their_answers() -> None:
    # area 1 with two answers, 0 with one; a campaign that everybody answered says nothing
    scores = [np.array([3.0, 2, 1]), np.array([1.0, 2]), np.array([1.0])]
    answered = [np.array([True, True, False]), np.array([True, False]), np.array([True])]
    assert mean_auc(scores, answered) == pytest.approx(2 / 3)
    assert np.isnan(mean_auc(scores[2:], answered[2:]))
