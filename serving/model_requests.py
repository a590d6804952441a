"""What shops ask, as the inputs of the exported signatures, and the outputs as what shops want to know.

The signatures are described in `training.serving_graph` and `training.forecast_graph`: "" pads items, 0 pads times, and
NaN is demand that is not known. `k` and `horizon` are sent once per row, so that servers can join requests to batches.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

import numpy as np
import numpy.typing as npt

from data_pipelines.schema import (
    DEMAND_HISTORY,
    EVENT_TYPE,
    EXCLUDE_ITEM_ID,
    HISTORY_EVENT_TYPE,
    HISTORY_ITEM_ID,
    HISTORY_TIMESTAMP,
    HORIZON,
    ITEM_ID,
    LEVELS,
    MEAN,
    QUANTILES,
    SCORE,
    START_DATE,
    TIMESTAMP,
    USER_ID,
    K,
)
from serving.padding import pad_left, pad_right
from serving.serving_error import Target
from serving.signatures import Answer, Array

Inputs = dict[str, npt.ArrayLike]
ITEM_PADDING, TIME_PADDING = "", 0
EVENT = (ITEM_ID, EVENT_TYPE, TIMESTAMP)


@dataclass(frozen=True)
class History:
    """What a user did; the three sequences go together event by event, in any order of time.

    Args:
        user_id: the user; one that the model does not know is fine.
        item_id: item of each event.
        event_type: e.g. `view` or `purchase`, of each event.
        timestamp: unix seconds of each event.
        at: when is asked, unix seconds; None: now.
    """

    user_id: str
    item_id: Sequence[str] = ()
    event_type: Sequence[str] = ()
    timestamp: Sequence[int] = ()
    at: int | None = None


@dataclass(frozen=True)
class Recommendations:
    """The best items of one user, best first.

    Args:
        item_id: the items, fewer than asked for where there are no more.
        score: the model's ranking score; 1 ÷ rank in a fallback.
        fallback: whether these are popular items because the server was away.
        version: the model version that answered, where the protocol says so (gRPC does, REST does not).
    """

    item_id: list[str]
    score: list[float]
    fallback: bool = False
    version: int | None = None


@dataclass(frozen=True)
class DemandForecast:
    """Demand of the steps after the end of the history.

    Args:
        mean: `[batch, horizon]`.
        quantiles: `[batch, horizon, levels]`.
        levels: probability of each quantile.
    """

    mean: npt.NDArray[np.float32]
    quantiles: npt.NDArray[np.float32]
    levels: tuple[float, ...]


def history_inputs(target: Target, histories: Sequence[History]) -> Inputs:
    """The history's inputs, `[batch]` and `[batch, longest]`.

    Raises:
        InvalidRequest: if a history's sequences differ in length.
    """
    for row, history in enumerate(histories):
        lengths = {name: len(_row(target, row, name, getattr(history, name))) for name in EVENT}
        if len(set(lengths.values())) > 1:
            sizes = ", ".join(f"{name} {size}" for name, size in lengths.items())
            raise target.invalid(f"history {row} (of {len(histories)}): lengths differ: {sizes}")
    now = int(time.time())
    return {
        USER_ID: _strings([history.user_id for history in histories]),
        TIMESTAMP: _seconds(target, TIMESTAMP, [[now if one.at is None else one.at] for one in histories])[:, 0],
        HISTORY_ITEM_ID: pad_right([history.item_id for history in histories], ITEM_PADDING, object),
        HISTORY_EVENT_TYPE: pad_right([history.event_type for history in histories], ITEM_PADDING, object),
        HISTORY_TIMESTAMP: _seconds(target, HISTORY_TIMESTAMP, [history.timestamp for history in histories]),
    }


def recommend_inputs(
    target: Target, histories: Sequence[History], k: int, exclude: Sequence[Sequence[str]] | None
) -> Inputs:
    """The inputs for the best items.

    Raises:
        InvalidRequest: if k is below 1, `exclude` has not a row per history, or a history is at odds with itself.
    """
    _require_count(target, K, k)
    excluded = item_rows(target, "exclude", exclude if exclude is not None else [()] * len(histories), len(histories))
    return {
        **history_inputs(target, histories),
        K: np.full(len(histories), k, np.int64),
        EXCLUDE_ITEM_ID: pad_right(excluded, ITEM_PADDING, object),
    }


def item_rows(target: Target, name: str, rows: Sequence[Sequence[str]], batch: int) -> Sequence[Sequence[str]]:
    """Rows of items, one per history.

    Raises:
        InvalidRequest: if there are more or fewer, or a row is a string.
    """
    if len(rows) != batch:
        raise target.invalid(f"{name} has {len(rows)} rows for {batch} histories; give one per history")
    for number, row in enumerate(rows):
        _row(target, number, name, row)
    return rows


def forecast_inputs(
    target: Target,
    demand: Sequence[Sequence[float]],
    start_date: Sequence[str],
    horizon: int,
    covariates: Mapping[str, Any],
    step_days: int | None,
) -> Inputs:
    """The inputs for a forecast.

    Series that are shorter than the longest begin with unknown demand and covariates, and an earlier date: to the
    model that is the same, and all end on the last column, where the forecast begins.

    Raises:
        InvalidRequest: if lengths are at odds, or series of different lengths come without `step_days`.
    """
    _require_count(target, HORIZON, horizon)
    if len(start_date) != len(demand):
        raise target.invalid(f"{len(start_date)} start dates for {len(demand)} series; give one per series")
    length = np.array([len(row) for row in demand])
    missing = length.max() - length
    if missing.any() and step_days is None:
        raise target.invalid(
            f"series of {length.min()} to {length.max()} steps; give step_days (1 for days, 7 for weeks), which places "
            "the shorter ones"
        )
    days = missing * (step_days or 0)
    inputs: Inputs = {
        DEMAND_HISTORY: _numbers(target, DEMAND_HISTORY, demand, pad_left),
        START_DATE: _strings([_earlier(target, *pair) for pair in zip(start_date, days, strict=True)]),
        HORIZON: np.full(len(demand), horizon, np.int64),
    }
    return inputs | {name: _covariate(target, name, given, missing) for name, given in covariates.items()}


def read_recommendations(target: Target, answer: Answer) -> list[Recommendations]:
    """Each row's items, without the padding at its end."""
    rows = zip(output(target, answer, ITEM_ID).tolist(), output(target, answer, SCORE).tolist(), strict=True)
    found = [[pair for pair in zip(items, scores, strict=True) if pair[0] != ITEM_PADDING] for items, scores in rows]
    return [
        Recommendations([item for item, _ in row], [score for _, score in row], version=answer.version) for row in found
    ]


