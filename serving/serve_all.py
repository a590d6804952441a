"""Everything on one machine: `supplytower serve all` runs the local model server and the gateway in front of it.

The model server is a process of its own, as in production. It is up before the gateway listens, and stopped when the
gateway has finished what was under way.
"""

import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from subprocess import PIPE

from data_pipelines import console as terminal
from data_pipelines.config import describe, resolve
from data_pipelines.schema import InputError
from serving.gateway import structured_log
from serving.gateway.main import add_options, build, require_keys, serve
from serving.gateway.settings import GatewaySettings
from serving.model_server.parent import READY

GRACE_SECONDS = 20.0


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
    """The local model server in a process of its own; gives its address once it serves, and stops it.

    The server stops with this process, however that ends. If the server ends first the block is interrupted, as by
    Ctrl-C.

    Args:
        models: the models folder.
        grpc_port: 0 for a free one.
        rest_port: 0 for a free one.
        settings: further ones of the server.

    Raises:
        InputError: if it has ended, before or while it served.
    """
    settings |= {"grpc_port": grpc_port or _free_port(), "rest_port": rest_port or _free_port()}
    command = [sys.executable, "-m", "serving.model_server.main", "--with-parent", "--models", str(models)]
    command += [word for name, value in settings.items() for word in ("--set", f"{name}={value}")]
    # a session of its own: Ctrl-C stops the gateway first, which still needs the models for what is under way
    with subprocess.Popen(command, stdin=PIPE, stdout=PIPE, text=True, start_new_session=True) as process:
        stopping = threading.Event()
        watch = threading.Thread(target=_interrupt_at_end, args=(process, stopping), daemon=True)
        try:
            address = _address(process)
            watch.start()
            yield f"grpc://{address}"
        except KeyboardInterrupt:
            if process.poll() is None:
                raise
        finally:
            ended = process.poll()
            stopping.set()
            _stop(process)
        if ended is not None:
            raise _ended(ended)


def _address(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    for line in process.stdout:
        if line.startswith(READY):
            return line.removeprefix(READY).strip()
    raise _ended(process.wait())


def _ended(status: int) -> InputError:
    how = f"by {signal.Signals(-status).name}" if status < 0 else f"with status {status}"
    return InputError(f"the model server has ended {how}; see what it said above")


def _interrupt_at_end(process: subprocess.Popen[str], stopping: threading.Event) -> None:
    process.wait()
    if not stopping.is_set():
        os.kill(os.getpid(), signal.SIGINT)


def _stop(process: subprocess.Popen[str]) -> None:
    process.terminate()
    try:
        process.wait(GRACE_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


if __name__ == "__main__":
    raise SystemExit(main())
