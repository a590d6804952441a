"""Every offer's value, and the best that each pair of customer and campaign may have.

Not what is likely to sell out, nothing that costs more than it brings, so many of a category for a customer, and of a
product no more than the stock can spare. None of this looks at budgets.
"""

import numpy as np
import polars as pl

from data_pipelines.schema import OVERSTOCKED, STOCKOUT_PROBABILITY
from serving.campaigns.policy import Policy
from serving.campaigns.situation import Reason, Situation
from serving.campaigns.stock_limits import SPARE_UNITS
from serving.campaigns.value import expected_value, worth_of_sale

ROUNDS = 4
"""Times that customers are moved to another product when one would be advertised to too many."""


def weigh(situation: Situation, policy: Policy, offers: pl.DataFrame) -> pl.DataFrame:
    """The best offer of every pair that has any, with its value, or why even the best must not be.

    Args:
        situation: what is known.
        policy: what holds for all campaigns.
        offers: user, campaign, item, probability.

    Returns:
        A row per pair: the columns of `offers`, uplift, worth, freshness, value, stockout_probability, overstocked,
        offers (how many there were) and reason.
    """
    row, column, item = (offers[name].to_numpy() for name in ("user", "campaign", "item"))
    worth = np.array([worth_of_sale(one, situation.items, policy.margin) for one in situation.campaigns])
    cost = np.array([one.cost for one in situation.campaigns])
    freshness = (1.0 - policy.fatigue) ** situation.history.load(policy.fatigue_half_life_days)
    stock = situation.items.select(STOCKOUT_PROBABILITY, OVERSTOCKED, SPARE_UNITS)
    uplift, worth, fresh = situation.uplift[row, column], worth[column, item], freshness[row]
    value = expected_value(offers["probability"].to_numpy(), uplift, worth, fresh, cost[column])
    refused = {
        Reason.STOCK: pl.col(STOCKOUT_PROBABILITY) > policy.stockout_limit,
        Reason.NO_PRICE: pl.col("worth").is_nan(),
        Reason.VALUE: ~(pl.col("value") > 0),
    }
    reason = pl.coalesce(
        *(pl.when(test.fill_null(False)).then(pl.lit(int(key), pl.Int8)) for key, test in refused.items()),
        pl.lit(int(Reason.CHOSEN), pl.Int8),
    )
    weighed = (
        offers.with_columns(uplift=uplift, worth=worth, freshness=fresh, value=value, category=situation.category[item])
        .with_columns(pl.col("value").fill_nan(None))
        .hstack(stock[item])
        .with_columns(reason=reason, offers=pl.len().over("user", "campaign"))
        .sort("value", "user", "campaign", "item", descending=[True, False, False, False], nulls_last=True)
    )
    weighed = _at_most_of_category(weighed, policy.offers_per_category)
    weighed = _within_spare_units(weighed)
    return _best(weighed)


def _best(weighed: pl.DataFrame) -> pl.DataFrame:
    """The best row of every pair, of those that may be if there are any; rows are sorted by value."""
    fine = pl.col("reason") == int(Reason.CHOSEN)
    rows = [weighed.filter(fine), weighed.filter(~fine)]
    return pl.concat(rows).unique(["user", "campaign"], keep="first", maintain_order=True)


def _at_most_of_category(weighed: pl.DataFrame, most: int) -> pl.DataFrame:
    """Leave so many offers of a category to every customer, the best; a campaign's own compete for one place."""
    kept = (
        weighed.filter(pl.col("reason") == int(Reason.CHOSEN))
        .unique(["user", "campaign", "category"], keep="first", maintain_order=True)
        .with_columns(rank=pl.int_range(pl.len()).over("user", "category"))
    )
    beaten = kept.filter(pl.col("rank") >= most).select("user", "campaign", "category", out=True)
    return (
        weighed.join(beaten, on=["user", "campaign", "category"], how="left", maintain_order="left")
        .with_columns(_but(pl.col("out").fill_null(False), Reason.DIVERSITY))
        .drop("out")
    )


def _within_spare_units(weighed: pl.DataFrame) -> pl.DataFrame:
    """Advertise a product to so few that they are not expected to buy more than the stock can spare.

    Those who are too many are moved to their next best product, a few times; then they are left out.
    """
    if weighed[SPARE_UNITS].null_count() == weighed.height:
        return weighed
    weighed = weighed.with_row_index("row")
    for last in (*[False] * ROUNDS, True):
        over = _too_many(weighed)
        if over.is_empty():
            break
        pairs = over.select("user", "campaign", *([] if last else ["item"]), out=True)
        weighed = (
            weighed.join(pairs, on=pairs.columns[:-1], how="left", maintain_order="left")
            .with_columns(_but(pl.col("out").fill_null(False), Reason.TOO_MANY))
            .drop("out")
        )
    return weighed.drop("row")


def _too_many(weighed: pl.DataFrame) -> pl.DataFrame:
    """Best offers of pairs beyond what the stock of their product can spare, the most valuable served first."""
    best = _best(weighed).filter(pl.col("reason") == int(Reason.CHOSEN)).sort("row")
    units = (pl.col("probability") * pl.col("uplift")).clip(0)
    return best.filter((units.cum_sum().over("item") > pl.col(SPARE_UNITS)).fill_null(False))


def _but(refused: pl.Expr, reason: Reason) -> pl.Expr:
    """The reason, where there was none yet."""
    first = refused & (pl.col("reason") == int(Reason.CHOSEN))
    return pl.when(first).then(pl.lit(int(reason), pl.Int8)).otherwise(pl.col("reason")).alias("reason")
