"""tf.data batches against a plain Python construction of the same windows."""

import numpy as np
import numpy.testing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data_pipelines.datasets import EpochPlan, batches, bucket_lengths, plan_epoch
from data_pipelines.timelines import Queries, Timelines


def world(seed: int = 0, n_users: int = 9, longest: int = 70) -> tuple[Timelines, Queries]:
    """Users 2 and up with 0 to `longest` events; a question after each of their events, with one to four targets."""
    rng = np.random.default_rng(seed)
    counts = np.concatenate([[0, 0], rng.integers(0, longest + 1, n_users - 2)])
    offsets = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    n = int(offsets[-1])
    user = np.repeat(np.arange(n_users, dtype=np.int32), counts)
    time = np.concatenate([np.sort(rng.integers(1, 10**10, count)) for count in counts]).astype(np.int64)
    item, kind = rng.integers(1, 50, n).astype(np.int32), rng.integers(2, 5, n).astype(np.int32)
    targets = [np.sort(rng.choice(np.arange(2, 50), rng.integers(1, 5), replace=False)) for _ in range(n)]
    target_offsets = np.cumsum([0, *map(len, targets)]).astype(np.int64)
    target = np.concatenate([*targets, []]).astype(np.int32)
    queries = Queries(user, np.arange(1, n + 1, dtype=np.int64), time + 5, target_offsets, target)
    return Timelines(offsets, item, time, kind), queries


def padded(values: np.ndarray, width: int) -> list[int]:
    return [*values.tolist(), *[0] * (width - len(values))]


def by_hand(timelines: Timelines, queries: Queries, rows: np.ndarray, length: int, width: int) -> tuple[dict, dict]:
    """One batch, query by query."""
    names = {"event_item": timelines.item, "event_type": timelines.event_type, "event_time": timelines.time}
    inputs: dict[str, list] = {"user": [], "time": [], **{name: [] for name in names}}
    targets: dict[str, list] = {"target_item": [], "weight": []}
    for row in rows:
        real, q = row >= 0, max(row, 0)
        visible = slice(max(timelines.offsets[queries.user[q]], queries.end[q] - length), queries.end[q])
        answer = queries.target_item[queries.target_offsets[q] : queries.target_offsets[q + 1]][:width]
        inputs["user"].append(queries.user[q])
        inputs["time"].append(queries.time[q])
        for name, values in names.items():
            inputs[name].append(padded(values[visible] if real else values[:0], length))
        targets["target_item"].append(padded(answer if real else answer[:0], width))
        targets["weight"].append(float(real))
    return inputs, targets


@settings(max_examples=10)
@given(
    seed=st.integers(0, 10**6),
    batch_size=st.integers(1, 17),
    history_length=st.sampled_from([1, 3, 32, 33, 64, 100]),
    max_targets=st.sampled_from([None, 1, 3, 10]),
    shuffled=st.booleans(),
)
def test_batches_equal_plain_python(seed, batch_size, history_length, max_targets, shuffled):
    timelines, queries = world(seed, n_users=5)
    plan = plan_epoch(
        timelines, queries, batch_size=batch_size, history_length=history_length, seed=seed if shuffled else None
    )
    widest = int(np.diff(queries.target_offsets).max(initial=1))
    width = min(widest, max_targets or widest)
    given_batches = list(batches(timelines, queries, plan, max_targets=max_targets).as_numpy_iterator())
    assert len(given_batches) == len(plan.length)
    for rows, length, (inputs, targets) in zip(plan.rows, plan.length, given_batches, strict=True):
        expected_inputs, expected_targets = by_hand(timelines, queries, rows, length, width)
        for expected, actual in ((expected_inputs, inputs), (expected_targets, targets)):
            assert expected.keys() == actual.keys()
            for name, values in expected.items():
                npt.assert_array_equal(actual[name], values, err_msg=name)


def test_types_are_what_the_model_expects():
    timelines, queries = world()
    plan = plan_epoch(timelines, queries, batch_size=8, history_length=32)
    inputs, targets = next(iter(batches(timelines, queries, plan).as_numpy_iterator()))
    assert {name: str(values.dtype) for name, values in (inputs | targets).items()} == {
        "user": "int32",
        "time": "int64",
        "event_item": "int32",
        "event_type": "int32",
        "event_time": "int64",
        "target_item": "int32",
        "weight": "float32",
    }


def test_bucket_lengths_grow_by_a_third_or_a_half_up_to_the_history_length():
    assert bucket_lengths(1) == [1]
    assert bucket_lengths(32) == [32]
    assert bucket_lengths(33) == [32, 33]
    assert bucket_lengths(256) == [32, 48, 64, 96, 128, 192, 256]
    assert bucket_lengths(300) == [32, 48, 64, 96, 128, 192, 256, 300]


