"""Experiments while they run: who sees what, and what came of it.

Which variant a customer gets is a pure function of the experiment's file (`serving.experiments.assignment`); the first
exposure is recorded with it, and stands when the file changes later. `supplytower experiment collect` makes of the
records the table that `supplytower experiment analyze` reads.

Shares are those of the file, with `allocation: thompson`, too: to move them, write into the file what `supplytower
experiment assign --outcomes` shows for the collected table. Whoever is on record keeps the variant, and the propensity
with which it was drawn.
"""

import uuid
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import APIRouter, Body, HTTPException, Path

from serving.experiments.assignment import draw_variant, in_traffic
from serving.experiments.experiment import Experiment
from serving.gateway.experiment_messages import (
    EXPOSURE_EXAMPLES,
    OUTCOME_EXAMPLES,
    Exposed,
    ExposedBatch,
    ExposureBatch,
    ExposureIn,
    Exposures,
    OutcomeBatch,
    OutcomeIn,
    Outcomes,
    OutcomesStored,
)
from serving.gateway.experiment_records import (
    Exposure,
    Outcome,
    first_exposures,
    record_exposures,
    record_outcomes,
)
from serving.gateway.gateway import Gateway
from serving.gateway.problem import Problem, invalid, printable
from serving.gateway.request_time import request_time_ms

MISSING = "this gateway has no experiments; start it with --experiments FILE, see `supplytower serve gateway --help`"
ExperimentId = Annotated[str, Path(min_length=1, max_length=256, examples=["welcome-mail"])]


def experiments_router(gateway: Gateway) -> APIRouter:
    """The routes of experiments."""
    router = APIRouter(tags=["experiments"])
    told: dict[int | str, dict[str, Any]] = {
        404: {"model": Problem, "description": "no such experiment"},
        409: {"model": Problem, "description": "contradicts the experiment's days, or what is on record"},
    }

    @router.post(
        "/v1/experiments/{experiment_id:path}/exposures", summary="Record who sees the experiment", responses=told
    )
    async def post_exposures(
        experiment_id: ExperimentId, body: Annotated[Exposures, Body(openapi_examples=EXPOSURE_EXAMPLES)]
    ) -> Exposed | ExposedBatch:
        """Say which variant a customer is to see, and record the first exposure.

        Ask when the customer is about to see it, not before: who is on record is analyzed. Asking again gives the
        variant and the moment on record, also if the experiment's file has changed meanwhile. Who is not of the
        experiment's traffic gets `in_experiment: false` and is not recorded. 409 on a day on which the experiment does
        not run: then nothing of the request is recorded.
        """
        experiment = _experiment(gateway, experiment_id)
        batch = isinstance(body, ExposureBatch)
        exposed = await _expose(gateway, experiment, body.exposures if isinstance(body, ExposureBatch) else [body])
        return ExposedBatch(exposures=exposed) if batch else exposed[0]

    @router.post("/v1/experiments/{experiment_id:path}/outcomes", summary="Record what came of it", responses=told)
    async def post_outcomes(
        experiment_id: ExperimentId, body: Annotated[Outcomes, Body(openapi_examples=OUTCOME_EXAMPLES)]
    ) -> OutcomesStored:
        """Record outcomes of customers who were exposed, also after the experiment's last day.

        409 if a customer was never exposed, or an outcome lies before the exposure: then nothing of the request is
        recorded, and the answer says which one it was.
        """
        experiment = _experiment(gateway, experiment_id)
        return await _record(gateway, experiment, body.outcomes if isinstance(body, OutcomeBatch) else [body])

    return router


def _experiment(gateway: Gateway, experiment_id: str) -> Experiment:
    if gateway.experiments is None:
        raise HTTPException(503, MISSING)
    known = gateway.experiments.current()
    if experiment_id not in known:
        raise HTTPException(404, printable(f"no experiment {experiment_id!r}; there are {', '.join(known)}"))
    return known[experiment_id]


def _require_size(field: str, count: int, gateway: Gateway) -> None:
    most = gateway.settings.most_events
    if count > most:
        raise invalid((field,), f"has {count:,} {field}; send at most {most:,} at once")


