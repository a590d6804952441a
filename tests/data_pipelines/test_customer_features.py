"""A shop of three customers whose features are computed by hand.

    anna  2024-01-01 10:00 UTC (Mon)  basket A: 2 tea at 3.00 (promoted), 1 bread at 2.00, by web
          2024-01-06 20:00 UTC (Sat)  basket B: 1 tea at 5.00, 1.00 off, by app
    bert  2024-01-03 03:00 UTC (Wed)  basket C: 1 milk at 1.00, by web
    cora  looks at tea twice, buys nothing

tea and milk are drinks, bread is food; anna looked at six things.
"""

from collections.abc import Callable
from datetime import date, datetime

import narwhals as nw
import numpy as np
import polars as pl
import pytest

from data_pipelines.customer_features import FEATURES, FeatureColumns, ShopTables, customer_features, numeric_features
from data_pipelines.frames import Lazy

UNTIL = datetime(2024, 1, 11)
COLUMNS = FeatureColumns(category="category", brand="brand", discounts=("discount",))
Engine = Callable[[pl.DataFrame], Lazy]


def events() -> pl.DataFrame:
    bought = [
        ("anna", "tea", "purchase", datetime(2024, 1, 1, 10), "A", 2, 3.0, 0.0, "web"),
        ("anna", "bread", "purchase", datetime(2024, 1, 1, 10), "A", 1, 2.0, 0.0, "web"),
        ("anna", "tea", "purchase", datetime(2024, 1, 6, 20), "B", None, 5.0, 1.0, "app"),
        ("bert", "milk", "purchase", datetime(2024, 1, 3, 3), "C", 1, 1.0, 0.0, "web"),
    ]
    looked = [("anna", "tea", "view", datetime(2024, 1, 1, 9, minute), *[None] * 5) for minute in range(6)]
    looked += [("cora", "tea", "click", datetime(2024, 1, 2, 9, minute), *[None] * 5) for minute in range(2)]
    names = ["user_id", "item_id", "event_type", "timestamp", "basket_id", "quantity", "price", "discount", "channel"]
    kinds = {"timestamp": pl.Datetime("us"), "quantity": pl.Int64, "price": pl.Float64, "discount": pl.Float64}
    return pl.DataFrame(bought + looked, names, orient="row", schema_overrides=kinds, infer_schema_length=None)


def items() -> pl.DataFrame:
    return pl.DataFrame(
        {
            "item_id": ["tea", "bread", "milk"],
            "category": ["drinks", "food", "drinks"],
            "brand": ["Leaf", "Oven", "Leaf"],
        }
    )


def promotions() -> pl.DataFrame:
    rows = {"item_id": ["tea", "tea", "milk"], "week_start": [date(2024, 1, 1), date(2024, 1, 8), date(2024, 1, 1)]}
    return pl.DataFrame(rows | {"mailer_share": [1.0, 1.0, 0.4]})


def features(
    to: Callable[[pl.DataFrame], Lazy] = lambda table: nw.from_native(table.lazy()),
    *,
    log: pl.DataFrame | None = None,
    columns: FeatureColumns = COLUMNS,
    until: datetime = UNTIL,
) -> pl.DataFrame:
    users = pl.DataFrame({"user_id": ["anna", "bert", "cora", "dora"]})
    tables = ShopTables(*(to(table) for table in (events() if log is None else log, items(), users, promotions())))
    return customer_features(tables, columns, until).collect("polars").to_native()


EXPECTED = {
    # anna's baskets: 10 and 4 days 4 hours before the 11th begins
    "tenure_days": 9 + 14 / 24,
    "recency_days": 4 + 4 / 24,
    "frequency": 2,
    "monetary": 13.0,  # 2 × 3 + 2 + 5
    "basket_size": 2.0,  # 3 and 1 units; a missing quantity is 1
    "basket_value": 6.5,
    "top_category": "drinks",
    "category_share": 2 / 3,  # of 3 lines
    "top_brand": "Leaf",
    "top_brand_share": 2 / 3,
    "repeat_share": 1 / 3,  # 3 lines of 2 products
    # drinks: (6 + 5 + 1) ÷ 4 units = 3.00 each, food 2.00: 13 ÷ (3 × 3 + 1 × 2)
    "price_index": 13 / 11,
    # median of tea 4.00, of bread 2.00: 13 ÷ (3 × 4 + 2)
    "paid_index": 13 / 14,
    "promotion_share": 2 / 3,  # both lines of tea are in the first week; bread is never promoted
    "discount_share": 1 / 14,  # 1 off 14
    "night_share": 0.0,
    "morning_share": 0.5,
    "afternoon_share": 0.0,
    "evening_share": 0.5,
    "weekend_share": 0.5,
    "browse_to_buy": 2.0,  # 6 looks, 3 lines
    "channel_share_app": 0.5,
    "channel_share_web": 0.5,
}


