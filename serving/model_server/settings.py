"""Settings of the model server. The names are those of tensorflow_model_server's flags where it has one."""

import os
from dataclasses import dataclass

from data_pipelines.schema import InputError


@dataclass(frozen=True)
class ModelServerSettings:
    """Where the server listens, and how much it does at once."""

    host: str = "127.0.0.1"
    """Address to listen on; 0.0.0.0 opens the server, which asks nobody who they are, to the network."""
    grpc_port: int = 8500
    """Port of the gRPC API; 0 for any free one."""
    rest_port: int = 8501
    """Port of the REST API; 0 for any free one."""
    poll_seconds: float = 1.0
    """Time between looks at the models folder."""
    max_batch_size: int = 32
    """Rows that are joined to one batch; 1 turns batching off."""
    batch_timeout_ms: float = 10.0
    """How long a request under load waits for others to join it."""
    batch_threads: int = max(1, (os.cpu_count() or 1) // 2)
    """Batches of one model and signature that run at a time."""
    threads: int = 64
    """Threads in which models run: batches, and requests that cannot be joined."""
    max_message_mb: int = 64
    """Largest request and answer."""
    grace_seconds: float = 10.0
    """How long requests under way may take to finish when the server stops."""

    def __post_init__(self) -> None:
        for name in ("grpc_port", "rest_port"):
            if not 0 <= getattr(self, name) <= 65535:
                raise InputError(f"{name} {getattr(self, name)}: must be from 0 to 65535")
        for name in ("max_batch_size", "batch_threads", "threads", "max_message_mb"):
            if getattr(self, name) < 1:
                raise InputError(f"{name} {getattr(self, name)}: must be at least 1")
        for name in ("batch_timeout_ms", "grace_seconds"):
            if getattr(self, name) < 0:
                raise InputError(f"{name} {getattr(self, name):g}: must be at least 0")
        if self.poll_seconds <= 0:
            raise InputError(f"poll_seconds {self.poll_seconds:g}: must be above 0")

    @property
    def max_message_bytes(self) -> int:
        """`max_message_mb` in bytes."""
        return self.max_message_mb * 2**20
