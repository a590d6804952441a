import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn.metrics import average_precision_score, ndcg_score

from training.ranking_metrics import METRICS, contained, ndcg, ranking_metrics, recall, top_k

HITS = np.array([[True, False, True, False, False], [False, True, False, False, True], [False] * 5])
TARGETS = np.array([4, 2, 1])


@pytest.mark.parametrize(
    ("metric", "expected"),
    [
        # query 0 has hits at ranks 1 and 3 and 4 targets, query 1 hits at ranks 2 and 5 and 2 targets; k = 3
        ("recall", [2 / 4, 1 / 2, 0]),
        ("hr", [1, 1, 0]),
        ("precision", [2 / 3, 1 / 3, 0]),
        # gains: 1/log2(2) + 1/log2(4) = 1.5 over the ideal of min(3, 4) targets, 1 + 0.63093 + 0.5 = 2.13093; then
        # 1/log2(3) = 0.63093 over that of min(3, 2), 1.63093
        ("ndcg", [1.5 / 2.13093, 0.63093 / 1.63093, 0]),
        ("mrr", [1, 1 / 2, 0]),
        # precision at the hits: (1/1 + 2/3) / min(3, 4); then (1/2) / min(3, 2)
        ("map", [5 / 9, 1 / 4, 0]),
    ],
)
def test_metrics_by_hand(metric, expected):
    np.testing.assert_allclose(METRICS[metric](HITS, TARGETS, 3), expected, atol=1e-5)


def test_every_metric_at_every_cut_off():
    values = ranking_metrics(HITS, TARGETS, (1, 5))
    assert set(values) == {f"{name}@{k}" for name in METRICS for k in (1, 5)}
    np.testing.assert_allclose(values["recall@5"], [0.5, 1, 0])


def test_agrees_with_scikit_learn():
    random = np.random.default_rng(0)
    scores = random.random((50, 30))
    scores[:, 0] = -np.inf  # padding
    relevant = random.random((50, 30)) < 0.2
    relevant[:, :2] = [False, True]
    targets = relevant.sum(axis=1)
    offsets = np.concatenate([[0], np.cumsum(targets)])
    hits = contained(top_k(scores, 30), offsets, np.nonzero(relevant)[1])
    known, known_scores = relevant[:, 1:], scores[:, 1:]
    expected = [ndcg_score(known[[i]], known_scores[[i]]) for i in range(50)]
    np.testing.assert_allclose(METRICS["ndcg"](hits, targets, 30), expected)
    expected = [average_precision_score(known[i], known_scores[i]) for i in range(50)]
    np.testing.assert_allclose(METRICS["map"](hits, targets, 30), expected)


def test_top_k_orders_ties_by_index_and_leaves_impossible_items_out():
    scores = np.array(
        [
            [-np.inf, -np.inf, 1.0, 3.0, 3.0, 2.0],
            [-np.inf, -np.inf, -1.0, -0.0, 0.0, -2.0],  # zero is zero, whatever its sign
            [-np.inf, -np.inf, -np.inf, -np.inf, 0.5, -np.inf],
        ],
        np.float32,
    )
    np.testing.assert_array_equal(top_k(scores, 3), [[3, 4, 5], [3, 4, 2], [4, 0, 0]])


def test_top_k_of_fewer_items_than_k_is_padded():
    np.testing.assert_array_equal(top_k(np.array([[-np.inf, 1.0, 2.0]]), 5), [[2, 1, 0, 0, 0]])


def test_top_k_refuses_nan():
    with pytest.raises(ValueError, match="NaN among the scores of row 1"):
        top_k(np.array([[1.0, 2.0], [1.0, np.nan]]), 1)


@given(arrays(np.float32, (4, 12), elements=st.integers(-3, 3).map(np.float32)), st.integers(1, 12))
def test_top_k_is_a_stable_sort(scores, k):
    scores[:, 0] = -np.inf
    expected = np.argsort(-scores, axis=1, kind="stable")[:, :k]
    np.testing.assert_array_equal(top_k(scores, k), expected)  # the impossible item is 0, which is also padding


def test_contained_looks_into_the_own_set_only():
    top = np.array([[2, 3, 0], [2, 3, 4]], np.int32)
    found = contained(top, np.array([0, 1, 3]), np.array([3, 2, 4], np.int32))
    np.testing.assert_array_equal(found, [[False, True, False], [True, False, True]])


@given(arrays(np.bool_, (6, 10)), st.integers(1, 5))
def test_bounds_and_monotony(hits, extra):
    targets = hits.sum(axis=1) + extra
    for name, metric in METRICS.items():
        values = metric(hits, targets, 7)
        assert ((values >= 0) & (values <= 1 + 1e-12)).all(), name
    at = np.stack([recall(hits, targets, k) for k in range(1, 11)])
    assert (np.diff(at, axis=0) >= 0).all()


@given(st.integers(1, 10), st.integers(1, 10))
def test_a_perfect_ranking_is_one(targets, k):
    hits = np.arange(10)[None, :] < targets
    counts = np.array([targets])
    assert ndcg(hits, counts, k) == pytest.approx(1)
    assert METRICS["map"](hits, counts, k) == pytest.approx(1)
    assert METRICS["mrr"](hits, counts, k) == pytest.approx(1)
    assert recall(hits, counts, k) == pytest.approx(min(k, targets) / targets)
