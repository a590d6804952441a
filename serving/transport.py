"""What the client needs of a protocol, and the protocol of an address.

`grpc://host:8500` and `http://host:8501` are TensorFlow Serving's usual ports; `grpcs://` and `https://` add TLS.
gRPC is imported only when asked for, because TensorFlow comes with it.
"""

from typing import Protocol
from urllib.parse import SplitResult, urlsplit

from data_pipelines.schema import InputError
from serving.client_settings import ClientSettings
from serving.serving_error import Target
from serving.signatures import Answer, Arrays, Signature, Signatures, VersionState

GRPC_PORT = 8500


class Transport(Protocol):
    """One protocol of TensorFlow Serving; used by one event loop. Failures are `ServingError`."""

    name: str
    """`grpc` or `rest`."""

    async def predict(
        self, target: Target, name: str, signature: Signature, inputs: Arrays, timeout_seconds: float
    ) -> Answer:
        """Ask a signature once.

        Args:
            target: which model.
            name: the signature's name.
            signature: what it takes and gives.
            inputs: arrays of the types that it takes.
            timeout_seconds: what is left of the call's time.
        """
        ...

    async def metadata(self, target: Target, timeout_seconds: float) -> Signatures:
        """Ask what a model takes and gives."""
        ...

    async def status(self, target: Target, timeout_seconds: float) -> list[VersionState]:
        """Ask which versions there are."""
        ...

    async def close(self) -> None:
        """Close all connections."""
        ...


def open_transport(address: str, settings: ClientSettings) -> Transport:
    """The transport of an address; it connects when first used.

    Args:
        address: e.g. `grpc://localhost:8500` or `https://models.shop.example/serving`.
        settings: how to connect.

    Raises:
        InputError: if the address or a file of TLS cannot be used.
    """
    url = _checked(address, settings)
    if url.scheme in ("http", "https"):
        from serving.rest_transport import RestTransport

        return RestTransport(address.rstrip("/"), settings)
    try:
        from serving.grpc_transport import GrpcTransport
    except ImportError as error:
        raise InputError(
            f"{address}: gRPC needs the package tensorflow-serving-api ({error}); install it, or use http://"
        ) from error
    return GrpcTransport(url.netloc if url.port else f"{url.netloc}:{GRPC_PORT}", settings, tls=url.scheme == "grpcs")


def _checked(address: str, settings: ClientSettings) -> SplitResult:
    try:
        url = urlsplit(address)
        wrong = url.scheme not in ("grpc", "grpcs", "http", "https") or not url.hostname or url.port == 0
    except ValueError:
        wrong = True
    if wrong:
        raise InputError(f"address {address!r} is none of grpc://host:port, grpcs://…, http://… and https://…")
    if "@" in url.netloc or url.query or url.fragment or (url.scheme.startswith("grpc") and url.path.strip("/")):
        raise InputError(
            f"address of scheme {url.scheme} must be a host and a port only: {url.scheme}://{url.hostname}:port"
        )
    if settings.has_tls_files and not url.scheme.endswith("s"):
        raise InputError(f"address {address!r} is not encrypted but ca or certificate is set; use {url.scheme}s://")
    return url
