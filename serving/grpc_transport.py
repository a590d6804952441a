"""TensorFlow Serving over gRPC: one channel, tensors as bytes.

Numbers are sent as `tensor_content`, the array's memory as it is; one field per number (`float_val`) takes 70 times as
long to fill. Answers are read in either form.
Reference: https://github.com/tensorflow/serving/blob/master/tensorflow_serving/apis/prediction_service.proto
and for the channel's options https://grpc.github.io/grpc/core/group__grpc__arg__keys.html
"""

import math
from collections.abc import Awaitable
from functools import cached_property
from typing import Any

import grpc
import grpc.aio
import numpy as np
import numpy.typing as npt
import tensorflow as tf
from tensorflow.core.framework import tensor_pb2, types_pb2
from tensorflow.core.protobuf import error_codes_pb2
from tensorflow_serving.apis import (
    get_model_metadata_pb2,
    get_model_status_pb2,
    model_pb2,
    model_service_pb2_grpc,
    predict_pb2,
    prediction_service_pb2_grpc,
)

from serving.client_settings import ClientSettings
from serving.serving_error import INVALID_ARGUMENT, Target
from serving.signatures import DTYPES, STRING, Answer, Array, Arrays, Signature, Signatures, TensorSpec, VersionState
from serving.string_tensors import all_to_bytes, each, from_bytes
from serving.tls import tls_context

SIGNATURE_DEF = "signature_def"
TOO_LARGE = "larger than max"  # in gRPC's own words; sending again would not help
PUSHBACK = "grpc-retry-pushback-ms"
ENUMS = {name: types_pb2.DataType.Value(enum) for enum, name in DTYPES.items()}
NUMBERS = {enum: np.dtype(name).newbyteorder("<") for name, enum in ENUMS.items() if name != STRING}


class GrpcTransport:
    """One channel to one server.

    Args:
        target: host and port.
        settings: how to connect.
        tls: whether to encrypt.

    Raises:
        InputError: if a file of TLS is missing or damaged.
    """

    name = "grpc"

    def __init__(self, target: str, settings: ClientSettings, *, tls: bool):
        self._target, self._options = target, _options(settings)
        self._credentials = _credentials(settings) if tls else None

    async def predict(
        self, target: Target, name: str, signature: Signature, inputs: Arrays, timeout_seconds: float
    ) -> Answer:
        """Ask a signature once; see `Transport`."""
        request = predict_pb2.PredictRequest(model_spec=_model_spec(target, name))
        for one, array in inputs.items():
            to_tensor(array, request.inputs[one])
        answer = await _answer(target, self._predictions.Predict(request, timeout=timeout_seconds))
        version = answer.model_spec.version.value if answer.model_spec.HasField("version") else target.version
        return Answer({one: _to_array(one, tensor) for one, tensor in answer.outputs.items()}, version)

    async def metadata(self, target: Target, timeout_seconds: float) -> Signatures:
        """Ask what a model takes and gives."""
        request = get_model_metadata_pb2.GetModelMetadataRequest(
            model_spec=_model_spec(target), metadata_field=[SIGNATURE_DEF]
        )
        answer = await _answer(target, self._predictions.GetModelMetadata(request, timeout=timeout_seconds))
        found = get_model_metadata_pb2.SignatureDefMap()
        if not answer.metadata[SIGNATURE_DEF].Unpack(found):
            raise target.unexpected("metadata without signatures")
        return Signatures(
            answer.model_spec.version.value if answer.model_spec.HasField("version") else None,
            {name: Signature(_specs(one.inputs), _specs(one.outputs)) for name, one in found.signature_def.items()},
        )

    async def status(self, target: Target, timeout_seconds: float) -> list[VersionState]:
        """Ask which versions there are."""
        request = get_model_status_pb2.GetModelStatusRequest(model_spec=_model_spec(target))
        stub = model_service_pb2_grpc.ModelServiceStub(self._channel)
        answer = await _answer(target, stub.GetModelStatus(request, timeout=timeout_seconds))
        return [
            VersionState(
                one.version,
                get_model_status_pb2.ModelVersionStatus.State.Name(one.state),
                error_codes_pb2.Code.Name(one.status.error_code),
                one.status.error_message,
            )
            for one in answer.model_version_status
        ]

    async def close(self) -> None:
        """Close the channel."""
        if "_channel" in vars(self):
            await self._channel.close()

    @cached_property  # made when used: a channel belongs to the event loop that it is made in
    def _channel(self) -> Any:
        if self._credentials is None:
            return grpc.aio.insecure_channel(self._target, self._options)
        return grpc.aio.secure_channel(self._target, self._credentials, self._options)

    @cached_property
    def _predictions(self) -> Any:
        return prediction_service_pb2_grpc.PredictionServiceStub(self._channel)


