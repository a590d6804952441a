"""The real-time gateway: `supplytower serve gateway`.

One process serves one core. For more, start several on different ports behind a proxy, with Redis as their store.
"""

import argparse
import asyncio
import ipaddress
import logging
import signal
import socket
from collections.abc import Sequence
from pathlib import Path
from types import FrameType

import polars as pl
import uvicorn
from fastapi import FastAPI
from polars.exceptions import PolarsError

from data_pipelines import console as terminal
from data_pipelines.config import describe, resolve
from data_pipelines.schema import EVENT_TYPE, EVENTS, ITEM_ID, ITEMS, EventType, InputError
from serving.async_client import AsyncClient
from serving.client_settings import ClientSettings
from serving.connections import limited_protocol
from serving.gateway import structured_log
from serving.gateway.ads.options import add_ad_options, open_ads
from serving.gateway.app import create_app
from serving.gateway.bought_together import BasketRuleFiles
from serving.gateway.catalogue import CatalogueFiles
from serving.gateway.event_store import StoreError
from serving.gateway.experiment_files import ExperimentFiles
from serving.gateway.gateway import Gateway
from serving.gateway.metrics import Metrics
from serving.gateway.model_client import ModelClient
from serving.gateway.open_store import DEFAULT_STORE, store_of
from serving.gateway.profiles import ProfileFiles
from serving.gateway.security import KeyRing
from serving.gateway.settings import GatewaySettings

CLIENT_SHARE = 0.6
"""Of the time that the gateway has for an answer."""
POPULAR = 1000
"""Items that are recommended where the model server is away."""
logger = logging.getLogger(__name__)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit status."""
    return terminal.run(_main, argv)


def _main(argv: Sequence[str] | None) -> int:
    parser = terminal.command_parser(
        "supplytower serve gateway",
        "Answer a shop over HTTP: events in, recommendations, forecasts and orders out. Documentation is at /docs.\n"
        "Without --keys everybody on this machine may ask, and nobody else.",
        examples=[
            "supplytower serve gateway --model-server grpc://127.0.0.1:8500 --data build/data",
            "supplytower serve gateway --model-server grpc://models:8500 --items items.parquet --stock plan.parquet "
            "--store redis://redis:6379/0 --host 0.0.0.0 --keys keys.json",
            "supplytower serve gateway --data build/data --profiles build/profiles --experiments experiments.yaml",
            "supplytower serve gateway --data build/data --stock plan.parquet --profiles build/profiles "
            "--campaigns spring.yaml",
            "supplytower serve gateway --data build/data --rules build/rules",
        ],
        settings=describe(GatewaySettings),
    )
    add_options(parser)
    arguments = parser.parse_args(argv)
    settings = resolve(GatewaySettings, file=arguments.config, overrides=arguments.set)
    require_keys(arguments.host, arguments.keys)
    structured_log.configure()
    serve(build(arguments, settings), settings, arguments.host, arguments.port)
    return 0


def add_options(parser: argparse.ArgumentParser, *, model_server: bool = True) -> None:
    """Give a command the gateway's options, with the address of the model server if that is running already."""
    if model_server:
        parser.add_argument(
            "--model-server", default="grpc://127.0.0.1:8500", help="grpc://host:8500 or http://host:8501"
        )
    parser.add_argument("--data", type=Path, help="folder with items.parquet, and events.parquet for what is popular")
    parser.add_argument("--items", type=Path, help="table of item_id and attributes, instead of the folder's")
    parser.add_argument("--stock", type=Path, help="table of unique_id and on_hand, e.g. a plan; read when it changes")
    parser.add_argument("--profiles", type=Path, help="folder of `supplytower profile build`; read when it changes")
    parser.add_argument("--experiments", type=Path, help="YAML file of experiments; read when it changes")
    parser.add_argument("--rules", type=Path, help="folder of `supplytower rules mine`; read when it changes")
    parser.add_argument("--store", default=DEFAULT_STORE, help=f"{DEFAULT_STORE} (default) or redis://host:6379/0")
    add_ad_options(parser)
    parser.add_argument("--keys", type=Path, help="key file, see `supplytower serve keys`")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (127.0.0.1)")
    parser.add_argument("--port", type=int, default=8080, help="port to listen on (8080); 0 takes a free one")
    parser.add_argument("--config", type=Path, help="YAML file of settings")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="one setting, over the file")


