"""Settings of `supplytower rules mine`."""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from data_pipelines.schema import InputError

LEVELS = ("item", "category")
MIN_SUPPORT = {"item": 0.0002, "category": 0.01}


@dataclass(frozen=True)
class RulesConfig:
    """Which rules are looked for, and which are believed."""

    level: Literal["item", "category", "both"] = "both"
    """Rules between items, between categories of items, or both, each among themselves."""
    category: str | None = None
    """Column of the catalogue that says an item's category (null: category, product_category or department)."""
    until: datetime | None = None
    """Only baskets before this time (UTC), e.g. to try the rules on later ones."""
    min_support: float | None = None
    """Share of the baskets that hold antecedent and consequent (null: 0.0002 for items, 0.01 for categories)."""
    min_baskets: int = 20
    """But at least so many baskets."""
    min_confidence: float = 0.1
    """Share of the baskets with the antecedent that hold the consequent too."""
    min_lift: float = 1.2
    """Confidence over the consequent's share of all baskets."""
    max_length: int = 3
    """Things in the longest rule, antecedent and consequent together."""
    max_consequent: int = 1
    """Things in the longest consequent."""
    significance: float = 0.05
    """What the corrected p-value may be, see `correction`."""
    correction: Literal["layered", "false-discovery", "none"] = "layered"
    """For the many rules that could have been found: `layered` bounds the probability of any chance rule among the
    accepted, `false-discovery` (Benjamini-Yekutieli) their expected share, `none` is for comparisons."""
    min_lift_same_size: float = 1.1
    """Lift among baskets of about the same size: large trips hold everything, which is no reason to advertise it
    together (0: no bound)."""
    min_improvement: float = 1.1
    """How many times the lift among baskets of the same size must grow with every thing that an antecedent has more
    (0: no bound)."""
    min_customers: int = 10
    """Customers who had antecedent and consequent in one basket: fewer are their habit, not the shop's rule."""
    algorithm: Literal["matrix", "fp-growth", "apriori"] = "matrix"
    """How frequent sets are found: sparse matrix products, or mlxtend's, slower and with the same answer."""

    def __post_init__(self) -> None:
        shares = {"min_support": self.min_support, "min_confidence": self.min_confidence}
        for name, share in (shares | {"significance": self.significance}).items():
            if share is not None and not 0 < share <= 1:
                raise InputError(f"{name}={share}: must be above 0 and at most 1")
        for name, least in {"min_baskets": 1, "max_length": 2, "max_consequent": 1, "min_customers": 1}.items():
            if getattr(self, name) < least:
                raise InputError(f"{name}={getattr(self, name)}: must be at least {least}")
        for name in ("min_lift", "min_lift_same_size", "min_improvement"):
            if getattr(self, name) < 0:
                raise InputError(f"{name}={getattr(self, name)}: must be at least 0")
        if self.max_consequent >= self.max_length:
            raise InputError(
                f"max_consequent={self.max_consequent}: must be below max_length={self.max_length}, or nothing is left "
                "for the antecedent"
            )

    @property
    def levels(self) -> tuple[str, ...]:
        """The levels to mine."""
        return LEVELS if self.level == "both" else (self.level,)

    def least_baskets(self, level: str, n_baskets: int) -> int:
        """Baskets that make a set of a level frequent."""
        share = MIN_SUPPORT[level] if self.min_support is None else self.min_support
        # Rounded first: 0.1 of 30 baskets are 3.0000000000000004.
        return max(self.min_baskets, -int(-round(share * n_baskets, 6) // 1))
