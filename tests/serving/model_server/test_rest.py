import json
import math
import socket
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from serving.model_server import server
from serving.model_server.settings import ModelServerSettings
from tests.serving.model_server.served_world import NAME, Asking, asking, publish, request_of

ECHO = {
    "text": ["Käse", {"b64": "/wA="}],
    "number": [2**62 + 1, -1],
    "flag": [True, False],
    "small": [[0.1, 2], [1e-45, -3.5]],
}


def test_the_documented_predict_and_status_requests_work_as_printed(ask: Asking) -> None:
    # https://www.tensorflow.org/tfx/serving/api_rest: half_plus_two of 1, 2 and 5
    assert ask.post('{"instances": [1.0, 2.0, 5.0]}') == (200, {"predictions": [2.5, 3.0, 4.5]})
    assert ask.post('{"inputs": [1.0, 2.0, 5.0]}') == (200, {"outputs": [2.5, 3.0, 4.5]})
    assert ask.http("GET", f"/v1/models/{NAME}") == (
        200,
        {
            "model_version_status": [
                {"version": "3", "state": "AVAILABLE", "status": {"error_code": "OK", "error_message": ""}}
            ]
        },
    )


def test_the_official_half_plus_two_model_works_as_documented(tmp_path: Path) -> None:
    # The model of the documentation is a TF1 export that parses tf.Example and whose x is an operation in the middle of
    # the graph, declared as [-1, 1]; the documented body feeds it a vector.
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        example = tf.compat.v1.placeholder(tf.string, name="tf_example")
        parsed = tf.io.parse_example(example, {"x": tf.io.FixedLenFeature([1], tf.float32)})
        x = tf.identity(parsed["x"], name="x")
        a, b = tf.compat.v1.Variable(0.5, use_resource=False), tf.compat.v1.Variable(2.0, use_resource=False)
        y = tf.add(tf.multiply(a, x), b, name="y")
        session.run(tf.compat.v1.global_variables_initializer())
        path = str(tmp_path / "half_plus_two" / "00000123")
        builder = tf.compat.v1.saved_model.builder.SavedModelBuilder(path)
        info = tf.compat.v1.saved_model.build_tensor_info
        signature = tf.compat.v1.saved_model.build_signature_def({"x": info(x)}, {"y": info(y)}, "predict")
        builder.add_meta_graph_and_variables(session, ["serve"], {"serving_default": signature})
        builder.save()
    with asking(tmp_path) as ask:
        answer = ask.post('{"instances": [1.0, 2.0, 5.0]}', "/v1/models/half_plus_two:predict")
        assert answer == (200, {"predictions": [2.5, 3.0, 4.5]})
        assert ask.post('{"instances": [[1.0], [2.0]]}', "/v1/models/half_plus_two/versions/123:predict") == (
            200,
            {"predictions": [[2.5], [3.0]]},
        )


def test_a_single_string_is_an_output_like_any_other(ask: Asking) -> None:
    body = {"signature_name": "named", "inputs": [1.0]}
    assert ask.post(body) == (200, {"outputs": {"y": [1.0], "name": "half", "name_bytes": {"b64": "/w=="}}})
    answer = ask.predict({"x": np.float32([1.0])}, signature="named")
    assert (answer["name"], answer["name_bytes"]) == (b"half", b"\xff")


def test_columns_keep_integers_floats_text_and_bytes(ask: Asking) -> None:
    status, answer = ask.post({"signature_name": "echo", "inputs": ECHO})
    assert status == 200
    outputs = answer["outputs"]
    assert outputs["number"] == [2**62 + 1, -1]
    assert outputs["flag"] == [True, False]
    assert outputs["text"][0] == "Käse"
    assert outputs["text_bytes"] == [{"b64": "S8Okc2U="}, {"b64": "/wA="}]
    assert outputs["small"] == [[0.1, 2.0], [1e-45, -3.5]]  # the shortest decimals of the float32


def test_rows_are_objects_where_there_are_several_tensors(ask: Asking) -> None:
    rows = [{name: column[row] for name, column in ECHO.items()} for row in (0, 1)]
    status, answer = ask.post({"signature_name": "echo", "instances": rows})
    assert status == 200
    assert answer["predictions"][0]["number"] == 2**62 + 1
    assert answer["predictions"][1]["text_bytes"] == {"b64": "/wA="}
    assert [row["small"] for row in answer["predictions"]] == ECHO["small"]