async def _expose(gateway: Gateway, experiment: Experiment, given: list[ExposureIn]) -> list[Exposed]:
    _require_size("exposures", len(given), gateway)
    units = [one.unit for one in given]
    asked = list(_asked(gateway, experiment, given))
    inside = in_traffic(experiment, units)
    ledger = gateway.store.ledger
    # who is not of the traffic any more may be on record from before
    outside = [unit for unit, taken in zip(units, inside, strict=True) if not taken]
    on_record = await first_exposures(ledger, experiment.id, outside)
    new = [one for one, taken in zip(asked, inside, strict=True) if taken]
    on_record |= {one.unit: one for one in await record_exposures(ledger, experiment.id, new)}
    answers = [_exposed(one, on_record.get(one.unit)) for one in asked]
    for answer in answers:
        if answer.in_experiment and not answer.repeated:
            gateway.metrics.exposures.labels(experiment.id, answer.variant).inc()
    return answers


def _asked(gateway: Gateway, experiment: Experiment, given: list[ExposureIn]) -> Iterator[Exposure]:
    """What would be recorded of units that are in the experiment."""
    call, drawn = uuid.uuid4().hex, draw_variant(experiment, [one.unit for one in given])
    now, ahead = int(gateway.clock() * 1000), gateway.settings.future_seconds
    for place, (one, number) in enumerate(zip(given, drawn, strict=True)):
        where = ("exposures", place, "timestamp")
        time_ms = request_time_ms(one.timestamp, now, future_seconds=ahead, where=where)
        if not experiment.runs_on(day := _moment(time_ms).date()):
            days = f"from {experiment.start or '…'} to {experiment.end or '…'}"
            raise HTTPException(409, f"exposures[{place}]: {experiment.id} runs {days} (UTC), not on {day}")
        variant, propensity = experiment.variants[number], experiment.shares[number]
        yield Exposure(one.unit, time_ms, variant, propensity, f"{call}.{place}")


def _exposed(asked: Exposure, stands: Exposure | None) -> Exposed:
    if stands is None:
        return Exposed(unit=asked.unit, in_experiment=False, variant=None, first_exposure=None, repeated=False)
    return Exposed(
        unit=asked.unit,
        in_experiment=True,
        variant=stands.variant,
        first_exposure=_moment(stands.time_ms),
        repeated=stands.call != asked.call,
    )


async def _record(gateway: Gateway, experiment: Experiment, given: list[OutcomeIn]) -> OutcomesStored:
    _require_size("outcomes", len(given), gateway)
    ledger = gateway.store.ledger
    exposed = await first_exposures(ledger, experiment.id, [one.unit for one in given])
    outcomes = list(_outcomes(gateway, given, exposed))
    new = await record_outcomes(ledger, experiment.id, outcomes)
    for outcome, is_new in zip(outcomes, new, strict=True):
        if is_new:
            gateway.metrics.count_outcome(experiment.id, outcome.metric)
    return OutcomesStored(accepted=sum(new), duplicates=len(new) - sum(new))


def _outcomes(gateway: Gateway, given: list[OutcomeIn], exposed: Mapping[str, Exposure]) -> Iterator[Outcome]:
    """What is to be recorded, if every outcome lies after its unit's exposure."""
    now, ahead = int(gateway.clock() * 1000), gateway.settings.future_seconds
    for place, one in enumerate(given):
        if (exposure := exposed.get(one.unit)) is None:
            raise HTTPException(
                409, f"outcomes[{place}]: this unit was never exposed; post its exposure before its outcomes"
            )
        where = ("outcomes", place, "timestamp")
        time_ms = request_time_ms(one.timestamp, now, future_seconds=ahead, where=where)
        if one.timestamp is None:  # the clock that the exposure was told by may be ahead of ours
            time_ms = max(time_ms, exposure.time_ms)
        if time_ms < exposure.time_ms:
            since = _moment(exposure.time_ms).isoformat()
            raise HTTPException(
                409, f"outcomes[{place}]: lies before the unit's exposure, {since}; leave out what happened before it"
            )
        yield Outcome(one.unit, time_ms, one.metric, one.value, one.outcome_id)


def _moment(time_ms: int) -> datetime:
    return datetime.fromtimestamp(time_ms / 1000, UTC)
