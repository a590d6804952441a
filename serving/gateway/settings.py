"""How the gateway behaves: limits, retention, and which models it asks."""

from dataclasses import dataclass, fields

from data_pipelines.schema import InputError
from serving.gateway.ledger import RECORD_DAYS


@dataclass(frozen=True)
class GatewaySettings:
    """Settings of the gateway; the defaults suit one process of two cores behind a proxy."""

    recommender: str = "recommender"
    """The model that recommends."""
    forecaster: str = "demand_forecaster"
    """The model that forecasts demand."""
    label: str | None = "stable"
    """The version label that is asked for; null: the server's newest version, whether it was promoted or not."""
    history_length: int = 200
    """A customer's latest events, by event time, that are kept and given to the model."""
    ttl_days: float = 90.0
    """Days after its arrival until an event, and the memory of its id, are deleted."""
    record_days: float = RECORD_DAYS
    """Days after their arrival for which contacts, exposures and outcomes are kept at least."""
    future_seconds: float = 300.0
    """How far ahead of this machine's clock an event's time may be."""
    most_events: int = 1000
    """Events in one request at the most."""
    most_items: int = 500
    """Recommendations in one request at the most."""
    most_series: int = 1000
    """Demand series, or products of a plan, in one request at the most."""
    most_steps: int = 2000
    """Steps of demand in a series, at the most."""
    most_horizon: int = 366
    """Days of a forecast or a plan at the most."""
    body_limit_bytes: int = 2_000_000
    """A larger request body is refused with 413."""
    most_in_flight: int = 64
    """Requests that are worked on at the same time; further ones are refused with 503 at once."""
    most_connections: int = 800
    """Open connections; a further one takes the place of the oldest that sends no request."""
    head_timeout_seconds: float = 10.0
    """Time in which the head of a request must have arrived, else the connection is closed."""
    body_timeout_seconds: float = 10.0
    """Time in which a request's body must have arrived, else 408."""
    timeout_seconds: float = 5.0
    """Time to answer a request in, else 504."""
    history_timeout_seconds: float = 0.5
    """Time to read a customer's events in; after it, recommendations are those for a new customer."""
    plan_timeout_seconds: float = 30.0
    """The same for an inventory plan, which is computed here."""
    requests_per_second: float = 100.0
    """Rate limit of an API key for which keys.json names none; every gateway process counts for itself."""
    burst_seconds: float = 2.0
    """Requests that a key may save up, in seconds of its rate."""
    reload_seconds: float = 5.0
    """How often the items and stock tables are looked at for changes."""
    drain_delay_seconds: float = 1.0
    """After SIGTERM: /readyz says no for so long before no more connections are accepted."""
    drain_seconds: float = 20.0
    """After that, time for the requests in flight."""

    def __post_init__(self) -> None:
        """Refuse what cannot be."""
        for field in fields(self):
            value = getattr(self, field.name)
            free = field.name in ("future_seconds", "drain_delay_seconds", "reload_seconds")
            if isinstance(value, int | float) and (value < 0 or (value == 0 and not free)):
                raise InputError(f"{field.name}={value}: must be {'at least' if free else 'more than'} 0")
