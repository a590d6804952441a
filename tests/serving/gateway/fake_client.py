"""A model server's client whose answers are known by hand."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from types import SimpleNamespace

import numpy as np

CATALOGUE = tuple(f"item{number}" for number in range(10))


class FakeServingError(RuntimeError):
    def __init__(self, code: str, message: str = "a message"):
        super().__init__(message)
        self.code, self.message = code, message


@dataclass
class FakeClient:
    """Ranks the items of the history first, the latest seen best, then the rest of the catalogue in order.

    The probability of an item is that of `chances`, else 0.1. Demand goes on as the last known value; quantiles are
    half, once and twice that.
    """

    catalogue: Sequence[str] = CATALOGUE
    fallback: bool = False
    error: Exception | None = None
    delay_seconds: float = 0.0
    chances: dict[str, float] = field(default_factory=dict)
    asked: list[dict] = field(default_factory=list)
    closed: bool = False
    unknown: float = 0.0
    inputs: dict = field(
        default_factory=lambda: {
            "demand": ("float32", (-1, -1)),
            "start_date": ("string", (-1,)),
            "horizon": ("int32", None),
        }
    )

    async def recommend(self, histories, k=10, *, exclude=None, model=None, label=None):
        self.asked.append({"histories": histories, "k": k, "exclude": exclude, "model": model, "label": label})
        await self._answer()
        return [self._rank(history, k, set(out)) for history, out in zip(histories, exclude, strict=True)]

    async def score(self, histories, candidates, *, model=None, label=None):
        self.asked.append({"histories": histories, "candidates": candidates, "model": model, "label": label})
        await self._answer()
        return np.array([[self.chances.get(item, 0.1) for item in row] for row in candidates], np.float32)

    async def forecast(self, demand, start_date, horizon, covariates=None, *, step_days=None, model=None, label=None):
        asked = {"demand": demand, "start_date": start_date, "horizon": horizon, "covariates": covariates}
        self.asked.append(asked | {"step_days": step_days, "model": model})
        await self._answer()
        last = np.nan_to_num(np.array([[row[-1]] for row in demand], np.float32), nan=self.unknown)
        mean = np.repeat(last, horizon, axis=1)  # [n, horizon]
        quantiles = mean[:, :, None] * np.array([0.5, 1.0, 2.0], np.float32)
        return SimpleNamespace(mean=mean, quantiles=quantiles, levels=(0.1, 0.5, 0.9))

    async def metadata(self, model, *, label=None):
        self.asked.append({"model": model, "label": label})
        await self._answer()
        specs = {name: SimpleNamespace(dtype=dtype, shape=shape) for name, (dtype, shape) in self.inputs.items()}
        return SimpleNamespace(version=3, signatures={"serving_default": SimpleNamespace(inputs=specs, outputs={})})

    async def close(self):
        self.closed = True

    async def _answer(self):
        if self.delay_seconds:
            await asyncio.sleep(self.delay_seconds)
        if self.error is not None:
            raise self.error

    def _rank(self, history, k, excluded):
        seen = list(dict.fromkeys(reversed(history.item_id)))
        order = [item for item in (*seen, *(i for i in self.catalogue if i not in seen)) if item not in excluded][:k]
        score = [1.0 / (1 + rank) for rank in range(len(order))]
        return SimpleNamespace(item_id=order, score=score, fallback=self.fallback, version=None if self.fallback else 3)
