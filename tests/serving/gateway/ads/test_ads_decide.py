"""One decision: the best product, and every reason against it."""

from datetime import datetime

import polars as pl
import pytest

from serving.campaigns.audit_log import AuditLog
from serving.campaigns.holdout import holdout_point
from serving.gateway.ads.contact import stock_budget
from serving.gateway.event_store import StoreError
from serving.gateway.ledger import Entry, Spend
from tests.serving.gateway.ads.conftest import DAY, NOW, act, campaign, decide, shown
from tests.serving.gateway.fake_client import FakeServingError


def test_the_best_product_is_shown_with_its_value(opened, fake):
    gateway = opened(campaign(creative="spring.html"))
    assert decide(gateway, request_id="r1") == {
        "show": True,
        "campaign_id": "spring",
        "item_id": "milk",
        "item_name": "Milk",
        "creative": "spring.html",
        "decision_id": "spring/2026-01-31/ann/r1",
        "value": pytest.approx(1.4),  # 0.5 × 3 - 0.1
        "reason": "shown: worth 1.4 = probability 0.5 × uplift 1.0 × sale 3.0 × freshness 1.0 - cost 0.1",
        "reason_code": "chosen",
        "refused": None,
        "request_id": "r1",
    }
    [asked] = fake.asked
    assert sorted(asked["candidates"][0]) == ["cake", "milk", "tea"]
    assert (asked["model"], asked["label"]) == ("recommender", "stable")


def test_the_campaign_that_is_worth_most_is_shown_and_the_others_say_why_not(opened):
    many = [
        campaign("milk", products=["milk"]),
        campaign("tea", products=["tea"]),
        campaign("email", channel="email"),
        campaign("later", start="2026-02-01"),
        campaign("dear", products=["cake"], cost_per_contact=0.2),  # 0.02 × 9 - 0.2 < 0
    ]
    gateway = opened(*many)
    answer = decide(gateway, explain=True)
    assert answer["campaign_id"] == "milk"
    assert {one["campaign_id"]: one["reason_code"] for one in answer["refused"]} == {
        "dear": "value",
        "tea": "outranked",
    }
    assert shown(gateway, "bob", campaigns=["tea", "later"]) == "tea tea"
    answer = decide(gateway, "eve", campaigns=["later"], explain=True)
    assert (answer["show"], answer["reason_code"], answer["refused"]) == (False, "no_campaign", [])
    answer = decide(gateway, "eve", campaigns=["dear"])
    assert (answer["show"], answer["reason_code"], answer["campaign_id"]) == (False, "value", None)
    assert answer["reason"].startswith("dear: a contact costs more than it brings: worth -0.02 =")


def test_a_request_that_is_sent_again_gets_what_was_shown(opened, clock, fake):
    gateway = opened(campaign(contacts_per_customer=9, budget=0.2))
    first = decide(gateway, request_id="r1", explain=True)
    clock.now, fake.chances["cake"] = NOW + 60, 1.0
    assert decide(gateway, request_id="r1", explain=True) == first
    assert shown(gateway, request_id="r2") == "spring cake"  # the first one was paid once
    assert shown(gateway, request_id="r3") == "budget"
    assert shown(gateway, "bob", request_id="r1") == "budget"  # another customer's request
    text = gateway.get("/metrics").text
    assert 'ad_decisions_total{campaign="spring",outcome="chosen"} 2.0' in text
    assert 'ad_decisions_total{campaign="spring",outcome="repeated"} 1.0' in text
    assert 'ad_decisions_total{campaign="spring",outcome="budget"} 2.0' in text


@pytest.mark.parametrize(
    ("asked", "said"), [({"channel": "email"}, "for the channel 'web'"), ({"campaigns": ["b"]}, "with 'a'")]
)
def test_a_request_id_is_not_used_again_for_another_place(opened, asked, said):
    gateway = opened(campaign("a"), campaign("b"), campaign("mail", channel="email"))
    body = {"user_id": "ann", "channel": "web", "request_id": "page", "campaigns": ["a"]}
    assert gateway.post("/v1/ads/decide", json=body).json()["campaign_id"] == "a"
    wrong = gateway.post("/v1/ads/decide", json=body | {"campaigns": []} | asked)
    assert wrong.status_code == 422
    assert f"was answered {said}; give another one" in wrong.text


