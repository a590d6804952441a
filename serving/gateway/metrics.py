"""What Prometheus sees of the gateway; no label holds anything of a customer.

Reference: https://prometheus.io/docs/practices/naming/
"""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

SECONDS = (0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)


class Metrics:
    """The gateway's metrics, in a registry of its own: several gateways may live in one process."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.requests = Counter(
            "supplytower_gateway_requests", "Requests", ("method", "route", "status"), registry=self.registry
        )
        self.seconds = Histogram(
            "supplytower_gateway_request_seconds",
            "Time from a request's head to its answer",
            ("route",),
            buckets=SECONDS,
            registry=self.registry,
        )
        self.in_flight = Gauge("supplytower_gateway_in_flight", "Requests worked on", registry=self.registry)
        self.events = Counter(
            "supplytower_gateway_events", "Events posted", ("result",), registry=self.registry
        )  # accepted, duplicate
        self.recommendations = Counter(
            "supplytower_gateway_recommendations", "Items recommended", ("source",), registry=self.registry
        )  # model, fallback
        self.model_calls = Counter(
            "supplytower_gateway_model_calls", "Questions to the model server", ("method",), registry=self.registry
        )

    def text(self) -> bytes:
        """In the text format that Prometheus reads."""
        return generate_latest(self.registry)