def _options(settings: ClientSettings) -> list[tuple[str, int | str]]:
    connect_ms = round(1000 * settings.connect_timeout_seconds)
    return [
        ("grpc.max_send_message_length", settings.max_message_bytes),
        ("grpc.max_receive_message_length", settings.max_message_bytes),
        ("grpc.keepalive_time_ms", round(1000 * settings.keepalive_seconds)),
        ("grpc.keepalive_timeout_ms", 5000),
        # gRPC's own pause between connections grows to two minutes: too long after a server's restart
        ("grpc.initial_reconnect_backoff_ms", 100),
        ("grpc.min_reconnect_backoff_ms", connect_ms),
        ("grpc.max_reconnect_backoff_ms", 2000),
        # channels to one server share a connection by default, and with it its failures
        ("grpc.use_local_subchannel_pool", 1),
        ("grpc.lb_policy_name", "round_robin"),  # over all addresses that the name has, e.g. of a headless service
    ]


def _credentials(settings: ClientSettings) -> Any:
    tls_context(settings)  # gRPC itself does not complain of a damaged file
    files = (settings.ca, settings.key, settings.certificate)
    return grpc.ssl_channel_credentials(*(None if path is None else path.read_bytes() for path in files))


def _model_spec(target: Target, signature: str = "") -> Any:
    spec = model_pb2.ModelSpec(name=target.model, signature_name=signature)
    if target.version is not None:
        spec.version.value = target.version
    elif target.label is not None:
        spec.version_label = target.label
    return spec


async def _answer(target: Target, call: Awaitable[Any]) -> Any:
    try:
        return await call
    except grpc.aio.AioRpcError as error:
        details = error.details() or "no details"
        if TOO_LARGE in details:
            raise target.error(INVALID_ARGUMENT, f"{details}; see the setting max_message_bytes") from error
        raise target.error(error.code().name, details, retry_after_seconds=_pushback(error)) from error


def _pushback(error: grpc.aio.AioRpcError) -> float | None:
    """What the server says of sending again; None: not to.

    https://github.com/grpc/proposal/blob/master/A6-client-retries.md#pushback
    """
    given = dict(error.trailing_metadata() or ()).get(PUSHBACK)
    if given is None:
        return 0.0
    return int(given) / 1000 if str(given).isdecimal() else None


def _specs(tensors: Any) -> dict[str, TensorSpec]:
    return {
        name: TensorSpec(
            DTYPES.get(types_pb2.DataType.Name(one.dtype), types_pb2.DataType.Name(one.dtype)),
            None if one.tensor_shape.unknown_rank else tuple(dim.size for dim in one.tensor_shape.dim),
        )
        for name, one in tensors.items()
    }


def to_tensor(array: npt.NDArray[Any], into: Any = None) -> Any:
    """A TensorProto: numbers as `tensor_content`, strings as `string_val`.

    Args:
        array: of a type in `signatures.DTYPES`; objects are `str` or `bytes`.
        into: an empty TensorProto to fill, e.g. of a request, which copies what it is given; None: a new one.
    """
    is_string = array.dtype == object
    tensor = tensor_pb2.TensorProto() if into is None else into
    tensor.dtype = ENUMS[STRING if is_string else array.dtype.name]
    for size in array.shape:
        tensor.tensor_shape.dim.add(size=size)
    if is_string:
        tensor.string_val.extend(all_to_bytes(array))
    else:
        tensor.tensor_content = array.astype(array.dtype.newbyteorder("<"), copy=False).tobytes()
    return tensor


def _to_array(name: str, tensor: Any) -> Array:
    shape = [dim.size for dim in tensor.tensor_shape.dim]
    if tensor.tensor_content and tensor.dtype in NUMBERS:
        return np.frombuffer(tensor.tensor_content, NUMBERS[tensor.dtype]).reshape(shape).copy()
    if len(tensor.string_val) == math.prod(shape) > 0:
        return np.fromiter((from_bytes(name, one) for one in tensor.string_val), object).reshape(shape)
    # the forms that servers seldom write, with TensorFlow's own reader, which takes three times as long
    array: npt.NDArray[Any] = tf.make_ndarray(tensor)
    return each(lambda value: from_bytes(name, value), array) if array.dtype == object else array
