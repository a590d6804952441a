"""Splits by time: what may be learnt from, what choices are made on, and what is looked at once.

`temporal` asks for each user's first basket at or after one common date, which is what a shop faces; everything before
that date may be seen. `leave_last_out` holds out each user's last basket (test) and the one before it (validation), the
protocol of most sequence-recommendation papers; it lets a model see other users' later events and so flatters it. Where
only purchases are predicted, the baskets that count are those with a purchase; views in between are history.

The vocabularies of items and event types are made from events before the test only: an item that too few users bought
by then is unknown, as a history event and as a target. Reference: Ji et al., "A Critical Study on Data Leakage in
Recommender System Offline Evaluation", TOIS 2023.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import polars as pl

from data_pipelines.features import FeatureTable, encode
from data_pipelines.prepared_tables import read_table
from data_pipelines.schema import (
    EVENT_TYPE,
    EVENTS,
    FIRST_KNOWN,
    ITEM_ID,
    ITEMS,
    TIMESTAMP,
    UNKNOWN,
    USER_ID,
    USERS,
    EventType,
    InputError,
    Table,
)
from data_pipelines.timelines import SECONDS_PER_DAY, LongArray, Queries, Timelines
from data_pipelines.weekly import WeeklyCovariates, load_weekly

BoolArray = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class SplitConfig:
    """How events are divided. Fields left at None take the prepared data's own defaults."""

    split: Literal["temporal", "leave_last_out"] = "temporal"
    """`temporal` (first basket after a date) or `leave_last_out` (each user's last basket)."""
    test_start: str | None = None
    """ISO date or time (UTC) at which the test begins; without a default, the last tenth of the time span."""
    validation_days: float | None = None
    """Length of the validation window before `test_start`, in days; without a default, as long as the test."""
    min_item_users: int | None = None
    """Items that fewer users took before the test are unknown; 0 keeps the whole catalogue, never-bought items too."""
    target_event_types: tuple[str, ...] = ()
    """Event types to predict; empty means purchases where there are any, else all."""
    max_validation_queries: int = 5_000
    """A random sample of the validation baskets of this size (0: all); temporal only."""


@dataclass(frozen=True)
class Split:
    """Everything a model is trained and judged on.

    Args:
        items: item vocabulary (most users first) with encoded attributes.
        users: user vocabulary with encoded attributes.
        event_types: event type vocabulary; index 0 is padding, 1 is unknown.
        timelines: all events.
        train: questions to learn from.
        validation: questions to choose on.
        test: questions to report on, once.
        explore: for the test users, every item of the test period that is new to them.
        training_timelines: events that may be learnt from while choosing on validation.
        fitting_timelines: training and validation events; what a baseline is fitted on before the test.
        weekly: what is known of every item week by week.
        fingerprint: the prepared data's content hash.
        dropped_targets: held-out targets outside the vocabulary, left out for every model alike.
    """

    items: FeatureTable
    users: FeatureTable
    event_types: tuple[str, ...]
    timelines: Timelines
    train: Queries
    validation: Queries
    test: Queries
    explore: Queries
    training_timelines: Timelines
    fitting_timelines: Timelines
    weekly: WeeklyCovariates
    fingerprint: str
    dropped_targets: int = 0


HoldOut = Literal["validation", "test", "nothing"]


