import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from data_pipelines.demand_windows import DemandExamples, Windows, batches, plan_epoch, training_windows
from data_pipelines.panel import Category, Panel

NAN = float("nan")
PANEL = Panel(
    ids=np.array(["a", "b"]),
    first_day=100,
    demand=np.array([[0, 1, 2, 3, 4, 5], [NAN, NAN, 12, 13, 14, 15]], np.float32),
    numeric=np.arange(2 * 8, dtype=np.float32).reshape(2, 8, 1),
    numeric_names=("promotion",),
    planned=(True,),
    categorical=np.arange(16, dtype=np.int32).reshape(2, 8, 1),
    categories=(Category("event", tuple("abcdefghijklmnop")),),
    static=np.array([[1], [2]], np.int32),
    statics=(Category("shop", ("", "north", "south")),),
)


def one_batch(series: list[int], origin: list[int], history: int = 3, horizon: int = 2):
    windows = Windows(np.array(series, np.int32), np.array(origin, np.int32))
    plan = np.arange(len(series))[None, :]
    weight = np.array([1.0, 2.0], np.float32)
    (batch,) = batches(PANEL, windows, plan, history=history, horizon=horizon, weight=weight)
    return tuple({name: value.numpy() for name, value in part.items()} for part in batch)


def test_a_window_is_what_was_known_and_what_followed():
    inputs, targets = one_batch([0, 1], [4, 4])
    np.testing.assert_array_equal(inputs["demand"], [[1, 2, 3], [NAN, 12, 13]])
    np.testing.assert_array_equal(targets["actual"], [[4, 5], [14, 15]])
    assert inputs["start_day"].tolist() == [101, 101]
    assert inputs["numeric"][:, :, 0].tolist() == [[1, 2, 3, 4, 5], [9, 10, 11, 12, 13]]
    assert inputs["categorical"][:, :, 0].tolist() == [[1, 2, 3, 4, 5], [9, 10, 11, 12, 13]]
    assert inputs["static"].tolist() == [[1], [2]]
    assert targets["weight"].tolist() == [1, 2]


def test_before_the_first_day_nothing_is_known():
    inputs, _ = one_batch([0], [1])
    np.testing.assert_array_equal(inputs["demand"], [[NAN, NAN, 0]])
    assert inputs["start_day"].tolist() == [98]
    np.testing.assert_array_equal(inputs["numeric"][0, :, 0], [NAN, NAN, 0, 1, 2])
    assert inputs["categorical"][0, :, 0].tolist() == [0, 0, 0, 1, 2]


def test_windows_have_a_known_day_before_and_the_whole_horizon_after_them():
    windows = training_windows(PANEL, horizon=2)
    # a is known from column 0: origins 1 to 4; b from column 2: origins 3 and 4
    pairs = sorted(zip(windows.series.tolist(), windows.origin.tolist(), strict=True))
    assert pairs == [(0, 1), (0, 2), (0, 3), (0, 4), (1, 3), (1, 4)]


@given(n=st.integers(1, 30), batch_size=st.integers(1, 8), steps=st.integers(1, 10), seed=st.integers(0, 99))
def test_no_window_is_drawn_twice_before_all_were_drawn_once(n, batch_size, steps, seed):
    windows = Windows(np.zeros(n, np.int32), np.zeros(n, np.int32))
    plan = plan_epoch(windows, batch_size, steps, seed, 0)
    assert plan.shape == (steps, batch_size)
    drawn = np.bincount(plan.ravel(), minlength=n)
    assert drawn.max() - drawn.min() <= 1
    assert np.array_equal(plan, plan_epoch(windows, batch_size, steps, seed, 0))


def test_a_pass_can_be_continued_anywhere():
    windows = training_windows(PANEL, 2)
    examples = DemandExamples(PANEL, windows, 2, 5, 3, 2, np.ones(2, np.float32), seed=1)

    def demands(first: int, last: int) -> list:
        return [np.nan_to_num(batch[0]["demand"].numpy()).tolist() for batch in examples.batches(1, first, last)]

    whole = demands(0, 5)
    assert len(whole) == 5
    assert demands(0, 2) + demands(2, 5) == whole
    assert whole != [np.nan_to_num(batch[0]["demand"].numpy()).tolist() for batch in examples.batches(0, 0, 5)]


def test_what_was_only_observed_ends_with_the_past():
    panel = Panel(PANEL.ids, 100, PANEL.demand, numeric=PANEL.numeric, numeric_names=("price",), planned=(False,))
    past = panel.until(4)
    assert past.demand.shape == (2, 4)
    assert past.numeric[0, :, 0].tolist() == [0, 1, 2, 3, 3, 3, 3, 3]
    assert panel.numeric[0, -1, 0] == 7  # the whole is left as it was
    assert PANEL.until(4).numeric[0, :, 0].tolist() == pytest.approx(list(range(8)))  # a plan stays
