"""From files to decisions and their explanations, and what cannot be planned."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import polars as pl
import pytest

from serving.campaigns import plan as plan_module
from serving.campaigns.audit_log import AuditLog
from serving.campaigns.campaign import TEMPLATES
from supplytower import main

END = datetime(2018, 1, 1, 12)
CAMPAIGN = """
campaigns:
  - id: spring
    audience: frequency >= 2
    channel: email
    start: 2018-01-01
    end: 2018-01-02
    budget: 0.8
    cost_per_contact: 0.2
"""


@pytest.fixture
def shop(tmp_path):
    """Ten customers; the number of each is how often they bought milk, every tenth day; the last time, today."""
    rows = [
        (f"u{user}", "milk" if user < 9 else "beef", "purchase", END - timedelta(days=10 * (time + (user == 8))))
        for user in range(10)
        for time in range(user)
    ]
    data = tmp_path / "data"
    data.mkdir()
    columns = ["user_id", "item_id", "event_type", "timestamp"]
    pl.DataFrame(rows, schema=columns, orient="row").with_columns(price=2.0, quantity=1).write_parquet(
        data / "events.parquet"
    )
    categories = ["FLUID MILK", "BEEF", "CHEESE", "SOFT DRINKS", "BAG SNACKS", "COOKIES/CONES", "FROZEN PIZZA"]
    names = ["milk", "beef", "cheese", "cola", "crisps", "cookies", "pizza", "bread"]
    pl.DataFrame(
        {"item_id": names, "price": 10.0, "product_category": [*categories, "BAKED BREAD/BUNS/ROLLS"]}
    ).write_parquet(data / "items.parquet")
    pl.DataFrame({"user_id": [f"u{user}" for user in range(10)]}).write_parquet(data / "users.parquet")
    scores(tmp_path)
    rules(tmp_path / "rules")
    (tmp_path / "spring.yaml").write_text(CAMPAIGN)
    return tmp_path


def scores(folder, factor: float = 1.0) -> None:
    """Who bought more often buys milk more likely: 0.1 for u1, ... 0.9 for u9; beef half as likely."""
    rows = [(f"u{u}", item, factor * u / 10 / (1 + (item == "beef"))) for u in range(10) for item in ("milk", "beef")]
    pl.DataFrame(rows, schema=["user_id", "item_id", "probability"], orient="row").write_parquet(
        folder / "scores.parquet"
    )


def rules(folder) -> None:
    """{milk} → {beef} and {beef} → {milk}, and one between categories, as `rules mine` writes them."""
    sides = {"level": ["item", "item", "category"], "antecedent": [["milk"], ["beef"], ["BEEF"]]}
    named = {"antecedent_name": ["MILK, 1 GAL", "BEEF", "BEEF"], "consequent": [["beef"], ["milk"], ["CHEESE"]]}
    folder.mkdir()
    pl.DataFrame(sides | named | {"confidence": [0.4, 0.2, 0.9], "lift": [2.5, 2.5, 9.0]}).write_parquet(
        folder / "rules.parquet"
    )


def plan(shop, *words: str, out: str = "out.parquet", campaigns: str | None = None) -> int:
    known = ["--data", str(shop / "data"), "--scores", str(shop / "scores.parquet"), "--out", str(shop / out)]
    return main(["campaigns", "plan", *known, "--campaigns", campaigns or str(shop / "spring.yaml"), *words])


def sent(shop, out: str = "out.parquet") -> dict[str, str]:
    return dict(pl.read_parquet(shop / out).filter("decided").select("user_id", "item_id").sort("user_id").iter_rows())


def test_the_budget_of_the_day_goes_to_the_likeliest(shop, capsys):
    # half of the budget on the first of two days: two contacts; the value of u9 is 0.9 × 3 - 0.2, of u8 0.8 × 3 - 0.2
    assert plan(shop) == 0
    assert sent(shop) == {"u8": "milk", "u9": "milk"}
    table = pl.read_parquet(shop / "out.parquet")
    assert table.height == 10
    said = dict(table.select("user_id", "reason").iter_rows())
    assert (said["u0"], said["u1"], said["u2"], said["u9"]) == ("audience", "audience", "budget", "chosen")
    row = table.filter(user_id="u9").row(0, named=True)
    assert row["decision_id"] == "spring/2018-01-01/u9"
    assert row["value"] == pytest.approx(2.5)
    assert row["send_at"] == END + timedelta(seconds=1)
    printed = capsys.readouterr()
    assert "the budget goes to customers who are worth more" in printed.out
    assert "2 contacts for 0.40, worth 4.70" in printed.err
    assert "the plan is worth at least 100.00% of the best one" in printed.err
    assert f"Next:\n  supplytower campaigns explain USER CAMPAIGN --decisions {shop / 'out.parquet'}" in printed.err
    assert "everybody is taken to have agreed" in printed.err


def test_planning_again_sends_nothing_twice(shop, capsys):
    assert plan(shop) == 0
    first = (shop / "out.parquet").read_bytes()
    scores(shop, 0.5)
    assert plan(shop) == 0  # even where the world has changed since
    assert (shop / "out.parquet").read_bytes() == first
    assert "spring has been decided for 2018-01-01 before" in capsys.readouterr().err
    # another table beside the first one has the same log
    assert plan(shop, out="again.parquet") == 0
    assert sent(shop, "again.parquet") == {"u8": "milk", "u9": "milk"}
    # the next day the rest of the budget is for others: a customer is addressed once in the flight
    assert plan(shop, "--at", "2018-01-02T12:00", out="next.parquet") == 0
    assert sent(shop, "next.parquet") == {"u6": "milk", "u7": "milk"}


def test_after_a_crash_before_the_table_was_written_the_log_counts(shop, monkeypatch):
    def crash(table, out):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(plan_module, "write_table", crash)
        assert plan(shop) == 130
    assert not (shop / "out.parquet").exists()
    scores(shop, 0.1)  # would choose nobody: 0.09 × 3 < 0.2 but for u7, u8 and u9
    assert plan(shop) == 0
    assert sent(shop) == {"u8": "milk", "u9": "milk"}
    assert pl.read_parquet(shop / "out.parquet").filter(user_id="u9")["probability"].item() == pytest.approx(0.9)


def test_a_crash_before_the_log_leaves_nothing(shop, monkeypatch):
    def crash(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(plan_module, "to_table", crash)
        assert plan(shop) == 130
    assert not list((shop / "campaigns_log").glob("*.parquet"))
    assert plan(shop) == 0
    assert len(sent(shop)) == 2


CAPS = (("all", 1, 1.0), ("email", 2, 3.0), ("sms", 1, 2.5))
WEEK = """
campaigns:
  - {id: a, channel: email, start: 2018-01-01, end: 2018-01-06, budget: 1.0, cost_per_contact: 0.1, pacing: even}
  - {id: b, channel: email, start: 2018-01-02, end: 2018-01-07, budget: 0.9, cost_per_contact: 0.07, pacing: asap}
  - {id: c, channel: sms, start: 2018-01-01, end: 2018-01-08, budget: 0.5, cost_per_contact: 0.03, pacing: even}