def test_no_two_contacts_share_a_decision_id(opened):
    gateway = opened()
    ids = [decide(gateway, user, request_id=name)["decision_id"] for user, name in (("a/b", "c"), ("a", "b/c"))]
    assert ids == ["spring/2026-01-31/a/b/c", "spring/2026-01-31/a/b%2Fc"]


def test_of_earlier_contacts_only_what_counts_is_read(opened):
    gateway = opened(campaign(contacts_per_customer=2), campaign("b", products=["tea"]))
    decide(gateway, request_id="1")
    ledger = gateway.app.state.gateway.store.ledger
    [entry] = gateway.portal.call(ledger.entries, "ann", "contact")
    assert '"campaign_id": "spring"' in entry.body.split("\n")[0]
    assert "refused" not in entry.body.split("\n")[0]
    again = Entry("ann", "contact", "2", entry.time_ms, entry.body.split("\n")[0] + "\nlong, and not read")
    gateway.portal.call(ledger.add, [again])
    assert decide(gateway, explain=True)["refused"][0]["reason_code"] == "contacted"


def test_products_that_others_advertised_are_passed_over_at_once(opened, shop, fake):
    names = [f"p{number}" for number in range(9)]
    pl.DataFrame({"item_id": names, "price": 10.0}).write_parquet(shop.files.items)
    columns = {"stockout_probability": 0.0, "on_hand": 1.6, "on_order": 0.0, "demand_until_arrival": 1.0}
    shop.table("stock", unique_id=names, **columns)  # 0.6 units can be spared
    gateway = opened()
    fake.chances = dict(zip(names, [0.5] * 8 + [0.2], strict=True))
    ledger, snapshot = gateway.app.state.gateway.store.ledger, shop.snapshots().current()
    for name in names[:8]:
        taken = [Spend(stock_budget(snapshot, name), 0.5, 0.6)]
        gateway.portal.call(ledger.claim, Entry(name, "contact", "1", 0), taken, 0)
    assert shown(gateway) == "spring p8"


def test_a_model_whose_answer_is_no_number_shows_nothing(opened, fake):
    gateway = opened(campaign(), campaign("b"))
    for chance in (float("nan"), float("inf")):
        fake.chances["tea"] = chance
        assert shown(gateway) == "no_model"


def test_the_last_contact_is_paid_though_sums_of_money_are_rounded(opened):
    # 3478 contacts of 12.3, added up one by one, are 42779.400000001: 12.299999998998828 of 42791.7 are left
    spent = 42779.400000001
    dear = campaign("dear", budget=42791.7, cost_per_contact=12.3, goal="conversion", conversion_value=100)
    gateway = opened(dear, campaign("cheap"))
    ledger, earlier = gateway.app.state.gateway.store.ledger, Entry("eve", "contact", "1", 0)
    gateway.portal.call(ledger.claim, earlier, [Spend("dear/2026-01-31", spent, spent)], 0)
    assert [shown(gateway, user) for user in ("ann", "bob")] == ["dear milk", "cheap milk"]


def test_caps_hold_over_campaigns_and_end_with_their_days(opened, shop, clock):
    shop.policy(caps=["all 1 per 1 day"])
    gateway = opened(campaign("one"), campaign("two"))
    assert shown(gateway) == "one milk"
    assert shown(gateway) == "frequency_cap"
    clock.now = NOW + DAY
    assert shown(gateway, explain=True) == "two milk"
    assert shown(gateway, "bob") == "one milk"


