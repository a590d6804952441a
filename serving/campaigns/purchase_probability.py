"""The probability that a customer buys a product next, from the recommender's score head.

The exported model is asked in a process of its own, or on a model server: planning needs no TensorFlow. Customers are
asked for at the moment of the plan, with what they did before.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl
from prometheus_client import CollectorRegistry

from data_pipelines import console as terminal
from data_pipelines.schema import (
    CANDIDATE_ITEM_ID,
    EVENT_TYPE,
    HISTORY_EVENT_TYPE,
    HISTORY_ITEM_ID,
    HISTORY_TIMESTAMP,
    PROBABILITY,
    RECOMMENDER,
    SCORE_SIGNATURE,
    TIMESTAMP,
    USER_ID,
    InputError,
)
from serving.campaigns.allocation import FloatArray, IntArray
from serving.client import Client, ClientSettings, ServingError
from serving.fresh_process import Arrays, ExportError, replay
from serving.model_versions import find_version

BATCH_USERS, BATCHES_AT_ONCE = 256, 32
"""Customers in a request, and requests for one process."""
LONGEST_HISTORY = 4_096
"""Events of a customer that are sent, the most recent ones: more than models look at."""
TIMEOUT_SECONDS = 120.0


@dataclass(frozen=True)
class Spans:
    """Rows of a table that is sorted by user, found by the user's number."""

    first: IntArray
    count: IntArray

    @classmethod
    def of(cls, user: IntArray, users: int, most: int | None = None) -> "Spans":
        """The last so many rows of every user."""
        count = np.bincount(user, minlength=users)
        end = np.cumsum(count)
        count = count if most is None else np.minimum(count, most)
        return cls(end - count, count)

    def rows(self, users: IntArray) -> IntArray:
        """Row numbers `[batch, longest]`, -1 for padding on the right."""
        column = np.arange(max(int(self.count[users].max(initial=0)), 1))
        found: IntArray = np.where(column < self.count[users, None], self.first[users, None] + column, -1)
        return found


@dataclass(frozen=True)
class Questions:
    """Which products to score for which customers, and what these did.

    Args:
        users: ids.
        items: ids.
        events: user and item as numbers, event_type, timestamp; sorted by user and time.
        pairs: user and item as numbers, each pair once; sorted by user.
        at: when, UTC.
    """

    users: pl.Series
    items: pl.Series
    events: pl.DataFrame
    pairs: pl.DataFrame
    at: datetime

    def requests(self) -> Iterator[tuple[IntArray, Arrays]]:
        """Inputs of the signature `score`, with the rows of `pairs` that they hold, -1 where padded."""
        asked = Spans.of(self.pairs["user"].to_numpy(), len(self.users))
        past = Spans.of(self.events["user"].to_numpy(), len(self.users), LONGEST_HISTORY)
        some = np.flatnonzero(asked.count)
        order = some[np.argsort(past.count[some], kind="stable")]  # equally long ones together: little padding
        item, kind = self.events["item"].to_numpy(), self.events[EVENT_TYPE]
        seconds, now = self.events[TIMESTAMP].dt.epoch("s").to_numpy(), int(self.at.replace(tzinfo=UTC).timestamp())
        for start in range(0, len(order), BATCH_USERS):
            batch = order[start : start + BATCH_USERS]
            row, event = asked.rows(batch), past.rows(batch)
            yield (
                row,
                {
                    USER_ID: _texts(self.users, batch),
                    TIMESTAMP: np.full(len(batch), now, np.int64),
                    HISTORY_ITEM_ID: _texts(self.items, _at(item, event)),
                    HISTORY_EVENT_TYPE: _texts(kind, event),
                    HISTORY_TIMESTAMP: np.maximum(_at(seconds, event, 0), 0).astype(np.int64),
                    CANDIDATE_ITEM_ID: _texts(self.items, _at(self.pairs["item"].to_numpy(), row)),
                },
            )


def ask_models(models: Path, version: str | None, questions: Questions) -> FloatArray:
    """Probabilities from an exported model, `[pairs]`.

    Raises:
        InputError: if there is no such version, or it does not answer.
    """
    folder = find_version(models, RECOMMENDER, version)
    requests, found = list(questions.requests()), np.zeros(questions.pairs.height)
    chunks = [requests[start : start + BATCHES_AT_ONCE] for start in range(0, len(requests), BATCHES_AT_ONCE)]
    with terminal.progress() as bar:
        for chunk in bar.track(chunks, description="scoring"):
            try:
                answers = replay(folder, [{SCORE_SIGNATURE: inputs} for _, inputs in chunk])
                _put(found, chunk, [answer[SCORE_SIGNATURE][PROBABILITY] for answer in answers])
            except (ExportError, KeyError) as error:
                reason = str(error).strip().splitlines()[-1]
                raise InputError(f"{folder}: does not score ({reason}); see `supplytower models verify`") from None
    return found


def ask_server(address: str, label: str | None, questions: Questions) -> FloatArray:
    """Probabilities from a model server, `[pairs]`.

    Raises:
        InputError: if it does not answer.
    """
    requests, found = list(questions.requests()), np.zeros(questions.pairs.height)
    settings = ClientSettings(timeout_seconds=TIMEOUT_SECONDS)
    try:
        with Client(address, settings, registry=CollectorRegistry()) as client, terminal.progress() as bar:
            for request in bar.track(requests, description="scoring"):
                answer = client.predict(RECOMMENDER, request[1], signature=SCORE_SIGNATURE, label=label)
                _put(found, [request], [answer[PROBABILITY]])
    except (ServingError, KeyError) as error:
        raise InputError(f"--model-server {address}: {error}; is it running?") from None
    return found


def _put(found: FloatArray, requests: list[tuple[IntArray, Arrays]], answers: list[npt.NDArray[Any]]) -> None:
    for (row, _), answer in zip(requests, answers, strict=True):
        asked = row >= 0
        found[row[asked]] = answer[:, : row.shape[1]][asked]


def _at(values: IntArray, rows: IntArray, padding: int = -1) -> IntArray:
    if not len(values):
        return np.full(rows.shape, padding, np.int64)
    return np.where(rows < 0, padding, values[np.maximum(rows, 0)])


def _texts(values: pl.Series, rows: IntArray) -> npt.NDArray[np.str_]:
    if not len(values):
        return np.full(rows.shape, "")
    taken = values.gather(np.maximum(rows, 0).ravel()).cast(pl.String).to_numpy().astype(np.str_).reshape(rows.shape)
    return np.where(rows < 0, "", taken)
