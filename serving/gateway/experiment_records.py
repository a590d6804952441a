"""Exposures and outcomes of an experiment as entries of the ledger, and entries as tables.

    topic exposure/ID   one entry per customer: the first exposure to arrive, with its variant and its propensity
    topic outcome/ID    an entry per outcome, known by its metric and its id

The variant on record stands whatever becomes of the experiment's file: an analysis compares what customers saw. Each
entry names the call that it came with, so whoever added it knows whether it is the one on record.
"""

import json
import uuid
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from dataclasses import dataclass

import polars as pl

from data_pipelines.schema import EXPOSED_AT, PROPENSITY, TIMESTAMP, UNIT, VARIANT
from serving.gateway.ledger import Entry, Ledger

FIRST, METRIC, VALUE = "first", "metric", "value"
EXPOSURE = {VARIANT: pl.String, PROPENSITY: pl.Float64}
OUTCOME = {METRIC: pl.String, VALUE: pl.Float64}


@dataclass(frozen=True, slots=True)
class Exposure:
    """A customer's exposure.

    Args:
        unit: the customer.
        time_ms: milliseconds since 1970.
        variant: that is shown.
        propensity: probability with which it was drawn.
        call: that it came with.
    """

    unit: str
    time_ms: int
    variant: str
    propensity: float
    call: str


@dataclass(frozen=True, slots=True)
class Outcome:
    """Something that came of a customer.

    Args:
        unit: the customer.
        time_ms: milliseconds since 1970.
        metric: its name.
        value: the number.
        outcome_id: the same one again is a repetition; None for one that has no equal.
    """

    unit: str
    time_ms: int
    metric: str
    value: float
    outcome_id: str | None


async def record_exposures(ledger: Ledger, experiment_id: str, exposures: Sequence[Exposure]) -> list[Exposure]:
    """Record first exposures; returns for each the one on record."""
    topic = _exposures(experiment_id)
    entries = []
    for one in exposures:
        body = json.dumps({VARIANT: one.variant, PROPENSITY: one.propensity, "call": one.call})
        entries.append(Entry(one.unit, topic, FIRST, one.time_ms, body))
    return [_exposure(entry) for entry in await ledger.add(entries)]


async def first_exposures(ledger: Ledger, experiment_id: str, units: Iterable[str]) -> dict[str, Exposure]:
    """The exposures on record of those of the units that have one."""
    topic, found = _exposures(experiment_id), {}
    for unit in dict.fromkeys(units):
        if entries := await ledger.entries(unit, topic):
            found[unit] = _exposure(entries[0])
    return found


async def record_outcomes(ledger: Ledger, experiment_id: str, outcomes: Sequence[Outcome]) -> list[bool]:
    """Record outcomes; returns for each whether it was new."""
    topic, request, entries = _outcomes(experiment_id), uuid.uuid4().hex, []
    for place, one in enumerate(outcomes):
        call = f"{request}.{place}"
        entry_id = call if one.outcome_id is None else f"{one.metric}/{one.outcome_id}"
        body = json.dumps({METRIC: one.metric, VALUE: one.value, "call": call})
        entries.append(Entry(one.unit, topic, entry_id, one.time_ms, body))
    found = await ledger.add(entries)
    return [stands.body == entry.body for stands, entry in zip(found, entries, strict=True)]


async def exposure_table(ledger: Ledger, experiment_id: str) -> pl.DataFrame:
    """All exposures: unit, exposed_at (UTC), variant, propensity."""
    return (await _table(ledger.collect(_exposures(experiment_id)), EXPOSURE)).rename({TIMESTAMP: EXPOSED_AT})


async def outcome_table(ledger: Ledger, experiment_id: str) -> pl.DataFrame:
    """All outcomes: unit, timestamp (UTC), metric, value."""
    return await _table(ledger.collect(_outcomes(experiment_id)), OUTCOME)


async def _table(parts: AsyncIterator[list[Entry]], body: Mapping[str, type[pl.DataType]]) -> pl.DataFrame:
    columns = {UNIT: pl.String, TIMESTAMP: pl.Int64, "body": pl.String}
    tables = [pl.DataFrame(schema=columns)]
    async for part in parts:
        rows = [(entry.user_id, entry.time_ms, entry.body) for entry in part]
        tables.append(pl.DataFrame(rows, schema=columns, orient="row"))
    return (
        pl.concat(tables)
        .with_columns(
            pl.from_epoch(TIMESTAMP, "ms").dt.replace_time_zone("UTC"),
            pl.col("body").str.json_decode(pl.Struct(body)),
        )
        .unnest("body")
    )


def _exposures(experiment_id: str) -> str:
    return f"exposure/{experiment_id}"


def _outcomes(experiment_id: str) -> str:
    return f"outcome/{experiment_id}"


def _exposure(entry: Entry) -> Exposure:
    return Exposure(entry.user_id, entry.time_ms, **json.loads(entry.body))
