"""Serve a models folder on this machine: `supplytower serve models`.

For development and tests. It speaks the official server's protocols, so what works here works there.
"""

import argparse
import logging
import signal
import threading
from collections.abc import Sequence
from pathlib import Path
from types import FrameType

from data_pipelines import console as terminal
from data_pipelines.config import describe, resolve
from serving.model_server.parent import say_ready, stop_with_parent
from serving.model_server.server import ModelServer
from serving.model_server.settings import ModelServerSettings


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit status."""
    return terminal.run(_main, argv)


def _main(argv: Sequence[str] | None) -> int:
    parser = terminal.command_parser(
        "supplytower serve models",
        "Serve exported models with TensorFlow Serving's gRPC and REST APIs, for development and tests.\n"
        "New versions are taken into service as they appear. Ctrl-C finishes what is under way and stops.",
        examples=[
            "supplytower serve models --models build/models",
            "supplytower serve models --models build/models --set rest_port=9501 --set max_batch_size=64",
            "curl http://127.0.0.1:8501/v1/models/recommender",
        ],
        settings=describe(ModelServerSettings),
    )
    parser.add_argument("--models", type=Path, required=True, help="folder that `supplytower export` writes to")
    parser.add_argument("--config", type=Path, help="YAML file with settings")
    parser.add_argument("--set", action="append", default=[], metavar="key=value", help="one setting; may be repeated")
    parser.add_argument("--with-parent", action="store_true", help=argparse.SUPPRESS)  # for `serve all`
    arguments = parser.parse_args(argv)
    if arguments.with_parent:
        stop_with_parent()
    settings = resolve(ModelServerSettings, file=arguments.config, overrides=arguments.set)
    logging.basicConfig(format="%(asctime)s %(levelname)s %(message)s", level=logging.WARNING)
    logging.getLogger("serving").setLevel(logging.INFO)
    stopping = threading.Event()
    server = ModelServer(arguments.models, settings)
    server.start()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda number, frame: _stop(number, frame, stopping))
    _greet(server, arguments.models)
    if arguments.with_parent:
        say_ready(server.grpc_address)
    stopping.wait()
    terminal.console.print("stopping: requests under way are finished first")
    server.stop()
    return 0


def _stop(number: int, frame: FrameType | None, stopping: threading.Event) -> None:
    if stopping.is_set():  # asked twice: at once
        raise KeyboardInterrupt
    stopping.set()


def _greet(server: ModelServer, models: Path) -> None:
    def say(text: str) -> None:
        terminal.console.print(text, soft_wrap=True, highlight=False)

    served = server.manager.names()
    for name, versions in served.items():
        say(f"{name}: {'version' if len(versions) == 1 else 'versions'} {', '.join(map(str, sorted(versions)))}")
    if not served:
        say(f"{models}: no version is in service yet; those that appear there are")
    say(f"gRPC  {server.grpc_address}")
    for name in served or ["NAME"]:
        say(f"REST  {server.rest_url}/v1/models/{name}")
    say(
        "This server is for development and tests. In production run the official one on the same folder:\n"
        f"  docker run -p 8500:8500 -p 8501:8501 -v {models.resolve()}:/models tensorflow/serving \\\n"
        "    --model_config_file=/models/models.config --allow_version_labels_for_unavailable_models=true\n"
        "(export with --base-path /models, so that the paths in models.config are those of the container)"
    )


if __name__ == "__main__":
    raise SystemExit(main())
