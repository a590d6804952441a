"""TensorFlow Serving's REST API, as an ASGI application.

    GET  /v1/models/NAME[/versions/V|/labels/L]            states of the versions
    GET  /v1/models/NAME[/versions/V|/labels/L]/metadata   signatures
    POST /v1/models/NAME[/versions/V|/labels/L]:predict    answers

JSON is read and written in threads: the event loop has other requests to see to.
Reference: https://www.tensorflow.org/tfx/serving/api_rest
"""

import asyncio
import json
import logging
import re
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any
from urllib.parse import unquote

from google.protobuf import json_format
from tensorflow_serving.apis import get_model_metadata_pb2, get_model_status_pb2, model_pb2

from serving.model_server import grpc_service, json_tensors
from serving.model_server.manager import ModelManager
from serving.model_server.request_error import HTTP_STATUS, RequestError, invalid
from serving.model_server.servable import DEFAULT_SIGNATURE

logger = logging.getLogger(__name__)
_VERSION = r"/v1/models/([^/:]+)(?:/versions/(\d+)|/labels/([^/:]+))?"
_PREDICT = re.compile(_VERSION + r":(classify|regress|predict)", re.IGNORECASE)
_DESCRIBE = re.compile(_VERSION + r"(/metadata)?", re.IGNORECASE)
_LARGEST_VERSION = 2**63 - 1
CLIENT_SECONDS = 60.0
"""How long a client may take to send the head of its request, and again its body."""

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]


class RestApplication:
    """The application.

    Args:
        manager: the models.
        max_body_bytes: largest request.
    """

    def __init__(self, manager: ModelManager, max_body_bytes: int):
        self._manager, self._max_body_bytes = manager, max_body_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            return
        status, answer = await self._respond(scope, receive)
        headers = [(b"content-type", b"application/json"), (b"content-length", str(len(answer)).encode())]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": answer})

    async def _respond(self, scope: Scope, receive: Receive) -> tuple[int, bytes]:
        path = scope.get("raw_path", scope["path"].encode()).decode("ascii", "replace")
        try:
            body = await asyncio.wait_for(self._body(receive), CLIENT_SECONDS)
            if body is None:
                return 413, _error(f"the request is larger than {self._max_body_bytes} bytes")
            return 200, await self._answer(scope["method"], path, body)
        except TimeoutError:
            return 408, _error(f"the request did not arrive within {CLIENT_SECONDS:g} seconds")
        except RequestError as error:
            return HTTP_STATUS.get(error.code, 500), _error(error.message)
        except Exception:
            logger.exception("%s %s failed", scope["method"], path)
            return 500, _error("internal error; see the server's log")

    async def _body(self, receive: Receive) -> bytes | None:
        """The body; None if it is too large, as soon as that is clear."""
        parts, size, more = [], 0, True
        while more:
            message = await receive()
            part = message.get("body", b"")
            parts.append(part)
            size += len(part)
            if size > self._max_body_bytes:
                return None
            more = message.get("more_body", False)
        return b"".join(parts)

    async def _answer(self, method: str, path: str, body: bytes) -> bytes:
        if method == "POST" and (found := _PREDICT.fullmatch(path)):
            name, version, label = _asked(found)
            if (verb := found[4].lower()) != "predict":
                raise grpc_service.not_implemented(verb.capitalize())
            return await self._predict(name, version, label, body)
        if method == "GET" and (found := _DESCRIBE.fullmatch(path)):
            return self._describe(*_asked(found), metadata=found[4] is not None)
        raise invalid(f"Malformed request: {method} {path}")

    async def _predict(self, name: str, version: int | None, label: str | None, body: bytes) -> bytes:
        document = await asyncio.to_thread(json_tensors.parse, body)
        signature = document.get("signature_name", DEFAULT_SIGNATURE)
        if not isinstance(signature, str):
            raise invalid("not formatted correctly. 'signature_name' key must be a string value.")
        signature = signature or DEFAULT_SIGNATURE
        with self._manager.hold(name, version, label) as served:
            if signature not in served.servable.signatures:
                raise invalid(f'Serving signature name: "{signature}" not found in signature def')
            specs = served.servable.signatures[signature].inputs
            inputs = await asyncio.to_thread(json_tensors.read_inputs, document, specs)
            outputs = await served.predict(signature, inputs)
        rows = json_tensors.INSTANCES in document
        return await asyncio.to_thread(json_tensors.write_outputs, outputs, as_rows=rows)

    def _describe(self, name: str, version: int | None, label: str | None, *, metadata: bool) -> bytes:
        spec = model_pb2.ModelSpec(name=name, version_label=label)
        if version is not None:
            spec.version.value = version
        if not metadata:
            status_request = get_model_status_pb2.GetModelStatusRequest(model_spec=spec)
            return _json(grpc_service.status(self._manager, status_request))
        field = grpc_service.SIGNATURE_DEF
        request = get_model_metadata_pb2.GetModelMetadataRequest(model_spec=spec, metadata_field=[field])
        response = grpc_service.metadata(self._manager, request)
        signatures = get_model_metadata_pb2.SignatureDefMap()
        response.metadata[field].Unpack(signatures)
        described = {"model_spec": _plain(response.model_spec), "metadata": {field: _plain(signatures)}}
        return json.dumps(described, indent=1).encode()


def _asked(found: re.Match[str]) -> tuple[str, int | None, str | None]:
    name, label = unquote(found[1]), None if found[3] is None else unquote(found[3])
    if found[2] is None:
        return name, None, label
    digits = found[2].lstrip("0") or "0"
    if len(digits) > 19 or int(digits) > _LARGEST_VERSION:
        raise invalid(f"Failed to convert version: {digits[:20]} to numeric.")
    return name, int(digits), label


def _plain(message: Any) -> Any:
    return json_format.MessageToDict(
        message, preserving_proto_field_name=True, always_print_fields_with_no_presence=True
    )


def _json(message: Any) -> bytes:
    return json.dumps(_plain(message), indent=1).encode()


def _error(message: str) -> bytes:
    return json.dumps({"error": message}).encode()
