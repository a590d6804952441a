"""TensorFlow Serving's gRPC services: PredictionService and ModelService.

The generated stubs of `tensorflow_serving.apis` and every other TensorFlow Serving client can call them. Classify,
Regress and MultiInference, which take tf.Example, are not implemented: no export of this package has such a signature.
Reference: https://github.com/tensorflow/serving/tree/master/tensorflow_serving/apis
"""

import asyncio
import functools
import logging
from collections.abc import Awaitable, Callable
from typing import Any

import grpc
from tensorflow_serving.apis import (
    get_model_metadata_pb2,
    get_model_status_pb2,
    model_management_pb2,
    model_service_pb2_grpc,
    predict_pb2,
    prediction_service_pb2_grpc,
)

from serving.model_server.manager import ModelManager
from serving.model_server.request_error import RequestError, invalid
from serving.model_server.servable import DEFAULT_SIGNATURE
from serving.model_server.served_version import ServedVersion
from serving.model_server.tensor_proto import to_arrays, to_proto

logger = logging.getLogger(__name__)
SIGNATURE_DEF = "signature_def"
Method = Callable[[Any, Any, Any], Awaitable[Any]]


def add_services(server: Any, manager: ModelManager, max_message_bytes: int) -> None:
    """Make a gRPC server answer TensorFlow Serving's calls.

    Args:
        server: the `grpc.aio.Server`.
        manager: the models.
        max_message_bytes: largest tensor of a request.
    """
    prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(
        PredictionService(manager, max_message_bytes), server
    )
    model_service_pb2_grpc.add_ModelServiceServicer_to_server(ModelService(manager), server)


def _clear_errors(method: Method) -> Method:
    """Turn what goes wrong into a status; what should not go wrong is logged and not shown to the client."""

    @functools.wraps(method)
    async def guarded(self: Any, request: Any, context: Any) -> Any:
        try:
            return await method(self, request, context)
        except RequestError as error:
            await context.abort(error.code, error.message)
        except Exception:
            logger.exception("%s failed", method.__name__)
            await context.abort(grpc.StatusCode.INTERNAL, "internal error; see the server's log")

    return guarded


class PredictionService:
    """tensorflow.serving.PredictionService.

    Args:
        manager: the models.
        max_message_bytes: largest tensor of a request.
    """

    def __init__(self, manager: ModelManager, max_message_bytes: int):
        self._manager, self._max_message_bytes = manager, max_message_bytes

    @_clear_errors
    async def Predict(self, request: Any, context: Any) -> Any:
        """Run a signature."""
        signature = request.model_spec.signature_name or DEFAULT_SIGNATURE
        name, version, label = _asked(request)
        with self._manager.hold(name, version, label) as served:
            outputs = await served.predict(signature, to_arrays(request.inputs, self._max_message_bytes))
        chosen = _filtered(list(request.output_filter), list(outputs))
        response = predict_pb2.PredictResponse(outputs={output: to_proto(outputs[output]) for output in chosen})
        _name(response.model_spec, name, served, signature)
        return response

    @_clear_errors
    async def GetModelMetadata(self, request: Any, context: Any) -> Any:
        """Describe the signatures of a version."""
        return metadata(self._manager, request)

    @_clear_errors
    async def Classify(self, request: Any, context: Any) -> Any:
        """Refuse."""
        raise not_implemented("Classify")

    @_clear_errors
    async def Regress(self, request: Any, context: Any) -> Any:
        """Refuse."""
        raise not_implemented("Regress")

    @_clear_errors
    async def MultiInference(self, request: Any, context: Any) -> Any:
        """Refuse."""
        raise not_implemented("MultiInference")


class ModelService:
    """tensorflow.serving.ModelService.

    Args:
        manager: the models.
    """

    def __init__(self, manager: ModelManager):
        self._manager = manager

    @_clear_errors
    async def GetModelStatus(self, request: Any, context: Any) -> Any:
        """Say in which state the versions of a model are."""
        return status(self._manager, request)

    @_clear_errors
    async def HandleReloadConfigRequest(self, request: Any, context: Any) -> Any:
        """Serve another list of models."""
        await asyncio.to_thread(self._manager.reload, request.config)  # it loads models
        return model_management_pb2.ReloadConfigResponse()


def metadata(manager: ModelManager, request: Any) -> Any:
    """Answer a GetModelMetadataRequest.

    Raises:
        RequestError: if it is not one, or there is no such version.
    """
    if not request.HasField("model_spec"):
        raise invalid("Missing ModelSpec")
    if not request.metadata_field:
        raise invalid("GetModelMetadataRequest must specify at least one metadata_field")
    if other := [field for field in request.metadata_field if field != SIGNATURE_DEF]:
        raise invalid(f"Metadata field {other[0]} is not supported")
    name, version, label = _asked(request)
    response = get_model_metadata_pb2.GetModelMetadataResponse()
    with manager.hold(name, version, label) as served:
        signatures = get_model_metadata_pb2.SignatureDefMap(signature_def=served.servable.definitions)
        _name(response.model_spec, name, served)
    response.metadata[SIGNATURE_DEF].Pack(signatures)
    return response


def status(manager: ModelManager, request: Any) -> Any:
    """Answer a GetModelStatusRequest.

    Raises:
        RequestError: if it is not one, or the model or version is unknown.
    """
    if not request.HasField("model_spec"):
        raise invalid("Missing ModelSpec")
    response = get_model_status_pb2.GetModelStatusResponse()
    for version in manager.versions(*_asked(request)):
        line = response.model_version_status.add(version=version.number, state=int(version.state))
        line.status.error_code = version.error.code.value[0] if version.error else 0
        line.status.error_message = version.error.message if version.error else ""
    return response


def not_implemented(method: str) -> RequestError:
    """What the calls that take tf.Example answer."""
    return RequestError(
        grpc.StatusCode.UNIMPLEMENTED, f"{method} is not implemented by the local model server; use Predict"
    )


def _asked(request: Any) -> tuple[str, int | None, str | None]:
    """Name, version and label."""
    if not request.HasField("model_spec"):
        raise invalid("Missing ModelSpec")
    spec = request.model_spec
    choice = spec.WhichOneof("version_choice")
    return (
        spec.name,
        spec.version.value if choice == "version" else None,
        spec.version_label if choice == "version_label" else None,
    )


def _filtered(wanted: list[str], outputs: list[str]) -> list[str]:
    for position, name in enumerate(wanted):
        if name not in outputs:
            expected = ",".join(outputs)
            raise invalid(
                f"output tensor alias not found in signature: {name} Outputs expected to be in the set {{{expected}}}."
            )
        if name in wanted[:position]:
            raise invalid(f"duplicate output tensor alias: {name}")
    return wanted or outputs


def _name(spec: Any, name: str, served: ServedVersion, signature: str = "") -> None:
    spec.name, spec.signature_name, spec.version.value = name, signature, served.number
