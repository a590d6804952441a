"""How the client of a model server behaves: deadlines, retries, hedging, connections, TLS."""

from dataclasses import dataclass
from pathlib import Path

from data_pipelines.schema import InputError


@dataclass(frozen=True)
class ClientSettings:
    """Settings of `serving.client`."""

    timeout_seconds: float = 5.0
    """The time for one call in all, retries and the waiting between them included."""
    max_attempts: int = 4
    """How often a request is sent at most; 1: no retries."""
    backoff_seconds: float = 0.05
    """The longest wait before the second attempt, doubled before each further one; a wait is drawn from 0 up to it."""
    max_backoff_seconds: float = 1.0
    """The longest wait between two attempts."""
    retry_tokens: float = 100.0
    """Of all calls: a failure that may pass spends one; when half is spent, nothing is sent again; 0: never."""
    retry_refund: float = 0.1
    """How much of a token an answer gives back: the share of requests that is sent again while failures go on."""
    hedge_after_seconds: float | None = None
    """When an attempt has no answer after this time, it is sent once more and the first answer counts; null: never."""
    connect_timeout_seconds: float = 1.0
    """The time for one attempt to connect."""
    signature_ttl_seconds: float = 60.0
    """How long a model's signatures are believed before they are fetched again."""
    max_message_bytes: int = 64 * 1024 * 1024
    """The largest gRPC message in either direction."""
    max_connections: int = 100
    """The most HTTP connections at a time; gRPC needs one."""
    keepalive_seconds: float = 30.0
    """How long an idle HTTP connection is kept, and how often gRPC asks whether a silent server is still there."""
    ca: Path | None = None
    """The certificates that sign the server's (PEM), for grpcs:// and https://; null: the usual public ones."""
    certificate: Path | None = None
    """The client's own certificate (PEM), for a server that asks for one."""
    key: Path | None = None
    """The key of the client's certificate (PEM)."""

    def __post_init__(self) -> None:
        for name in ("timeout_seconds", "connect_timeout_seconds", "keepalive_seconds", "max_message_bytes"):
            self._require(name, getattr(self, name) > 0, "above 0")
        for name in ("backoff_seconds", "max_backoff_seconds", "signature_ttl_seconds", "retry_tokens", "retry_refund"):
            self._require(name, getattr(self, name) >= 0, "at least 0")
        for name in ("max_attempts", "max_connections"):
            self._require(name, getattr(self, name) >= 1, "at least 1")
        hedge = self.hedge_after_seconds
        self._require("hedge_after_seconds", hedge is None or hedge >= 0, "null or at least 0")
        self._require("certificate", (self.certificate is None) == (self.key is None), "given together with key")

    def _require(self, name: str, fine: bool, rule: str) -> None:
        if not fine:
            raise InputError(f"client setting {name!r} is {getattr(self, name)}; it must be {rule}")

    @property
    def has_tls_files(self) -> bool:
        """Whether any file of TLS is given."""
        return self.ca is not None or self.certificate is not None