def test_a_customer_is_addressed_so_often_in_a_flight_and_gets_tired(opened, shop):
    shop.policy(caps=[], fatigue=0.2)
    gateway = opened(campaign(contacts_per_customer=2))
    # the second contact right after the first: 0.5 × 3 × 0.8 - 0.1
    assert [decide(gateway)["value"] for _ in range(3)] == [pytest.approx(1.4), pytest.approx(1.1), None]
    assert shown(gateway) == "contacted"


def test_the_budget_lasts_over_the_flight(opened, clock):
    gateway = opened(campaign(budget=0.4, pacing="even"))
    assert [shown(gateway, user) for user in "abc"] == ["spring milk", "spring milk", "budget"]
    clock.now = NOW + DAY
    assert [shown(gateway, user) for user in "cde"] == ["spring milk", "spring milk", "budget"]


def test_who_did_not_agree_is_left_alone(opened, shop):
    shop.table("consent", user_id=["ann", "bob"], channel=["web", "all"], consent=[False, True])
    gateway = opened()
    assert [shown(gateway, user) for user in ("ann", "bob", "eve")] == ["consent", "spring milk", "consent"]


def test_the_same_customers_are_held_out_as_by_a_plan(opened):
    users = pl.Series([f"u{number}" for number in range(20)])
    gateway = opened(campaign(holdout=0.5))
    held_out = holdout_point(users, "supplytower", "spring") < 0.5
    assert 0 < held_out.sum() < 20
    assert [shown(gateway, user) == "holdout" for user in users] == held_out.tolist()


def test_it_is_quiet_at_night_where_the_customer_is(opened, shop, clock):
    shop.table("profiles", user_id=["ann", "bob"], time_zone=["America/New_York", None])
    gateway = opened()
    clock.now = NOW + 10 * 3600  # 22:00 UTC, 17:00 in New York
    assert [shown(gateway, user) for user in ("ann", "bob", "eve")] == ["spring milk", "quiet_hours", "quiet_hours"]


def test_what_will_sell_out_or_is_not_there_is_not_advertised(opened, shop):
    stock = {"unique_id": ["milk", "tea", "cake"], "on_hand": [9.0, 9.0, 0.0]}
    shop.table("stock", **stock, stockout_probability=[0.9, 0.0, 0.0])
    gateway = opened(campaign(), campaign("dairy", categories=["dairy"]), stock=shop.files.stock)
    assert shown(gateway) == "spring tea"
    assert shown(gateway, "bob", campaigns=["dairy"]) == "stock"
    shop.table("stock", **stock)  # it is only known what is there
    gateway = opened(campaign("cake", products=["cake"]), stock=shop.files.stock)
    assert shown(gateway) == "no_offer"


def test_no_more_is_advertised_than_the_stock_can_spare(opened, shop):
    # 8 + 0 - 7.2 = 0.8 units of milk: one customer is expected to buy 0.5, two would buy 1
    columns = {"on_hand": [8.0, 99.0, 99.0], "on_order": 0.0, "demand_until_arrival": [7.2, 1.0, 1.0]}
    shop.table("stock", unique_id=["milk", "tea", "cake"], stockout_probability=0.0, **columns)
    gateway = opened()
    assert [shown(gateway, user) for user in "abc"] == ["spring milk", "spring tea", "spring tea"]


def test_uplift_and_overstock_count(opened, shop):
    shop.table("uplift", user_id=["ann", "bob"], uplift=[2.0, -1.0])
    shop.table("stock", unique_id=["cake"], stockout_probability=[0.0], days_of_cover=[99.0])
    gateway = opened(campaign(items="overstocked", overstock_bonus=0.5))
    answer = decide(gateway)
    assert (answer["item_id"], answer["value"]) == ("cake", pytest.approx(0.02 * 2 * (9 + 15) - 0.1))
    assert shown(gateway, "bob") == "value"


