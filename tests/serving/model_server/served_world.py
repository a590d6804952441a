"""Tiny models whose right answers are known by hand, published as exports are, and a server over them."""

import http.client
import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import tensorflow as tf
from tensorflow_serving.apis import (
    model_service_pb2_grpc,
    predict_pb2,
    prediction_log_pb2,
    prediction_service_pb2_grpc,
)

from data_pipelines import atomic
from serving.model_server.server import ModelServer
from serving.model_server.settings import ModelServerSettings

NAME = "half_plus"
ANY = ModelServerSettings(grpc_port=0, rest_port=0, poll_seconds=0.02, threads=40)


class HalfPlus(tf.Module):
    """serving_default is y = x / 2 + plus; the others are each about one thing a server can get wrong."""

    def __init__(self, plus: float):
        super().__init__()
        self.plus = tf.Variable(plus)

    def half_plus(self, x: Any) -> dict[str, Any]:
        return {"y": x / 2 + self.plus}

    def echo(self, text: Any, number: Any, flag: Any, small: Any) -> dict[str, Any]:
        same = {"text": text, "text_bytes": text, "number": number, "flag": flag, "small": small}
        return {name: tf.identity(tensor) for name, tensor in same.items()}

    def root(self, x: Any) -> dict[str, Any]:
        with tf.control_dependencies([tf.debugging.assert_non_negative(x, "x must not be negative")]):
            return {"y": tf.sqrt(x)}

    def ladder(self, x: Any, k: Any) -> dict[str, Any]:
        steps = tf.range(tf.reduce_max(k), dtype=tf.float32)
        return {"y": x[:, None] + steps, "levels": tf.constant([0.5, 0.9])}

    def named(self, x: Any) -> dict[str, Any]:
        return {"y": x, "name": tf.constant("half"), "name_bytes": tf.constant(b"\xff")}

    def total(self, x: Any) -> dict[str, Any]:
        return {"total": tf.reduce_sum(x, keepdims=True)}

    def signatures(self) -> dict[str, Any]:
        x = tf.TensorSpec([None], tf.float32, "x")
        echo = [tf.TensorSpec([None], t, n) for n, t in (("text", tf.string), ("number", tf.int64), ("flag", tf.bool))]
        small = tf.TensorSpec([None, 2], tf.float32, "small")
        k = tf.TensorSpec(None, tf.int32, "k")
        return {
            "serving_default": trace(self.half_plus, x),
            "echo": trace(self.echo, *echo, small),
            "root": trace(self.root, x),
            "ladder": trace(self.ladder, x, k),
            "total": trace(self.total, x),
            "named": trace(self.named, x),
        }


def trace(function: Callable[..., Any], *specs: Any) -> Any:
    return tf.function(function, input_signature=specs, autograph=False).get_concrete_function()


def publish(models: Path, number: int, plus: float, name: str = NAME, warmup: dict[str, Any] | None = None) -> Path:
    """Write a version whole or not at all."""
    folder = models / name / str(number)
    module = HalfPlus(plus)
    with atomic.replace_directory(folder) as temporary:
        tf.saved_model.save(module, str(temporary), signatures=module.signatures())
        if warmup is not None:
            write_warmup(temporary, warmup)
    return folder


def publish_corrupt(models: Path, number: int, name: str = NAME) -> Path:
    folder = models / name / str(number)
    with atomic.replace_directory(folder) as temporary:
        (temporary / "saved_model.pb").write_bytes(b"no graph")
    return folder


def write_warmup(folder: Path, inputs: dict[str, Any], signature: str = "") -> None:
    (folder / "assets.extra").mkdir()
    request = request_of(inputs, signature=signature)
    log = prediction_log_pb2.PredictionLog(predict_log=prediction_log_pb2.PredictLog(request=request))
    with tf.io.TFRecordWriter(str(folder / "assets.extra" / "tf_serving_warmup_requests")) as writer:
        writer.write(log.SerializeToString())


def request_of(inputs: dict[str, Any], name: str = NAME, signature: str = "", **spec: Any) -> Any:
    """A PredictRequest; `spec` is version or version_label."""
    request = predict_pb2.PredictRequest(inputs={n: tf.make_tensor_proto(v) for n, v in inputs.items()})
    request.model_spec.name, request.model_spec.signature_name = name, signature
    if "version" in spec:
        request.model_spec.version.value = spec["version"]
    if "version_label" in spec:
        request.model_spec.version_label = spec["version_label"]
    return request


def x_of(*values: float) -> dict[str, Any]:
    return {"x": np.array(values, np.float32)}


class Asking:
    """The official stubs and plain HTTP, on one server."""

    def __init__(self, server: ModelServer):
        self.server = server
        self.channel = grpc.insecure_channel(server.grpc_address)
        self.prediction = prediction_service_pb2_grpc.PredictionServiceStub(self.channel)
        self.model = model_service_pb2_grpc.ModelServiceStub(self.channel)

    def predict(self, inputs: dict[str, Any], **keywords: Any) -> dict[str, Any]:
        response = self.prediction.Predict(request_of(inputs, **keywords), timeout=20)
        return {name: tf.make_ndarray(proto) for name, proto in response.outputs.items()}

    def http(self, method: str, path: str, body: Any = None) -> tuple[int, Any]:
        connection = http.client.HTTPConnection(self.server.settings.host, self.server.rest_port, timeout=20)
        try:
            connection.request(method, path, json.dumps(body) if isinstance(body, dict) else body)
            response = connection.getresponse()
            assert response.headers["Content-Type"] == "application/json"
            return response.status, json.loads(response.read())
        finally:
            connection.close()

    def post(self, body: Any, path: str = f"/v1/models/{NAME}:predict") -> tuple[int, Any]:
        return self.http("POST", path, body)

    def error(self, call: Callable[[], Any]) -> tuple[str, str]:
        """Code and message of a call that must fail."""
        try:
            call()
        except grpc.RpcError as error:
            return error.code().name, error.details()
        raise AssertionError("the call did not fail")


@contextmanager
def asking(models: Path, settings: ModelServerSettings = ANY) -> Iterator[Asking]:
    with ModelServer(models, settings) as server:
        ask = Asking(server)
        yield ask
        ask.channel.close()


def wait_until(fact: Callable[[], bool], seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not fact():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.005)