def load_split(data: Path, config: SplitConfig, hold_out: HoldOut = "validation") -> Split:
    """Read a prepared data folder and divide it.

    Args:
        data: the folder that `supplytower data prepare` wrote.
        config: how to divide.
        hold_out: `validation` keeps both parts out of training; `test` moves the validation questions to the training
            questions (a refit before the test); `nothing` moves the test there too (a model for production).

    Raises:
        InputError: if the folder is not a prepared one, or a part of the split would be empty.
    """
    manifest = read_manifest(data)
    if "events" not in manifest.get("tables", {"events": 0}):
        raise InputError(
            f"{data}: holds demand series only; a recommender needs the table events: add it to the folder of --input "
            "and run `supplytower data prepare` again"
        )
    defaults = manifest["defaults"]
    config = replace(
        config,
        test_start=config.test_start or defaults.get("test_start"),
        validation_days=config.validation_days or defaults.get("validation_days"),
        min_item_users=defaults.get("min_item_users") if config.min_item_users is None else config.min_item_users,
    )
    events = _read(data, EVENTS, [USER_ID, ITEM_ID, EVENT_TYPE, TIMESTAMP])
    time = events[TIMESTAMP].dt.epoch("s").to_numpy().astype(np.int64)
    user_ids = events[USER_ID].unique(maintain_order=True)  # the file is sorted by user
    user = _codes(events[USER_ID], user_ids) + FIRST_KNOWN
    wanted = events[EVENT_TYPE].is_in(_wanted_types(events[EVENT_TYPE], config.target_event_types)).to_numpy()
    parts = _assign_parts(user, time, wanted, config)
    if hold_out == "nothing":
        parts[:] = TRAIN
    elif hold_out == "test":
        parts[parts == VALIDATION] = TRAIN

    fitting = parts < TEST
    attributes = _read(data, ITEMS)
    item_ids = _item_vocabulary(events.filter(fitting), attributes[ITEM_ID], config.min_item_users or 0)
    known = _codes(events[ITEM_ID], item_ids)
    item = np.where(known >= 0, known + FIRST_KNOWN, UNKNOWN).astype(np.int32)
    event_type_ids = sorted(events.filter(fitting)[EVENT_TYPE].unique())
    known_type = _codes(events[EVENT_TYPE], pl.Series(event_type_ids, dtype=pl.String))
    event_type = np.where(known_type >= 0, known_type + FIRST_KNOWN, UNKNOWN).astype(np.int32)
    offsets = np.searchsorted(user, np.arange(FIRST_KNOWN + len(user_ids) + 1)).astype(np.int64)

    timelines = Timelines(offsets, item, time, event_type)
    baskets = _baskets(timelines, user, wanted & (item != UNKNOWN))
    basket_part = parts[baskets.end]
    asked = np.logical_or.reduceat(wanted, baskets.end)  # baskets with something to predict, known or not
    train = baskets.take(np.flatnonzero((basket_part == TRAIN) & _asks_something(baskets, timelines)))
    validation, test, explore = _held_out(baskets, basket_part, asked, timelines, config)
    _require(train, "training", data)
    if hold_out == "validation":
        _require(validation, "validation", data)
    if hold_out != "nothing":
        _require(test, "test", data)
    ignore = defaults.get("feature_ignore", [])
    items = encode(item_ids.to_list(), attributes, ITEM_ID, ignore=ignore)
    return Split(
        items=items,
        users=encode(user_ids.to_list(), _read(data, USERS), USER_ID, ignore=ignore),
        event_types=("", "<unknown>", *event_type_ids),
        timelines=timelines,
        train=train,
        validation=validation,
        test=test,
        explore=explore,
        training_timelines=timelines.where(parts == TRAIN),
        fitting_timelines=timelines.where(fitting),
        weekly=load_weekly(data, items.ids, int(time.min()), int(time[fitting].max())),
        fingerprint=manifest["fingerprint"],
        dropped_targets=int((wanted & (item == UNKNOWN) & (parts == TEST)).sum()),
    )


TRAIN, VALIDATION, TEST = 0, 1, 2


def read_manifest(data: Path) -> dict[str, Any]:
    """The prepared folder's manifest.

    Raises:
        InputError: if there is none.
    """
    try:
        manifest: dict[str, Any] = json.loads((data / "manifest.json").read_text())
    except (OSError, json.JSONDecodeError) as error:
        raise InputError(
            f"{data}: not a prepared data folder ({error}); run `supplytower data prepare --out {data}` first"
        ) from None
    return manifest


