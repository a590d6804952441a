"""Discoveries against plain Python."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from data_pipelines.discoveries import find_discoveries
from data_pipelines.splits import SplitConfig, load_split
from data_pipelines.timelines import SECONDS_PER_DAY, Queries, Timelines
from tests.toy import write_toy


def world(seed: int) -> tuple[Timelines, Queries]:
    """Users 2 to 4 with a basket on some days; each but a user's first is a question with itself as targets."""
    rng = np.random.default_rng(seed)
    rows = sorted(
        {
            (user, int(day), int(item))
            for user in (2, 3, 4)
            for day in rng.choice(60, rng.integers(1, 9), replace=False)
            for item in rng.integers(1, 9, rng.integers(1, 4))
        }
    )
    user, day, item = np.array(rows).T
    offsets = np.searchsorted(user, np.arange(6)).astype(np.int64)
    timelines = Timelines(offsets, item.astype(np.int32), day * SECONDS_PER_DAY, np.full(len(rows), 2, np.int32))
    starts = [
        row for row in range(1, len(rows)) if rows[row][0] == rows[row - 1][0] and rows[row][1] != rows[row - 1][1]
    ]
    baskets = [[i for u, d, i in rows if (u, d) == rows[row][:2] and i > 1] for row in starts]
    target_offsets = np.cumsum([0, *map(len, baskets)]).astype(np.int64)
    ends = np.array(starts, np.int64)
    targets = np.array([item for basket in baskets for item in basket], np.int32)
    return timelines, Queries(user[ends].astype(np.int32), ends, timelines.time[ends], target_offsets, targets)


@given(seed=st.integers(0, 10**6), days=st.sampled_from([0, 1, 7, 28, 400]))
def test_discoveries_equal_plain_python(seed, days):
    timelines, queries = world(seed)
    found = find_discoveries(timelines, queries, days)
    for q in range(len(queries)):
        had = set(timelines.item[timelines.offsets[queries.user[q]] : queries.end[q]])
        expected: set[int] = set()
        for other in range(len(queries)):
            ahead = queries.time[other] - queries.time[q]
            if queries.user[other] == queries.user[q] and 0 <= ahead <= days * SECONDS_PER_DAY:
                begin, end = queries.target_offsets[other : other + 2]
                expected |= set(queries.target_item[begin:end]) - had
        actual = found.item[found.begin[q] : found.end[q]].tolist()
        assert sorted(actual) == sorted(expected)  # a list: nothing twice


def test_some_questions_keep_their_own():
    timelines, queries = world(3)
    found = find_discoveries(timelines, queries, 28)
    some = np.array([4, 0])
    taken = found.take(some)
    for position, q in enumerate(some):
        own = found.item[found.begin[q] : found.end[q]]
        assert taken.item[taken.begin[position] : taken.end[position]].tolist() == own.tolist()


@pytest.mark.parametrize("days", [7, 10_000])
def test_nothing_held_out_is_discovered(tmp_path, days):
    split = load_split(write_toy(tmp_path / "data"), SplitConfig())
    found = find_discoveries(split.timelines, split.train, days)
    learnt = set(zip(split.training_timelines.user.tolist(), split.training_timelines.item.tolist(), strict=True))
    for q in range(len(split.train)):
        for item in found.item[found.begin[q] : found.end[q]]:
            assert (int(split.train.user[q]), int(item)) in learnt
