"""TensorFlow Serving's protocols around plain functions, and the faults that the tests order.

gRPC is a real server with the official servicers, REST a real HTTP server; both ask the same `Fake`. It answers with
numbers as the official server writes them: up to nine significant digits, an only output without its name.
"""

import base64
import json
import ssl
import threading
from concurrent import futures
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import grpc
import numpy as np
import tensorflow as tf
from google.protobuf.json_format import MessageToDict
from tensorflow.core.framework import types_pb2
from tensorflow.core.protobuf import error_codes_pb2, meta_graph_pb2
from tensorflow_serving.apis import (
    get_model_metadata_pb2,
    get_model_status_pb2,
    model_service_pb2_grpc,
    predict_pb2,
    prediction_service_pb2_grpc,
)

HTTP = {
    "UNAVAILABLE": 503,
    "RESOURCE_EXHAUSTED": 429,
    "DEADLINE_EXCEEDED": 504,
    "INVALID_ARGUMENT": 400,
    "NOT_FOUND": 404,
    "INTERNAL": 500,
    "FAILED_PRECONDITION": 412,
}
PATIENCE_SECONDS = 10


@dataclass
class Fault:
    """What the next calls of a method end with, and when to come again; `hold` makes them wait first."""

    times: int
    code: str | int | None = None
    hold: threading.Event | None = None
    retry_after: str | None = None


@dataclass
class Version:
    """A model's signatures, name -> (inputs, outputs, function); tensors are name -> (DT_…, shape)."""

    number: int
    signatures: dict


@dataclass
class Seen:
    """A request as it came."""

    protocol: str
    method: str
    target: tuple
    raw: object
    peer: str
    cancelled: threading.Event = field(default_factory=threading.Event)


class Fake:
    """The models, what was asked of them, and what is to go wrong."""

    def __init__(self, models):
        self.models, self.seen, self.faults, self._lock = models, [], {}, threading.Lock()

    def reset(self):
        self.seen, self.faults = [], {}

    def fail(self, code, times, method="predict", retry_after=None):
        self.faults[method] = Fault(times, code=code, retry_after=retry_after)

    def hold(self, times, method="predict"):
        """The next calls wait for the event that this returns, or for being cancelled."""
        self.faults[method] = Fault(times, hold=threading.Event())
        return self.faults[method].hold

    def count(self, method="predict"):
        return sum(one.method == method for one in self.seen)

    def enter(self, seen):
        """Note a request; returns the error code that it is to fail with, if any."""
        with self._lock:
            self.seen.append(seen)
            fault = self.faults.get(seen.method)
            if fault is None or fault.times == 0:
                return None
            fault.times -= 1
        if fault.hold is not None:
            for _ in range(PATIENCE_SECONDS * 100):
                if fault.hold.wait(0.01) or seen.cancelled.is_set():
                    break
        return fault.code

    def version(self, target):
        model, version, label = target
        if model not in self.models:
            return None
        versions, labels = self.models[model]
        number = labels.get(label) if label else version or max(versions)
        return versions.get(number)


def _spec(tensors):
    found = {}
    for name, (dtype, shape) in tensors.items():
        found[name] = info = meta_graph_pb2.TensorInfo(name=f"{name}:0", dtype=types_pb2.DataType.Value(dtype))
        if shape is None:
            info.tensor_shape.unknown_rank = True
        for size in shape or ():
            info.tensor_shape.dim.add(size=size)
    return found


def _signature_defs(version):
    return get_model_metadata_pb2.SignatureDefMap(
        signature_def={
            name: meta_graph_pb2.SignatureDef(inputs=_spec(inputs), outputs=_spec(outputs))
            for name, (inputs, outputs, _) in version.signatures.items()
        }
    )


class Predictions(prediction_service_pb2_grpc.PredictionServiceServicer):
    def __init__(self, fake):
        self.fake = fake

    def _enter(self, method, request, context):
        spec = request.model_spec
        target = (spec.name, spec.version.value if spec.HasField("version") else None, spec.version_label)
        seen = Seen("grpc", method, target, request, context.peer())
        context.add_callback(seen.cancelled.set)
        code = self.fake.enter(seen)
        if code is not None:
            after = self.fake.faults[method].retry_after
            context.set_trailing_metadata([("grpc-retry-pushback-ms", after)] if after else [])
            context.abort(grpc.StatusCode[code], f"ordered {code}")
        version = self.fake.version(target)
        if version is None:
            context.abort(grpc.StatusCode.NOT_FOUND, f"Servable not found for request: {target}")
        return version

    def Predict(self, request, context):
        version = self._enter("predict", request, context)
        function = version.signatures[request.model_spec.signature_name][2]
        try:
            outputs = function({name: tf.make_ndarray(tensor) for name, tensor in request.inputs.items()})
        except ValueError as error:
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, str(error))
        answer = predict_pb2.PredictResponse(outputs={name: tf.make_tensor_proto(one) for name, one in outputs.items()})
        answer.model_spec.version.value = version.number
        return answer

    def GetModelMetadata(self, request, context):
        version = self._enter("metadata", request, context)
        answer = get_model_metadata_pb2.GetModelMetadataResponse()
        answer.model_spec.version.value = version.number
        answer.metadata["signature_def"].Pack(_signature_defs(version))
        return answer