def test_a_scalar_input_is_given_once_in_columns_and_per_row_in_rows(ask: Asking) -> None:
    # ladder: x + 0 … x + (k - 1)
    status, answer = ask.post({"signature_name": "ladder", "inputs": {"x": [1.0, 5.0], "k": 2}})
    assert (status, answer["outputs"]["y"]) == (200, [[1.0, 2.0], [5.0, 6.0]])
    rows = [{"x": 1.0, "k": 3}, {"x": 5.0, "k": 3}]
    status, answer = ask.post({"signature_name": "ladder", "instances": rows})
    assert (status, answer["predictions"][1]["y"]) == (200, [5.0, 6.0, 7.0])
    # `levels` has two values whatever the rows: the official server refuses to cut it into rows, and so does this one
    status, answer = ask.post({"signature_name": "ladder", "instances": rows[:1]})
    assert (status, answer["error"]) == (400, "Tensor name: y has inconsistent batch size: 1 expecting: 2")


def test_not_a_number_and_infinity_are_read_and_written(ask: Asking) -> None:
    status, answer = ask.post('{"instances": [NaN, Infinity, -Infinity]}')
    assert status == 200
    assert math.isnan(answer["predictions"][0])
    assert answer["predictions"][1:] == [math.inf, -math.inf]


def test_rest_and_grpc_give_the_same_float32(ask: Asking) -> None:
    x = np.random.default_rng(0).normal(0, 1000, 500).astype(np.float32)
    _, answer = ask.post({"instances": [float(value) for value in x]})
    assert np.array_equal(np.array(answer["predictions"], np.float32), ask.predict({"x": x})["y"])


def test_metadata_is_the_signature_map(ask: Asking) -> None:
    for path in (f"/v1/models/{NAME}/metadata", f"/v1/models/{NAME}/versions/3/metadata"):
        status, answer = ask.http("GET", path)
        assert status == 200
        assert answer["model_spec"] == {"name": NAME, "signature_name": "", "version": "3"}
        x = answer["metadata"]["signature_def"]["signature_def"]["serving_default"]["inputs"]["x"]
        assert (x["dtype"], x["tensor_shape"]["dim"]) == ("DT_FLOAT", [{"size": "-1", "name": ""}])


@pytest.mark.parametrize("choice", ["", "/versions/3", "/versions/0003", "/labels/stable", "/labels/canary"])
def test_a_version_is_asked_for_by_number_or_label(ask: Asking, choice: str) -> None:
    path = f"/v1/models/{NAME}{choice}"
    assert ask.post('{"instances": [0]}', path + ":predict") == (200, {"predictions": [2.0]})
    assert ask.http("GET", path)[1]["model_version_status"][0]["version"] == "3"


