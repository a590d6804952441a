"""Joined answers are those that every request gets alone; the model is called as seldom as the rules allow."""

import asyncio
import functools
import threading
from collections.abc import Callable
from typing import Any

import grpc
import numpy as np
import numpy.testing as npt
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st

from serving.model_server.batch_plan import BatchPlan
from serving.model_server.batching import Batcher
from serving.model_server.request_error import RequestError, invalid
from serving.model_server.servable import Spec

ROWS, MATRIX, ANY = (None,), (None, None), None


class Model:
    """A signature in Python: scores history items, `k` of them, and refuses the user "bad"."""

    inputs = {  # noqa: RUF012
        "exclude_item_id": Spec(tf.string, MATRIX, True),
        "history_item_id": Spec(tf.string, MATRIX, True),
        "history_timestamp": Spec(tf.int64, MATRIX, True),
        "k": Spec(tf.int32, ANY, True),
        "user_id": Spec(tf.string, ROWS, True),
    }
    outputs = {"levels": Spec(tf.float32, (2,), True), "score": Spec(tf.float32, MATRIX, True)}  # noqa: RUF012

    def __init__(self) -> None:
        self.calls: list[int] = []
        self.gate = threading.Event()
        self.gate.set()
        self.entered = threading.Semaphore(0)

    def run(self, fed: dict[str, Any]) -> dict[str, Any]:
        self.calls.append(len(fed["user_id"]))
        self.entered.release()
        assert self.gate.wait(20)
        if b"bad" in fed["user_id"]:
            raise invalid("bad user")
        items, times = fed["history_item_id"], fed["history_timestamp"]
        if items.shape != times.shape:
            raise invalid("history differs in shape")
        assert ((items != b"") | (times == 0)).all()  # padding is padding in all inputs
        excluded = (fed["exclude_item_id"] != b"").sum(axis=1)
        length = (items != b"").sum(axis=1) * 100 + times.sum(axis=1) - excluded  # blind to padding
        score = length[:, None] + np.arange(np.max(fed["k"]))
        return {"score": score.astype(np.float32), "levels": np.float32([0.1, 0.9])}


def request(rows: int = 1, length: int = 2, k: Any = 3, user: bytes = b"u", times: int | None = None) -> dict[str, Any]:
    return {
        "exclude_item_id": np.full((rows, length % 3), b"x", object),
        "history_item_id": np.full((rows, length), b"i", object),
        "history_timestamp": np.arange(rows * (times or length)).reshape(rows, -1)[:, : (times or length)] + 1
        if length
        else np.zeros((rows, 0), np.int64),
        "k": np.asarray(k, np.int32),
        "user_id": np.full(rows, user, object),
    }


def answer_of(function: Callable[..., Any], one: dict[str, Any]) -> Any:
    """The answer, or the error."""
    try:
        return function(one)
    except RequestError as error:
        return error


def together(model: Model, requests: list[dict[str, Any]], **settings: Any) -> list[Any]:
    """Answers or errors of requests that all arrive while the model is busy with the first."""

    async def ask() -> list[Any]:
        batcher = batcher_of(model, **settings)
        model.gate.clear()
        first = asyncio.create_task(batcher(requests[0]))
        await asyncio.to_thread(model.entered.acquire, timeout=20)
        others = [asyncio.create_task(batcher(one)) for one in requests[1:]]
        await asyncio.sleep(0)  # all of them are in the queue, or in the model if they cannot be joined
        model.gate.set()
        return await asyncio.wait_for(asyncio.gather(first, *others, return_exceptions=True), 20)

    return asyncio.run(ask())


def batcher_of(model: Model, **settings: Any) -> Batcher:
    loop = asyncio.get_running_loop()
    chosen: dict[str, Any] = {"max_rows": 8, "timeout_seconds": 0.0, "parallel": 1} | settings
    return Batcher(model, functools.partial(loop.run_in_executor, None), **chosen)  # type: ignore[arg-type]


@given(
    st.lists(
        st.builds(
            request,
            rows=st.integers(1, 4),
            length=st.integers(0, 5),
            k=st.sampled_from([1, 3]),
            user=st.sampled_from([b"u", b"v", b"bad"]),
            times=st.sampled_from([None, None, 2]),
        ),
        min_size=1,
        max_size=8,
    )
)
def test_joined_requests_get_the_answers_they_get_alone(requests: list[dict[str, Any]]) -> None:
    alone = Model()
    for one, answer in zip(requests, together(Model(), requests), strict=True):
        expected = answer_of(alone.run, one)
        if isinstance(expected, RequestError):
            assert isinstance(answer, RequestError)
            assert answer.message == expected.message
            continue
        assert answer.keys() == expected.keys()
        for name, array in expected.items():
            npt.assert_array_equal(answer[name], array, strict=True)


def test_a_lone_request_runs_at_once_and_those_that_wait_are_joined() -> None:
    model = Model()
    together(model, [request() for _ in range(6)])
    assert model.calls == [1, 5]


