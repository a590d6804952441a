"""Exports of this package on the server: the same bits in process, over gRPC, over REST, alone and joined."""

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import numpy.testing as npt
import pytest
import tensorflow as tf

from data_pipelines.schema import RECOMMENDER
from tests.serving.model_server.served_world import ANY, Asking, asking
from tests.training.export_world import DAY, N_ITEMS, START, make_shop
from training.export_recommender import main as export

K = 5


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Asking, dict[str, Any]]]:
    """A server with the tiny shop's export, and the export's functions in this process."""
    shop = make_shop(tmp_path_factory.mktemp("shop"))
    assert export(["--run", str(shop.run), "--models", str(shop.models)]) == 0
    loaded = tf.saved_model.load(str(shop.version))
    with asking(shop.models, ANY) as ask:
        yield ask, loaded.signatures


def histories(batch: int, length: int, seed: int = 0) -> dict[str, Any]:
    rng = np.random.default_rng(seed)
    items = np.array([f"Käse {item}".encode() for item in range(N_ITEMS)] + [b"", b"nobody knows"], object)
    return {
        "user_id": np.array([f"Kunde {user:02}".encode() for user in rng.integers(0, 14, batch)], object),
        "timestamp": np.full(batch, START + 90 * DAY),
        "history_item_id": items[rng.integers(0, len(items), (batch, length))].reshape(batch, length),
        "history_event_type": np.full((batch, length), b"purchase", object),
        "history_timestamp": START + rng.integers(0, 80 * DAY, (batch, length)),
    }


def requests_of(batch: int, length: int, seed: int = 0) -> dict[str, dict[str, Any]]:
    """One request per signature."""
    history = histories(batch, length, seed)
    items = np.array([[b"K\xc3\xa4se 1", b"", b"rare 3"]] * batch, object)
    return {
        "serving_default": history | {"k": np.int32(K), "exclude_item_id": items[:, : length % 3]},
        "score": history | {"candidate_item_id": items},
        "user_embedding": history,
        "item_embedding": {"item_id": items[0]},
    }


def in_process(function: Any, inputs: dict[str, Any]) -> dict[str, Any]:
    return {name: t.numpy() for name, t in function(**{n: tf.constant(a) for n, a in inputs.items()}).items()}


def text(value: Any) -> Any:
    """Bytes to text, for JSON."""
    return np.asarray(value).astype("U").tolist() if np.asarray(value).dtype != object else decoded(value)


def decoded(value: Any) -> Any:
    return np.frompyfunc(bytes.decode, 1, 1)(value).tolist()


def plain(inputs: dict[str, Any]) -> dict[str, Any]:
    return {name: decoded(a) if np.asarray(a).dtype == object else np.asarray(a).tolist() for name, a in inputs.items()}


@pytest.mark.parametrize(("batch", "length"), [(1, 0), (1, 7), (3, 20)])
def test_grpc_and_rest_answer_with_the_bits_of_the_process(
    world: tuple[Asking, dict[str, Any]], batch: int, length: int
) -> None:
    ask, functions = world
    for signature, inputs in requests_of(batch, length).items():
        expected = in_process(functions[signature], inputs)
        answer = ask.predict(inputs, name=RECOMMENDER, signature=signature)
        status, document = ask.post(
            json.dumps({"signature_name": signature, "inputs": plain(inputs)}), f"/v1/models/{RECOMMENDER}:predict"
        )
        assert status == 200
        columns = document["outputs"] if len(expected) > 1 else {next(iter(expected)): document["outputs"]}
        assert answer.keys() == columns.keys() == expected.keys()
        for name, array in expected.items():
            assert answer[name].dtype == array.dtype
            assert answer[name].tobytes() == array.tobytes() or array.dtype == object
            npt.assert_array_equal(answer[name], array)
            over_rest = np.array(columns[name], np.float32 if array.dtype == np.float32 else None)
            npt.assert_array_equal(over_rest, array if array.dtype == np.float32 else np.array(decoded(array)))


def test_rows_take_k_once_per_row(world: tuple[Asking, dict[str, Any]]) -> None:
    ask, functions = world
    inputs = requests_of(3, 4)["serving_default"]
    expected = in_process(functions["serving_default"], inputs)
    columns = plain(inputs | {"k": np.full(3, K, np.int32)})
    rows = [{name: column[row] for name, column in columns.items()} for row in range(3)]
    status, document = ask.post(json.dumps({"instances": rows}), f"/v1/models/{RECOMMENDER}/labels/stable:predict")
    assert status == 200
    assert [row["item_id"] for row in document["predictions"]] == decoded(expected["item_id"])
    npt.assert_array_equal(np.array([row["score"] for row in document["predictions"]], "f4"), expected["score"])


def test_requests_that_are_joined_get_their_own_answers(world: tuple[Asking, dict[str, Any]]) -> None:
    """32 callers with histories of 0 to 20 events: joined, padded, and cut again."""
    ask, functions = world
    requests = [requests_of(1 + seed % 2, seed % 21, seed)["serving_default"] for seed in range(96)]
    with ThreadPoolExecutor(32) as pool:
        answers = list(pool.map(lambda inputs: ask.predict(inputs, name=RECOMMENDER), requests))
    with ask.server.manager.hold(RECOMMENDER) as served:
        assert served._batchers["serving_default"]._separable
    for inputs, answer in zip(requests, answers, strict=True):
        expected = in_process(functions["serving_default"], inputs)
        npt.assert_array_equal(answer["item_id"], expected["item_id"])
        # sums of another batch size may be taken in another order
        npt.assert_allclose(answer["score"], expected["score"], rtol=1e-5, atol=1e-5)


def test_a_history_whose_parts_differ_in_length_is_the_clients_mistake(world: tuple[Asking, dict[str, Any]]) -> None:
    ask, _ = world
    inputs = requests_of(2, 4)["user_embedding"]
    inputs["history_timestamp"] = inputs["history_timestamp"][:, :3]
    code, message = ask.error(lambda: ask.predict(inputs, name=RECOMMENDER, signature="user_embedding"))
    assert code == "INVALID_ARGUMENT"
    # which of the operations that cannot work says so first is not determined
    assert "history_timestamp differ in shape" in message or "must be broadcastable" in message
    right = requests_of(1, 1)["user_embedding"]
    assert ask.predict(right, name=RECOMMENDER, signature="user_embedding")["embedding"].shape[0] == 1