def test_a_reminder_knows_the_cart_of_just_now(opened, fake):
    gateway = opened(campaign("cart", offers="reminder", contacts_per_customer=9))
    assert shown(gateway) == "no_offer"
    assert shown(gateway, context=[{"item_id": "cake", "event_type": "cart"}]) == "cart cake"  # is not stored
    assert shown(gateway) == "no_offer"
    act(gateway, "tea", "cart", ago=5)
    assert shown(gateway) == "cart tea"
    assert fake.asked[-1]["histories"][0].item_id == ["tea"]
    assert fake.asked[-1]["candidates"] == [["tea"]]
    act(gateway, "tea", "purchase")
    assert shown(gateway) == "no_offer"


def test_what_the_customer_takes_is_offered_beside_what_is_popular(opened, shop, fake):
    shop.policy(caps=[], products_per_campaign=1)
    gateway = opened(campaign(products=["tea", "cake"]))
    decide(gateway)
    act(gateway, "cake", "purchase", user="bob")
    decide(gateway, "bob")
    assert [one["candidates"] for one in fake.asked] == [[["tea"]], [["tea", "cake"]]]


def test_what_goes_with_a_purchase_of_just_now_is_offered(opened, shop, fake):
    names = {"antecedent_name": ["milk", "milk + tea", "gone"], "confidence": [0.5, 0.9, 0.9], "lift": [4.0, 4.0, 9.0]}
    sides = {"antecedent": [["milk"], ["milk", "tea"], ["gone"]], "consequent": [["tea"], ["cake"], ["cake"]]}
    shop.table("rules", level=["item"] * 3, **sides, **names)
    cross = campaign("cross", offers="bought_together", contacts_per_customer=9)
    gateway = opened(cross, campaign("other", audience="frequency > 9"))
    fake.chances["cake"] = 0.1
    assert shown(gateway) == "no_offer"
    act(gateway, "milk", "purchase", ago=9)
    assert shown(gateway) == "cross tea"
    act(gateway, "tea", "purchase", ago=8)
    assert shown(gateway) == "cross cake"  # by the rule of milk and tea; tea was bought meanwhile
    assert fake.asked[-1]["candidates"] == [["cake"]]
    act(gateway, "milk", "purchase", ago=29 * DAY, user="bob")
    assert shown(gateway, "bob") == "no_offer"


def test_whom_nobody_knows_is_new_and_whoever_bought_is_not(opened):
    welcome = campaign("welcome", audience="frequency <= 1 and first_seen_days <= 60")
    gateway = opened(welcome, campaign("lapsed", audience="recency_days > 28"))
    assert shown(gateway) == "welcome milk"
    act(gateway, "milk", "purchase", ago=70 * DAY, user="bob")
    assert shown(gateway, "bob") == "lapsed milk"
    act(gateway, "milk", "purchase", user="eve")  # now, and for the first time
    assert shown(gateway, "eve") == "welcome milk"


def test_profiles_say_who_is_who_and_live_events_when_they_came_last(opened, shop):
    profiles = {"user_id": ["ann", "bob", "eve", "joe"], "segment": ["loyal", "loyal", "new", None]}
    shop.table("profiles", **profiles, recency_days=[40.0, 3.0, 3.0, 3.0], frequency=9, monetary=[4.0, 3.0, 2.0, 1.0])
    best = campaign("best", audience="top(monetary, 0.5) and segment == 'loyal' and recency_days <= 28")
    gateway = opened(best, campaign("back", audience="recency_days > 28"))
    assert [shown(gateway, user) for user in ("ann", "bob", "eve", "joe", "new")] == [
        "back milk",
        "best milk",
        "audience",
        "audience",
        "audience",
    ]
    act(gateway, "cake", "purchase", ago=60)
    assert decide(gateway)["campaign_id"] == "best"


