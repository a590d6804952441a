"""The client for asyncio; `serving.client` is the public face and has the same for plain functions."""

from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any, Self

import numpy as np
import numpy.typing as npt
from prometheus_client import REGISTRY, CollectorRegistry

from data_pipelines.schema import (
    CANDIDATE_ITEM_ID,
    DEMAND_FORECASTER,
    EMBEDDING,
    ITEM_EMBEDDING,
    ITEM_ID,
    PROBABILITY,
    RECOMMENDER,
    SCORE_SIGNATURE,
    SERVING_DEFAULT,
    USER_EMBEDDING,
)
from serving.attempts import Attempts
from serving.client_metrics import metrics_of
from serving.client_settings import ClientSettings
from serving.model_requests import (
    DemandForecast,
    History,
    Inputs,
    Recommendations,
    forecast_inputs,
    history_inputs,
    item_rows,
    output,
    popular_recommendations,
    read_forecast,
    read_recommendations,
    recommend_inputs,
)
from serving.padding import pad_right
from serving.serving_error import (
    DeadlineExceeded,
    InvalidRequest,
    Target,
    Unavailable,
    UnexpectedAnswer,
)
from serving.signature_cache import SignatureCache
from serving.signature_check import check_inputs, find_signature
from serving.signatures import Answer, Arrays, Signatures, VersionState
from serving.transport import open_transport


