"""What a shop's log says of each customer, as of one moment: the features of customer profiles.

    recency, frequency, monetary    days since the last basket, baskets, spend (Hughes, "Strategic Database Marketing")
    basket                          mean units and mean spend of a basket
    preferences                     the category and the brand most lines are of, their shares; lines bought before
    price                           spend ÷ what the same units cost at the mean price of their categories, and at the
                                    median price of the very items: who chooses dear products, who waits for a low price
    promotion                       share of lines while the item was promoted; money taken off ÷ full price
    habits                          shares of baskets by local time of day, at the weekend and by channel
    browsing                        views and clicks per line bought

Nothing at or after the moment is read, so a profile can be joined to what happened later. What the source lacks is
null. Narwhals expressions: any engine computes the same table.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import reduce

import narwhals as nw

from data_pipelines import schema as s
from data_pipelines.frames import Lazy, materialise, rows
from data_pipelines.local_days import local_time, time_zone

DAY_PARTS = {s.NIGHT_SHARE: (0, 6), s.MORNING_SHARE: (6, 12), s.AFTERNOON_SHARE: (12, 18), s.EVENING_SHARE: (18, 24)}
"""Local hours, the last one excluded."""
BROWSING = (s.EventType.VIEW.value, s.EventType.CLICK.value)
SATURDAY = 6
MAX_CHANNELS = 6
"""The most common channels get a share each; a basket through another one counts in none."""


@dataclass(frozen=True)
class ShopTables:
    """The tables of a shop, on any engine.

    Args:
        events: the log, naive UTC times.
        items: the catalogue.
        users: every known user, with or without events.
        promotions: item_id, week_start and numeric columns, if the shop has them.
    """

    events: Lazy
    items: Lazy
    users: Lazy
    promotions: Lazy | None = None


@dataclass(frozen=True)
class FeatureColumns:
    """Where a source keeps what features are made of; None where it has none.

    Args:
        bought: the event types that count as bought.
        category: column of items.
        brand: column of items.
        discounts: columns of events with money taken off the line.
        promoted_from: an item is promoted in a week in which a column of promotions reaches this.
        time_zone: of the shop.
    """

    bought: tuple[str, ...] = (s.EventType.PURCHASE.value,)
    category: str | None = None
    brand: str | None = None
    discounts: tuple[str, ...] = ()
    promoted_from: float = 0.5
    time_zone: str = "UTC"


def customer_features(tables: ShopTables, columns: FeatureColumns, until: datetime) -> Lazy:
    """One row per user, sorted by user.

    Args:
        tables: the shop.
        columns: what its columns mean.
        until: naive UTC; the moment of which the features are, itself excluded.

    Returns:
        `user_id` and the features in the order of the module's description, then one `channel_share_…` per channel.
        Users without a purchase have frequency 0 and nulls.
    """
    events = tables.events.filter(nw.col(s.TIMESTAMP) < nw.lit(until))
    bought = events.filter(nw.col(s.EVENT_TYPE).is_in(columns.bought))
    local = _local(bought, columns.time_zone)
    lines = _with_items(materialise(_lines(bought, columns)), tables.items, columns)
    lines = materialise(_promoted(lines, local, tables, columns))
    baskets = materialise(_baskets(lines, local))
    activity = materialise(_activity(events, columns))
    parts = [
        _by_basket(baskets, until),
        _ratios(lines),
        *(_preference(lines, name, *into) for name, into in _PREFERENCES.items() if name in lines.collect_schema()),
    ]
    if rows(activity.select(looks=nw.col("looks").sum()))[0]["looks"]:
        ratio = nw.when(nw.col("bought") > 0).then(nw.col("looks") / nw.col("bought"))
        parts.append(activity.select(s.USER_ID, ratio.alias(s.BROWSE_TO_BUY)))
    users = nw.concat([tables.users.select(s.USER_ID), activity.select(s.USER_ID)]).unique()
    table = reduce(lambda left, right: left.join(right, on=s.USER_ID, how="left"), parts, users)
    return _completed(table)


# --- lines and baskets ---------------------------------------------------------------------------------------------


def _activity(events: Lazy, columns: FeatureColumns) -> Lazy:
    """Everybody with an event: how often they looked, and lines they bought."""
    kind = nw.col(s.EVENT_TYPE)
    flags = {"looks": kind.is_in(BROWSING), "bought": kind.is_in(columns.bought)}
    counted = events.select(s.USER_ID, **{name: nw.when(flag).then(1).otherwise(0) for name, flag in flags.items()})
    return counted.group_by(s.USER_ID).agg(nw.col("looks").sum(), nw.col("bought").sum())


def _lines(bought: Lazy, columns: FeatureColumns) -> Lazy:
    """Everything bought, a row each, with units and spend."""
    names = bought.collect_schema().names()
    price = nw.col(s.PRICE).cast(nw.Float64) if s.PRICE in names else nw.lit(None, nw.Float64)
    off = [nw.col(name).cast(nw.Float64) for name in columns.discounts]
    off = [nw.when(value.is_finite()).then(value).otherwise(0.0) for value in off]
    lines = bought.select(
        s.USER_ID,
        s.ITEM_ID,
        s.TIMESTAMP,
        *([s.CHANNEL] if s.CHANNEL in names else []),
        basket=nw.col(s.BASKET_ID) if s.BASKET_ID in names else nw.lit(None, nw.String),
        units=nw.col(s.QUANTITY).cast(nw.Float64).fill_null(1.0) if s.QUANTITY in names else nw.lit(1.0),
        price=nw.when(price.is_finite()).then(price),
        **({"discount": nw.sum_horizontal(*off)} if off else {}),
    )
    return lines.with_columns(spend=nw.col("units") * nw.col("price"))


def _with_items(lines: Lazy, items: Lazy, columns: FeatureColumns) -> Lazy:
    """Add category and brand, and what a line costs at the item's median and at its category's mean unit price."""
    attributes = {"category": columns.category, "brand": columns.brand}
    known = {name: nw.col(column).cast(nw.String) for name, column in attributes.items() if column is not None}
    units, spend = nw.col("units"), nw.col("spend")
    priced = lines.filter(~spend.is_null())
    prices = priced.group_by(s.ITEM_ID).agg(median=nw.col("price").median(), spend=_sum(spend), units=_sum(units))
    catalogue = items.select(s.ITEM_ID, **known).join(prices, on=s.ITEM_ID, how="left")
    usual = {"at_item_price": "median"}
    if columns.category is not None:
        categories = catalogue.filter(~nw.col("category").is_null()).group_by("category").agg(_sum(spend), _sum(units))
        categories = categories.filter(units > 0).select("category", mean=spend / units)
        catalogue = catalogue.join(categories, on="category", how="left")
        usual["at_category_price"] = "mean"
    lines = lines.join(catalogue.select(s.ITEM_ID, *known, *usual.values()), on=s.ITEM_ID, how="left")
    return lines.with_columns(
        **{name: nw.when(~spend.is_null()).then(units * nw.col(price)) for name, price in usual.items()}
    ).drop(*usual.values())


def _promoted(lines: Lazy, local: nw.Expr, tables: ShopTables, columns: FeatureColumns) -> Lazy:
    """Add whether the item was promoted in the week of the line, in the shop's time."""
    promotions = tables.promotions
    kinds = {} if promotions is None else promotions.collect_schema()
    numeric = [name for name, kind in kinds.items() if kind.is_numeric()]
    if promotions is None or not numeric:
        return lines
    reached = nw.max_horizontal(*(nw.col(name).cast(nw.Float64) for name in numeric)) >= columns.promoted_from
    weeks = promotions.filter(reached).select(s.ITEM_ID, week=_week(nw.col(s.WEEK_START))).unique()
    lines = lines.with_columns(week=_week(local)).join(
        weeks.with_columns(promoted=nw.lit(1.0)), on=[s.ITEM_ID, "week"], how="left"
    )
    return lines.with_columns(nw.col("promoted").fill_null(0.0)).drop("week")


