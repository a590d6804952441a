"""Keeps the wanted versions loaded and says which one answers a request.

A new version is loaded and warmed up before an old one is unloaded, and a label moves once the version that it is to
name is available: at every instant every model that was in service stays so. A version that cannot be loaded is refused
with one line in the log and tried again when its files change; until then the versions before it keep serving.
"""

import logging
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import grpc

from data_pipelines.schema import InputError
from serving.model_server import model_config
from serving.model_server.model_config import AUTOMATIC_LABELS, WantedModel
from serving.model_server.request_error import RequestError, invalid
from serving.model_server.served_version import ServedVersion, State
from serving.model_server.settings import ModelServerSettings

logger = logging.getLogger(__name__)


class ModelManager:
    """The models of a folder.

    Args:
        models: the folder.
        settings: the server's.

    Raises:
        InputError: if the folder or its models.config cannot be used.
    """

    def __init__(self, models: Path, settings: ModelServerSettings):
        if not models.is_dir():
            raise InputError(f"{models}: no such folder; give the one that `supplytower export` writes to")
        self._models, self._settings = models, settings
        self._text = model_config.read(models)
        self._configured = None if self._text is None else model_config.parse(models, self._text)
        self._threads = ThreadPoolExecutor(settings.threads, "model")
        self._refreshing = threading.Lock()
        self._versions: dict[str, dict[int, ServedVersion]] = {}
        self._labels: dict[str, dict[str, int]] = {}
        self._stopped = threading.Event()
        self._poller = threading.Thread(target=self._poll, name="model-manager", daemon=True)

    def start(self) -> None:
        """Load what is there, then watch the folder."""
        self.refresh()
        self._poller.start()

    def stop(self) -> None:
        """Stop watching and unload everything; requests under way keep what they use."""
        self._stopped.set()
        if self._poller.is_alive():
            self._poller.join()
        for versions in self._versions.values():
            for version in versions.values():
                if version.state == State.AVAILABLE:
                    version.unload()
        self._threads.shutdown(wait=False)

    def refresh(self) -> None:
        """Make what is served what is wanted; returns when everything new is loaded or refused."""
        with self._refreshing:
            self._read_config()
            self._apply()

    def reload(self, server: Any) -> None:
        """Serve another configuration, until models.config changes.

        Args:
            server: a ModelServerConfig message.

        Raises:
            RequestError: if it is none that can be served, or no version of a model became available.
        """
        if server.WhichOneof("config") != "model_config_list":
            raise invalid(
                "ServerModelConfig type not supported by HandleReloadConfigRequest. "
                "Only ModelConfigList is currently supported"
            )
        try:
            wanted = model_config.from_proto(self._models, server)
        except InputError as error:
            raise invalid(str(error)) from None
        with self._refreshing:
            self._configured = wanted
            self._apply()
            missing = [model.name for model in wanted if not self._available(model.name)]
        if missing:
            message = f"{len(missing)} servable(s) did not become available: {{{', '.join(missing)}}}"
            raise RequestError(grpc.StatusCode.UNKNOWN, message)

    @contextmanager
    def hold(self, name: str, version: int | None = None, label: str | None = None) -> Iterator[ServedVersion]:
        """The version that answers a request, kept in memory meanwhile.

        Args:
            name: the model.
            version: its number; the newest available one if neither it nor a label is given.
            label: its label.

        Raises:
            RequestError: NOT_FOUND if there is none, INVALID_ARGUMENT for an unknown label.
        """
        held = self._hold(name, version, label)
        try:
            yield held
        finally:
            held.release()

    def versions(self, name: str, version: int | None = None, label: str | None = None) -> list[ServedVersion]:
        """All versions of a model that were ever wanted, newest first, or the one asked for.

        Raises:
            RequestError: NOT_FOUND if there is none, INVALID_ARGUMENT for an unknown label.
        """
        known = self._versions.get(name, {})
        if label is not None:
            version = self._labelled(name, label)
        if version is not None:
            if version not in known:
                raise RequestError(grpc.StatusCode.NOT_FOUND, f"Could not find version {version} of model {name}")
            return [known[version]]
        if not known:
            raise RequestError(grpc.StatusCode.NOT_FOUND, f"Could not find any versions of model {name}")
        return [known[number] for number in sorted(known, reverse=True)]

    def names(self) -> dict[str, list[int]]:
        """The models in service and their available versions."""
        return {name: available for name in sorted(self._versions) if (available := self._available(name))}

    def _hold(self, name: str, number: int | None, label: str | None) -> ServedVersion:
        if not name:
            raise invalid("ModelSpec has no name specified.")
        while True:
            asked = self._labelled(name, label) if label is not None else number
            available = self._available(name)
            found = asked if asked is not None else max(available, default=None)
            if found not in available:
                request = f"Latest({name})" if asked is None else f"Specific({name}, {asked})"
                raise RequestError(grpc.StatusCode.NOT_FOUND, f"Servable not found for request: {request}")
            version = self._versions[name][found]
            if version.hold():  # if not, it was unloaded this very moment: its successor is there already
                return version

    def _labelled(self, name: str, label: str) -> int:
        number = self._labels.get(name, {}).get(label)
        if number is None:
            raise invalid(f"Unrecognized servable version label: {label}")
        return number

    def _available(self, name: str) -> list[int]:
        # list() is atomic: the manager may be adding a version
        versions = list(self._versions.get(name, {}).values())
        return [version.number for version in versions if version.state == State.AVAILABLE]

    def _poll(self) -> None:
        while not self._stopped.wait(self._settings.poll_seconds):
            try:
                self.refresh()
            except Exception:  # a passing fault of the file system must not end the watch
                logger.exception("cannot look at %s; trying again", self._models)

    def _read_config(self) -> None:
        """Follow models.config where it has changed; one that cannot be read leaves things as they are."""
        try:
            text = model_config.read(self._models)
            if text != self._text:
                self._text = text
                self._configured = None if text is None else model_config.parse(self._models, text)
        except InputError as error:
            logger.error("%s; the configuration before it stays in force", error)

    def _apply(self) -> None:
        wanted = model_config.every_model(self._models) if self._configured is None else self._configured
        for model in wanted:
            self._serve(model)
        for name in self._versions.keys() - {model.name for model in wanted}:
            self._labels.pop(name, None)
            self._unload(name, keep=set())

    def _serve(self, model: WantedModel) -> None:
        versions = self._versions.setdefault(model.name, {})
        paths = model.versions()
        for number, path in paths.items():
            if number not in versions or _may_be_tried_again(versions[number], path):
                versions[number] = ServedVersion(number, path, self._settings, self._threads)
        for number in paths:
            if versions[number].state == State.START:
                self._load(model.name, versions[number])
        available = [number for number in self._available(model.name) if number in paths]
        if not available:
            return  # nothing of what is wanted can serve: what does stays
        self._labels[model.name] = self._labels_of(model, max(available))
        self._unload(model.name, keep=paths.keys() | set(self._labels[model.name].values()))

    def _labels_of(self, model: WantedModel, newest: int) -> dict[str, int]:
        if model.labels is None:
            return dict.fromkeys(AUTOMATIC_LABELS, newest)
        before, served = self._labels.get(model.name, {}), self._available(model.name)
        return {
            label: before[label] if number not in served and before.get(label) in served else number
            for label, number in model.labels.items()
        }

    def _load(self, name: str, version: ServedVersion) -> None:
        version.load()
        if version.error is not None:
            message = "refused %s version %d: %s (%s); it is tried again when its files change"
            logger.error(message, name, version.number, version.error.message, version.path)
        else:
            logger.info("%s version %d is available (%s)", name, version.number, version.path)

    def _unload(self, name: str, keep: set[int]) -> None:
        for number in self._available(name):
            if number not in keep:
                self._versions[name][number].unload()
                logger.info("%s version %d is unloaded", name, number)


def _may_be_tried_again(version: ServedVersion, path: Path) -> bool:
    if version.state != State.END:
        return False
    return version.error is None or version.path != path or version.has_changed()
