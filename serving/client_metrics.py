"""What a client counts, for Prometheus.

    supplytower_client_requests_total{model, method, code, transport}
    supplytower_client_request_seconds{model, method, transport}
    supplytower_client_retries_total, supplytower_client_hedges_total{model, method, transport}
    supplytower_client_fallbacks_total{model}

Reference: https://prometheus.io/docs/practices/naming/
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock
from weakref import WeakKeyDictionary

from prometheus_client import CollectorRegistry, Counter, Histogram

from serving.serving_error import OK, ServingError

BUCKETS_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
CALL = ("model", "method", "transport")
KNOWN: WeakKeyDictionary[CollectorRegistry, "ClientMetrics"] = WeakKeyDictionary()
LOCK = Lock()


class ClientMetrics:
    """The counters of all clients that report to one registry.

    Args:
        registry: where they are registered.
    """

    def __init__(self, registry: CollectorRegistry):
        prefix = "supplytower_client"
        self.requests = Counter(
            f"{prefix}_requests", "Calls by their end.", ("model", "method", "code", "transport"), registry=registry
        )
        self.seconds = Histogram(
            f"{prefix}_request_seconds",
            "Time of calls with all their attempts.",
            CALL,
            registry=registry,
            buckets=BUCKETS_SECONDS,
        )
        self.retries = Counter(f"{prefix}_retries", "Requests sent again after a failure.", CALL, registry=registry)
        self.hedges = Counter(f"{prefix}_hedges", "Requests sent twice: the answer took long.", CALL, registry=registry)
        self.fallbacks = Counter(
            f"{prefix}_fallbacks", "Calls answered with popular items.", ("model",), registry=registry
        )

    @contextmanager
    def observe(self, model: str, method: str, transport: str) -> Iterator[None]:
        """Count and time a call by how the block ends."""
        started, code = time.perf_counter(), "CANCELLED"
        try:
            yield
            code = OK
        except ServingError as error:
            code = error.code
            raise
        except Exception:
            code = "UNKNOWN"
            raise
        finally:
            self.requests.labels(model, method, code, transport).inc()
            self.seconds.labels(model, method, transport).observe(time.perf_counter() - started)


def metrics_of(registry: CollectorRegistry) -> ClientMetrics:
    """The counters in a registry, which takes a name once, however many clients there are."""
    with LOCK:
        return KNOWN.get(registry) or KNOWN.setdefault(registry, ClientMetrics(registry))