def test_features_by_hand(engine: Engine) -> None:
    table = features(engine)
    assert table.columns == ["user_id", *FEATURES, "channel_share_app", "channel_share_web"]
    assert table["user_id"].to_list() == ["anna", "bert", "cora", "dora"]
    anna = table.row(0, named=True)
    for name, value in EXPECTED.items():
        assert anna[name] == (value if isinstance(value, str) else pytest.approx(value, abs=1e-6)), name


def test_who_did_not_buy_has_frequency_0_and_nulls() -> None:
    for row in features().filter(pl.col("user_id").is_in(["cora", "dora"])).iter_rows(named=True):
        assert row.pop("frequency") == 0
        assert set(row.values()) == {row["user_id"], None}


def test_times_of_day_are_the_shops_own() -> None:
    # 03:00 UTC on the 3rd is 22:00 on the 2nd in New York, so bert is no night owl
    bert = features(columns=FeatureColumns(time_zone="America/New_York")).row(1, named=True)
    assert (bert["night_share"], bert["evening_share"]) == (0.0, 1.0)
    assert features().row(1, named=True)["night_share"] == 1.0


def test_nothing_from_the_moment_on_is_read() -> None:
    # the 6th at 20:00 is anna's second basket: excluded when it is the moment itself
    moment = datetime(2024, 1, 6, 20)
    later = features(until=moment)
    assert later.equals(features(log=events().filter(pl.col("timestamp") < moment), until=moment))
    assert later.row(0, named=True)["frequency"] == 1
    assert later.row(0, named=True)["price_index"] == pytest.approx(
        8 / (2 * 7 / 3 + 2), abs=1e-6
    )  # drinks (6 + 1) ÷ 3 units


def test_what_the_source_lacks_is_null() -> None:
    log = events().filter(event_type="purchase").drop("price", "quantity", "channel", "basket_id", "discount")
    table = features(log=log, columns=FeatureColumns())
    lacking = ["monetary", "basket_value", "top_category", "top_brand", "price_index", "paid_index", "discount_share"]
    assert table.select(pl.col([*lacking, "browse_to_buy"]).count()).row(0) == (0,) * 8
    # without a basket id what is bought at one moment is a basket
    assert table.row(0, named=True)["frequency"] == 2
    assert table.row(0, named=True)["basket_size"] == pytest.approx(1.5)
    assert not [name for name in table.columns if name.startswith("channel")]


def test_a_single_missing_price_leaves_out_that_line_only() -> None:
    # bread without a price: 11 ÷ (3 × 3) of the drinks
    log = events().with_columns(price=pl.when(pl.col("item_id") != "bread").then("price"))
    anna = features(log=log).row(0, named=True)
    assert anna["monetary"] == pytest.approx(11.0)
    assert anna["price_index"] == pytest.approx(11 / 9, abs=1e-6)


def test_the_order_of_the_log_does_not_matter() -> None:
    # engines add up in any order; cents ÷ 32 baskets end in a 5 in the 7th digit, where the last bit would decide
    cents = np.random.default_rng(0).integers(1, 1000, (20, 32))
    rows = [
        (f"user {user}", "tea", "purchase", datetime(2024, 1, 1, minute=basket), value / 100)
        for user, prices in enumerate(cents.tolist())
        for basket, value in enumerate(prices)
    ]
    log = pl.DataFrame(rows, ["user_id", "item_id", "event_type", "timestamp", "price"], orient="row")
    log = log.with_columns(pl.col("timestamp").cast(pl.Datetime("us")))
    columns = FeatureColumns(category="category")
    expected = features(log=log, columns=columns)
    for seed in range(5):
        assert features(log=log.sample(fraction=1, shuffle=True, seed=seed), columns=columns).equals(expected)


def test_discounts_count_where_they_and_the_price_are_known() -> None:
    # anna: of 3.00, 2.00 and 5.00 with 1.00 off, 1 ÷ 14; without the price of the tea of basket B 0 ÷ 8
    unknown = events().with_columns(
        discount=pl.when(pl.col("item_id") == "bread").then(float("nan")).otherwise("discount")
    )
    assert features(log=unknown).row(0, named=True)["discount_share"] == pytest.approx(1 / 14, abs=1e-6)
    unpriced = events().with_columns(price=pl.when(pl.col("basket_id") != "B").then("price"))
    assert features(log=unpriced).row(0, named=True)["discount_share"] == 0.0
    assert features(log=events().with_columns(price=None))["discount_share"].null_count() == 4


def test_of_equally_frequent_categories_the_first_by_name() -> None:
    log = events().filter(pl.col("basket_id") == "A")
    assert features(log=log).row(0, named=True)["top_category"] == "drinks"


def test_text_is_no_feature_that_can_be_measured() -> None:
    assert numeric_features(["user_id", "segment", "top_brand", "monetary", "channel_share_web"]) == [
        "monetary",
        "channel_share_web",
    ]
