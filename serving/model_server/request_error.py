"""Why a request was refused: one exception for gRPC and REST, with the codes and words of the official server.

Reference: https://grpc.io/docs/guides/status-codes/
"""

import grpc
import tensorflow as tf

_BY_NUMBER = {code.value[0]: code for code in grpc.StatusCode}
HTTP_STATUS = {
    grpc.StatusCode.INVALID_ARGUMENT: 400,
    grpc.StatusCode.FAILED_PRECONDITION: 400,
    grpc.StatusCode.OUT_OF_RANGE: 400,
    grpc.StatusCode.NOT_FOUND: 404,
    grpc.StatusCode.RESOURCE_EXHAUSTED: 429,
    grpc.StatusCode.UNIMPLEMENTED: 501,
    grpc.StatusCode.UNAVAILABLE: 503,
    grpc.StatusCode.DEADLINE_EXCEEDED: 504,
}
"""What the REST API answers for a code; 500 for the others."""


class RequestError(Exception):
    """A request that cannot be answered.

    Args:
        code: gRPC's status.
        message: what is wrong, for the client.
    """

    def __init__(self, code: grpc.StatusCode, message: str):
        super().__init__(message)
        self.code, self.message = code, message


def invalid(message: str) -> RequestError:
    """The client's mistake."""
    return RequestError(grpc.StatusCode.INVALID_ARGUMENT, message)


def from_tensorflow(error: tf.errors.OpError) -> RequestError:
    """What TensorFlow raised while it ran a model: its code, and its message without the names of graph nodes."""
    return RequestError(_BY_NUMBER.get(error.error_code, grpc.StatusCode.UNKNOWN), error.message.split("\n\t [[")[0])
