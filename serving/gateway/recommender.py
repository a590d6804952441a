"""Asking for recommendations when what they need is away: the answer is a fallback then, and says so.

A body that has passed the gateway's own checks makes no request that a model refuses. If the model does, the operator's
settings name a model or a label that the server does not have, or one that is no recommender.
"""

import asyncio
import logging
from collections.abc import Collection

from serving.gateway.event_store import StoreError, UserHistory
from serving.gateway.gateway import Gateway
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
