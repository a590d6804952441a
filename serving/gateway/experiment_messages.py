"""What is asked and answered about experiments over HTTP, with the examples that the documentation shows."""

from collections.abc import Callable
from datetime import datetime
from typing import Annotated, Any

from pydantic import BaseModel, Discriminator, Field, Tag, field_validator

from data_pipelines.schema import EXPERIMENT, EXPOSED_AT, LAST_SEEN_AT, OUTCOME_AT, PROPENSITY, UNIT, VARIANT
from serving.gateway.messages import Asked, EventsStored, Identifier, Time

TAKEN = (UNIT, VARIANT, EXPERIMENT, PROPENSITY, EXPOSED_AT, OUTCOME_AT, LAST_SEEN_AT)
"""Columns of the table of units that are no metrics."""
Finite = Annotated[float, Field(strict=True, allow_inf_nan=False, ge=-1e12, le=1e12)]


def _shape(field: str) -> Callable[[Any], str]:
    """Says of a body whether it is a batch, i.e. has the field with the list."""
    return lambda body: "batch" if (field in body if isinstance(body, dict) else hasattr(body, field)) else "one"


class ExposureIn(Asked):
    """A customer who is about to see what the experiment is about."""

    unit: Identifier = Field(description="the customer's user_id")
    timestamp: Time | None = None


class ExposureBatch(Asked):
    """Several exposures, recorded all or none."""

    exposures: list[ExposureIn] = Field(min_length=1)


Exposures = Annotated[
    Annotated[ExposureIn, Tag("one")] | Annotated[ExposureBatch, Tag("batch")], Discriminator(_shape("exposures"))
]
EXPOSURE_EXAMPLES: dict[str, Any] = {
    "one": {"summary": "a customer, now", "value": {"unit": "42"}},
    "batch": {"summary": "a batch", "value": {"exposures": [{"unit": "42"}, {"unit": "7"}]}},
}


class Exposed(BaseModel):
    """What a customer is to see."""

    unit: str
    in_experiment: bool = Field(description="false: not of the experiment's traffic, nothing was recorded")
    variant: str | None = Field(description="null for who is not in the experiment")
    first_exposure: datetime | None = Field(description="the moment on record, UTC")
    repeated: bool = Field(description="whether an earlier exposure was on record: that one stands")


class ExposedBatch(BaseModel):
    """What customers are to see, in the order asked for."""

    exposures: list[Exposed]


class OutcomeIn(Asked):
    """A number that came of a customer after the exposure."""

    unit: Identifier = Field(description="the customer's user_id")
    metric: Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9_.-]{0,63}$")] = Field(
        description="a column of the table that is analyzed; a customer's values are added up"
    )
    value: Finite
    outcome_id: Identifier | None = Field(
        None, description="the same one of a customer and metric sent again is stored once; without, always"
    )
    timestamp: Time | None = None

    @field_validator("metric")
    @classmethod
    def _free(cls, metric: str) -> str:
        if metric in TAKEN:
            raise ValueError("is the name of another column; call the metric something else")
        return metric


class OutcomeBatch(Asked):
    """Several outcomes, recorded all or none."""

    outcomes: list[OutcomeIn] = Field(min_length=1)


Outcomes = Annotated[
    Annotated[OutcomeIn, Tag("one")] | Annotated[OutcomeBatch, Tag("batch")], Discriminator(_shape("outcomes"))
]
OUTCOME_EXAMPLES: dict[str, Any] = {
    "one": {"summary": "a visit, now", "value": {"unit": "42", "metric": "visit", "value": 1}},
    "batch": {
        "summary": "an order, by its id",
        "value": {
            "outcomes": [
                {"unit": "42", "metric": "orders", "value": 1, "outcome_id": "order-811"},
                {"unit": "42", "metric": "revenue", "value": 34.9, "outcome_id": "order-811"},
            ]
        },
    },
}


class OutcomesStored(EventsStored):
    """What became of the outcomes: each was new, or known already."""
