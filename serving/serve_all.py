"""Everything on one machine: `supplytower serve all` runs the local model server and the gateway in front of it.

The model server is a process of its own, as in production. It is up before the gateway listens, and stopped when the
gateway has finished what was under way.
"""

import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from data_pipelines import console as terminal
from data_pipelines.config import describe, resolve
from data_pipelines.schema import InputError
from serving.gateway import structured_log
from serving.gateway.main import add_options, build, require_keys, serve
from serving.gateway.settings import GatewaySettings

START_SECONDS, GRACE_SECONDS = 120.0, 20.0


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit status."""
    return terminal.run(_main, argv)


def _main(argv: Sequence[str] | None) -> int:
    parser = terminal.command_parser(
        "supplytower serve all",
        "Run the local model server and the gateway in front of it; Ctrl-C stops both.\n"
        "For development, tests and demonstrations: in production the official TensorFlow Serving takes the place of "
        "the model server (deploy/).",
        examples=[
            "supplytower serve all --models build/models --data build/data",
            "supplytower serve all --models build/models --data build/data --stock build/plan.parquet --port 9000",
        ],
        settings=describe(GatewaySettings),
    )
    parser.add_argument("--models", type=Path, required=True, help="folder that `supplytower export` writes to")
    parser.add_argument("--grpc-port", type=int, default=8500, help="of the model server (8500); 0 takes a free one")
    parser.add_argument("--rest-port", type=int, default=8501, help="of the model server (8501); 0 takes a free one")
    add_options(parser, model_server=False)
    arguments = parser.parse_args(argv)
    settings = resolve(GatewaySettings, file=arguments.config, overrides=arguments.set)
    require_keys(arguments.host, arguments.keys)
    with model_server(arguments.models, arguments.grpc_port, arguments.rest_port) as arguments.model_server:
        structured_log.configure()
        serve(build(arguments, settings), settings, arguments.host, arguments.port)
    return 0


@contextmanager
def model_server(models: Path, grpc_port: int, rest_port: int, **settings: float) -> Iterator[str]:
    """The local model server in a process of its own; gives its address once it serves.

    Args:
        models: the models folder.
        grpc_port: 0 for a free one.
        rest_port: 0 for a free one.
        settings: further ones of the server.

    Raises:
        InputError: if it ends before it serves; it has said why.
    """
    grpc_port, rest_port = grpc_port or _free_port(), rest_port or _free_port()
    command = [sys.executable, "-m", "serving.model_server.main", "--models", str(models)]
    settings |= {"grpc_port": grpc_port, "rest_port": rest_port}
    chosen = [word for name, value in settings.items() for word in ("--set", f"{name}={value}")]
    # a session of its own: Ctrl-C stops the gateway first, which still needs the models for what is under way
    process = subprocess.Popen([*command, *chosen], start_new_session=True)
    try:
        _wait(process, f"127.0.0.1:{grpc_port}")
        yield f"grpc://127.0.0.1:{grpc_port}"
    finally:
        process.terminate()
        try:
            process.wait(GRACE_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _wait(process: subprocess.Popen[bytes], address: str) -> None:
    deadline = time.monotonic() + START_SECONDS
    with grpc.insecure_channel(address) as channel:
        health = health_pb2_grpc.HealthStub(channel)
        while time.monotonic() < deadline:
            if process.poll() is not None:
                raise InputError(f"the model server has ended with status {process.returncode}; see above")
            try:
                answer = health.Check(health_pb2.HealthCheckRequest(), timeout=1.0)
            except grpc.RpcError:
                time.sleep(0.1)
                continue
            if answer.status == health_pb2.HealthCheckResponse.SERVING:
                return
            time.sleep(0.1)
    raise InputError(f"the model server does not serve after {START_SECONDS:.0f} seconds")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


if __name__ == "__main__":
    raise SystemExit(main())