def _week(day: nw.Expr) -> nw.Expr:
    """The Monday on or before a day or time."""
    day = day.cast(nw.Datetime("us")).dt.date()
    since = (day.dt.weekday() - 1).cast(nw.Int64) * nw.lit(timedelta(days=1))
    return (day.cast(nw.Datetime("us")) - since).dt.date()


def _local(bought: Lazy, zone: str) -> nw.Expr:
    """The shop's time of what was bought."""
    span = rows(bought.select(first=nw.col(s.TIMESTAMP).min(), last=nw.col(s.TIMESTAMP).max()))[0]
    if span["first"] is None:
        return nw.col(s.TIMESTAMP)
    return local_time(s.TIMESTAMP, time_zone(zone), span["first"], span["last"])


def _baskets(lines: Lazy, local: nw.Expr) -> Lazy:
    """One row per checkout; without a basket id, what a user bought at one moment."""
    key = nw.coalesce(nw.col("basket"), nw.col(s.TIMESTAMP).cast(nw.String))
    channel = {s.CHANNEL: nw.col(s.CHANNEL).min()} if s.CHANNEL in lines.collect_schema() else {}
    baskets = (
        lines.with_columns(basket=key)
        .group_by(s.USER_ID, "basket")
        .agg(
            nw.col(s.TIMESTAMP).min(),
            units=_sum(nw.col("units")),
            spend=_sum(nw.col("spend")),
            priced=nw.col("spend").count(),
            **channel,
        )
    )
    return baskets.with_columns(spend=nw.when(nw.col("priced") > 0).then(nw.col("spend")), local=local)


