"""What customers do: post it, and erase a customer."""

import uuid
from typing import Annotated

from fastapi import APIRouter, Body, Path

from serving.gateway.event_store import Event
from serving.gateway.gateway import Gateway
from serving.gateway.messages import EVENT_EXAMPLES, Erased, EventBatch, EventIn, Events, EventsStored, milliseconds
from serving.gateway.problem import invalid


def events_router(gateway: Gateway) -> APIRouter:
    """The routes of events."""
    router = APIRouter(tags=["events"])
    settings = gateway.settings

    @router.post("/v1/events", summary="Store what customers did")
    async def post_events(body: Annotated[Events, Body(openapi_examples=EVENT_EXAMPLES)]) -> EventsStored:
        """Store one event or a batch; they count for the very next recommendation.

        Answered when the store has them: SQLite on disk, Redis as its appendfsync says. Sending a batch again is
        harmless: known event ids are dropped.
        """
        given = body.events if isinstance(body, EventBatch) else [body]
        if len(given) > settings.most_events:
            raise invalid(("events",), f"has {len(given):,} events; send at most {settings.most_events:,} at once")
        accepted = await gateway.store.append(_events(given, gateway))
        duplicates = len(given) - accepted
        gateway.metrics.events.labels("accepted").inc(accepted)
        gateway.metrics.events.labels("duplicate").inc(duplicates)
        return EventsStored(accepted=accepted, duplicates=duplicates)

    @router.delete("/v1/users/{user_id:path}", summary="Erase a customer")
    async def erase_user(user_id: Annotated[str, Path(min_length=1, max_length=256, examples=["42"])]) -> Erased:
        """Remove all that is stored of a customer: events, and the ids by which duplicates are found."""
        return Erased(events=await gateway.store.erase(user_id))

    return router


def _events(given: list[EventIn], gateway: Gateway) -> list[Event]:
    now = int(gateway.clock() * 1000)
    latest = now + int(gateway.settings.future_seconds * 1000)
    found = []
    for place, event in enumerate(given):
        time_ms = now if event.timestamp is None else milliseconds(event.timestamp)
        if not 0 <= time_ms <= latest:
            raise invalid(("events", place, "timestamp"), "lies in the future, or before 1970; send seconds, UTC")
        found.append(Event(event.user_id, event.event_id or uuid.uuid4().hex, event.item_id, event.known_type, time_ms))
    return found
