"""Asking for recommendations when what they need is away: the answer is a fallback then, and says so.

A body that has passed the gateway's own checks makes no request that a model refuses. If the model does, the operator's
settings name a model or a label that the server does not have, or one that is no recommender.
"""

import asyncio
import logging
from collections.abc import Collection, Sequence

from serving.gateway.event_store import StoreError, UserHistory, as_history
from serving.gateway.gateway import Gateway
from serving.gateway.messages import ALIASES, ContextEvent, milliseconds
from serving.gateway.model_client import AWAY, NOT_SERVED, Recommended
from serving.model_requests import History, popular_recommendations

logger = logging.getLogger(__name__)


class NotServedError(RuntimeError):
    """The model server does not serve what the gateway's settings name."""

    code = "NOT_FOUND"


async def stored_history(gateway: Gateway, user_id: str) -> UserHistory | None:
    """A customer's events; None if the store does not answer soon."""
    try:
        async with asyncio.timeout(gateway.settings.history_timeout_seconds):
            return (await gateway.store.history([user_id]))[0]
    except (StoreError, TimeoutError) as error:
        logger.error(
            "answered without history: the event store does not answer", extra={"reason": str(error) or "time out"}
        )
        return None


def with_context(gateway: Gateway, stored: UserHistory, context: Sequence[ContextEvent]) -> UserHistory:
    """The stored events and those of a request, by time; as many as the model may see."""
    if not context:
        return stored
    now = int(gateway.clock() * 1000)
    added = [
        (
            now if event.timestamp is None else milliseconds(event.timestamp),
            event.item_id,
            ALIASES.get(event.event_type, event.event_type),
        )
        for event in context
    ]
    kept = zip(stored.time_ms, stored.item_id, stored.event_type, strict=True)
    rows = sorted([*kept, *added], key=lambda row: row[0])[-gateway.settings.history_length :]
    return as_history([(item_id, event_type, time_ms) for time_ms, item_id, event_type in rows])


def as_asked(gateway: Gateway, user_id: str, history: UserHistory) -> History:
    """A customer's events as the model server is asked about them, now."""
    seconds = [time_ms // 1000 for time_ms in history.time_ms]
    return History(user_id, history.item_id, history.event_type, seconds, int(gateway.clock()))


async def best_items(gateway: Gateway, history: History, k: int, excluded: Collection[str]) -> Recommended:
    """The model's best items, or popular ones.

    Raises:
        RuntimeError: the client's, or `NotServedError`, if there is no model and no popular item is known.
    """
    model, label, exclude = gateway.settings.recommender, gateway.settings.label, [sorted(excluded)]
    gateway.metrics.model_calls.labels("recommend").inc()
    try:
        return (await gateway.client.recommend([history], k, exclude=exclude, model=model, label=label))[0]
    except RuntimeError as error:
        code = getattr(error, "code", None)
        if code in NOT_SERVED:
            told = {"recommender": model, "label": label, "code": code}  # the message may hold what a customer did
            logger.error("the model server does not serve what the settings name", extra=told)
            if not gateway.popular:
                raise NotServedError from error
        elif code not in AWAY or not gateway.popular:
            raise
    return popular_recommendations(gateway.popular, k, exclude, 1)[0]