def test_what_batch_plans_sent_counts(opened, shop):
    shop.policy(caps=["all 1 per 1 day"])
    sent = {"user_id": ["ann"], "channel": ["email"], "send_at": [datetime(2026, 1, 31, 9)], "campaign_id": ["spring"]}
    log = AuditLog(shop.folder / "log")
    log.folder.mkdir()
    log.write(datetime(2026, 1, 31).date(), pl.DataFrame(sent).with_columns(cost=0.1, decided=True))
    shop.files = type(shop.files)(**{**vars(shop.files), "contact_log": log.folder})
    gateway = opened(campaign(budget=0.2), campaign("other"))
    assert decide(gateway, explain=True)["reason_code"] == "frequency_cap"
    assert shown(gateway, "bob", campaigns=["spring"]) == "spring milk"
    assert shown(gateway, "eve", campaigns=["spring"]) == "budget"


@pytest.mark.parametrize("code", ["UNAVAILABLE", "DEADLINE_EXCEEDED", "NOT_FOUND", "INVALID_ARGUMENT", "INTERNAL"])
def test_without_the_model_nothing_is_shown_and_nothing_fails(opened, fake, code):
    gateway = opened(campaign(), campaign("no", audience="frequency > 3"))
    fake.error = FakeServingError(code, "ann: wrong")
    answer = decide(gateway, explain=True)
    assert (answer["show"], answer["reason"]) == (False, "spring: the model server does not answer")
    assert {one["campaign_id"]: one["reason_code"] for one in answer["refused"]} == {
        "spring": "no_model",
        "no": "audience",
    }
    fake.error = None
    assert shown(gateway) == "spring milk"


def test_an_answer_for_other_items_is_none(opened, fake, monkeypatch):
    gateway = opened()

    async def one(*_, **__):
        return [[0.5]]

    monkeypatch.setattr(fake, "score", one)
    assert shown(gateway) == "no_model"


def test_whoever_must_not_be_addressed_costs_the_model_server_nothing(opened, fake):
    gateway = opened(campaign(audience="frequency > 3"))
    assert shown(gateway) == "audience"
    assert fake.asked == []


def test_without_the_store_nothing_is_decided(opened, monkeypatch):
    gateway = opened()

    async def gone(*_):
        raise StoreError("gone")

    monkeypatch.setattr(gateway.app.state.gateway.store.ledger, "claim", gone)
    assert gateway.post("/v1/ads/decide", json={"user_id": "ann", "channel": "web"}).status_code == 503


def test_without_campaigns_the_route_says_how(start):
    answer = start().post("/v1/ads/decide", json={"user_id": "ann", "channel": "web"})
    assert answer.status_code == 503
    assert "--campaigns FILE" in answer.json()["detail"]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"channel": "wep"}, "no campaign uses 'wep'; did you mean 'web'?; there are email, web"),
        ({"campaigns": ["sprin"]}, "no campaign 'sprin'; there are mail, spring"),
        ({"user_id": ""}, "at least 1 character"),
        ({"channels": "web"}, "Extra inputs"),
        ({"context": [{"item_id": "milk", "timestamp": "x"}]}, "datetime"),
    ],
)
def test_wrong_requests_are_refused(opened, fake, change, said):
    gateway = opened(campaign(), campaign("mail", channel="email"))
    answer = gateway.post("/v1/ads/decide", json={"user_id": "ann", "channel": "web"} | change)
    assert answer.status_code == 422
    assert said in answer.json()["detail"][0]["msg"]
    assert not fake.asked


def test_an_erased_customer_has_no_contacts(opened):
    gateway = opened()
    assert [shown(gateway), shown(gateway)] == ["spring milk", "contacted"]
    assert gateway.delete("/v1/users/ann").status_code == 200
    assert shown(gateway) == "spring milk"


def test_nothing_of_a_customer_is_in_the_logs_or_metrics(opened, caplog, fake):
    gateway = opened()
    fake.error = FakeServingError("INTERNAL", "ann-the-customer")
    decide(gateway, "ann-the-customer")
    fake.error = None
    decide(gateway, "ann-the-customer")
    assert "ann-the-customer" not in caplog.text + gateway.get("/metrics").text
    assert all("ann-the-customer" not in str(vars(record)) for record in caplog.records)