def popular_recommendations(
    popular: Sequence[str], k: int, exclude: Sequence[Sequence[str]] | None, batch: int
) -> list[Recommendations]:
    """The most popular items that are not excluded, for each row, marked as a fallback."""
    answers = []
    for row in exclude if exclude is not None else [()] * batch:
        unwanted = set(row)
        items = [item for item in popular if item not in unwanted][:k]
        answers.append(Recommendations(items, [1 / rank for rank in range(1, len(items) + 1)], fallback=True))
    return answers


def read_forecast(target: Target, answer: Answer) -> DemandForecast:
    """The forecast's parts."""
    levels = output(target, answer, LEVELS)
    return DemandForecast(
        output(target, answer, MEAN), output(target, answer, QUANTILES), tuple(levels.astype(float).tolist())
    )


def output(target: Target, answer: Answer, name: str) -> npt.NDArray[Any]:
    """An output that the answer must have.

    Raises:
        UnexpectedAnswer: if it has not.
    """
    if name not in answer.outputs:
        raise target.unexpected(f"no output {name!r} in the answer, but {', '.join(sorted(answer.outputs))}")
    return answer.outputs[name]


def _require_count(target: Target, name: str, value: Any) -> None:
    if not isinstance(value, int | np.integer) or value < 1:
        raise target.invalid(f"{name} is {value}; it must be a whole number of at least 1")


def _row(target: Target, number: int, name: str, row: Sequence[Any]) -> Sequence[Any]:
    if isinstance(row, str | bytes):  # a sequence of letters
        raise target.invalid(f"{name} of row {number} is the text {row!r}; give a list")
    return row


def _strings(values: Sequence[str]) -> npt.NDArray[Any]:
    return np.array(values, object)


def _seconds(target: Target, name: str, rows: Sequence[Sequence[int]]) -> npt.NDArray[np.int64]:
    kinds = {type(one) for row in rows for one in row}
    try:
        if all(issubclass(kind, (int, np.integer)) for kind in kinds):
            return pad_right(rows, TIME_PADDING, np.int64)
    except OverflowError:
        pass
    raise target.invalid(f"{name}: times are whole unix seconds (int64); a float, a date or text is none")


def _earlier(target: Target, start: str, days: int) -> str:
    if not days:
        return start
    try:
        return (date.fromisoformat(start) - timedelta(days=int(days))).isoformat()
    except ValueError:
        raise target.invalid(f"start date {start!r} is not of the form 2017-12-04") from None


def _numbers(
    target: Target, name: str, rows: Sequence[Sequence[Any]], pad: Callable[..., npt.NDArray[Any]]
) -> npt.NDArray[np.float64]:
    try:
        return pad(rows, np.nan, np.float64)
    except (ValueError, TypeError) as error:
        raise target.invalid(f"{name}: not rows of numbers: {error}") from None


def _covariate(target: Target, name: str, given: Any, missing: npt.NDArray[np.int64]) -> Array:
    """An array; rows of different lengths, and those of short series, are filled up with what is not known."""
    rows = list(given)
    if not rows or isinstance(rows[0], str | bytes) or np.ndim(rows[0]) == 0:  # a value per series
        return np.array(rows)
    text = any(isinstance(one, str | bytes) for row in rows for one in row)
    unknown: Any = ITEM_PADDING if text else np.nan
    if len(rows) == len(missing):
        rows = [[unknown] * int(ahead) + list(row) for ahead, row in zip(missing, rows, strict=True)]
    return pad_right(rows, unknown, object) if text else _numbers(target, name, rows, pad_right)
