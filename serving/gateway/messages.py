"""What is asked and answered over HTTP, with the examples that the documentation shows."""

from datetime import UTC, date, datetime
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag, WithJsonSchema, model_validator

from data_pipelines.schema import EventType

Identifier = Annotated[str, Field(min_length=1, max_length=256)]
Number = Annotated[float, Field(allow_inf_nan=False, ge=-1e9, le=1e9)]
Amount = Annotated[float, Field(allow_inf_nan=False, ge=0, le=1e9)]
Level = Annotated[float, Field(gt=0, lt=1)]
Scalar = Annotated[str, Field(max_length=256)] | bool | int | Annotated[float, Field(allow_inf_nan=False)]
Day = Annotated[date, Field(ge=date(1900, 1, 1), le=date(2200, 1, 1))]
Filters = Annotated[
    dict[str, Scalar | list[Scalar]],
    Field(default_factory=dict, max_length=20, description="attribute: value, or values of which one must fit"),
]
Covariate = list[Number | None] | list[str] | Number | str
Time = Annotated[
    datetime,
    WithJsonSchema(
        {
            "anyOf": [{"type": "number", "minimum": 0, "maximum": 4e9}, {"type": "string", "format": "date-time"}],
            "description": "seconds since 1970, or ISO 8601 (UTC if it names no zone); now if it is not given",
        }
    ),
]
ALIASES = {"browse": EventType.VIEW.value, "cart": EventType.ADD_TO_CART.value}


def milliseconds(time: datetime) -> int:
    """Milliseconds since 1970; a time without zone is UTC."""
    return round((time if time.tzinfo else time.replace(tzinfo=UTC)).timestamp() * 1000)


class Asked(BaseModel):
    """A request body: a field that is not known is a mistake."""

    model_config = ConfigDict(extra="forbid")


# --- events ---


class EventIn(BaseModel):
    """Something a customer did; further fields are accepted and not kept."""

    user_id: Identifier
    item_id: Identifier
    event_type: Annotated[str, Field(min_length=1, max_length=64)] = Field(
        description="view (or browse), click, add_to_cart (or cart), purchase, or another one that the model knows"
    )
    event_id: Identifier | None = Field(None, description="the same event sent again is stored once; without, always")
    timestamp: Time | None = None

    @property
    def known_type(self) -> str:
        """The event type by its name in the data."""
        return ALIASES.get(self.event_type, self.event_type)


class EventBatch(BaseModel):
    """Several events, stored all or none."""

    events: list[EventIn] = Field(min_length=1)


def _shape(body: Any) -> str:
    return "batch" if isinstance(body, EventBatch) or (isinstance(body, dict) and "events" in body) else "one"


Events = Annotated[Annotated[EventIn, Tag("one")] | Annotated[EventBatch, Tag("batch")], Discriminator(_shape)]
EVENT_EXAMPLES: dict[str, Any] = {
    "one": {
        "summary": "a click, now",
        "value": {"event_id": "8d0f-1", "user_id": "42", "item_id": "1049998", "event_type": "click"},
    },
    "batch": {
        "summary": "a batch",
        "value": {
            "events": [
                {
                    "event_id": "8d0f-2",
                    "user_id": "42",
                    "item_id": "1049998",
                    "event_type": "cart",
                    "timestamp": "2026-01-31T12:00:00Z",
                },
                {
                    "event_id": "8d0f-3",
                    "user_id": "7",
                    "item_id": "1062002",
                    "event_type": "purchase",
                    "timestamp": 1769860800,
                },
            ]
        },
    },
}


class EventsStored(BaseModel):
    """What became of the events: each was new, or known already."""

    accepted: int
    duplicates: int


class Erased(BaseModel):
    """What was removed."""

    events: int
    records: int = Field(description="exposures, outcomes and whatever else was on record")


# --- recommendations ---


class ContextEvent(Asked):
    """Something of the running visit that is not to be stored."""

    item_id: Identifier
    event_type: Annotated[str, Field(min_length=1, max_length=64)] = EventType.VIEW.value
    timestamp: Time | None = None


class RecommendationsAsked(Asked):
    """Whom to recommend what."""

    user_id: Identifier
    k: int = Field(10, ge=1, description="items wanted")
    context: list[ContextEvent] = Field(default_factory=list, max_length=200)
    filters: Filters
    exclude: list[Identifier] = Field(default_factory=list, max_length=1000, description="items not to recommend")
    exclude_seen: Literal["none", "purchased", "all"] = Field("none", description="items of the customer's own history")
    in_stock_only: bool = True


RECOMMENDATION_EXAMPLES: dict[str, Any] = {
    "short": {"summary": "ten items", "value": {"user_id": "42"}},
    "all": {
        "summary": "with the running visit and exclusions",
        "value": {
            "user_id": "42",
            "k": 5,
            "context": [{"item_id": "1049998", "event_type": "view"}],
            "filters": {},
            "exclude": ["1062002"],
            "exclude_seen": "purchased",
            "in_stock_only": True,
        },
    },
}


class RecommendedItem(BaseModel):
    """An item, and why."""

    item_id: str
    score: float | None
    reason: str
    reason_code: str
    attributes: dict[str, Any]


