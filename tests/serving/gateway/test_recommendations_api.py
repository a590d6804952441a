"""Recommendations over HTTP: the shop's rules, reasons, and what happens when the model does not answer."""

import asyncio

import polars as pl
import pytest

from serving.gateway.event_store import StoreError
from tests.serving.gateway.conftest import NOW
from tests.serving.gateway.fake_client import CATALOGUE, FakeServingError


def recommend(gateway, **more):
    answer = gateway.post("/v1/recommendations", json={"user_id": "ann", **more})
    assert answer.status_code == 200, answer.text
    return answer.json()


def ids(answer) -> list[str]:
    return [item["item_id"] for item in answer["items"]]


def act(gateway, item: str, kind: str, ago: float = 0.0) -> None:
    event = {"user_id": "ann", "item_id": item, "event_type": kind, "timestamp": NOW - ago}
    assert gateway.post("/v1/events", json=event).json()["accepted"] == 1


def test_the_answer_has_score_attributes_version_and_request_id(gateway):
    answer = gateway.post("/v1/recommendations", json={"user_id": "ann", "k": 2}, headers={"x-request-id": "abc-1"})
    assert answer.json() == {
        "items": [
            {
                "item_id": "item0",
                "score": 1.0,
                "reason": "Popular with customers of this shop.",
                "reason_code": "popular",
                "attributes": {
                    "name": "Thing A",
                    "kind": "fruit",
                    "brand": "north",
                    "price": 0.0,
                    "tags": ["new", "sale"],
                    "item_name": "Thing A",
                },
            },
            {
                "item_id": "item1",
                "score": 0.5,
                "reason": "Popular with customers of this shop.",
                "reason_code": "popular",
                "attributes": {
                    "name": "Thing B",
                    "kind": "drink",
                    "brand": "south",
                    "price": 1.0,
                    "tags": ["new", "sale"],
                    "item_name": "Thing B",
                },
            },
        ],
        "fallback": False,
        "model_version": 3,
        "request_id": "abc-1",
    }


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        ({"kind": "drink"}, [1, 3, 5, 7, 9]),
        ({"kind": ["drink", "fruit"]}, range(10)),
        ({"kind": "drink", "brand": ["north", "west"]}, [3, 5, 9]),  # north is 0 3 6 9, west is 2 5 8
        ({"price": 4}, [4]),
        ({"price": [4.0, 5]}, [4, 5]),
        ({"tags": "new"}, [0, 1]),
        ({"tags": ["sale", "old"]}, [0, 1, *range(3, 10)]),
        ({"kind": "none"}, []),
        ({"kind": []}, []),
        ({"price": "cheap"}, []),
        ({}, range(10)),
    ],
)
def test_filters_take_any_of_the_values_of_every_attribute(gateway, filters, expected):
    assert ids(recommend(gateway, k=10, filters=filters)) == [CATALOGUE[number] for number in expected]


def test_an_unknown_attribute_is_told_with_those_that_there_are(gateway):
    answer = gateway.post("/v1/recommendations", json={"user_id": "ann", "filters": {"color": "red"}})
    assert answer.status_code == 422
    message = "filters: no attribute 'color'; there are: name, kind, brand, price, tags"
    assert answer.json()["detail"][0]["msg"] == message


def test_what_is_out_of_stock_is_left_out_and_the_model_is_asked_for_more(start, tmp_path, fake):
    stock = tmp_path / "stock.csv"
    here = [0, 0, 5, 0, 1, 0, 0, 0, None]
    pl.DataFrame({"unique_id": CATALOGUE[:9], "on_hand": here}).write_csv(stock)
    gateway = start(stock=stock)
    # there: item2, item4, and item9, which the table does not name
    assert ids(recommend(gateway, k=2)) == ["item2", "item4"]
    assert ids(recommend(gateway, k=5)) == ["item2", "item4", "item9"]
    assert ids(recommend(gateway, k=2, in_stock_only=False)) == ["item0", "item1"]
    assert all(len(asked["exclude"][0]) == 0 for asked in fake.asked)


