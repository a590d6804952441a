"""Why an item is recommended, in a sentence of facts: nothing is said that the history and the catalogue do not hold.

The first that is true: popular, where the model was not asked or knows nothing of the customer; bought before; put into
the cart, clicked or viewed; shares an attribute with something that the customer looked at lately; else what the
model's score means.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, NamedTuple

from data_pipelines.schema import ITEM_NAME, EventType
from serving.gateway.catalogue import Catalogue
from serving.gateway.event_store import UserHistory

RECENT = 10
"""Latest distinct items to which a recommendation is compared."""


class Act(NamedTuple):
    """How an event type is told."""

    code: str
    with_it: str
    of_another: str


ACTS = {
    EventType.PURCHASE.value: Act("bought_before", "bought it", "bought"),
    EventType.ADD_TO_CART.value: Act("in_cart", "put it into the cart", "put into the cart"),
    EventType.CLICK.value: Act("clicked", "clicked it", "clicked"),
    EventType.VIEW.value: Act("viewed", "viewed it", "viewed"),
}
"""By event type, the most telling first."""


@dataclass(frozen=True)
class Reason:
    """Why an item is recommended.

    Args:
        code: bought_before, in_cart, clicked, viewed, shares_attribute, popular or similar_customers.
        text: the sentence.
    """

    code: str
    text: str


POPULAR = Reason("popular", "Popular with customers of this shop.")
SIMILAR = Reason("similar_customers", "Liked by customers with a similar history.")


def find_reasons(
    item_ids: Sequence[str],
    history: UserHistory,
    catalogue: Catalogue,
    attributes: Mapping[str, Mapping[str, Any]],
    *,
    fallback: bool,
) -> list[Reason]:
    """A reason for each item.

    Args:
        item_ids: recommended.
        history: oldest first.
        catalogue: of the shop.
        attributes: of the recommended items, by item.
        fallback: whether they are popular items, not the model's.
    """
    if fallback or not history.item_id:
        return [POPULAR] * len(item_ids)
    wanted, times_of = set(item_ids), dict[tuple[str, str], list[int]]()
    events = list(zip(history.item_id, history.event_type, history.time_ms, strict=True))
    for item_id, event_type, time_ms in events:
        if item_id in wanted:
            times_of.setdefault((item_id, event_type), []).append(time_ms)
    recent = _latest_acts(events)
    known = catalogue.describe(item_id for item_id, _, _ in recent)
    seen = [(known[item_id], event_type, time_ms) for item_id, event_type, time_ms in recent if item_id in known]
    return [
        _from_history(item_id, times_of)
        or _from_attributes(attributes.get(item_id, {}), seen, catalogue.telling)
        or SIMILAR
        for item_id in item_ids
    ]


def _latest_acts(events: Sequence[tuple[str, str, int]]) -> list[tuple[str, str, int]]:
    """The latest event of each of the latest items, newest first."""
    found: list[tuple[str, str, int]] = []
    passed: set[str] = set()
    for item_id, event_type, time_ms in reversed(events):
        if item_id not in passed and event_type in ACTS:
            found.append((item_id, event_type, time_ms))
            if len(found) == RECENT:
                break
        passed.add(item_id)
    return found


def _from_history(item_id: str, times_of: Mapping[tuple[str, str], list[int]]) -> Reason | None:
    for event_type, act in ACTS.items():
        if times := times_of.get((item_id, event_type)):
            last = f"on {_day(max(times))}"
            often = last if len(times) == 1 else f"{len(times)} times, last {last}"
            return Reason(act.code, f"You {act.with_it} {often}.")
    return None


def _from_attributes(
    own: Mapping[str, Any], seen: Sequence[tuple[Mapping[str, Any], str, int]], telling: Sequence[str]
) -> Reason | None:
    for attribute in telling:  # the most specific one that is shared with any
        for other, event_type, time_ms in seen:
            value = own.get(attribute)
            if value and value == other.get(attribute):
                name, did = other.get(ITEM_NAME) or "an item", ACTS[event_type].of_another
                return Reason(
                    "shares_attribute",
                    f"Same {attribute.replace('_', ' ')} ({value}) as {name}, which you {did} on {_day(time_ms)}.",
                )
    return None


def _day(time_ms: int) -> str:
    return datetime.fromtimestamp(time_ms / 1000, UTC).date().isoformat()