def test_a_batch_is_padded_to_the_shortest_bucket_that_holds_its_histories():
    timelines, queries = world(longest=150)
    plan = plan_epoch(timelines, queries, batch_size=4, history_length=100, seed=3)
    visible = np.minimum(queries.end - timelines.offsets[queries.user], 100)
    for rows, length in zip(plan.rows, plan.length, strict=True):
        longest = visible[rows[rows >= 0]].max()
        assert length == min(bucket for bucket in (32, 48, 64, 96, 100) if bucket >= longest)
    assert set(plan.length.tolist()) == {32, 48, 64, 96, 100}


@given(seed=st.integers(0, 1000), epoch=st.integers(0, 3), batch_size=st.integers(1, 40))
def test_an_epoch_asks_every_question_exactly_once(seed, epoch, batch_size):
    timelines, queries = world(seed % 7)
    for order in (seed, None):
        plan = plan_epoch(timelines, queries, batch_size=batch_size, history_length=64, seed=order, epoch=epoch)
        assert plan.rows.shape == (len(plan.length), batch_size)
        assert np.sort(plan.rows[plan.rows >= 0]).tolist() == list(range(len(queries)))


def test_the_order_is_a_function_of_seed_and_epoch():
    timelines, queries = world()

    def rows(seed: int, epoch: int) -> list[list[int]]:
        return plan_epoch(timelines, queries, batch_size=8, history_length=32, seed=seed, epoch=epoch).rows.tolist()

    assert rows(1, 0) == rows(1, 0)
    assert rows(1, 0) != rows(1, 1)
    assert rows(1, 0) != rows(2, 0)
    # neighbours in one epoch are not neighbours in the next: queries are shuffled, not only batches
    assert {tuple(sorted(row)) for row in rows(1, 0)} != {tuple(sorted(row)) for row in rows(1, 1)}


def test_unshuffled_queries_keep_their_order_within_a_bucket():
    timelines, queries = world()
    plan = plan_epoch(timelines, queries, batch_size=8, history_length=64)
    for length in (32, 64):
        rows = plan.rows[plan.length == length]
        assert (np.diff(rows[rows >= 0]) > 0).all()


@pytest.mark.parametrize("count", [1, 2, 3])
def test_shards_take_batches_in_turn(count):
    timelines, queries = world()
    plan = plan_epoch(timelines, queries, batch_size=8, history_length=64, seed=1)
    shards = [plan.shard(index, count) for index in range(count)]
    usable = len(plan.length) // count * count
    assert all(len(shard.length) == usable // count for shard in shards)  # workers stay in step
    taken = [row.tolist() for shard in shards for row in shard.rows]
    assert sorted(taken) == sorted(plan.rows[:usable].tolist())
    assert shards[0].rows.tolist() == plan.rows[:usable:count].tolist()
    assert shards[-1].length.tolist() == plan.length[count - 1 : usable : count].tolist()


@pytest.mark.parametrize("start", [1, 5, 10**6])
def test_a_stream_continues_exactly_where_it_was_left(start):
    timelines, queries = world()
    plan = plan_epoch(timelines, queries, batch_size=16, history_length=64, seed=1, epoch=2)
    whole = list(batches(timelines, queries, plan).as_numpy_iterator())
    rest = list(batches(timelines, queries, plan, start=min(start, len(whole))).as_numpy_iterator())
    assert len(rest) == max(len(whole) - start, 0)
    for expected, actual in zip(whole[start:], rest, strict=True):
        for one, other in zip(expected, actual, strict=True):
            for name in one:
                npt.assert_array_equal(one[name], other[name])


def test_no_question_no_batch_and_no_event_is_fine():
    timelines, queries = world()
    none = queries.take(np.zeros(0, np.int64))
    plan = plan_epoch(timelines, none, batch_size=8, history_length=64, seed=1)
    assert list(batches(timelines, none, plan)) == []
    silent = Timelines(np.zeros(4, np.int64), *(np.zeros(0, dtype) for dtype in (np.int32, np.int64, np.int32)))
    asked = Queries(*(np.array([value], dtype) for value, dtype in ((2, np.int32), (0, np.int64), (9, np.int64))),
                    np.zeros(2, np.int64), np.zeros(0, np.int32))  # fmt: skip
    plan = EpochPlan(np.array([[0, -1]], np.int32), np.array([1], np.int32))
    ((inputs, targets),) = batches(silent, asked, plan).as_numpy_iterator()
    assert inputs["event_item"].tolist() == [[0], [0]]
    assert inputs["user"].tolist() == [2, 2]
    assert targets["target_item"].tolist() == [[0], [0]]
    assert targets["weight"].tolist() == [1.0, 0.0]