class RecommendationsAnswer(BaseModel):
    """Items, best first; fewer than asked for where no more pass."""

    model_config = ConfigDict(protected_namespaces=())

    items: list[RecommendedItem]
    fallback: bool = Field(
        description="whether these are popular items because the model did not answer, or items for a new customer "
        "because the customer's events could not be read"
    )
    model_version: int | None
    request_id: str


# --- demand ---


class DemandSeries(Asked):
    """What was sold of a product, by day; null where it is not known."""

    unique_id: Identifier
    start_date: Day
    demand: list[Amount | None] = Field(min_length=1)
    covariates: dict[str, Covariate] = Field(
        default_factory=dict,
        max_length=50,
        description="by name: a value per day of the history and the horizon, or one for a category; what the "
        "model takes and is not given is an attribute of the item, or unknown",
    )


class DemandAsked(Asked):
    """Which series to forecast how far."""

    series: list[DemandSeries] = Field(min_length=1)
    horizon: int = Field(28, ge=1, description="days")


DEMAND_EXAMPLES: dict[str, Any] = {
    "week": {
        "summary": "a week ahead",
        "value": {
            "series": [
                {"unique_id": "1049998", "start_date": "2026-01-01", "demand": [3, 0, 2, None, 5, 1, 4]},
                {"unique_id": "1062002", "start_date": "2026-01-05", "demand": [1, 1, 0]},
            ],
            "horizon": 7,
        },
    }
}


class SeriesForecast(BaseModel):
    """A product's demand on the days ahead."""

    unique_id: str
    start_date: date
    mean: list[float]
    quantiles: list[list[float]] = Field(description="by day, then by level")


class DemandAnswer(BaseModel):
    """Forecasts in the order asked for."""

    levels: list[float]
    series: list[SeriesForecast]


# --- inventory ---


class Product(Asked):
    """A product with its forecast, or the demand to forecast from; a term that is not given has its default."""

    unique_id: Identifier
    quantiles: list[list[Amount]] | None = Field(None, description="by day, then by level")
    start_date: Day | None = Field(None, description="the first day of `demand`")
    demand: list[Amount | None] | None = Field(None, min_length=1)
    covariates: dict[str, Covariate] = Field(default_factory=dict, max_length=50)
    on_hand: Amount | None = None
    on_order: Amount | None = None
    lead_time_days: int | None = Field(None, ge=0, le=366)
    review_days: int | None = Field(None, ge=1, le=366)
    unit_cost: Amount | None = None
    price: Amount | None = None
    order_cost: Amount | None = None
    holding_cost: Amount | None = Field(None, description="per unit and day")
    stockout_cost: Amount | None = Field(None, description="per unit and day")
    moq: Amount | None = None
    pack_size: int | None = Field(None, ge=1, le=1_000_000)
    capacity: Amount | None = None
    shelf_life_days: int | None = Field(None, ge=0, le=3660)
    volume: Amount | None = None

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        if (self.quantiles is None) == (self.demand is None):
            raise ValueError("give either quantiles or demand")
        if self.demand is not None and self.start_date is None:
            raise ValueError("demand needs its start_date")
        return self


class PlanAsked(Asked):
    """What to plan orders for."""

    products: list[Product] = Field(min_length=1)
    levels: list[Level] | None = Field(None, min_length=2, max_length=99, description="of the quantiles, ascending")
    horizon: int = Field(28, ge=2, description="days, where demand is given; quantiles bring their own")
    first_day: Day | None = Field(None, description="the first day that is planned; today if it is not given")
    settings: dict[str, bool | int | Number | str] = Field(
        default_factory=dict, description="defaults of terms, as `supplytower inventory plan --set`"
    )
    budget: Amount | None = Field(None, description="money for the orders of today")
    volume: Amount | None = Field(None, description="room for all that is in stock, under way and ordered")


PLAN_EXAMPLES: dict[str, Any] = {
    "quantiles": {
        "summary": "from forecast quantiles",
        "value": {
            "levels": [0.1, 0.5, 0.9],
            "first_day": "2026-02-01",
            "products": [
                {
                    "unique_id": "1049998",
                    "quantiles": [[0, 2, 5], [1, 3, 6], [0, 2, 5], [1, 4, 8]],
                    "on_hand": 3,
                    "lead_time_days": 1,
                    "unit_cost": 1.2,
                    "price": 2.0,
                    "pack_size": 6,
                }
            ],
            "settings": {"order_cost": 1.5},
            "budget": 50,
        },
    },
    "demand": {
        "summary": "from demand, forecast by the model",
        "value": {
            "products": [
                {
                    "unique_id": "1062002",
                    "start_date": "2026-01-01",
                    "demand": [3, 0, 2, 4, 5, 1, 4, 2, 0, 1],
                    "on_hand": 2,
                    "lead_time_days": 2,
                }
            ],
            "horizon": 7,
        },
    },
}


class PlannedOrder(BaseModel):
    """What to order of a product, and why."""

    model_config = ConfigDict(extra="allow")

    unique_id: str
    order: float
    reason: str


class PlanAnswer(BaseModel):
    """Orders, the dearest first, and what had to be assumed."""

    orders: list[PlannedOrder]
    notices: list[str]


class Readiness(BaseModel):
    """Whether the gateway should get requests."""

    ready: bool
    store: str
    model_server: str
    draining: bool = False


class Alive(BaseModel):
    """The process runs."""

    status: Literal["alive"] = "alive"
