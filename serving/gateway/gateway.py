"""What every route works with."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from serving.gateway.ads.snapshot import AdSnapshots
from serving.gateway.bought_together import BasketRuleFiles
from serving.gateway.catalogue import CatalogueFiles
from serving.gateway.event_store import EventStore
from serving.gateway.experiment_files import ExperimentFiles
from serving.gateway.metrics import Metrics
from serving.gateway.model_client import ModelClient
from serving.gateway.profiles import ProfileFiles
from serving.gateway.settings import GatewaySettings


@dataclass
class Gateway:
    """One gateway.

    Args:
        settings: its limits and models.
        store: of events.
        client: of the model server.
        catalogue: items and stock.
        clock: seconds since 1970.
        metrics: what it counts.
        popular: items to recommend where there is no model, best first.
        profiles: of the customers, if there are any.
        experiments: that run, if there are any.
        ads: campaigns and what they need to know; None: nothing is advertised.
        rules: of baskets, if there are any.
        draining: whether it is about to stop.
    """

    settings: GatewaySettings
    store: EventStore
    client: ModelClient
    catalogue: CatalogueFiles
    clock: Callable[[], float]
    metrics: Metrics = field(default_factory=Metrics)
    popular: Sequence[str] = ()
    profiles: ProfileFiles | None = None
    experiments: ExperimentFiles | None = None
    ads: AdSnapshots | None = None
    rules: BasketRuleFiles | None = None
    draining: bool = False