class Status(model_service_pb2_grpc.ModelServiceServicer):
    def __init__(self, fake):
        self.fake = fake

    def GetModelStatus(self, request, context):
        states = _states(self.fake, request.model_spec.name)
        if states is None:
            context.abort(grpc.StatusCode.NOT_FOUND, f"Could not find any versions of model {request.model_spec.name}")
        answer = get_model_status_pb2.GetModelStatusResponse()
        for number, state, code, message in states:
            one = answer.model_version_status.add(version=number, state=state)
            one.status.error_code, one.status.error_message = error_codes_pb2.Code.Value(code), message
        return answer


def _states(fake, model):
    """The versions are available, and one before them could not be loaded."""
    if model not in fake.models:
        return None
    return [(n, "AVAILABLE", "OK", "") for n in fake.models[model][0]] + [(0, "END", "DATA_LOSS", "no saved_model.pb")]


class Rest(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # header and body are two writes
    fake: Fake

    def log_message(self, *arguments):
        pass

    def do_GET(self):
        path = self.path.removeprefix("/v1/models/")
        if path.endswith("/metadata"):
            version = self._enter("metadata", path.removesuffix("/metadata"), None)
            if version is not None:
                found = MessageToDict(
                    _signature_defs(version),
                    preserving_proto_field_name=True,
                    always_print_fields_with_no_presence=True,
                )
                spec = {"name": path.split("/")[0], "signature_name": "", "version": str(version.number)}
                self._answer(200, {"model_spec": spec, "metadata": {"signature_def": found}})
            return
        states = _states(self.fake, path)
        if states is None:
            return self._answer(404, {"error": f"Could not find any versions of model {path}"})
        self._answer(
            200,
            {
                "model_version_status": [
                    {"version": str(n), "state": state, "status": {"error_code": code, "error_message": message}}
                    for n, state, code, message in states
                ]
            },
        )

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        version = self._enter("predict", self.path.removeprefix("/v1/models/").removesuffix(":predict"), body)
        if version is None:
            return
        inputs, _, function = version.signatures[body["signature_name"]]
        try:
            arrays = {name: _array(body["inputs"][name], dtype) for name, (dtype, _) in inputs.items()}
            outputs = function(arrays)
        except ValueError as error:
            return self._answer(400, {"error": str(error)})
        named = {name: _json(one) for name, one in outputs.items()}
        self._answer(200, {"outputs": named if len(named) > 1 else next(iter(named.values()))})

    def _enter(self, method, path, body):
        model, *rest = path.split("/")
        kind, which = rest or (None, None)
        target = (model, int(which) if kind == "versions" else None, which if kind == "labels" else "")
        seen = Seen("rest", method, target, body, str(self.client_address))
        code = self.fake.enter(seen)
        if code is not None:
            self._answer(HTTP.get(code, code), {"error": f"ordered {code}"}, self.fake.faults[method].retry_after)
            return None
        version = self.fake.version(target)
        if version is None:
            self._answer(404, {"error": f"Servable not found for request: {target}"})
        return version

    def _answer(self, status, content, retry_after=None):
        body = json.dumps(content, indent=1).encode()
        try:
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            if retry_after:
                self.send_header("Retry-After", retry_after)
            self.end_headers()
            self.wfile.write(body)
        except OSError:  # the client gave up
            self.close_connection = True


def _array(given, dtype):
    if dtype == "DT_STRING":
        return _each(_bytes, np.array(given, object))
    return np.array(given, tf.as_dtype(types_pb2.DataType.Value(dtype)).as_numpy_dtype)


def _json(array):
    if array.dtype.kind == "f" and array.dtype.itemsize == 4:
        return _each(lambda one: float(f"{one:.9g}"), array).tolist()
    return _each(_text, array).tolist() if array.dtype == object else array.tolist()


def _bytes(word):
    return base64.b64decode(word["b64"]) if isinstance(word, dict) else word.encode()


def _text(word):
    try:
        return word.decode()
    except UnicodeDecodeError:
        return {"b64": base64.b64encode(word).decode()}


def _each(function, array):
    found = np.empty(array.size, object)
    found[:] = [function(one) for one in array.flat]
    return found.reshape(array.shape)


@contextmanager
def grpc_server(fake, port=0, credentials=None):
    server = grpc.server(futures.ThreadPoolExecutor(128))
    prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(Predictions(fake), server)
    model_service_pb2_grpc.add_ModelServiceServicer_to_server(Status(fake), server)
    address = f"127.0.0.1:{port}"
    port = server.add_secure_port(address, credentials) if credentials else server.add_insecure_port(address)
    server.start()
    try:
        yield f"grpc{'s' if credentials else ''}://127.0.0.1:{port}"
    finally:
        server.stop(0).wait()


@contextmanager
def rest_server(fake, tls: ssl.SSLContext | None = None):
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (Rest,), {"fake": fake}))
    server.daemon_threads = True
    if tls is not None:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    try:
        yield f"http{'s' if tls else ''}://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