@pytest.mark.parametrize(
    ("method", "path", "status", "message"),
    [
        ("POST", "/v1/models/nobody:predict", 404, "Servable not found for request: Latest(nobody)"),
        ("POST", f"/v1/models/{NAME}/versions/7:predict", 404, f"request: Specific({NAME}, 7)"),
        ("POST", f"/v1/models/{NAME}/labels/x:predict", 400, "Unrecognized servable version label: x"),
        ("POST", f"/v1/models/{NAME}/versions/{'9' * 5000}:predict", 400, "Failed to convert version"),
        ("POST", f"/v1/models/{NAME}:classify", 501, "Classify is not implemented"),
        ("POST", f"/v1/models/{NAME}", 400, f"Malformed request: POST /v1/models/{NAME}"),
        ("GET", f"/v1/models/{NAME}:predict", 400, "Malformed request: GET"),
        ("GET", "/v1/models/..%2f..%2fetc", 404, "Could not find any versions of model ../../etc"),
        ("GET", "/v1/models/nobody", 404, "Could not find any versions of model nobody"),
        ("GET", f"/v1/models/{NAME}/versions/7", 404, f"Could not find version 7 of model {NAME}"),
        ("GET", "/", 400, "Malformed request: GET /"),
    ],
)
def test_wrong_paths_get_the_official_errors(ask: Asking, method: str, path: str, status: int, message: str) -> None:
    found, answer = ask.http(method, path, '{"instances": [0]}' if method == "POST" else None)
    assert found == status
    assert message in answer["error"]


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("", "JSON Parse error: The document is empty"),
        ("{", "JSON Parse error"),
        (b"\xff\xfe{", "JSON Parse error"),
        ('{"instances":' + "[" * 100_000 + "]" * 100_000 + "}", "nested too deeply"),
        *(('{"instances":' + "[" * n + "]" * n + "}", "more than 32 levels") for n in (34, 65, 200)),
        ("[1]", "Is not object"),
        ("{}", "Missing 'inputs' or 'instances' key"),
        ('{"instances": [1], "inputs": [1]}', "expecting only one of 'inputs' or 'instances'"),
        ('{"instances": 1}', "to be an list/array"),
        ('{"instances": []}', "No values in 'instances'"),
        ('{"instances": ["a"]}', 'JSON Value: "a" is not of expected type: float32'),
        ('{"instances": [true]}', "is not of expected type: float32"),
        ('{"instances": [null]}', "is not of expected type: float32"),
        ('{"instances": [1, [2]]}', "is not of expected type"),
        ('{"instances": [[1], [2, 3]]}', "Encountered list at unexpected size"),
        ('{"instances": [[1]]}', "input x: expected shape [-1], got [1,1]"),
        ('{"instances": [16777217]}', "Cannot convert JSON value: 16777217 to float32 without loss of precision"),
        ('{"instances": [1e39]}', "without loss of precision"),
        ('{"instances": [{"z": 1}]}', "keys must be equal to: x"),
        ('{"instances": [{"x": 1}, 2]}', "Expecting object but got list at item 1"),
        ('{"inputs": {"z": [1]}}', "Missing named input: x in 'inputs' object."),
        ('{"signature_name": 5, "instances": [1]}', "'signature_name' key must be a string value"),
        ('{"signature_name": "s", "instances": [1]}', 'Serving signature name: "s" not found in signature def'),
        ('{"signature_name": "echo", "instances": [1]}', "expecting list of objects"),
        ('{"signature_name": "echo", "inputs": [1]}', "expecting an object"),
        ('{"signature_name": "root", "instances": [-1]}', "x must not be negative"),
        (json.dumps({"signature_name": "echo", "inputs": ECHO | {"number": [1.5, 1]}}), "expected type: int64"),
        (json.dumps({"signature_name": "echo", "inputs": ECHO | {"number": [2**63, 1]}}), "loss of precision"),
        (json.dumps({"signature_name": "echo", "inputs": ECHO | {"flag": [1, 0]}}), "expected type: bool"),
        (json.dumps({"signature_name": "echo", "inputs": ECHO | {"text": ["a", {"b64": "%"}]}}), "base64"),
        (json.dumps({"signature_name": "echo", "inputs": ECHO | {"text": ["a", {"c": 1}]}}), "base64"),
    ],
)
def test_wrong_bodies_are_400_with_a_reason(ask: Asking, body: str | bytes, message: str) -> None:
    status, answer = ask.post(body)
    assert status == 400
    assert message in answer["error"]
    assert answer.keys() == {"error"}


def test_lone_surrogates_reach_the_model_as_bytes(ask: Asking) -> None:
    body = json.dumps({"signature_name": "echo", "inputs": ECHO | {"text": ["\ud800", "a"]}})
    status, answer = ask.post(body)
    assert status == 200
    assert answer["outputs"]["text_bytes"][1] == {"b64": "YQ=="}


def test_bodies_that_are_too_large_are_refused_while_they_arrive(tmp_path: Path) -> None:
    publish(tmp_path, 1, 2.0)
    settings = ModelServerSettings(grpc_port=0, rest_port=0, max_message_mb=1)
    with asking(tmp_path, settings) as ask:
        status, answer = ask.post(json.dumps({"instances": [0.125] * 400_000}))
        assert (status, answer) == (413, {"error": "the request is larger than 1048576 bytes"})
        assert ask.post('{"instances": [0]}') == (200, {"predictions": [2.0]})


def test_a_client_that_goes_away_harms_nobody(ask: Asking) -> None:
    with socket.create_connection((ask.server.settings.host, ask.server.rest_port)) as connection:
        connection.sendall(f"POST /v1/models/{NAME}:predict HTTP/1.1\r\nContent-Length: 100\r\n\r\n{{".encode())
    assert ask.post('{"instances": [0]}') == (200, {"predictions": [2.0]})


def test_rows_of_a_request_are_those_of_grpc(ask: Asking) -> None:
    response = ask.prediction.Predict(request_of({"x": np.float32([3])}, version_label="stable"))
    assert ask.post('{"instances": [3]}')[1]["predictions"] == tf.make_ndarray(response.outputs["y"]).tolist()


@pytest.mark.parametrize("sent", [b"", b"POST /v1/models/half_plus:predict HTTP/1.1\r\nHost: x\r\n"])
def test_who_sends_no_whole_head_is_closed_in_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sent: bytes
) -> None:
    monkeypatch.setattr(server, "CLIENT_SECONDS", 0.1)
    with asking(tmp_path) as ask:
        with socket.create_connection((ask.server.settings.host, ask.server.rest_port), timeout=20) as connection:
            connection.sendall(sent)
            with suppress(ConnectionResetError):
                assert connection.recv(1) == b""
