"""`POST /v1/bought-together`: what goes with a basket, by rules and what the shop has."""

import time

import polars as pl
import pytest

from tests.serving.basket_rules_folder import RULES, write_bundles, write_rules

BOTH = ["item0", "item2"]


def ask(gateway, items, **more):
    answer = gateway.post("/v1/bought-together", json={"items": items, **more})
    assert answer.status_code == 200, answer.text
    return answer.json()


def ids(answer) -> list[str]:
    return [item["item_id"] for item in answer["items"]]


def bundles(answer) -> list[list[str]]:
    return [[part["item_id"] for part in bundle["items"]] for bundle in answer["bundles"]]


def test_an_answer(start, rules):
    headers = {"x-request-id": "abc-1"}
    answer = start(rules=rules).post("/v1/bought-together", json={"items": BOTH, "k": 1}, headers=headers)
    # item3: 0.6 √9 of both and 0.2 √4 of item0
    assert answer.json() == {
        "items": [
            {
                "item_id": "item3",
                "name": "Thing D",
                "score": pytest.approx(1.8 + 0.4),
                "reason": "Bought together with Thing A and Thing C: in 60% of the baskets that hold them, 9 times as "
                "often as in all.",
                "rule": {"antecedent": ["item0", "item2"], "confidence": 0.6, "lift": 9.0},
            }
        ],
        "bundles": [
            {
                "items": [
                    {"item_id": "item0", "name": "Thing A", "in_basket": True},
                    {"item_id": "item1", "name": "Thing B", "in_basket": False},
                ],
                "price": 3.5,
                "margin": 1.25,
                "baskets": 40,
                "lift": 6.0,
            }
        ],
        "request_id": "abc-1",
    }


def test_voices_add_up_and_the_basket_is_left_out(start, rules):
    gateway = start(rules=rules)
    # item1 1 + 0.6, item3 1.8 + 0.4; item0 alone: item1 1, item3 0.4, gone 0.1
    assert ids(ask(gateway, BOTH)) == ["item3", "item1", "gone"]
    assert ids(ask(gateway, ["item0", "item0", "nonsense"])) == ["item1", "item3", "gone"]
    assert ids(ask(gateway, ["item0", "item1"])) == ["item3", "gone"]
    assert 'recommendations_total{source="rules"} 8.0' in gateway.get("/metrics").text


def test_bundles_lie_in_the_basket_in_part(start, rules):
    gateway = start(rules=rules)
    first, second = ["item0", "item1"], ["item0", "item2", "item3"]
    assert bundles(ask(gateway, ["item0"])) == [first, second]
    assert bundles(ask(gateway, ["item0", "item1"])) == [second]
    assert bundles(ask(gateway, ["item4"])) == [["item4", "item5"]]
    assert bundles(ask(gateway, second)) == [first]


@pytest.mark.parametrize("basket", [[], ["nonsense"], ["item9"], ["item1", "item3"]])
def test_where_no_rule_speaks_nothing_is_suggested(start, rules, basket):
    assert ids(ask(start(rules=rules), basket)) == []


def test_what_is_out_of_stock_is_left_out_with_its_bundles(start, rules, tmp_path):
    stock = tmp_path / "stock.csv"
    pl.DataFrame({"unique_id": ["item0", "item2", "item3"], "on_hand": [0, 1, 0]}).write_csv(stock)
    gateway = start(rules=rules, stock=stock)
    answer = ask(gateway, BOTH, k=1)
    assert (ids(answer), bundles(answer)) == (["item1"], [])  # what lies in the basket is part of a bundle, too
    answer = ask(gateway, BOTH, k=1, in_stock_only=False)
    assert (ids(answer), bundles(answer)) == (["item3"], [["item0", "item1"]])


def test_filters_are_for_what_is_added(start, rules):
    gateway = start(rules=rules)
    answer = ask(gateway, ["item0"], filters={"brand": "north"})  # item0 and item3; item1 is south, item2 west
    assert (ids(answer), bundles(answer)) == (["item3"], [])
    answer = ask(gateway, BOTH, filters={"kind": "drink"})  # item1 and item3; both of the basket are fruit
    assert (ids(answer), bundles(answer)) == (["item3", "item1"], [["item0", "item1"], ["item0", "item2", "item3"]])
    refused = gateway.post("/v1/bought-together", json={"items": [], "filters": {"color": "red"}})
    assert (refused.status_code, refused.json()["detail"][0]["loc"]) == (422, ["body", "filters"])


def test_without_a_catalogue_ids_are_names(start, rules):
    item = ask(start(rules=rules, catalogue=False), ["item0"], k=1)["items"][0]
    assert item["name"] == "item1"
    assert item["reason"].startswith("Bought together with item0: in 50% of the baskets that hold it, 4 times")


@pytest.mark.parametrize(
    "change",
    [{"items": ["x"] * 1001}, {"items": [""]}, {"items": "item0"}, {"items": None}, {"k": 0}, {"k": 501}, {"user": 1}],
)
def test_wrong_requests_are_refused(start, rules, change):
    answer = start(rules=rules).post("/v1/bought-together", json={"items": ["item0"], **change})
    assert answer.status_code == 422


def test_a_gateway_without_rules_says_how_to_get_them(gateway):
    answer = gateway.post("/v1/bought-together", json={"items": ["item0"]})
    assert answer.status_code == 503
    assert "--rules RULES" in answer.json()["detail"]


def test_newer_rules_are_read_and_damaged_ones_are_not(start, rules, caplog):
    gateway = start(rules=rules, reload_seconds=0)

    def wait_until(fine):
        deadline = time.monotonic() + 10
        while not fine(ask(gateway, ["item0"])):
            assert time.monotonic() < deadline
            time.sleep(0.01)

    write_bundles(rules, [("item", ["item0", "item5"], 2.0, None, 9, 2.0)])
    wait_until(lambda answer: bundles(answer) == [["item0", "item5"]])
    write_rules(rules, RULES[:1])
    wait_until(lambda answer: ids(answer) == ["item1"])
    (rules / "rules.parquet").write_bytes(b"half")
    wait_until(lambda answer: "rules not reloaded, the last one stays" in caplog.text)
    assert ids(ask(gateway, ["item0"])) == ["item1"]
