"""What goes with a basket: the rules that were mined, and what the shop has."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import compress, islice
from typing import Annotated, Any, TypeVar

from fastapi import APIRouter, Body, HTTPException, Request

from data_pipelines.schema import BUNDLE_ITEMS, ITEM_NAME
from serving.gateway.bought_together import BasketRules, Rule, Suggestion
from serving.gateway.bought_together_messages import (
    BOUGHT_TOGETHER_EXAMPLES,
    BoughtTogetherAnswer,
    BoughtTogetherAsked,
    BundleOffer,
    BundlePart,
    GoesWith,
    RuleTold,
)
from serving.gateway.catalogue import Catalogue, UnknownAttributeError
from serving.gateway.gateway import Gateway
from serving.gateway.problem import invalid
from serving.gateway.routes_recommendations import require_few_items

MISSING = "this gateway has no basket rules; start it with --rules RULES, see `supplytower rules mine --help`"
T = TypeVar("T")
LOOKED_AT = 100
"""Suggestions, or bundles, that are held against the catalogue at once."""


def bought_together_router(gateway: Gateway) -> APIRouter:
    """The route of what is bought together."""
    router = APIRouter(tags=["recommendations"])

    @router.post("/v1/bought-together", summary="Say what goes with a basket")
    async def bought_together(
        body: Annotated[BoughtTogetherAsked, Body(openapi_examples=BOUGHT_TOGETHER_EXAMPLES)], request: Request
    ) -> BoughtTogetherAnswer:
        """Items and bundles that go with a basket or a product, by the rules that `supplytower rules mine` found.

        What lies in the basket is not suggested; newer rules are read when they were mined.
        """
        require_few_items(body.k, gateway)
        if gateway.rules is None:
            raise HTTPException(503, MISSING)
        rules, catalogue, held = gateway.rules.current(), gateway.catalogue.current(), frozenset(body.items)
        try:
            catalogue.passes((), body.filters, body.in_stock_only)  # an unknown one is told also where nothing is found
        except UnknownAttributeError as error:
            raise invalid(("filters",), str(error)) from None
        items, bundles = _items(rules, catalogue, body, held), _bundles(rules, catalogue, body, held)
        gateway.metrics.recommendations.labels("rules").inc(len(items))
        return BoughtTogetherAnswer(items=items, bundles=bundles, request_id=request.state.request_id)

    return router


def _items(rules: BasketRules, catalogue: Catalogue, body: BoughtTogetherAsked, held: frozenset[str]) -> list[GoesWith]:
    def fits(some: Sequence[Suggestion]) -> list[bool]:
        return catalogue.passes([one.item_id for one in some], body.filters, body.in_stock_only)

    kept = [(one, rules.rule(one.rule)) for one in _first(rules.suggestions(held), fits, body.k)]
    known = catalogue.describe({item for one, rule in kept for item in (one.item_id, *rule.antecedent)})
    return [
        GoesWith(
            item_id=one.item_id,
            name=_name(one.item_id, known),
            score=one.score,
            reason=_reason(rule, known),
            rule=RuleTold(**rule._asdict()),
        )
        for one, rule in kept
    ]


def _reason(rule: Rule, known: Mapping[str, Mapping[str, Any]]) -> str:
    together, it = " and ".join(_name(item_id, known) for item_id in rule.antecedent), "it"
    if len(rule.antecedent) > 1:
        it = "them"
    return (
        f"Bought together with {together}: in {100 * rule.confidence:.3g}% of the baskets that hold {it}, "
        f"{rule.lift:.3g} times as often as in all."
    )


def _bundles(
    rules: BasketRules, catalogue: Catalogue, body: BoughtTogetherAsked, held: frozenset[str]
) -> list[BundleOffer]:
    """All of a bundle must be in stock; filters are for what it adds to the basket."""

    def fits(some: Sequence[Mapping[str, Any]]) -> list[bool]:
        parts = list({item_id for bundle in some for item_id in bundle[BUNDLE_ITEMS]})
        here = set(compress(parts, catalogue.passes(parts, {}, body.in_stock_only)))
        fitting = here & held.union(compress(parts, catalogue.passes(parts, body.filters, False)))
        return [fitting.issuperset(bundle[BUNDLE_ITEMS]) for bundle in some]

    kept = _first(rules.bundles(held), fits, body.k)
    known = catalogue.describe({item_id for bundle in kept for item_id in bundle[BUNDLE_ITEMS]})

    def part(item_id: str) -> BundlePart:
        return BundlePart(item_id=item_id, name=_name(item_id, known), in_basket=item_id in held)

    return [
        BundleOffer(**bundle | {BUNDLE_ITEMS: [part(item_id) for item_id in bundle[BUNDLE_ITEMS]]}) for bundle in kept
    ]


def _first(found: Iterator[T], fits: Callable[[Sequence[T]], list[bool]], k: int) -> list[T]:
    """The first k that fit, without a look at all of them."""
    kept: list[T] = []
    while len(kept) < k and (some := list(islice(found, LOOKED_AT))):
        kept += compress(some, fits(some))
    return kept[:k]


def _name(item_id: str, known: Mapping[str, Mapping[str, Any]]) -> str:
    return known.get(item_id, {}).get(ITEM_NAME) or item_id