def _read(data: Path, table: Table, columns: Sequence[str] | None = None) -> pl.DataFrame:
    rows = read_table(data, table.name, columns)
    if rows.is_empty():
        raise InputError(
            f"{data / table.name}.parquet: no rows; run `supplytower data prepare` again with data that has some"
        )
    return rows


def _item_vocabulary(events: pl.DataFrame, catalogue: pl.Series, min_users: int) -> pl.Series:
    """Item ids, those with most users first; with `min_users` 0 the rest of the catalogue follows."""
    counts = events.group_by(ITEM_ID).agg(pl.col(USER_ID).n_unique().alias("users"))
    counts = counts.filter(pl.col("users") >= min_users).sort("users", ITEM_ID, descending=[True, False])
    ids = counts[ITEM_ID]
    if min_users == 0:
        ids = pl.concat([ids, catalogue.filter(~catalogue.is_in(ids.implode())).sort()])
    if ids.is_empty():
        raise InputError(f"min_item_users={min_users}: no item has that many users before the test; lower it")
    return ids


def _codes(values: pl.Series, vocabulary: pl.Series) -> npt.NDArray[np.int64]:
    """Position of every value in the vocabulary, -1 where it is absent."""
    table = pl.DataFrame({"value": vocabulary}).with_row_index("code")
    joined = pl.DataFrame({"value": values}).join(table, on="value", how="left", maintain_order="left")
    return joined["code"].cast(pl.Int64).fill_null(-1).to_numpy()


def _assign_parts(
    user: npt.NDArray[np.int64], time: LongArray, wanted: BoolArray, config: SplitConfig
) -> npt.NDArray[np.int8]:
    """TRAIN, VALIDATION or TEST for every event."""
    parts = np.full(len(time), TRAIN, np.int8)
    if config.split == "leave_last_out":
        for part, first_basket in zip((VALIDATION, TEST), _last_two_baskets(user, time, wanted), strict=True):
            parts[np.cumsum(_basket_starts(user, time)) - 1 >= first_basket[user]] = part
        return parts
    test_start = _test_start(time, config)
    length = config.validation_days * SECONDS_PER_DAY if config.validation_days else time.max() - test_start + 1
    parts[time >= test_start - length] = VALIDATION
    parts[time >= test_start] = TEST
    return parts


