"""The textbook's sets, and the same sets from every algorithm."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import sparse

from data_pipelines.schema import InputError
from models import frequent_sets as module
from models.frequent_sets import ALGORITHMS, NOTHING, FrequentSets, frequent_sets
from tests.models.baskets import AGRAWAL_SRIKANT, contents, random_contents


def in_words(sets: FrequentSets, things: list[str]) -> dict[str, int]:
    return {
        " ".join(things[item] for item in row): int(count)
        for items, baskets in zip(sets.items, sets.baskets, strict=True)
        for row, count in zip(items, baskets, strict=True)
    }


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_the_example_of_agrawal_and_srikant(algorithm):
    # figure 3 with a minimum support of 2 transactions: L1, L2 and L3 as printed there
    first = {"1": 2, "2": 3, "3": 3, "5": 3}
    second = {"1 3": 2, "2 3": 2, "2 5": 3, "3 5": 2}
    third = {"2 3 5": 2}
    table, things = contents(AGRAWAL_SRIKANT)
    assert in_words(frequent_sets(table, 2, 5, algorithm=algorithm), things) == first | second | third
    assert in_words(frequent_sets(table, 2, 2, algorithm=algorithm), things) == first | second


tables = st.lists(st.lists(st.booleans(), min_size=6, max_size=6), min_size=1, max_size=25).map(np.array)


@given(table=tables, min_baskets=st.integers(1, 8), max_length=st.integers(1, 5))
def test_all_algorithms_give_the_same_sets(table, min_baskets, max_length):
    ours, *others = (
        frequent_sets(sparse.csr_matrix(table), min_baskets, max_length, algorithm=name) for name in ALGORITHMS
    )
    for other in others:
        assert len(ours.items) == len(other.items)
        for mine, theirs in zip(ours.items + ours.baskets, other.items + other.baskets, strict=True):
            np.testing.assert_array_equal(mine, theirs)


@given(table=tables, min_baskets=st.integers(1, 8))
def test_counts_are_those_of_the_baskets_and_no_set_is_left_out(table, min_baskets):
    sets = frequent_sets(sparse.csr_matrix(table), min_baskets, 3)
    for size, (items, baskets) in enumerate(zip(sets.items, sets.baskets, strict=True), start=1):
        held = table[:, items].all(axis=2).sum(axis=0) if len(items) else np.zeros(0)
        np.testing.assert_array_equal(held, baskets)
        assert (np.diff(items, axis=1) > 0).all()
        everything = np.array([[bool(number >> item & 1) for item in range(6)] for number in range(64)])
        wanted = [row for row in everything if row.sum() == size and table[:, row].all(axis=1).sum() >= min_baskets]
        assert len(wanted) == len(items)


def test_blocks_change_nothing(monkeypatch):
    table = random_contents(3, 200, [0.3] * 15)
    whole = frequent_sets(table, 10, 4)
    monkeypatch.setattr(module, "CELLS", 600)  # three sets at a time
    for mine, theirs in zip(whole.items, frequent_sets(table, 10, 4).items, strict=True):
        np.testing.assert_array_equal(mine, theirs)


def test_sets_of_all_sizes_are_counted_at_once():
    table, things = contents(AGRAWAL_SRIKANT)
    sets = frequent_sets(table, 2, 3)
    asked = [["2", "3", "5"], ["2", "5"], ["3"], []]
    rows = np.full((4, 3), NOTHING)
    for row, words in zip(rows, asked, strict=True):
        row[: len(words)] = [things.index(word) for word in words]
    assert sets.count(rows).tolist() == [2, 3, 3, 4]  # nothing is in all four


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_share_that_rounds_does_not_decide(algorithm):
    # 3 of 30 baskets; 3 / 30 · 30 is 3.0000000000000004 in some orders of multiplication
    table, _ = contents(["a b"] * 3 + ["c"] * 27)
    assert [len(items) for items in frequent_sets(table, 3, 2, algorithm=algorithm).items] == [3, 1]
    assert [len(items) for items in frequent_sets(table, 4, 2, algorithm=algorithm).items] == [1]


def test_nothing_frequent_is_no_set():
    table, _ = contents(["a", "b"])
    for name in ALGORITHMS:
        assert len(frequent_sets(table, 2, 3, algorithm=name)) == 0


def test_more_sets_than_memory_holds_are_refused(monkeypatch):
    # three baskets of the same 6 things: 6, 15 and 20 sets of one, two and three
    table = sparse.csr_matrix(np.ones((3, 6), bool))
    monkeypatch.setattr(module, "MOST_SETS", 19)
    assert len(frequent_sets(table, 3, 2)) == 6 + 15
    with pytest.raises(InputError, match="over 19 sets of 3 things are in at least 3 baskets"):
        frequent_sets(table, 3, 3)


def test_progress_reaches_the_end_of_every_size():
    told: list[float] = []
    frequent_sets(contents(AGRAWAL_SRIKANT)[0], 2, 3, advance=told.append)
    assert sum(told) == pytest.approx(2)  # pairs and triples


def test_impossible_thresholds():
    table, _ = contents(["a b"])
    with pytest.raises(InputError, match="min_baskets=0: must be at least 1"):
        frequent_sets(table, 0, 2)
    with pytest.raises(InputError, match="max_length=0: must be at least 1"):
        frequent_sets(table, 1, 0)
    with pytest.raises(InputError, match="algorithm='eclat': unknown; it is one of matrix, fp-growth, apriori"):
        frequent_sets(table, 1, 2, algorithm="eclat")
