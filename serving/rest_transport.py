"""TensorFlow Serving's REST API, in the column format, without TensorFlow.

Reference: https://www.tensorflow.org/tfx/serving/api_rest
"""

import json
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import Any
from urllib.parse import quote

import httpx

from serving.client_settings import ClientSettings
from serving.json_tensors import read_outputs, to_json
from serving.serving_error import (
    DEADLINE_EXCEEDED,
    INTERNAL,
    INVALID_ARGUMENT,
    NOT_FOUND,
    RESOURCE_EXHAUSTED,
    UNAVAILABLE,
    ServingError,
    Target,
)
from serving.signatures import DTYPES, Answer, Arrays, Signature, Signatures, TensorSpec, VersionState
from serving.tls import tls_context

CODES = {
    HTTPStatus.BAD_REQUEST: INVALID_ARGUMENT,
    HTTPStatus.UNAUTHORIZED: "UNAUTHENTICATED",
    HTTPStatus.FORBIDDEN: "PERMISSION_DENIED",
    HTTPStatus.NOT_FOUND: NOT_FOUND,
    HTTPStatus.CONFLICT: "ABORTED",
    HTTPStatus.PRECONDITION_FAILED: "FAILED_PRECONDITION",
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: INVALID_ARGUMENT,
    HTTPStatus.TOO_MANY_REQUESTS: RESOURCE_EXHAUSTED,
    HTTPStatus.INTERNAL_SERVER_ERROR: INTERNAL,
    HTTPStatus.NOT_IMPLEMENTED: "UNIMPLEMENTED",
    HTTPStatus.BAD_GATEWAY: UNAVAILABLE,
    HTTPStatus.SERVICE_UNAVAILABLE: UNAVAILABLE,
    HTTPStatus.GATEWAY_TIMEOUT: DEADLINE_EXCEEDED,
}
"""gRPC's names of HTTP's codes, as TensorFlow Serving maps them."""
SHOWN = 500  # characters of an error page


class RestTransport:
    """A pool of HTTP connections to one server.

    Args:
        address: `http://host:8501`, with a path where a proxy adds one.
        settings: how to connect.

    Raises:
        InputError: if a file of TLS is damaged.
    """

    name = "rest"

    def __init__(self, address: str, settings: ClientSettings):
        self._address = address
        self._http = httpx.AsyncClient(
            verify=tls_context(settings) if address.startswith("https") else False,
            limits=httpx.Limits(
                max_connections=settings.max_connections,
                max_keepalive_connections=settings.max_connections,
                keepalive_expiry=settings.keepalive_seconds,
            ),
            # the whole call has one deadline, which the client keeps
            timeout=httpx.Timeout(None, connect=settings.connect_timeout_seconds),
        )

    async def predict(
        self, target: Target, name: str, signature: Signature, inputs: Arrays, timeout_seconds: float
    ) -> Answer:
        """Ask a signature once; see `Transport`."""
        body = {"signature_name": name, "inputs": {one: to_json(array) for one, array in inputs.items()}}
        answer = await self._ask(target, ":predict", json.dumps(body).encode())
        if "outputs" not in answer:
            raise target.unexpected(f"no outputs in the answer, but {', '.join(answer)}")
        return Answer(read_outputs(target, name, answer["outputs"], signature.outputs), target.version)

    async def metadata(self, target: Target, timeout_seconds: float) -> Signatures:
        """Ask what a model takes and gives."""
        answer = await self._ask(target, "/metadata")
        try:
            found = answer["metadata"]["signature_def"]["signature_def"]
            version = answer["model_spec"].get("version")
            return Signatures(
                None if version is None else int(version),
                {name: Signature(_specs(one, "inputs"), _specs(one, "outputs")) for name, one in found.items()},
            )
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise target.unexpected(f"metadata of an unknown form: {error!r}") from None

    async def status(self, target: Target, timeout_seconds: float) -> list[VersionState]:
        """Ask which versions there are."""
        answer = await self._ask(target, "")
        try:
            return [
                VersionState(
                    int(one["version"]), one["state"], one["status"]["error_code"], one["status"]["error_message"]
                )
                for one in answer["model_version_status"]
            ]
        except (KeyError, TypeError, ValueError) as error:
            raise target.unexpected(f"a status of an unknown form: {error!r}") from None

    async def close(self) -> None:
        """Close all connections."""
        await self._http.aclose()

    async def _ask(self, target: Target, action: str, body: bytes | None = None) -> dict[str, Any]:
        """The JSON that the server answers with, to a POST if there is a body."""
        url = f"{self._address}/v1/models/{quote(target.model, safe='')}"
        if target.version is not None:
            url += f"/versions/{target.version}"
        elif target.label is not None:
            url += f"/labels/{quote(target.label, safe='')}"
        try:
            answer = await self._http.request(
                "GET" if body is None else "POST",
                url + action,
                content=body,
                headers=None if body is None else {"Content-Type": "application/json"},
            )
        except (httpx.RequestError, OSError) as error:  # OSError: an alert of TLS after the handshake comes as itself
            reason = str(error) or type(error).__name__
            raise target.error(UNAVAILABLE, f"{self._address}: {reason}") from error
        if not answer.is_success:
            raise _failure(target, answer)
        try:
            content = json.loads(answer.content)
        except ValueError:
            content = None
        if not isinstance(content, dict):
            raise target.unexpected(f"{url}{action} did not answer with a JSON object")
        return content


def _failure(target: Target, answer: httpx.Response) -> ServingError:
    try:
        message = str(answer.json()["error"])
    except (ValueError, KeyError, TypeError):  # a proxy's page
        message = answer.text.strip()[:SHOWN]
    code = CODES.get(HTTPStatus(answer.status_code), "UNKNOWN") if answer.status_code in list(HTTPStatus) else "UNKNOWN"
    return target.error(
        code, f"HTTP {answer.status_code}: {message or answer.reason_phrase}", retry_after_seconds=_retry_after(answer)
    )


def _retry_after(answer: httpx.Response) -> float:
    """Seconds, or until a date: https://www.rfc-editor.org/rfc/rfc9110#field.retry-after."""
    given = answer.headers.get("Retry-After", "")
    if given.isdecimal():
        return float(given)
    try:
        return max(0.0, (parsedate_to_datetime(given) - datetime.now(UTC)).total_seconds())
    except (ValueError, TypeError):  # absent or wrong, or a date without a zone
        return 0.0


def _specs(signature: dict[str, Any], side: str) -> dict[str, TensorSpec]:
    return {
        name: TensorSpec(DTYPES.get(one["dtype"], one["dtype"]), _shape(one.get("tensor_shape", {})))
        for name, one in signature.get(side, {}).items()
    }


def _shape(shape: dict[str, Any]) -> tuple[int, ...] | None:
    return None if shape.get("unknown_rank") else tuple(int(dim["size"]) for dim in shape.get("dim", ()))
