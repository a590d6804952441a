"""User 2 has the events 0 to 2, user 3 none, user 4 the events 3 and 4; users 0 and 1 are reserved."""

import numpy as np
import numpy.testing as npt
from hypothesis import given
from hypothesis import strategies as st

from data_pipelines.timelines import Queries, Timelines, histories

TIMELINES = Timelines(
    offsets=np.array([0, 0, 0, 3, 3, 5], np.int64),
    item=np.array([7, 8, 9, 7, 5], np.int32),
    time=np.array([10, 20, 20, 5, 30], np.int64),
    event_type=np.array([2, 2, 3, 3, 2], np.int32),
)


def queries(asked: list[tuple[int, int, list[int]]]) -> Queries:
    """Queries from `(user, end, targets)`."""
    offsets = np.cumsum([0, *(len(targets) for _, _, targets in asked)])
    target = [item for _, _, targets in asked for item in targets]
    user, end = (np.array([row[column] for row in asked]) for column in (0, 1))
    return Queries(user.astype(np.int32), end.astype(np.int64), end * 100, offsets, np.array(target, np.int32))


def targets_of(asked: Queries) -> list[list[int]]:
    return [part.tolist() for part in np.split(asked.target_item, asked.target_offsets[1:-1])] if len(asked) else []


def test_users_of_the_events():
    assert TIMELINES.n_users == 5
    assert TIMELINES.user.tolist() == [2, 2, 2, 4, 4]


def test_before_is_strict_and_keeps_every_user():
    early = TIMELINES.before(20)  # the events at 20 themselves are not before 20
    assert early.offsets.tolist() == [0, 0, 0, 1, 1, 2]
    assert early.item.tolist() == [7, 7]
    assert early.time.tolist() == [10, 5]
    assert early.event_type.tolist() == [2, 3]
    assert TIMELINES.before(0).offsets.tolist() == [0] * 6


def test_histories_end_where_the_query_says():
    # user 4 sees its first event only, user 2 all three, user 3 has nothing, user 2 again with nothing visible
    rows, query = histories(TIMELINES, queries([(4, 4, []), (2, 3, []), (3, 3, []), (2, 0, [])]))
    assert rows.tolist() == [3, 0, 1, 2]
    assert query.tolist() == [0, 1, 1, 1]


def test_take_brings_the_targets_along():
    asked = queries([(2, 1, [5, 6]), (2, 2, []), (4, 4, [7]), (4, 5, [5, 8, 9])])
    taken = asked.take(np.array([3, 1, 0, 3]))
    assert taken.user.tolist() == [4, 2, 2, 4]
    assert taken.end.tolist() == [5, 2, 1, 5]
    assert taken.time.tolist() == [500, 200, 100, 500]
    assert targets_of(taken) == [[5, 8, 9], [], [5, 6], [5, 8, 9]]
    assert len(asked.take(np.zeros(0, np.int64))) == 0


@given(st.data())
def test_take_and_histories_equal_plain_python(data):
    counts = data.draw(st.lists(st.integers(0, 4), min_size=1, max_size=5))
    offsets = np.cumsum([0, *counts])
    n = int(offsets[-1])
    zeros = np.zeros(n, np.int32)
    timelines = Timelines(offsets, zeros, zeros.astype(np.int64), zeros)
    user = st.integers(0, len(counts) - 1)
    asked = []
    for chosen in data.draw(st.lists(user, max_size=6)):
        end = data.draw(st.integers(int(offsets[chosen]), int(offsets[chosen + 1])))
        asked.append((chosen, end, data.draw(st.lists(st.integers(2, 9), max_size=3))))
    made = queries(asked) if asked else queries([(0, 0, [])]).take(np.zeros(0, np.int64))
    rows, query = histories(timelines, made)
    expected = [(row, q) for q, (u, end, _) in enumerate(asked) for row in range(offsets[u], end)]
    npt.assert_array_equal(np.stack([rows, query], axis=1).reshape(-1, 2), np.array(expected).reshape(-1, 2))
    index = data.draw(st.permutations(range(len(asked))))
    assert targets_of(made.take(np.array(index, np.int64))) == [asked[i][2] for i in index]
