"""The gateway decides as `supplytower campaigns plan` does, customer by customer, where budgets are large."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl
import pytest
import yaml

from serving.campaigns import plan as plan_module
from supplytower import main
from tests.serving.gateway.ads.conftest import NOW, campaign, decide

AT = datetime.fromtimestamp(NOW, UTC).replace(tzinfo=None)
USERS = [f"u{number:02d}" for number in range(16)]
CAMPAIGNS = [
    campaign("welcome", audience="frequency <= 2", holdout=0.3, discount=0.05),
    campaign("back", audience="recency_days > 20 and frequency >= 2", goal="revenue", discount=0.1),
    campaign("best", audience="top(monetary, 0.3)", categories=["dairy", "bakery"], bid=1.0, click_rate=0.1)
    | {"cost_per_contact": None},
    campaign("remind", offers="reminder", cost_per_contact=0.01),
    campaign("clear", items="overstocked", overstock_bonus=0.4, channel="ad"),
]


@pytest.mark.parametrize("seed", range(3))
def test_the_same_is_decided_as_in_a_plan(opened, shop, fake, monkeypatch, seed):
    generator = np.random.default_rng(seed)
    data = shop.folder / "data"
    data.mkdir()
    items = pl.read_parquet(shop.files.items)
    items.write_parquet(data / "items.parquet")
    n = 80
    kinds = np.array(["purchase", "view", "add_to_cart"])
    events = pl.DataFrame(
        {
            "user_id": generator.choice(USERS, n),
            "item_id": generator.choice(items["item_id"], n),
            "event_type": kinds[generator.choice(3, n, p=[0.6, 0.2, 0.2])],
            "timestamp": [AT - timedelta(days=float(days)) for days in generator.uniform(0.1, 80, n)],
            "price": 10.0,
        }
    ).with_columns(pl.col("timestamp").dt.truncate("1s"))
    events.write_parquet(data / "events.parquet")
    pl.DataFrame({"user_id": USERS, "time_zone": generator.choice(["UTC", "Asia/Tokyo"], 16)}).write_parquet(
        data / "users.parquet"
    )
    shop.table("consent", user_id=USERS, channel=["all"] * 16, consent=generator.random(16) < 0.8)
    shop.table("uplift", user_id=USERS, uplift=generator.uniform(-0.2, 2, 16))
    columns = {"stockout_probability": [0.0, 0.1, 0.0], "days_of_cover": [5.0, 40.0, 50.0]}
    shop.table("stock", unique_id=items["item_id"].to_list(), **columns)
    shop.files = replace(shop.files, data=data)
    shop.policy(caps=["web 1 per 3 days"], quiet_from="20:00", fatigue=0.3)
    written = [{key: value for key, value in one.items() if value is not None} for one in CAMPAIGNS]
    gateway = opened(*written)

    fake.chances = dict(zip(items["item_id"], generator.random(3), strict=True))

    def chances(address, label, questions):
        return np.array([fake.chances[questions.items[item]] for item in questions.pairs["item"]])

    monkeypatch.setattr(plan_module, "ask_server", chances)
    out, web = shop.folder / "plan.parquet", shop.folder / "web.yaml"
    web.write_text(yaml.safe_dump({"campaigns": [one for one in written if one["channel"] == "web"]}))
    words = ["--data", data, "--campaigns", web, "--model-server", "m", "--out", out]
    words += ["--consent", shop.files.consent, "--uplift", shop.files.uplift, "--stock-plan", shop.files.stock]
    words += ["--config", shop.files.policy, "--at", AT.isoformat()]
    assert main(["campaigns", "plan", *map(str, words)]) == 0
    plan = pl.read_parquet(out)
    planned = {(row["user_id"], row["campaign_id"]): row for row in plan.iter_rows(named=True)}

    batch = events.select("user_id", "item_id", "event_type", pl.col("timestamp").dt.to_string("iso"))
    assert gateway.post("/v1/events", json={"events": batch.to_dicts()}).json()["accepted"] == n
    asleep = set(pl.read_parquet(data / "users.parquet").filter(time_zone="Asia/Tokyo")["user_id"])
    outcomes = set()
    for user in sorted(set(events.filter(event_type="purchase")["user_id"])):  # a plan takes nobody else for new
        answer = decide(gateway, user, explain=True)
        if user in asleep:  # it is 21:00 there: a plan waits until the morning
            assert not answer["show"]
            continue
        found = {one["campaign_id"]: one["reason_code"] for one in answer["refused"]}
        if answer["show"]:
            found[answer["campaign_id"]] = "chosen"
            row = planned[user, answer["campaign_id"]]
            assert (answer["item_id"], answer["value"]) == (row["item_id"], pytest.approx(row["value"], rel=1e-5))
        assert found == {name: planned[user, name]["reason"] for name in found}
        assert len(found) == 4
        outcomes |= set(found.values())
    assert {"chosen", "audience"} < outcomes
