"""What the gateway needs of the model server's client, and how its failures become answers.

`serving.client.AsyncClient` is one such client; it is imported by the command only, so that the gateway runs and is
tested without a model server.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol


class Recommended(Protocol):
    """One customer's recommendations, best first."""

    @property
    def item_id(self) -> Sequence[str]:
        """Items."""

    @property
    def score(self) -> Sequence[float]:
        """Of the same length."""

    @property
    def fallback(self) -> bool:
        """Whether the model was not asked: popular items."""

    @property
    def version(self) -> int | None:
        """The model's version, where it is known."""


class Forecast(Protocol):
    """Forecasts of series."""

    @property
    def mean(self) -> Any:
        """`[series, horizon]`."""

    @property
    def quantiles(self) -> Any:
        """`[series, horizon, levels]`."""

    @property
    def levels(self) -> Sequence[float]:
        """Ascending."""


class ModelClient(Protocol):
    """A client of the model server. Its errors are RuntimeErrors with a `code` such as "UNAVAILABLE"."""

    async def recommend(
        self,
        histories: Sequence[Any],
        k: int = 10,
        *,
        exclude: Sequence[Sequence[str]] | None = None,
        model: str = ...,
        label: str | None = None,
    ) -> Sequence[Recommended]:
        """The best k items of each history."""

    async def score(
        self,
        histories: Sequence[Any],
        candidates: Sequence[Sequence[str]],
        *,
        model: str = ...,
        label: str | None = None,
    ) -> Any:
        """The probability that each history's customer takes each candidate next, `[histories, candidates]`."""

    async def forecast(
        self,
        demand: Sequence[Sequence[float]],
        start_date: Sequence[str],
        horizon: int,
        covariates: Mapping[str, Any] | None = None,
        *,
        step_days: int | None = None,
        model: str = ...,
        label: str | None = None,
    ) -> Forecast:
        """Demand of the steps after the end of each series."""

    async def metadata(self, model: str, *, label: str | None = None) -> Any:
        """What the model takes: `.signatures[name].inputs[name]` with `dtype` and `shape`."""

    async def close(self) -> None:
        """Let go of the connections."""


class UnusableAnswerError(RuntimeError):
    """The model answered with what is no answer."""

    code = "INTERNAL"


AWAY = ("UNAVAILABLE", "RESOURCE_EXHAUSTED", "DEADLINE_EXCEEDED")
NOT_SERVED = ("INVALID_ARGUMENT", "NOT_FOUND", "FAILED_PRECONDITION")
"""What a server says of a model or label that it does not have."""
STATUS_OF = {
    "UNAVAILABLE": (503, "the model server does not answer; try again"),
    "RESOURCE_EXHAUSTED": (503, "the model server is overloaded; try again"),
    "DEADLINE_EXCEEDED": (504, "the model server did not answer in time"),
    "NOT_FOUND": (503, "the model server does not have the model (yet); try again"),
}
"""HTTP status and message by code."""


def answer_for(error: RuntimeError) -> tuple[int, str] | None:
    """What a failed call of the client means for whoever asked the gateway; None for an error of another kind.

    A request that the model refuses is the caller's mistake (422): the message says which input is wrong.
    """
    code = getattr(error, "code", None)
    if not isinstance(code, str):
        return None
    if code in ("INVALID_ARGUMENT", "FAILED_PRECONDITION", "OUT_OF_RANGE"):
        return 422, str(getattr(error, "message", "") or error)
    return STATUS_OF.get(code, (502, "the model server failed"))
