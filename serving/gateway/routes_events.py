"""What customers do: post it, and erase a customer."""

import uuid
from typing import Annotated

from fastapi import APIRouter, Body, Path

from serving.gateway.event_store import Event
from serving.gateway.gateway import Gateway
from serving.gateway.messages import EVENT_EXAMPLES, Erased, EventBatch, EventIn, Events, EventsStored
from serving.gateway.problem import invalid
from serving.gateway.request_time import request_time_ms


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
        """Remove all that is stored of a customer: events with the ids by which duplicates are found, and records."""
        events, records = await gateway.store.erase(user_id), await gateway.store.ledger.erase(user_id)
        return Erased(events=events, records=records)

    return router


def _events(given: list[EventIn], gateway: Gateway) -> list[Event]:
    now, ahead, found = int(gateway.clock() * 1000), gateway.settings.future_seconds, []
    for place, event in enumerate(given):
        where = ("events", place, "timestamp")
        time_ms = request_time_ms(event.timestamp, now, future_seconds=ahead, where=where)
        found.append(Event(event.user_id, event.event_id or uuid.uuid4().hex, event.item_id, event.known_type, time_ms))
    return found