def test_a_batch_holds_no_more_rows_than_it_may() -> None:
    model = Model()
    together(model, [request(rows=3) for _ in range(6)])
    assert model.calls == [3, 6, 6, 3]  # 3 × 3 rows would be 9, above 8


def test_only_requests_with_equal_k_are_joined() -> None:
    model = Model()
    answers = together(model, [request(), request(k=3), request(k=5), request(k=[3]), request(k=3)])
    assert [answer["score"].shape[1] for answer in answers] == [3, 3, 5, 3, 3]
    assert sorted(model.calls) == [1, 1, 1, 2]


def test_rows_that_differ_in_k_run_alone() -> None:
    model = Model()
    answers = together(model, [request(), request(rows=2, k=[2, 4]), request()])
    assert answers[1]["score"].shape == (2, 4)


def test_one_that_fails_does_not_fail_the_others() -> None:
    model = Model()
    answers = together(model, [request(), request(user=b"v"), request(user=b"bad"), request()])
    assert [isinstance(answer, RequestError) for answer in answers] == [False, False, True, False]
    assert answers[2].code == grpc.StatusCode.INVALID_ARGUMENT
    assert model.calls == [1, 3, 1, 1, 1]  # the joined call failed; each was then run alone


def test_a_wrong_request_is_not_padded_to_a_right_one() -> None:
    # alone, 2 items and 1 time differ; padded to the 4 of its companions they would not
    answers = together(Model(), [request(), request(length=2, times=1), request(length=4)])
    assert [isinstance(answer, RequestError) for answer in answers] == [False, True, False]


def test_long_histories_are_not_joined_with_short_ones() -> None:
    plan = BatchPlan(Model.inputs, Model.outputs)

    def joined(one: int, other: int) -> bool:
        first, second = plan.rows(request(length=one)), plan.rows(request(length=other))
        return first is not None and second is not None and first.key == second.key

    # short: up to 256; then up to 512, 1024, …
    assert [joined(0, 256), joined(256, 257), joined(257, 512), joined(512, 513)] == [True, False, True, False]


def test_a_full_batch_does_not_wait_and_one_under_load_waits_for_company() -> None:
    model = Model()

    async def ask() -> None:
        batcher = batcher_of(model, max_rows=4, timeout_seconds=20.0)
        batcher._last, batcher._took = (
            4,
            20.0,
        )  # four more are expected; 20 s would be noticed
        async with asyncio.timeout(15):
            first = asyncio.create_task(batcher(request()))
            await asyncio.sleep(0.01)
            assert model.calls == []
            await asyncio.gather(first, *(batcher(request()) for _ in range(3)))

    asyncio.run(ask())
    assert model.calls == [4]


def test_nobody_waits_longer_than_the_last_batch_took() -> None:
    model = Model()

    async def ask() -> None:
        batcher = batcher_of(model, timeout_seconds=20.0)
        batcher._last, batcher._took = 4, 0.01
        await asyncio.wait_for(batcher(request()), 15)

    asyncio.run(ask())
    assert model.calls == [1]


def test_a_request_that_nobody_waits_for_is_not_run() -> None:
    model = Model()

    async def ask() -> Any:
        batcher = batcher_of(model)
        model.gate.clear()
        first = asyncio.create_task(batcher(request()))
        await asyncio.to_thread(model.entered.acquire, timeout=20)
        second, third = (asyncio.create_task(batcher(request())) for _ in range(2))
        await asyncio.sleep(0)
        second.cancel()
        await asyncio.sleep(0)
        model.gate.set()
        return await asyncio.wait_for(asyncio.gather(first, third), 20)

    assert all(answer["score"].shape == (1, 3) for answer in asyncio.run(ask()))
    assert model.calls == [1, 1]


@pytest.mark.parametrize("shape", [(1,), (), (None, 2)])
def test_signatures_whose_outputs_have_no_rows_are_never_joined(shape: tuple[int | None, ...]) -> None:
    plan = BatchPlan({"x": Spec(tf.float32, ROWS, True)}, {"total": Spec(tf.float32, shape, True)})
    assert (plan.rows({"x": np.zeros(2, np.float32)}) is None) == (shape != (None, 2))


def test_outputs_of_another_length_are_not_cut() -> None:
    plan = BatchPlan({"x": Spec(tf.float32, ROWS, True)}, {"y": Spec(tf.float32, None, True)})
    assert plan.split({"y": np.zeros(1)}, [1, 1]) is None
    assert plan.split({"y": np.array(3.0)}, [1, 1]) is None
    assert [part["y"].tolist() for part in plan.split({"y": np.arange(3)}, [1, 2]) or []] == [[0], [1, 2]]


def test_lengths_of_inputs_without_defined_padding_must_be_equal() -> None:
    plan = BatchPlan({"demand": Spec(tf.float32, MATRIX, True)}, {"mean": Spec(tf.float32, MATRIX, True)})
    keys = [plan.rows({"demand": np.zeros((1, length), np.float32)}) for length in (28, 28, 29)]
    assert keys[0] == keys[1] != keys[2]
