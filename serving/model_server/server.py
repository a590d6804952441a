"""The model server as an object, for the command, for tests and for notebooks.

Use: `with ModelServer(Path("build/models"), ModelServerSettings(grpc_port=0, rest_port=0)) as server: …`, and ask at
`server.grpc_address` and `server.rest_url`.
"""

import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import Self

import grpc
import uvicorn
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

from data_pipelines.schema import InputError
from serving.model_server.grpc_service import add_services
from serving.model_server.manager import ModelManager
from serving.model_server.rest import RestApplication
from serving.model_server.settings import ModelServerSettings

_SERVICES = ("", "tensorflow.serving.PredictionService", "tensorflow.serving.ModelService")
"""What the health service knows of; "" is the server as a whole."""


class ModelServer:
    """A gRPC and a REST server over a models folder.

    Args:
        models: the folder.
        settings: where to listen, and how much to do at once.

    Raises:
        InputError: if the folder cannot be used.
    """

    def __init__(self, models: Path, settings: ModelServerSettings | None = None):
        self.settings = settings or ModelServerSettings()
        self.manager = ModelManager(models, self.settings)
        self.grpc_port = self.rest_port = 0

    @property
    def grpc_address(self) -> str:
        """Host and port of the gRPC API."""
        return f"{self.settings.host}:{self.grpc_port}"

    @property
    def rest_url(self) -> str:
        """URL of the REST API."""
        return f"http://{self.settings.host}:{self.rest_port}"

    def start(self) -> None:
        """Take the ports, load the models, then answer.

        Raises:
            InputError: if a port is taken.
        """
        self._start_grpc()
        try:
            self._start_rest()
            self.manager.start()
        except BaseException:
            self._grpc.stop(None)
            raise
        self._grpc.start()
        self._rest_thread.start()
        while not self._rest.started and self._rest_thread.is_alive():
            time.sleep(0.001)
        self._set_health(health_pb2.HealthCheckResponse.SERVING)

    def stop(self) -> None:
        """Say that no more is served, let requests under way finish, and free everything."""
        self._set_health(health_pb2.HealthCheckResponse.NOT_SERVING)
        stopped = self._grpc.stop(self.settings.grace_seconds)
        self._rest.should_exit = True
        self._rest_thread.join()
        stopped.wait()
        self._workers.shutdown(wait=False)
        self.manager.stop()

    def __enter__(self) -> Self:
        """Start."""
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Stop."""
        self.stop()

    def _start_grpc(self) -> None:
        settings = self.settings
        pool = ThreadPoolExecutor(settings.threads, "grpc")
        options = [
            ("grpc.max_receive_message_length", settings.max_message_bytes),
            ("grpc.max_send_message_length", settings.max_message_bytes),
            ("grpc.so_reuseport", 0),  # a second server on the port would take half of the requests
        ]
        self._grpc = grpc.server(pool, options=options)
        self._health = health.HealthServicer()
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self._grpc)
        self._set_health(health_pb2.HealthCheckResponse.NOT_SERVING)
        add_services(self._grpc, self.manager, settings.max_message_bytes)
        try:
            self.grpc_port = self._grpc.add_insecure_port(f"{settings.host}:{settings.grpc_port}")
        except RuntimeError:
            raise _taken(settings.host, "grpc_port", settings.grpc_port) from None

    def _start_rest(self) -> None:
        settings = self.settings
        family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
        # asyncio switches Nagle's algorithm off only where the protocol is told: 40 ms per answer
        listening = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listening.bind((settings.host, settings.rest_port))
        except OSError:
            listening.close()
            raise _taken(settings.host, "rest_port", settings.rest_port) from None
        self.rest_port = listening.getsockname()[1]
        self._workers = ThreadPoolExecutor(settings.threads, "rest")
        application = RestApplication(self.manager, self._workers, settings.max_message_bytes)
        config = uvicorn.Config(
            application,
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            timeout_graceful_shutdown=int(settings.grace_seconds),
        )
        self._rest = uvicorn.Server(config)
        self._rest_thread = threading.Thread(
            target=self._rest.run, kwargs={"sockets": [listening]}, name="rest", daemon=True
        )

    def _set_health(self, status: int) -> None:
        for service in _SERVICES:
            self._health.set(service, status)


def _taken(host: str, setting: str, port: int) -> InputError:
    return InputError(f"{setting} {port}: cannot listen there on {host}; choose another with --set {setting}=PORT")
