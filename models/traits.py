"""The traits of a customer that segments are made of and named by: theme, scale and words of every feature.

Themes weigh alike in a segmentation, however many features they have: twenty ways to say how much somebody buys must
not drown the one that says when.
"""

from dataclasses import dataclass

from data_pipelines import schema as s


@dataclass(frozen=True)
class Trait:
    """One feature of a profile.

    Args:
        name: the column.
        theme: what it is about.
        high: in words, of customers with more of it than the average.
        low: with less.
        skewed: a count or an amount of money: customers differ by factors, so its logarithm is compared.
        ratio: an average over the customer's baskets, which says little of a customer with few.
    """

    name: str
    theme: str
    high: str
    low: str
    skewed: bool = False
    ratio: bool = True


TRAITS = (
    Trait(s.RECENCY_DAYS, "value", "not seen lately", "here lately", skewed=True, ratio=False),
    Trait(s.FREQUENCY, "value", "buys often", "buys rarely", skewed=True, ratio=False),
    Trait(s.MONETARY, "value", "spends much", "spends little", skewed=True, ratio=False),
    Trait(s.BASKET_SIZE, "basket", "large baskets", "small baskets", skewed=True),
    Trait(s.BASKET_VALUE, "basket", "high-value baskets", "low-value baskets", skewed=True),
    Trait(s.CATEGORY_SHARE, "range", "keeps to one category", "buys across categories"),
    Trait(s.REPEAT_SHARE, "range", "buys the same again", "seldom buys the same again"),
    Trait(s.TOP_BRAND_SHARE, "brand", "keeps to one brand", "mixes brands"),
    Trait(s.PRICE_INDEX, "price", "chooses dear products", "chooses cheap products"),
    Trait(s.PAID_INDEX, "price", "pays full prices", "buys when the price is low"),
    Trait(s.PROMOTION_SHARE, "promotion", "follows promotions", "ignores promotions"),
    Trait(s.DISCOUNT_SHARE, "promotion", "takes discounts", "takes few discounts"),
    Trait(s.NIGHT_SHARE, "time of day", "shops at night", "never shops at night"),
    Trait(s.MORNING_SHARE, "time of day", "shops in the morning", "seldom shops in the morning"),
    Trait(s.AFTERNOON_SHARE, "time of day", "shops in the afternoon", "seldom shops in the afternoon"),
    Trait(s.EVENING_SHARE, "time of day", "shops in the evening", "seldom shops in the evening"),
    Trait(s.WEEKEND_SHARE, "weekday", "shops at the weekend", "shops on working days"),
    Trait(s.BROWSE_TO_BUY, "browsing", "browses often", "buys without browsing", skewed=True),
)
KNOWN = {trait.name: trait for trait in TRAITS}


def trait_of(name: str) -> Trait:
    """The trait of a profile's column, channels included.

    Raises:
        KeyError: if the column is none that segments are made of.
    """
    if name.startswith(s.CHANNEL_SHARE):
        channel = name.removeprefix(s.CHANNEL_SHARE)
        return Trait(name, "channel", f"buys by {channel}", f"seldom buys by {channel}")
    return KNOWN[name]


def is_trait(name: str) -> bool:
    """Whether segments can be made of a column."""
    return name in KNOWN or name.startswith(s.CHANNEL_SHARE)