# --- features ------------------------------------------------------------------------------------------------------


def _by_basket(baskets: Lazy, until: datetime) -> Lazy:
    """Recency, frequency, spend, and shares of baskets by time and channel."""
    hour = nw.col("local").dt.hour()
    flags = {name: (hour >= first) & (hour < end) for name, (first, end) in DAY_PARTS.items()}
    flags[s.WEEKEND_SHARE] = nw.col("local").dt.weekday() >= SATURDAY
    if s.CHANNEL in baskets.collect_schema():
        flags |= {s.CHANNEL_SHARE + name: nw.col(s.CHANNEL) == nw.lit(name) for name in _channels(baskets)}
    shares = {name: nw.when(flag).then(nw.lit(1.0)).otherwise(nw.lit(0.0)) for name, flag in flags.items()}
    totals = (
        baskets.with_columns(**shares)
        .group_by(s.USER_ID)
        .agg(
            *(nw.col(name).mean() for name in shares),
            first=nw.col(s.TIMESTAMP).min(),
            last=nw.col(s.TIMESTAMP).max(),
            baskets=nw.len(),
            units=_sum(nw.col("units")),
            spend=_sum(nw.col("spend")),
            priced=nw.col("spend").count(),
        )
    )
    some = nw.col("priced") > 0
    return totals.select(
        s.USER_ID,
        _days(nw.lit(until) - nw.col("first")).alias(s.TENURE_DAYS),
        _days(nw.lit(until) - nw.col("last")).alias(s.RECENCY_DAYS),
        nw.col("baskets").cast(nw.Int64).alias(s.FREQUENCY),
        nw.when(some).then(nw.col("spend")).alias(s.MONETARY),
        (nw.col("units") / nw.col("baskets")).alias(s.BASKET_SIZE),
        nw.when(some).then(nw.col("spend") / nw.col("priced")).alias(s.BASKET_VALUE),
        *shares,
    )


def _days(span: nw.Expr) -> nw.Expr:
    return span.dt.total_seconds() / 86_400.0


def _ratios(lines: Lazy) -> Lazy:
    """Lines bought before, and prices and discounts as ratios of sums: dear lines weigh more than cheap ones."""
    names = lines.collect_schema().names()
    spend = nw.col("spend")
    sums = {"lines": nw.len(), "different": nw.col(s.ITEM_ID).n_unique(), "spend": _sum(spend)}
    found = {s.REPEAT_SHARE: 1.0 - nw.col("different") / nw.col("lines")}
    for into, usual in ((s.PRICE_INDEX, "at_category_price"), (s.PAID_INDEX, "at_item_price")):
        if usual in names:
            sums |= {into: _sum(nw.when(~nw.col(usual).is_null()).then(spend)), usual: _sum(nw.col(usual))}
            found[into] = _ratio(nw.col(into), nw.col(usual))
    if "promoted" in names:
        sums["promoted"] = nw.col("promoted").sum()
        found[s.PROMOTION_SHARE] = nw.col("promoted") / nw.col("lines")
    if "discount" in names:
        off = nw.col("discount").abs()  # some shops book what is taken off as a negative amount
        sums["discount"] = _sum(nw.when(~spend.is_null()).then(off))
        found[s.DISCOUNT_SHARE] = _ratio(nw.col("discount"), nw.col("discount") + nw.col("spend"))
    return lines.group_by(s.USER_ID).agg(**sums).select(s.USER_ID, **found)


