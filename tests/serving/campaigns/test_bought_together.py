"""Offers that rules call for, on a toy kitchen and beside what the definition says, one customer at a time."""

from datetime import date, datetime, timedelta
from unittest.mock import patch

import numpy as np
import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st

from serving.basket_rules import read_rules
from serving.campaigns import bought_together
from serving.campaigns.bought_together import suggestions, told, with_rules
from serving.campaigns.campaign import Campaign
from tests.serving.basket_rules_folder import write_rules

AT = datetime(2024, 3, 1, 12)
ITEMS = pl.Series("item_id", ["pasta", "sauce", "wine", "cheese"])
KITCHEN = [
    ("item", ["pasta"], ["sauce"], 0.5, 4.0),  # weight 0.5 √4 = 1
    ("item", ["pasta", "wine"], ["cheese"], 0.6, 9.0),  # 1.8
    ("item", ["pasta"], ["cheese"], 0.2, 4.0),  # 0.4
    ("item", ["pasta"], ["gone"], 0.9, 9.0),  # nothing that the shop still has
    ("item", ["gone"], ["wine"], 0.9, 9.0),
    ("item", ["sauce"], ["wine", "cheese"], 0.9, 9.0),  # two at once
    ("category", ["pasta"], ["wine"], 0.9, 9.0),
]


def campaign(offers: str) -> Campaign:
    day = date(2024, 3, 1)
    return Campaign(offers.replace("_", "-"), "email", day, day, 1.0, cost_per_contact=0.1, offers=offers)


def bought(*rows: tuple[int, int, float]) -> pl.DataFrame:
    """user, item, days ago."""
    events = [(user, item, "purchase", AT - timedelta(days=days)) for user, item, days in rows]
    schema = {"user": pl.Int64, "item": pl.Int64, "event_type": pl.String, "timestamp": pl.Datetime("us")}
    return pl.DataFrame(events, schema=schema, orient="row")


def called(rules, events, passed=None, assortment=None, most: int = 9) -> list[tuple[int, str, float]]:
    passed = np.ones((4, 1), bool) if passed is None else passed
    assortment = np.ones((1, len(ITEMS)), bool) if assortment is None else assortment
    found = suggestions(rules, ITEMS, events, AT, [campaign("bought_together")], passed, assortment, most)
    return [(user, ITEMS[item], rules["confidence"][rule]) for user, _, item, rule in found.iter_rows()]


def test_a_kitchen(tmp_path):
    rules = read_rules(write_rules(tmp_path, KITCHEN))
    events = bought((0, 0, 1), (0, 2, 20), (1, 0, 29), (2, 0, 1), (2, 1, 3), (3, 0, 2), (3, 0, 3))
    # 0 has pasta and wine: cheese by both rules, the better one counts; 1 bought pasta too long ago; 2 has the sauce
    assert called(rules, events) == [
        (0, "cheese", 0.6),
        (0, "sauce", 0.5),
        (3, "sauce", 0.5),
        (2, "cheese", 0.2),
        (3, "cheese", 0.2),
    ]
    only_last = np.array([[False], [False], [False], [True]])
    assert [user for user, *_ in called(rules, events, passed=only_last)] == [3, 3]
    no_sauce = np.array([[True, False, True, True]])
    assert called(rules, events, assortment=no_sauce) == [(0, "cheese", 0.6), (2, "cheese", 0.2), (3, "cheese", 0.2)]
    assert called(rules, events, most=1) == [(0, "cheese", 0.6), (3, "sauce", 0.5), (2, "cheese", 0.2)]
    assert called(rules, events, most=0) == []
    views = events.with_columns(event_type=pl.lit("view"))
    assert called(rules, views) == []
    assert called(rules, events.clear()) == []


def test_without_a_campaign_that_asks_nothing_is_looked_up(tmp_path):
    rules = read_rules(write_rules(tmp_path, KITCHEN))
    one, all_ = np.ones((1, 1), bool), np.ones((1, len(ITEMS)), bool)
    assert suggestions(rules, ITEMS, bought((0, 0, 1)), AT, [campaign("catalogue")], one, all_, 9) is None
    offers = pl.DataFrame({"user": [0], "campaign": [0], "item": [1], "probability": [0.5]})
    assert with_rules(offers, None, [campaign("catalogue")]).equals(offers)
    assert [column.to_list() for column in told(offers, rules)] == [[None]] * 3


def test_offers_tell_their_rule(tmp_path):
    rules = read_rules(write_rules(tmp_path, KITCHEN))
    campaigns = [campaign("catalogue"), campaign("bought_together")]
    both, all_ = np.ones((1, 2), bool), np.ones((2, len(ITEMS)), bool)
    found = suggestions(rules, ITEMS, bought((0, 0, 1)), AT, campaigns, both, all_, 9)
    offers = pl.DataFrame({"user": [0, 0, 0], "campaign": [0, 1, 1], "item": [1, 1, 2], "probability": 0.5})
    kept = with_rules(offers, found, campaigns)
    assert kept.select("campaign", "item").rows() == [(0, 1), (1, 1)]  # no rule calls for wine
    assert [column.to_list() for column in told(kept, rules)] == [[None, "pasta"], [None, 0.5], [None, 4.0]]


things = st.integers(0, len(ITEMS) - 1)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(st.sets(things, min_size=1, max_size=3), things), min_size=1, max_size=12),
    st.lists(st.tuples(st.integers(0, 3), things, st.integers(1, 40)), max_size=25),
)
def test_as_by_definition(tmp_path_factory, sides, purchases):
    rows = [
        ("item", [ITEMS[one] for one in sorted(needed)], [ITEMS[gives]], 1 / (2 + number), 4.0)
        for number, (needed, gives) in enumerate(sides)
    ]
    rules = read_rules(write_rules(tmp_path_factory.mktemp("rules"), rows))
    expected = {}
    for user in range(4):
        lately = {item for who, item, days in purchases if who == user and days <= 28}
        for number, (needed, gives) in enumerate(sides):  # the first are the best
            if needed <= lately and gives not in lately:
                expected.setdefault((user, ITEMS[gives]), 1 / (2 + number))
    with patch.object(bought_together, "CUSTOMERS_AT_ONCE", 3):  # so that four are two lots
        found = {(user, item): confidence for user, item, confidence in called(rules, bought(*purchases))}
    assert found == expected