def test_an_item_is_in_stock_where_any_store_has_it(start, tmp_path):
    stock = tmp_path / "plan.parquet"
    pl.DataFrame(
        {"unique_id": ["item0@a", "item0@b", "item1@a", "item1@b"], "on_hand": [0.0, 2.0, 0.0, 0.0]}
    ).write_parquet(stock)
    assert ids(recommend(start(stock=stock), k=3)) == ["item0", "item2", "item3"]


def test_a_filter_of_few_items_is_found_with_few_questions(start, fake, tmp_path):
    fake.catalogue = tuple(f"i{number}" for number in range(5000))
    path = tmp_path / "items.parquet"
    pl.DataFrame({"item_id": fake.catalogue, "rare": [number % 500 == 499 for number in range(5000)]}).write_parquet(
        path
    )
    gateway = start()
    assert ids(recommend(gateway, k=3, filters={"rare": True})) == ["i499", "i999", "i1499"]
    assert len(fake.asked) <= 2
    fake.asked.clear()
    assert len(ids(recommend(gateway, k=11, filters={"rare": True}))) == 10  # all there are
    assert len(fake.asked) <= 2


@pytest.mark.parametrize(
    ("seen", "expected"),
    [("none", ["item8", "item7", "item0"]), ("purchased", ["item7", "item0", "item1"]), ("all", [*CATALOGUE[:3]])],
)
def test_what_was_seen_is_left_out_if_asked(gateway, seen, expected):
    act(gateway, "item7", "view", ago=60)
    act(gateway, "item8", "purchase", ago=30)
    assert ids(recommend(gateway, k=3, exclude_seen=seen)) == expected


def test_excluded_items_are_left_out_also_where_the_server_ignores_it(gateway, fake):
    assert ids(recommend(gateway, k=2, exclude=["item0", "nonsense"])) == ["item1", "item2"]
    assert fake.asked[-1]["exclude"] == [["item0", "nonsense"]]


def test_context_counts_for_this_request_only_and_by_time(gateway, fake):
    act(gateway, "item5", "view", ago=100)
    context = [{"item_id": "item6"}, {"item_id": "item4", "event_type": "cart", "timestamp": NOW - 200}]
    assert ids(recommend(gateway, k=3, context=context)) == ["item6", "item5", "item4"]
    history = fake.asked[-1]["histories"][0]
    assert history.event_type == ["add_to_cart", "view", "view"]
    assert history.timestamp == [int(NOW) - 200, int(NOW) - 100, int(NOW)]
    assert ids(recommend(gateway, k=3)) == ["item5", "item0", "item1"]


def test_history_and_context_together_are_no_longer_than_the_model_may_see(start, fake):
    gateway = start(history_length=3)
    for number in range(3):
        act(gateway, f"item{number}", "view", ago=10 - number)
    recommend(gateway, context=[{"item_id": "item9"}])
    assert fake.asked[-1]["histories"][0].item_id == ["item1", "item2", "item9"]


def test_reasons_are_facts(gateway):
    act(gateway, "item1", "purchase", ago=3 * 86_400)
    act(gateway, "item1", "purchase", ago=86_400)
    act(gateway, "item4", "click", ago=40)
    act(gateway, "item3", "cart", ago=30)
    act(gateway, "item2", "view", ago=20)
    answer = recommend(gateway, k=8)
    reasons = {item["item_id"]: (item["reason_code"], item["reason"]) for item in answer["items"]}
    assert reasons["item1"] == ("bought_before", "You bought it 2 times, last on 2026-01-30.")
    assert reasons["item4"] == ("clicked", "You clicked it on 2026-01-31.")
    assert reasons["item3"] == ("in_cart", "You put it into the cart on 2026-01-31.")
    assert reasons["item2"] == ("viewed", "You viewed it on 2026-01-31.")
    # brand has three values, kind only two: brand is the telling one. item5 is west, as item2 (Thing C), seen last
    text = "Same brand (west) as Thing C, which you viewed on 2026-01-31."
    assert reasons["item5"] == ("shares_attribute", text)
    text = "Same brand (north) as Thing D, which you put into the cart on 2026-01-31."
    assert reasons["item0"] == ("shares_attribute", text)