def _last_two_baskets(
    user: npt.NDArray[np.int64], time: LongArray, wanted: BoolArray
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Number of each user's last basket but one, and of the last one, that hold a wanted event.

    A user with fewer than three has none of either: a number that no basket reaches.
    """
    starts = _basket_starts(user, time)
    basket = np.unique((np.cumsum(starts) - 1)[wanted])
    owner = user[starts][basket]
    first, end = (np.searchsorted(owner, owner, side=side) for side in ("left", "right"))
    from_end = np.where(end - first >= 3, end - 1 - np.arange(len(owner)), -1)
    numbers = np.full((2, int(user.max()) + 1), len(time))
    for place in (0, 1):
        numbers[place, owner[from_end == 1 - place]] = basket[from_end == 1 - place]
    return numbers[0], numbers[1]


def _test_start(time: LongArray, config: SplitConfig) -> int:
    """When the test begins, in seconds since 1970-01-01 UTC."""
    if config.test_start is None:
        return int(time.max() - (time.max() - time.min()) // 10)
    try:
        start = datetime.fromisoformat(config.test_start)
    except ValueError:
        raise InputError(f"test_start={config.test_start!r} is not an ISO date; write e.g. 2017-11-27") from None
    test_start = int((start if start.tzinfo else start.replace(tzinfo=UTC)).timestamp())
    if not time.min() < test_start <= time.max():
        span = " to ".join(f"{datetime.fromtimestamp(int(t), UTC):%Y-%m-%d}" for t in (time.min(), time.max()))
        raise InputError(f"test_start={config.test_start}: outside the events, which run from {span}")
    return test_start


def _basket_starts(user: npt.NDArray[np.int64], time: LongArray) -> BoolArray:
    """True at the first event of every basket."""
    starts: BoolArray = np.ones(len(time), bool)
    starts[1:] = (user[1:] != user[:-1]) | (time[1:] != time[:-1])
    return starts


def _baskets(timelines: Timelines, user: npt.NDArray[np.int64], wanted: BoolArray) -> Queries:
    """One query per basket: everything before it is visible, its distinct wanted items are the targets."""
    starts = _basket_starts(user, timelines.time)
    end = np.flatnonzero(starts)
    basket = np.cumsum(starts) - 1
    n_items = int(timelines.item.max()) + 1
    pairs = np.unique(basket[wanted] * n_items + timelines.item[wanted])
    offsets = np.searchsorted(pairs // n_items, np.arange(len(end) + 1)).astype(np.int64)
    return Queries(user[end].astype(np.int32), end, timelines.time[end], offsets, (pairs % n_items).astype(np.int32))


def _asks_something(queries: Queries, timelines: Timelines) -> BoolArray:
    """Queries with at least one target and one visible event."""
    has_target = np.diff(queries.target_offsets) > 0
    has_history: BoolArray = queries.end > timelines.offsets[queries.user]
    return has_target & has_history


def _held_out(
    baskets: Queries, part: npt.NDArray[np.int8], asked: BoolArray, timelines: Timelines, config: SplitConfig
) -> tuple[Queries, Queries, Queries]:
    """Validation, test and explore questions."""
    asks = _asks_something(baskets, timelines)
    validation = np.flatnonzero((part == VALIDATION) & asks)
    if config.split == "temporal" and 0 < config.max_validation_queries < len(validation):
        validation = np.sort(np.random.default_rng(0).choice(validation, config.max_validation_queries, replace=False))
    in_test = np.flatnonzero((part == TEST) & asked)
    first = in_test[np.unique(baskets.user[in_test], return_index=True)[1]]  # baskets are in time order per user
    test = baskets.take(first[asks[first]])
    return baskets.take(validation), test, _explore(baskets.take(in_test), baskets.take(first), timelines)


def _explore(later: Queries, first: Queries, timelines: Timelines) -> Queries:
    """The first test question of each user, its targets replaced by all later items that the user never had before."""
    n_items = int(timelines.item.max()) + 1
    owner = np.repeat(np.searchsorted(first.user, later.user), np.diff(later.target_offsets))
    wanted = np.unique(owner * n_items + later.target_item)
    position = np.searchsorted(first.user, timelines.user).clip(max=max(len(first) - 1, 0))
    seen = np.zeros(len(timelines.item), bool)
    if len(first):
        seen = (first.user[position] == timelines.user) & (np.arange(len(seen)) < first.end[position])
    new = np.setdiff1d(wanted, position[seen] * n_items + timelines.item[seen])
    offsets = np.searchsorted(new // n_items, np.arange(len(first) + 1)).astype(np.int64)
    queries = replace(first, target_offsets=offsets, target_item=(new % n_items).astype(np.int32))
    return queries.take(np.flatnonzero(_asks_something(queries, timelines)))


def _require(queries: Queries, part: str, data: Path) -> None:
    if len(queries) == 0:
        raise InputError(
            f"{data}: no {part} question is left (a user needs an earlier event and a known target); "
            "set test_start or validation_days, use split=leave_last_out, or give more events"
        )


def _wanted_types(event_types: pl.Series, targets: tuple[str, ...]) -> list[str]:
    """The event types to predict."""
    present = sorted(event_types.unique())
    missing = sorted(set(targets) - set(present))
    if missing:
        raise InputError(f"target_event_types={missing[0]!r}: the data has {', '.join(present)}; name one of these")
    return list(targets) or ([EventType.PURCHASE] if EventType.PURCHASE in present else present)