class AsyncClient:
    """The client for asyncio; one per server and event loop, shared by all that ask.

    Every method raises a `ServingError`: `InvalidRequest` for what does not fit the model, `NotFound`, `Unavailable`
    after all retries, `DeadlineExceeded`. An empty batch is answered without a call. Only a client that is closed or
    belongs to another event loop raises a plain `RuntimeError`: that is a mistake of the program, not of the server.

    Args:
        address: `grpc://host:8500`, `grpcs://…`, `http://host:8501` or `https://…`.
        settings: deadlines, retries, TLS; the defaults if None.
        popular: item ids, most popular first: what `recommend` answers with when the server is away. Empty: it raises.
        registry: where the Prometheus metrics are registered.

    Raises:
        InputError: if the address or a file of TLS cannot be used.
    """

    def __init__(
        self,
        address: str,
        settings: ClientSettings | None = None,
        *,
        popular: Sequence[str] = (),
        registry: CollectorRegistry = REGISTRY,
    ):
        settings = settings or ClientSettings()
        self._transport = open_transport(address, settings)
        self._metrics = metrics_of(registry)
        self._attempts = Attempts(settings, self._metrics, self._transport.name)
        self._signatures = SignatureCache(settings.signature_ttl_seconds, self._fetch)
        self._popular = tuple(dict.fromkeys(filter(None, popular)))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close all connections; calls that are running end with a `RuntimeError`."""
        self._attempts.close()
        await self._transport.close()

    async def predict(
        self,
        model: str,
        inputs: Mapping[str, npt.ArrayLike],
        *,
        signature: str = SERVING_DEFAULT,
        version: int | None = None,
        label: str | None = None,
        timeout_seconds: float | None = None,
    ) -> Arrays:
        """Ask any signature of any model.

        Args:
            model: its name.
            inputs: by name; converted to the signature's types where nothing is lost.
            signature: its name.
            version: which version; without it and a label, the newest.
            label: which label, e.g. `stable`.
            timeout_seconds: the time for the whole call; None: as the settings say.

        Returns:
            The outputs by name. Strings are `str`, those of outputs named `…_bytes` are `bytes`.
        """
        target = Target(model, version, label).checked()
        return (await self._ask("predict", target, signature, inputs, timeout_seconds)).outputs

    async def metadata(
        self,
        model: str,
        *,
        version: int | None = None,
        label: str | None = None,
        timeout_seconds: float | None = None,
    ) -> Signatures:
        """What a model takes and gives, asked now."""
        return await self._fetch(Target(model, version, label).checked(), timeout_seconds)

    async def status(
        self,
        model: str,
        *,
        version: int | None = None,
        label: str | None = None,
        timeout_seconds: float | None = None,
    ) -> list[VersionState]:
        """The versions of a model that the server knows, and their states."""
        target = Target(model, version, label).checked()
        async with self._attempts.call("status", target, timeout_seconds) as call:
            return await call.send(lambda left: self._transport.status(target, left))

    async def recommend(
        self,
        histories: Sequence[History],
        k: int = 10,
        *,
        exclude: Sequence[Sequence[str]] | None = None,
        model: str = RECOMMENDER,
        version: int | None = None,
        label: str | None = None,
        timeout_seconds: float | None = None,
    ) -> list[Recommendations]:
        """The best items for each user.

        Args:
            histories: one per user.
            k: how many items for each.
            exclude: items that are not wanted, a row per user.
            model: the recommender's name.
            version: which version; without it and a label, the newest.
            label: which label, e.g. `stable`.
            timeout_seconds: the time for the whole call; None: as the settings say.

        Returns:
            One per history; popular items, marked as a fallback, if the server is away and the client was given any.
        """
        target = Target(model, version, label).checked()
        inputs = recommend_inputs(target, histories, k, exclude)
        if not histories:
            return []
        try:
            answer = await self._ask("recommend", target, SERVING_DEFAULT, inputs, timeout_seconds)
        except (Unavailable, DeadlineExceeded):
            if not self._popular:
                raise
            self._metrics.fallbacks.labels(model).inc()
            return popular_recommendations(self._popular, k, exclude, len(histories))
        return read_recommendations(target, answer)

    async def score(
        self,
        histories: Sequence[History],
        candidates: Sequence[Sequence[str]],
        *,
        model: str = RECOMMENDER,
        version: int | None = None,
        label: str | None = None,
        timeout_seconds: float | None = None,
    ) -> npt.NDArray[np.float32]:
        """The probability that each user takes each candidate next.

        Args:
            histories: one per user.
            candidates: items, a row per user.
            model: the recommender's name.
            version: which version; without it and a label, the newest.
            label: which label, e.g. `stable`.
            timeout_seconds: the time for the whole call; None: as the settings say.

        Returns:
            `[batch, most candidates]`; 0 for unknown items and behind the end of shorter rows.
        """
        target = Target(model, version, label).checked()
        rows = item_rows(target, "candidates", candidates, len(histories))
        inputs = history_inputs(target, histories) | {CANDIDATE_ITEM_ID: pad_right(rows, "", object)}
        if not any(len(row) for row in rows):
            return np.zeros((len(histories), 0), np.float32)
        answer = await self._ask("score", target, SCORE_SIGNATURE, inputs, timeout_seconds)
        return output(target, answer, PROBABILITY)

    async def embed(
        self,
        histories: Sequence[History],
        *,
        model: str = RECOMMENDER,
        version: int | None = None,
        label: str | None = None,
        timeout_seconds: float | None = None,
    ) -> npt.NDArray[np.float32]:
        """Query vectors of users, `[batch, dim]`, for a nearest-neighbour index of item vectors."""
        target = Target(model, version, label).checked()
        inputs = history_inputs(target, histories)
        return await self._embedding("embed", target, USER_EMBEDDING, inputs, len(histories), timeout_seconds)

    async def embed_items(
        self,
        item_ids: Sequence[str],
        *,
        model: str = RECOMMENDER,
        version: int | None = None,
        label: str | None = None,
        timeout_seconds: float | None = None,
    ) -> npt.NDArray[np.float32]:
        """Vectors of items, `[n, dim]`; their inner product with a query vector ranks them."""
        target = Target(model, version, label).checked()
        inputs: Inputs = {ITEM_ID: np.array(item_ids, object)}
        return await self._embedding("embed_items", target, ITEM_EMBEDDING, inputs, len(item_ids), timeout_seconds)

    async def forecast(
        self,
        demand: Sequence[Sequence[float]],
        start_date: Sequence[str],
        horizon: int,
        covariates: Mapping[str, Any] | None = None,
        *,
        step_days: int | None = None,
        model: str = DEMAND_FORECASTER,
        version: int | None = None,
        label: str | None = None,
        timeout_seconds: float | None = None,
    ) -> DemandForecast:
        """Demand after the end of each series.

        Args:
            demand: what was sold on each step, NaN where that is not known; a row per series.
            start_date: date of each row's first step, e.g. `2017-12-04`.
            horizon: steps to forecast.
            covariates: what else the model takes, by name: a value per series, or a row of values from its first step
                on; rows may be shorter than history and horizon, the rest is then unknown.
            step_days: days of a step; needed where series differ in length.
            model: the forecaster's name.
            version: which version; without it and a label, the newest.
            label: which label, e.g. `stable`.
            timeout_seconds: the time for the whole call; None: as the settings say.
        """
        target = Target(model, version, label).checked()
        if len(demand) == 0:
            return DemandForecast(np.zeros((0, horizon), np.float32), np.zeros((0, horizon, 0), np.float32), ())
        inputs = forecast_inputs(target, demand, start_date, horizon, covariates or {}, step_days)
        return read_forecast(target, await self._ask("forecast", target, SERVING_DEFAULT, inputs, timeout_seconds))

    async def _embedding(
        self, method: str, target: Target, signature: str, inputs: Inputs, batch: int, timeout_seconds: float | None
    ) -> npt.NDArray[np.float32]:
        if not batch:
            return np.zeros((0, 0), np.float32)
        return output(target, await self._ask(method, target, signature, inputs, timeout_seconds), EMBEDDING)

    async def _ask(
        self,
        method: str,
        target: Target,
        signature: str,
        inputs: Mapping[str, npt.ArrayLike],
        timeout_seconds: float | None,
    ) -> Answer:
        async with self._attempts.call(method, target, timeout_seconds) as call:
            held = self._signatures.held(target)

            async def send(known: Signatures) -> Answer:
                wanted = find_signature(target, signature, known)
                arrays = check_inputs(target, signature, wanted, inputs)
                answer = await call.send(lambda left: self._transport.predict(target, signature, wanted, arrays, left))
                if answer.version != known.version and None not in (answer.version, known.version):
                    self._signatures.forget(target)
                return answer

            if held is None:
                return await send(await self._signatures.fetched(target, call.seconds_left()))
            try:
                return await send(held)
            except (InvalidRequest, UnexpectedAnswer):
                # the label may have moved to a version with other signatures
                known = await self._signatures.fetched(target, call.seconds_left())
                if known.signatures == held.signatures:
                    raise
            return await send(known)

    async def _fetch(self, target: Target, timeout_seconds: float | None = None) -> Signatures:
        async with self._attempts.call("metadata", target, timeout_seconds) as call:
            return await call.send(lambda left: self._transport.metadata(target, left))
