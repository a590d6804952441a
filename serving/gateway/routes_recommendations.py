"""Recommendations: the customer's events as they are now, the model's ranking, and the shop's rules."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

from fastapi import APIRouter, Body, Request

from data_pipelines.schema import EventType
from serving.gateway.catalogue import Catalogue, UnknownAttributeError
from serving.gateway.event_store import UserHistory
from serving.gateway.gateway import Gateway
from serving.gateway.messages import (
    RECOMMENDATION_EXAMPLES,
    RecommendationsAnswer,
    RecommendationsAsked,
    RecommendedItem,
)
from serving.gateway.model_client import Recommended
from serving.gateway.problem import invalid
from serving.gateway.reasons import find_reasons
from serving.gateway.recommender import as_asked, best_items, stored_history, with_context

MARGIN = 1.2
"""Items asked for over what the filters are expected to take."""
GROWTH = 4


@dataclass(frozen=True)
class Ranking:
    """The items that pass the shop's rules.

    Args:
        kept: item and score, best first.
        answer: what the model said.
    """

    kept: list[tuple[str, float]]
    answer: Recommended


def recommendations_router(gateway: Gateway) -> APIRouter:
    """The route of recommendations."""
    router = APIRouter(tags=["recommendations"])

    @router.post("/v1/recommendations", summary="Recommend items to a customer")
    async def recommend(
        body: Annotated[RecommendationsAsked, Body(openapi_examples=RECOMMENDATION_EXAMPLES)], request: Request
    ) -> RecommendationsAnswer:
        """The best items for a customer, with a reason for each.

        The events posted before this request are part of what the model sees, and `context` is added for this request
        only.
        """
        require_few_items(body.k, gateway)
        stored = await stored_history(gateway, body.user_id)
        history = with_context(gateway, stored or UserHistory(), body.context)
        catalogue = gateway.catalogue.current()
        try:
            ranking = await _rank(gateway, catalogue, body, history)
        except UnknownAttributeError as error:
            raise invalid(("filters",), str(error)) from None
        fallback = ranking.answer.fallback or stored is None
        gateway.metrics.recommendations.labels("fallback" if fallback else "model").inc(len(ranking.kept))
        return RecommendationsAnswer(
            items=_items(ranking, history, catalogue),
            fallback=fallback,
            model_version=ranking.answer.version,
            request_id=request.state.request_id,
        )

    return router


def require_few_items(k: int, gateway: Gateway) -> None:
    """Refuse a request for more items than the gateway gives.

    Raises:
        RequestValidationError: saying how many it gives.
    """
    if k > gateway.settings.most_items:
        raise invalid(("k",), f"is {k}; ask for at most {gateway.settings.most_items} items")


def _excluded(body: RecommendationsAsked, history: UserHistory) -> set[str]:
    found = set(body.exclude)
    if body.exclude_seen != "none":
        everything = body.exclude_seen == "all"
        acts = zip(history.item_id, history.event_type, strict=True)
        found |= {item_id for item_id, kind in acts if everything or kind == EventType.PURCHASE}
    return found


async def _rank(gateway: Gateway, catalogue: Catalogue, body: RecommendationsAsked, history: UserHistory) -> Ranking:
    """Ask for more and more of the model's ranking, until k items pass or it ends."""
    excluded = _excluded(body, history)
    share = catalogue.share(body.filters, body.in_stock_only)
    wanted = body.k if share == 1 else math.ceil(body.k / max(share, 1e-3) * MARGIN) + 1
    wanted = min(wanted, max(catalogue.size, body.k))
    asked = as_asked(gateway, body.user_id, history)
    while True:
        answer = await best_items(gateway, asked, wanted, excluded)
        passes = catalogue.passes(answer.item_id, body.filters, body.in_stock_only)
        found = zip(answer.item_id, answer.score, passes, strict=True)
        kept = [(item, score) for item, score, fits in found if fits and item not in excluded][: body.k]
        if len(kept) == body.k or len(answer.item_id) < wanted:
            return Ranking(kept, answer)
        wanted *= GROWTH


def _items(ranking: Ranking, history: UserHistory, catalogue: Catalogue) -> list[RecommendedItem]:
    item_ids: Sequence[str] = [item_id for item_id, _ in ranking.kept]
    known = catalogue.describe(item_ids)
    reasons = find_reasons(item_ids, history, catalogue, known, fallback=ranking.answer.fallback)
    return [
        RecommendedItem(
            item_id=item_id,
            score=float(score) if math.isfinite(score) else None,
            reason=reason.text,
            reason_code=reason.code,
            attributes={name: value for name, value in known.get(item_id, {}).items() if name != "item_id"},
        )
        for (item_id, score), reason in zip(ranking.kept, reasons, strict=True)
    ]