def require_keys(host: str, keys: Path | None) -> None:
    """Refuse to serve others than this machine without keys.

    Raises:
        InputError: if the host is not loopback and there is no key file.
    """
    if keys is None and not _is_loopback(host):
        raise InputError(
            f"--host {host}: others could ask without a key; give --keys keys.json (see `supplytower serve keys`), or "
            "listen on 127.0.0.1"
        )


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def build(arguments: argparse.Namespace, settings: GatewaySettings) -> FastAPI:
    """The application that the options describe.

    Raises:
        InputError: if a file cannot be read, or the store's URL is none.
    """
    data, items = arguments.data, arguments.items
    if data is not None and not data.is_dir():
        raise InputError(f"--data {data}: no such folder; see `supplytower data prepare --help`")
    if items is None and data is not None and (data / f"{ITEMS.name}.parquet").exists():
        items = data / f"{ITEMS.name}.parquet"
    catalogue = CatalogueFiles(items, arguments.stock, reload_seconds=settings.reload_seconds)
    profiles = experiments = rules = keys = None
    if arguments.profiles is not None:
        profiles = ProfileFiles(arguments.profiles, reload_seconds=settings.reload_seconds)
    if arguments.experiments is not None:
        experiments = ExperimentFiles(arguments.experiments, reload_seconds=settings.reload_seconds)
    if arguments.rules is not None:
        rules = BasketRuleFiles(arguments.rules, reload_seconds=settings.reload_seconds)
    if arguments.keys is not None:
        keys = KeyRing(
            arguments.keys, requests_per_second=settings.requests_per_second, burst_seconds=settings.burst_seconds
        )
    metrics = Metrics()
    client, popular = connect(arguments.model_server, settings, metrics), popular_items(data)
    store = store_of(arguments.store, settings)
    return create_app(
        settings,
        store,
        client,
        catalogue,
        keys=keys,
        metrics=metrics,
        popular=popular,
        profiles=profiles,
        experiments=experiments,
        ads=open_ads(arguments, items, settings),
        rules=rules,
    )


def connect(address: str, settings: GatewaySettings, metrics: Metrics) -> ModelClient:
    """A client of the model server.

    Args:
        address: of the server.
        settings: the client gives up before the gateway does, so that there is time for popular items.
        metrics: where its own are registered.
    """
    patience = ClientSettings(timeout_seconds=CLIENT_SHARE * settings.timeout_seconds)
    return AsyncClient(address, patience, registry=metrics.registry)


def popular_items(data: Path | None) -> list[str]:
    """The items most often bought in a data folder; of any event where nothing was bought."""
    path = None if data is None else data / f"{EVENTS.name}.parquet"
    if path is None or not path.exists():
        return []
    try:
        events = pl.scan_parquet(path).select(ITEM_ID, bought=pl.col(EVENT_TYPE) == EventType.PURCHASE.value)
        counts = events.drop_nulls(ITEM_ID).group_by(ITEM_ID).agg(pl.col("bought").sum(), pl.len())
        best = counts.sort("bought", "len", ITEM_ID, descending=[True, True, False]).head(POPULAR).collect()
    except PolarsError as error:
        raise InputError(f"{path}: cannot be read ({str(error).splitlines()[0]})") from None
    return best[ITEM_ID].to_list()


def serve(app: FastAPI, settings: GatewaySettings, host: str, port: int) -> None:
    """Serve until SIGTERM or Ctrl-C, then finish what is under way.

    Raises:
        InputError: if the address cannot be listened on, or the store does not answer.
    """
    listening = listen(host, port)
    shown = f"[{host}]" if ":" in host else host
    config = uvicorn.Config(
        app,
        log_config=None,
        access_log=False,
        server_header=False,
        http=limited_protocol(settings.most_connections, settings.head_timeout_seconds),
        ws="none",  # it would take connections out of these limits
        timeout_graceful_shutdown=int(settings.drain_seconds + 0.5),
        proxy_headers=False,
    )
    url = f"http://{shown}:{listening.getsockname()[1]}"
    try:
        GatewayServer(config, app.state.gateway, url).run(sockets=[listening])
    except StoreError as error:
        raise InputError(f"--store: the event store does not answer ({error}); see that it runs") from None


def listen(host: str, port: int) -> socket.socket:
    """A listening socket; port 0 takes a free one."""
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        # asyncio switches Nagle's algorithm off only where the protocol is told: 40 ms per answer
        listening = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((host, port))
    except (OSError, OverflowError) as error:
        raise InputError(f"--host {host} --port {port}: cannot listen ({error}); choose another port") from None
    return listening


class GatewayServer(uvicorn.Server):
    """A server that says it is about to stop before it stops.

    After SIGTERM /readyz says no and connections are closed with their next answer, while requests are still taken;
    after `drain_delay_seconds` no more are accepted and those in flight are finished. A second signal, or Ctrl-C, goes
    on to that at once.
    """

    def __init__(self, config: uvicorn.Config, gateway: Gateway, url: str):
        super().__init__(config)
        self._gateway, self._url = gateway, url

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to serve, if the store answers: the application's own complaint would be a traceback."""
        await self._gateway.store.ping()
        url = self._url
        terminal.console.print(f"gateway on {url}, documentation on {url}/docs", highlight=False, soft_wrap=True)
        await super().startup(sockets)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Begin to stop."""
        delay = self._gateway.settings.drain_delay_seconds
        logger.info("gateway stops", extra={"signal": signal.Signals(sig).name})
        if self._gateway.draining or sig != signal.SIGTERM or not delay:
            self.force_exit = self.should_exit and sig == signal.SIGINT
            self._gateway.draining = self.should_exit = True
            return
        self._gateway.draining = True
        asyncio.get_running_loop().call_later(delay, self._stop)

    def _stop(self) -> None:
        self.should_exit = True


if __name__ == "__main__":
    raise SystemExit(main())