"""


@pytest.mark.parametrize("in_order", [True, False])
def test_caps_and_budgets_hold_over_days(shop, in_order):
    generator = np.random.default_rng(1)
    zones = pl.Series("time_zone", generator.choice(["UTC", "Asia/Tokyo", "America/Los_Angeles"], 10).tolist())
    users = pl.read_parquet(shop / "data" / "users.parquet").with_columns(zones)
    users.write_parquet(shop / "data" / "users.parquet")
    each = "contacts_per_customer: 3, holdout: 0.2, pacing"
    (shop / "spring.yaml").write_text(WEEK.replace("pacing", each))
    caps = ", ".join(f"{channel} {most} per {days} days" for channel, most, days in CAPS)
    words = ["--set", f"caps=[{caps}]", "--set", "offers_per_customer=2", "--set", "fatigue=0"]
    seconds = generator.choice(8 * 24 * 3600, 20, replace=False)  # several a day
    for second in np.sort(seconds) if in_order else seconds:
        assert plan(shop, "--at", (datetime(2018, 1, 1) + timedelta(seconds=int(second))).isoformat(), *words) == 0
    log = pl.concat(pl.read_parquet(path) for path in (shop / "campaigns_log").glob("*.parquet"))
    assert log["decision_id"].is_unique().all()
    found = log.filter("decided").join(users, on="user_id")
    assert found.height > 5
    spent = dict(found.group_by("campaign_id").agg(pl.col("cost").sum()).iter_rows())
    assert all(spent.get(name, 0.0) <= budget + 1e-9 for name, budget in (("a", 1.0), ("b", 0.9), ("c", 0.5)))
    assert found.group_by("campaign_id", "user_id").len()["len"].max() <= 3
    assert not {*found.select("campaign_id", "user_id").iter_rows()} & {
        *log.filter(reason="holdout").select("campaign_id", "user_id").iter_rows()
    }
    for user, zone_, channel, now in found.select("user_id", "time_zone", "channel", "send_at").iter_rows():
        assert 8 <= now.replace(tzinfo=UTC).astimezone(ZoneInfo(zone_)).hour < 21
        for about, most, days in CAPS:
            window = pl.col("send_at").is_between(now - timedelta(days), now, closed="right")
            mine = found.filter(
                (pl.col("user_id") == user) & window & ((pl.col("channel") == about) | (about == "all"))
            )
            assert about not in (channel, "all") or mine.height <= most


@pytest.mark.parametrize("whole", [True, False])
def test_what_a_killed_plan_was_writing_was_not_decided(shop, whole):
    assert plan(shop) == 0
    log = shop / "campaigns_log" / "2018-01-01.parquet"
    left_over = log.rename(log.with_name(".0123456789ab.2018-01-01.parquet"))  # as `replace_file` names it meanwhile
    if not whole:
        left_over.write_bytes(left_over.read_bytes()[:100])
    assert plan(shop) == 0
    assert sent(shop) == {"u8": "milk", "u9": "milk"}


def test_two_plans_at_a_time_are_one_too_many(shop, capsys):
    with AuditLog(shop / "campaigns_log").locked():
        assert plan(shop) == 2
    assert "another plan is being made" in capsys.readouterr().err
    assert plan(shop) == 0


def test_what_would_sell_out_is_not_advertised_and_what_is_overstocked_is_pushed(shop, capsys):
    stock = {"unique_id": ["milk@1", "milk@2", "beef"], "stockout_probability": [0.0, 0.3, 0.0], "days_of_cover": 40}
    pl.DataFrame(stock).write_csv(shop / "stock.csv")
    assert plan(shop, "--stock-plan", str(shop / "stock.csv")) == 0
    assert sent(shop) == {"u8": "beef", "u9": "beef"}  # of two stores, one runs out of milk
    assert "products kept back by the stock" in capsys.readouterr().out
    strict = ["--set", "only_planned=true", "--set", "stockout_limit=0.3", "--log", str(shop / "strict")]
    stock["unique_id"][2] = "cheese"
    pl.DataFrame(stock).write_csv(shop / "some.csv")
    assert plan(shop, "--stock-plan", str(shop / "some.csv"), *strict, out="strict.parquet") == 0
    assert set(sent(shop, "strict.parquet").values()) == {"milk"}  # just at the limit; beef is not in the plan
    only_milk = CAMPAIGN + "    products: [milk]\n"
    (shop / "milk.yaml").write_text(only_milk)
    anew = ["--stock-plan", str(shop / "stock.csv"), "--log"]
    assert plan(shop, *anew, str(shop / "2"), out="milk.parquet", campaigns=str(shop / "milk.yaml")) == 0
    assert set(pl.read_parquet(shop / "milk.parquet")["reason"]) == {"audience", "stock"}
    capsys.readouterr()
    assert main(["campaigns", "explain", "u9", "spring", "--decisions", str(shop / "milk.parquet")]) == 0
    assert "none of the products" in capsys.readouterr().out
    pushed = CAMPAIGN + "    items: overstocked\n    overstock_bonus: 0.1\n"
    (shop / "push.yaml").write_text(pushed)
    assert plan(shop, *anew, str(shop / "3"), out="push.parquet", campaigns=str(shop / "push.yaml")) == 0
    best = pl.read_parquet(shop / "push.parquet").filter(user_id="u9").row(0, named=True)
    assert (best["item_id"], best["worth"]) == ("beef", pytest.approx(4.0))  # 0.3 and 0.1 of the price


def test_a_stock_plan_of_empty_shelves_is_pointed_out(shop, capsys):
    pl.DataFrame({"unique_id": ["milk", "beef"], "stockout_probability": [0.9, 0.1]}).write_csv(shop / "half.csv")
    assert plan(shop, "--stock-plan", str(shop / "half.csv"), out="half.parquet") == 0
    assert "was it made without" not in capsys.readouterr().err
    pl.DataFrame({"unique_id": ["milk", "beef"], "stockout_probability": 0.9}).write_csv(shop / "empty.csv")
    assert plan(shop, "--stock-plan", str(shop / "empty.csv"), out="empty.parquet") == 0
    assert "2 of 2 products are likely to sell out" in " ".join(capsys.readouterr().err.split())


def test_units_that_an_earlier_plan_of_the_day_counts_on_are_not_spared_twice(shop):
    # one unit of milk can be spared: u9 takes 0.9 of it, and 0.8 for u8 are not there, in this plan or the next
    stock = {"unique_id": ["milk"], "stockout_probability": 0.0, "on_hand": 3, "on_order": 0, "demand_until_arrival": 2}
    pl.DataFrame(stock).write_csv(shop / "stock.csv")
    milk = CAMPAIGN + "    products: [milk]\n    pacing: asap\n"
    (shop / "spring.yaml").write_text(milk)
    (shop / "other.yaml").write_text(milk.replace("spring", "other"))
    assert plan(shop, "--stock-plan", str(shop / "stock.csv")) == 0
    assert sent(shop) == {"u9": "milk"}
    words = ["--stock-plan", str(shop / "stock.csv"), "--at", "2018-01-01T18:00"]
    assert plan(shop, *words, campaigns=str(shop / "other.yaml"), out="other.parquet") == 0
    assert sent(shop, "other.parquet") == {}


def test_consent_earlier_contacts_and_night_are_respected(shop):
    pl.DataFrame({"user_id": [f"u{u}" for u in range(9)], "channel": "email", "consent": True}).write_csv(
        shop / "c.csv"
    )
    pl.DataFrame({"user_id": ["u8"] * 3, "channel": "email", "send_at": "2017-12-30T10:00:00"}).write_csv(
        shop / "s.csv"
    )
    words = ["--consent", str(shop / "c.csv"), "--contacts", str(shop / "s.csv"), "--set", "time_zone=Asia/Tokyo"]
    assert plan(shop, *words) == 0
    assert set(sent(shop)) == {"u6", "u7"}  # u9 did not agree, u8 got three e-mails in seven days
    table = pl.read_parquet(shop / "out.parquet")
    assert table.filter("decided")["send_at"].unique().item() == datetime(2018, 1, 1, 23)  # 8 in the morning in Tokyo
    said = dict(table.select("user_id", "reason").iter_rows())
    assert (said["u9"], said["u8"]) == ("consent", "frequency_cap")


def test_products_without_a_category_do_not_crowd_each_other_out(shop):
    items = shop / "data" / "items.parquet"
    pl.read_parquet(items).drop("product_category").write_parquet(items)
    rich = CAMPAIGN.replace("0.8", "99")
    other = rich.replace("spring", "other").replace("campaigns:", "").replace("email", "sms")
    (shop / "spring.yaml").write_text(f"{rich}    products: [milk]\n{other.strip(chr(10))}\n    products: [beef]\n")
    assert plan(shop, "--set", "offers_per_customer=2", "--set", "caps=[]") == 0
    chosen = pl.read_parquet(shop / "out.parquet").filter("decided")["campaign_id"].value_counts()
    assert dict(chosen.iter_rows()) == {"spring": 8, "other": 8}  # u2 to u9; even u2's beef brings 0.1 × 3 - 0.2


def test_every_customer_sleeps_in_his_own_time_zone(shop, capsys):
    users = shop / "data" / "users.parquet"
    zones = [None] * 8 + ["America/New_York", "Asia/Tokyo"]
    pl.read_parquet(users).with_columns(time_zone=pl.Series(zones)).write_parquet(users)
    assert plan(shop) == 0
    when = dict(pl.read_parquet(shop / "out.parquet").filter("decided").select("user_id", "send_at").iter_rows())
    assert when == {"u8": datetime(2018, 1, 1, 13), "u9": datetime(2018, 1, 1, 23)}  # 8 o'clock there; it is 12 UTC
    pl.read_parquet(users).with_columns(time_zone=pl.lit("Atlantis")).write_parquet(users)
    assert plan(shop, "--log", str(shop / "other")) == 2
    assert "time_zone of the customers=Atlantis: no such time zone" in capsys.readouterr().err


def test_who_left_a_cart_and_never_bought_is_reminded(shop):
    events = shop / "data" / "events.parquet"
    cart = pl.DataFrame({"user_id": "new", "item_id": "milk", "event_type": "add_to_cart", "timestamp": [END]})
    pl.concat([pl.read_parquet(events), cart], how="diagonal").write_parquet(events)
    likely = {"user_id": ["new", "new", "u9"], "item_id": ["milk", "beef", "milk"], "probability": [0.5, 0.9, 0.9]}
    pl.DataFrame(likely).write_parquet(shop / "scores.parquet")  # only the first one lies in a cart
    for users in ("told", "not told"):
        assert plan(shop, "--log", str(shop / users), campaigns="reminder") == 0
        assert sent(shop) == {"new": "milk"}
        (shop / "data" / "users.parquet").unlink(missing_ok=True)


def test_a_campaign_may_have_no_end(shop):
    endless = CAMPAIGN.replace("end: 2018-01-02", "end: 9999-12-31") + "    pacing: asap\n"
    (shop / "spring.yaml").write_text(endless)
    assert plan(shop) == 0
    assert len(sent(shop)) == 4  # the whole budget
    assert plan(shop, "--at", "2018-01-05", out="later.parquet") == 0
    assert sent(shop, "later.parquet") == {}


def test_before_the_first_event_there_is_nobody_to_win(shop):
    (shop / "spring.yaml").write_text(CAMPAIGN.replace("2018", "2010"))
    assert plan(shop, "--at", "2010-01-01T12:00") == 0
    assert sent(shop) == {}


def test_segments_of_the_profiles_and_uplift(shop):
    # the profiles are old: since then all of them came again
    pl.DataFrame(
        {"user_id": ["u2", "u3", "u4"], "segment": ["loyal", "loyal", "new"], "recency_days": 99.0}
    ).write_parquet(shop / "profiles.parquet")
    (shop / "spring.yaml").write_text(CAMPAIGN.replace("frequency >= 2", "segment in ['loyal'] and recency_days < 9"))
    pl.DataFrame({"user_id": ["u2", "u3"], "uplift": [2.0, -1.0], "campaign_id": ["spring", None]}).write_csv(
        shop / "u.csv"
    )
    words = ["--profiles", str(shop), "--uplift", str(shop / "u.csv"), "--log", str(shop / "log")]
    assert plan(shop, *words) == 0
    assert set(sent(shop)) == {"u2"}
    row = pl.read_parquet(shop / "out.parquet").filter(user_id="u2").row(0, named=True)
    assert row["value"] == pytest.approx(0.2 * 2 * 3 - 0.2)


def test_every_value_can_be_worked_out_from_what_is_kept(shop, capsys):
    (shop / "spring.yaml").write_text(f"{CAMPAIGN}    discount: 0.1\n")
    pl.DataFrame({"user_id": ["u9", "u9"], "channel": "sms", "send_at": "2017-12-30T10:00:00"}).write_csv(
        shop / "s.csv"
    )
    assert plan(shop, "--contacts", str(shop / "s.csv"), "--set", "margin=0.4") == 0
    weighed = pl.read_parquet(shop / "out.parquet").filter(pl.col("value").is_not_null()).sort("user_id")
    assert weighed["recent_contacts"].to_list()[:-1] == [0.0] * (weighed.height - 1)
    assert 1 < weighed["recent_contacts"][-1] < 2  # two of two days ago
    kept = {name: weighed[name].to_numpy() for name in weighed.columns}
    worth = kept["price"] * (1 - kept["discount"]) - kept["unit_cost"]
    assert worth == pytest.approx(np.full(len(worth), 10 * 0.9 - 6.0))
    freshness = (1 - kept["fatigue"]) ** kept["recent_contacts"]
    value = kept["probability"] * kept["uplift"] * worth * freshness - kept["cost"]
    assert kept["value"] == pytest.approx(value)
    capsys.readouterr()
    assert main(["campaigns", "explain", "u8", "spring", "--decisions", str(shop / "out.parquet")]) == 0
    told = " ".join(capsys.readouterr().out.split())
    assert "by profit; price 10.00, 10% off, costs the shop 6.00" in told
    assert "milk, the best of 2" in told


def test_every_customer_can_be_told_why(shop, capsys):
    assert plan(shop) == 0
    capsys.readouterr()
    decisions = ["--decisions", str(shop / "out.parquet")]
    assert main(["campaigns", "explain", "u9", "spring", *decisions]) == 0
    told = " ".join(capsys.readouterr().out.split())
    assert "spring/2018-01-01/u9: sent at 2018-01-01 12:00:01 UTC" in told
    assert "2.5000 = 0.9000 probability × 1 uplift × 3.00 worth of a sale × 1.00 freshness - 0.2 cost" in told
    assert " no " not in told
    assert main(["campaigns", "explain", "u1", "spring", *decisions]) == 0
    told = capsys.readouterr().out
    assert "not sent" in told
    assert "in the audience" in told
    assert "agreed to be addressed" not in told  # what was not asked is not told
    assert main(["campaigns", "explain", "u5", "spring", *decisions]) == 0
    assert "one more contact would bring" in capsys.readouterr().out
    assert main(["campaigns", "explain", "u5", "sprin", *decisions]) == 2
    assert "no campaign 'sprin'; did you mean 'spring'?" in capsys.readouterr().err
    assert main(["campaigns", "explain", "nobody", "spring", *decisions]) == 2
    assert "no customer 'nobody'; an id is e.g. 'u0'" in capsys.readouterr().err


def test_a_campaign_may_be_called_by_a_number(shop, capsys):
    (shop / "spring.yaml").write_text(CAMPAIGN.replace("spring", "007"))
    assert plan(shop, out="out.csv") == 0
    assert main(["campaigns", "explain", "u9", "007", "--decisions", str(shop / "out.csv")]) == 0
    assert "007/2018-01-01/u9: sent" in capsys.readouterr().out


@pytest.mark.parametrize("out", ["out.parquet", "out.csv"])
def test_all_templates_run_as_they_are(shop, out, capsys):
    names = [path.stem for path in sorted(TEMPLATES.glob("*.yaml"))]
    pl.DataFrame({"unique_id": ["milk"], "stockout_probability": 0.0, "days_of_cover": 40}).write_csv(
        shop / "stock.csv"
    )
    needed = ["--rules", str(shop / "rules"), "--stock-plan", str(shop / "stock.csv")]
    assert plan(shop, "--campaigns", *names, *needed, out=out) == 0
    table = pl.read_parquet(shop / out) if out.endswith("parquet") else pl.read_csv(shop / out)
    assert set(table["campaign_id"]) == set(names)
    assert table.height == 10 * len(names)
    if out.endswith("csv"):
        capsys.readouterr()
        assert main(["campaigns", "explain", "u9", "holiday", "--decisions", str(shop / out)]) == 0
        assert "in the audience" in capsys.readouterr().out


def test_what_goes_with_the_last_purchases_is_offered_and_explained(shop, capsys):
    together = CAMPAIGN.replace("budget: 0.8", "budget: 80") + "    offers: bought_together\n"
    (shop / "spring.yaml").write_text(together)
    assert plan(shop, "--rules", str(shop / "rules")) == 0
    # u2 to u8 bought milk and no beef, so beef it is, although they are twice as likely to buy milk; u9 bought beef
    assert sent(shop) == {f"u{user}": "beef" for user in range(2, 9)} | {"u9": "milk"}
    row = pl.read_parquet(shop / "out.parquet").filter(user_id="u7").row(0, named=True)
    assert (row["antecedent"], row["confidence"], row["lift"], row["offers"]) == ("MILK, 1 GAL", 0.4, 2.5, 1)
    capsys.readouterr()
    assert main(["campaigns", "explain", "u7", "spring", "--decisions", str(shop / "out.parquet")]) == 0
    assert "beef, the best of 1; goes with MILK, 1 GAL: confidence 40%, lift 2.5" in capsys.readouterr().out


def test_rules_leave_other_campaigns_alone(shop):
    both = CAMPAIGN.replace("email", "push") + CAMPAIGN.replace("campaigns:\n", "").replace("spring", "together")
    (shop / "spring.yaml").write_text(both + "    offers: bought_together\n")
    words = ["--rules", str(shop / "rules"), "--set", "caps=[]"]
    words += ["--set", "offers_per_customer=2", "--set", "offers_per_category=2"]
    assert plan(shop, *words) == 0
    table = pl.read_parquet(shop / "out.parquet").filter("decided")
    rows = set(table.filter(user_id="u8").select("campaign_id", "item_id", "antecedent").iter_rows())
    assert rows == {("spring", "milk", None), ("together", "beef", "MILK, 1 GAL")}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--at", "2019-01-01"], "no campaign runs on 2019-01-01"),
        (["--at", "noon"], "--at noon: not a date"),
        (["--at", "0001-01-01T00:00+14:00"], "--at 0001-01-01T00:00+14:00: not a date"),
        (["--models", "m"], "give one of --models, --model-server and --scores"),
        (["--set", "caps=[email often]"], "caps: 'email often' is not understood"),
        (["--set", "only_planned=true"], "only_planned=true: needs --stock-plan"),
        (["--set", "category_column=kind"], "category_column=kind: no such column of the items"),
        (["--profiles", "nowhere"], "nowhere: cannot be read"),
        (["--stock-plan", "nowhere.parquet"], "nowhere.parquet: cannot be read"),
        (["--campaigns", "nothing"], "--campaigns nothing: no such file or template"),
        (["--data", "nowhere"], "--data nowhere: no such folder"),
        (["--rules", "nowhere"], "nowhere: cannot be read (No such file or directory"),
        (["--campaigns", "clearance"], "campaign 'clearance': items: overstocked needs --stock-plan PLAN; write it"),
        (["--campaigns", "cross-sell"], "campaign 'cross-sell': offers: bought_together needs --rules RULES; write it"),
    ],
)
def test_what_cannot_be_planned(shop, words, said, capsys):
    assert plan(shop, *words) == 2
    assert said in capsys.readouterr().err
    assert not (shop / "out.parquet").exists()


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("    products: [mlk]", "campaign 'spring': products: no 'mlk' among the items; did you mean 'milk'?"),
        ("    categories: [BEAF]", "campaign 'spring': categories: no 'BEAF' among the items; did you mean 'BEEF'?"),
        ("    items: prize > 3", "campaign 'spring': items: no column 'prize'"),
        ("    audience2: x", "unknown setting 'audience2'; did you mean 'audience'?"),
    ],
)
def test_campaigns_that_do_not_fit_the_shop(shop, line, said, capsys):
    (shop / "spring.yaml").write_text(CAMPAIGN + line + "\n")
    assert plan(shop) == 2
    assert said in capsys.readouterr().err


def test_an_audience_of_the_profiles_asks_for_them(shop, capsys):
    (shop / "spring.yaml").write_text(CAMPAIGN.replace("frequency >= 2", "segment_id == 1"))
    assert plan(shop) == 2
    assert "audience: no column 'segment_id' without --profiles in 'segment_id == 1'" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("option", "content", "said"),
    [
        ("--scores", "user_id,item_id,probability\nu1,milk,1.5\n", "probability in row 1 is 1.5; it must be a number"),
        ("--scores", "user_id,item_id\nu1,milk\n", "no column 'probability'; it has user_id, item_id"),
        ("--contacts", "user_id,channel,send_at\nu1,email,then\n", "send_at in row 1 is 'then'"),
        ("--uplift", "user_id,uplift\nu1,much\n", "uplift in row 1 is 'much'; it must be a number"),
        ("--stock-plan", "unique_id,stockout_probability\nmilk,2\n", "stockout_probability in row 1 is 2"),
        ("--stock-plan", "unique_id,stockout_probability\nnothing,0.1\n", "has none of the items"),
        ("--profiles", "user_id,segment\nu1,a\nu1,b\n", "user_id 'u1' is there twice"),
        ("--profiles", "user_id,segment\nx,a\n", "has none of the users"),
        ("--rules", "user_id\nu1\n", "no column 'level'"),
        (
            "--rules",
            "level,antecedent,antecedent_name,consequent,confidence,lift\nitem,milk,milk,beef,0.1,2\n",
            "antecedent holds String, not lists of ids; write it with `supplytower rules mine",
        ),
    ],
)
def test_tables_that_cannot_be(shop, option, content, said, capsys):
    (shop / "bad.csv").write_text(content)
    assert plan(shop, option, str(shop / "bad.csv")) == 2
    assert said in capsys.readouterr().err
