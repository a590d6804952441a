"""Rows of any lengths become one array, and nothing of them is lost."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from serving.model_requests import History, history_inputs
from serving.padding import pad_left, pad_right
from serving.serving_error import Target

WORDS = st.text(min_size=1, max_size=3)
EVENTS = st.lists(st.tuples(WORDS, WORDS, st.integers(1, 2**62)), max_size=6)


@given(st.lists(st.lists(st.integers(1, 2**62), max_size=6), max_size=5))
def test_rows_are_whole_at_their_end_of_the_array(rows):
    width = max([1, *map(len, rows)])
    for pad, begin in ((pad_right, lambda row: 0), (pad_left, lambda row: width - len(row))):
        array = pad(rows, 0, np.int64)
        assert array.shape == (len(rows), width)
        for row, padded in zip(rows, array.tolist(), strict=True):
            assert padded[begin(row) : begin(row) + len(row)] == row
            assert sum(one != 0 for one in padded) == len(row)


@given(st.lists(EVENTS, min_size=1, max_size=5))
def test_histories_are_read_back_from_their_tensors(rows):
    histories = [
        History(f"u{n}", *(list(column) for column in (zip(*events, strict=True) if events else ((), (), ()))), at=n)
        for n, events in enumerate(rows)
    ]
    inputs = history_inputs(Target("recommender"), histories)
    assert inputs["user_id"].tolist() == [f"u{n}" for n in range(len(rows))]
    assert (inputs["timestamp"].dtype, inputs["timestamp"].tolist()) == (np.int64, list(range(len(rows))))
    items, types, times = (inputs[f"history_{name}"] for name in ("item_id", "event_type", "timestamp"))
    assert (items.dtype, types.dtype, times.dtype) == (object, object, np.int64)
    assert items.shape == types.shape == times.shape == (len(rows), max([1, *map(len, rows)]))
    for n, events in enumerate(rows):
        found = list(zip(items[n].tolist(), types[n].tolist(), times[n].tolist(), strict=True))
        assert found == events + [("", "", 0)] * (len(found) - len(events))
