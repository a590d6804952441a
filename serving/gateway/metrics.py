"""What Prometheus sees of the gateway; no label holds anything of a customer.

Reference: https://prometheus.io/docs/practices/naming/
"""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

MOST_NAMES, OTHER = 50, "other"
"""Names of metrics of experiments, which clients choose, that get a label of their own."""
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
        )  # model, fallback, rules
        self.exposures = Counter(
            "supplytower_gateway_exposures", "First exposures", ("experiment", "variant"), registry=self.registry
        )
        self.outcomes = Counter(
            "supplytower_gateway_outcomes", "Outcomes recorded", ("experiment", "metric"), registry=self.registry
        )
        self._named: set[str] = set()
        self.model_calls = Counter(
            "supplytower_gateway_model_calls", "Questions to the model server", ("method",), registry=self.registry
        )
        self.ads = Counter(
            "supplytower_gateway_ad_decisions", "Campaigns decided on", ("campaign", "outcome"), registry=self.registry
        )  # chosen, the reason why not, no_model, busy, repeated

    def count_outcome(self, experiment: str, metric: str) -> None:
        """Count an outcome; metrics beyond the first ones share a label, so that no client makes labels without end."""
        if len(self._named) < MOST_NAMES:
            self._named.add(metric)
        self.outcomes.labels(experiment, metric if metric in self._named else OTHER).inc()

    def text(self) -> bytes:
        """In the text format that Prometheus reads."""
        return generate_latest(self.registry)