def _sum(values: nw.Expr) -> nw.Expr:
    """A sum that is the same in any order of adding up, so that what is divided by it rounds the same way, too."""
    return values.sum().round(DIGITS)


def _ratio(part: nw.Expr, whole: nw.Expr) -> nw.Expr:
    return nw.when(whole > 0).then(part / whole)


_PREFERENCES = {"category": (s.TOP_CATEGORY, s.CATEGORY_SHARE), "brand": (s.TOP_BRAND, s.TOP_BRAND_SHARE)}


def _preference(lines: Lazy, name: str, top: str, share: str) -> Lazy:
    """The value that most lines have, the first by alphabet where several do, and its share of the lines with any."""
    counts = lines.filter(~nw.col(name).is_null()).group_by(s.USER_ID, name).agg(lines=nw.len())
    count = nw.col("lines")
    users = counts.group_by(s.USER_ID).agg(most=count.max(), total=count.sum())
    best = counts.join(users, on=s.USER_ID, how="inner").filter(count == nw.col("most"))
    found = best.group_by(s.USER_ID).agg(nw.col(name).min(), nw.col("most").max(), nw.col("total").max())
    return found.select(s.USER_ID, nw.col(name).alias(top), (nw.col("most") / nw.col("total")).alias(share))


def _channels(baskets: Lazy) -> list[str]:
    """The most common ones, by name."""
    counts = rows(baskets.filter(~nw.col(s.CHANNEL).is_null()).group_by(s.CHANNEL).agg(baskets=nw.len()))
    common = sorted(counts, key=lambda row: (-row["baskets"], row[s.CHANNEL]))[:MAX_CHANNELS]
    return sorted(str(row[s.CHANNEL]) for row in common)


# --- the table -----------------------------------------------------------------------------------------------------

DIGITS = 6
TEXTS = (s.TOP_CATEGORY, s.TOP_BRAND)
FEATURES = (
    s.TENURE_DAYS,
    s.RECENCY_DAYS,
    s.FREQUENCY,
    s.MONETARY,
    s.BASKET_SIZE,
    s.BASKET_VALUE,
    s.TOP_CATEGORY,
    s.CATEGORY_SHARE,
    s.TOP_BRAND,
    s.TOP_BRAND_SHARE,
    s.REPEAT_SHARE,
    s.PRICE_INDEX,
    s.PAID_INDEX,
    s.PROMOTION_SHARE,
    s.DISCOUNT_SHARE,
    *DAY_PARTS,
    s.WEEKEND_SHARE,
    s.BROWSE_TO_BUY,
)


def _completed(table: Lazy) -> Lazy:
    """Every feature in its place, null where the source lacks it.

    Rounded, because engines differ in the last digits.
    """
    there = table.collect_schema().names()
    kinds = {name: nw.String if name in TEXTS else nw.Float64 for name in FEATURES}
    lacking = {name: nw.lit(None, kind) for name, kind in kinds.items() if name not in there}
    channels = [name for name in there if name.startswith(s.CHANNEL_SHARE)]
    table = table.with_columns(nw.col(s.FREQUENCY).fill_null(0).cast(nw.Int64), **lacking)
    whole = (s.USER_ID, s.FREQUENCY, *TEXTS)
    columns = (s.USER_ID, *FEATURES, *channels)
    return table.select(*(nw.col(name) if name in whole else nw.col(name).round(DIGITS) for name in columns)).sort(
        s.USER_ID
    )


def numeric_features(names: Sequence[str]) -> list[str]:
    """Of the columns of a profile table, those that are measured."""
    known = [name for name in FEATURES if name not in TEXTS]
    return [name for name in names if name in known or name.startswith(s.CHANNEL_SHARE)]