def test_popular_items_are_called_popular(gateway, fake):
    act(gateway, "item1", "purchase")
    fake.fallback = True
    answer = recommend(gateway, k=2)
    assert answer["fallback"] is True
    assert answer["model_version"] is None
    assert {item["reason"] for item in answer["items"]} == {"Popular with customers of this shop."}


def test_without_a_catalogue_items_are_recommended_as_they_are(start):
    gateway = start(catalogue=False)
    answer = recommend(gateway, k=1)
    assert answer["items"][0]["attributes"] == {}
    refused = gateway.post("/v1/recommendations", json={"user_id": "ann", "filters": {"kind": "fruit"}})
    assert refused.json()["detail"][0]["msg"] == "filters: no attribute 'kind'; there are: (none)"


def test_model_and_label_are_passed_on(start, fake):
    recommend(start(label="stable", recommender="other"))
    assert (fake.asked[-1]["label"], fake.asked[-1]["model"]) == ("stable", "other")


@pytest.mark.parametrize(
    ("code", "status"),
    [
        ("UNAVAILABLE", 503),
        ("RESOURCE_EXHAUSTED", 503),
        ("NOT_FOUND", 503),
        ("DEADLINE_EXCEEDED", 504),
        ("INVALID_ARGUMENT", 503),
        ("INTERNAL", 502),
    ],
)
def test_errors_of_the_model_server_are_told_as_what_they_are(gateway, fake, code, status):
    fake.error = FakeServingError(code, "item_id: wrong")
    answer = gateway.post("/v1/recommendations", json={"user_id": "ann"})
    assert answer.status_code == status
    assert ("retry-after" in answer.headers) == (status == 503)
    assert "item_id: wrong" not in answer.text


@pytest.mark.parametrize(
    ("code", "settings_wrong"), [("UNAVAILABLE", False), ("NOT_FOUND", True), ("INVALID_ARGUMENT", True)]
)
def test_popular_items_take_the_place_of_a_model_that_is_not_there(start, fake, caplog, code, settings_wrong):
    gateway = start(popular=["item5", "item4", "item3"], label="nope")
    fake.error = FakeServingError(code, "Unrecognized servable version label: nope")
    answer = recommend(gateway, k=2, exclude=["item4"])
    assert (ids(answer), answer["fallback"], answer["model_version"]) == (["item5", "item3"], True, None)
    told = [one for one in caplog.records if one.levelname == "ERROR"]
    assert [one.label for one in told] == ["nope"] * settings_wrong


@pytest.mark.parametrize("hangs", [False, True])
def test_without_the_store_customers_are_taken_for_new_ones(start, fake, monkeypatch, hangs):
    gateway = start(history_timeout_seconds=0.05)
    act(gateway, "item5", "view")

    async def gone(user_ids):
        await asyncio.sleep(60 * hangs)
        raise StoreError("gone")

    monkeypatch.setattr(gateway.app.state.gateway.store, "history", gone)
    answer = recommend(gateway, k=2, context=[{"item_id": "item6"}])
    assert (ids(answer), answer["fallback"], answer["model_version"]) == (["item6", "item0"], True, 3)
    assert fake.asked[-1]["histories"][0].item_id == ["item6"]
    assert 'recommendations_total{source="fallback"} 2.0' in gateway.get("/metrics").text


@pytest.mark.parametrize(
    "change",
    [
        {"k": 0},
        {"k": 501},
        {"k": "ten"},
        {"k": 2.5},
        {"k": 10**30},
        {"user_id": ""},
        {"exclude": ["x"] * 1001},
        {"exclude_seen": "some"},
        {"filters": {"kind": {"a": 1}}},
        {"filters": {"kind": [["fruit"]]}},
        {"context": [{"item_id": "item0", "timestamp": "x"}]},
        {"exclude_sen": "all"},
    ],
)
def test_wrong_requests_are_refused(gateway, fake, change):
    answer = gateway.post("/v1/recommendations", json={"user_id": "ann", **change})
    assert answer.status_code == 422
    assert not fake.asked
