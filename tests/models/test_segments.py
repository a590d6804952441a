import numpy as np
import pytest
from sklearn.metrics import adjusted_rand_score

from models import segments
from models.segments import Candidate, choose, cluster, judge, nearest

CORNERS = 6.0 * np.array([[1, 1, 0], [1, -1, 0], [-1, 1, 0], [-1, -1, 0], [0, 0, 2]])


def blobs(n: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Five clusters with deviation 1, at least 12 apart."""
    generator = np.random.default_rng(seed)
    label = generator.integers(0, len(CORNERS), n)
    return CORNERS[label] + generator.normal(size=(n, 3)), label


def test_nearest_is_the_brute_force_answer():
    points, centroids = np.random.default_rng(0).normal(size=(50, 4)), np.random.default_rng(1).normal(size=(6, 4))
    expected = np.linalg.norm(points[:, None] - centroids[None], axis=2).argmin(axis=1)
    assert nearest(points, centroids).tolist() == expected.tolist()


def test_known_clusters_are_found_of_few_and_of_many(monkeypatch):
    points, label = blobs(2_000)
    few = cluster(points, 5, seed=0)
    monkeypatch.setattr(segments, "MANY", 1_000)
    monkeypatch.setattr(segments, "SAMPLE", 500)
    many = cluster(points, 5, seed=0)
    for centroids in (few, many):
        assert adjusted_rand_score(nearest(points, centroids), label) == 1.0
        assert np.abs(centroids[nearest(CORNERS, centroids)] - CORNERS).max() < 0.5  # 400 each: error 0.05


def test_going_on_from_previous_centroids_keeps_them_apart_only_if_that_fits():
    points, _ = blobs(1_000)
    kept = cluster(points, 5, seed=0, previous=CORNERS[::-1] + 1.0)
    assert np.abs(kept - CORNERS[::-1]).max() < 0.5  # in their own order
    # a start that k-means cannot get away from: two centroids in one cluster, one between two
    stuck = np.array([CORNERS[0] - 0.5, CORNERS[0] + 0.5, (CORNERS[1] + CORNERS[4]) / 2, CORNERS[2], CORNERS[3]])
    found = cluster(points, 5, seed=0, previous=stuck)
    assert sorted(nearest(CORNERS, found)) == [0, 1, 2, 3, 4]


def test_the_number_of_clusters_is_found():
    points, _ = blobs(600)
    candidates = judge(points, range(3, 8), resamples=3, seed=0)
    best = choose(candidates, floor=0.75)
    assert best.segments == 5
    assert best.stability > 0.99
    # within a cluster two points are √6 ≈ 2.3 apart, the next cluster is 12 or more away: 1 − 2.3 / 12 ≈ 0.8
    assert best.silhouette == pytest.approx(0.8, abs=0.05)


def test_one_cloud_is_not_divided_stably():
    points = np.random.default_rng(0).normal(size=(600, 5))
    assert max(one.stability for one in judge(points, (4, 6, 8), resamples=3, seed=0)) < 0.75


def test_the_same_seed_gives_the_same_answer():
    points = np.random.default_rng(0).normal(size=(300, 4))
    assert judge(points, (3, 4), resamples=2, seed=5) == judge(points, (3, 4), resamples=2, seed=5)
    assert np.array_equal(cluster(points, 4, seed=5), cluster(points, 4, seed=5))


def test_distinct_ones_among_the_stable_else_the_most_stable():
    tried = [Candidate(4, 0.5, 0.6), Candidate(5, 0.3, 0.9), Candidate(6, 0.2, 0.95)]
    assert choose(tried, floor=0.75).segments == 5
    assert choose(tried, floor=0.99).segments == 6
    assert choose(tried, floor=0.0).segments == 4
