"""What is asked and answered about what is bought together, with the examples that the documentation shows."""

from typing import Any

from pydantic import BaseModel, Field

from serving.gateway.messages import Asked, Filters, Identifier


class BoughtTogetherAsked(Asked):
    """A basket, or the product that is looked at."""

    items: list[Identifier] = Field(max_length=1000, description="in the basket; what no rule knows is passed over")
    k: int = Field(10, ge=1, description="items wanted, and bundles at the most")
    filters: Filters
    in_stock_only: bool = True


BOUGHT_TOGETHER_EXAMPLES: dict[str, Any] = {
    "product": {"summary": "beside a product", "value": {"items": ["1098066"]}},
    "basket": {
        "summary": "for a basket",
        "value": {"items": ["1098066", "1049998"], "k": 3, "filters": {}, "in_stock_only": True},
    },
}


class RuleTold(BaseModel):
    """The rule that speaks most for an item."""

    antecedent: list[str] = Field(description="what has to lie in the basket")
    confidence: float = Field(description="share of the baskets with the antecedent that hold the item")
    lift: float = Field(description="that share over the item's share of all baskets")


class GoesWith(BaseModel):
    """An item that goes with the basket, and why."""

    item_id: str
    name: str = Field(description="its id where the catalogue has none")
    score: float = Field(description="confidence · √lift, added up over the rules that speak for it")
    reason: str
    rule: RuleTold


class BundlePart(BaseModel):
    """One of the items of a bundle."""

    item_id: str
    name: str
    in_basket: bool


class BundleOffer(BaseModel):
    """Items each of which calls for the others, to offer together."""

    items: list[BundlePart]
    price: float | None = Field(description="of one of each; null if it is not known of all")
    margin: float | None = Field(
        description="price less unit cost: what a discount can take at most; null if it is not known of all"
    )
    baskets: int = Field(description="that held all of it when the rules were mined")
    lift: float = Field(description="how many times as many as if its items had nothing to do with each other")


class BoughtTogetherAnswer(BaseModel):
    """What goes with the basket, best first; fewer than asked for, or nothing, where no more rules speak."""

    items: list[GoesWith]
    bundles: list[BundleOffer] = Field(description="that lie in the basket in part, with all their items in stock")
    request_id: str
