"""The model server as an object, for the command, for tests and for notebooks.

Both APIs live in one event loop in a thread of its own; models run in further threads. A thread per request, which is
gRPC's other way, costs 0.4 ms more of CPU per request: the threads contend for the interpreter's lock.

Use: `with ModelServer(Path("build/models"), ModelServerSettings(grpc_port=0, rest_port=0)) as server: …`, and ask at
`server.grpc_address` and `server.rest_url`.
"""

import asyncio
import socket
from pathlib import Path
from types import TracebackType
from typing import Self

import grpc
import uvicorn
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

from data_pipelines.schema import InputError
from serving.connections import limited_protocol
from serving.event_loop_thread import EventLoopThread
from serving.model_server.grpc_service import add_services
from serving.model_server.manager import ModelManager
from serving.model_server.rest import CLIENT_SECONDS, RestApplication
from serving.model_server.settings import ModelServerSettings

MOST_CONNECTIONS = 800
"""Open connections of the REST API."""
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
        self._loop = EventLoopThread("model-server")
        self._health = health.aio.HealthServicer()

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
        try:
            self._loop.run(self._listen)
            self.manager.start()
            self._loop.run(self._answer)
        except BaseException:
            self._loop.close(self._stop_grpc)
            raise

    def stop(self) -> None:
        """Say that no more is served, let requests under way finish, and free everything."""
        self._loop.run(self._drain)
        self._loop.close(self._stop_grpc)
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

    async def _listen(self) -> None:
        settings = self.settings
        options = [
            ("grpc.max_receive_message_length", settings.max_message_bytes),
            ("grpc.max_send_message_length", settings.max_message_bytes),
            ("grpc.so_reuseport", 0),  # a second server on the port would take half of the requests
        ]
        self._grpc = grpc.aio.server(options=options)
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self._grpc)
        await self._set_health(health_pb2.HealthCheckResponse.NOT_SERVING)
        add_services(self._grpc, self.manager, settings.max_message_bytes)
        try:
            self.grpc_port = self._grpc.add_insecure_port(f"{settings.host}:{settings.grpc_port}")
        except RuntimeError:
            raise _taken(settings.host, "grpc_port", settings.grpc_port) from None
        family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
        # asyncio switches Nagle's algorithm off only where the protocol is told: 40 ms per answer
        self._listening = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        self._listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            self._listening.bind((settings.host, settings.rest_port))
        except OSError:
            self._listening.close()
            raise _taken(settings.host, "rest_port", settings.rest_port) from None
        self.rest_port = self._listening.getsockname()[1]

    async def _answer(self) -> None:
        config = uvicorn.Config(
            RestApplication(self.manager, self.settings.max_message_bytes),
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            http=limited_protocol(MOST_CONNECTIONS, CLIENT_SECONDS),
            ws="none",
            timeout_graceful_shutdown=int(self.settings.grace_seconds),
        )
        self._rest = uvicorn.Server(config)
        self._resting = asyncio.create_task(self._rest.serve(sockets=[self._listening]))
        await self._grpc.start()
        while not self._rest.started and not self._resting.done():
            await asyncio.sleep(0.001)
        await self._set_health(health_pb2.HealthCheckResponse.SERVING)

    async def _drain(self) -> None:
        await self._set_health(health_pb2.HealthCheckResponse.NOT_SERVING)
        self._rest.should_exit = True
        await asyncio.gather(self._grpc.stop(self.settings.grace_seconds), self._resting)

    async def _stop_grpc(self) -> None:
        await self._grpc.stop(None)

    async def _set_health(self, status: int) -> None:
        for service in _SERVICES:
            await self._health.set(service, status)


def _taken(host: str, setting: str, port: int) -> InputError:
    return InputError(f"{setting} {port}: cannot listen there on {host}; choose another with --set {setting}=PORT")
