"""A day's decisions: a world whose answer is known, and what must hold in every world."""

from dataclasses import replace
from datetime import date, datetime, timedelta

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from serving.campaigns.campaign import Campaign
from serving.campaigns.caps import CONTACTS, History, no_contacts
from serving.campaigns.decide import Outcome, decide
from serving.campaigns.decisions import to_table
from serving.campaigns.holdout import holdout_point
from serving.campaigns.policy import Policy
from serving.campaigns.screening import screen
from serving.campaigns.situation import OFFER, Reason, Situation
from serving.campaigns.stock_limits import with_stock
from serving.campaigns.value import uplift_of

NOON = datetime(2024, 3, 1, 12)
NO_CAPS = Policy(caps=(), fatigue=0.0, offers_per_customer=9, offers_per_category=9)


def campaign(name: str = "c", **changes) -> Campaign:
    given_ = {"channel": "email", "start": date(2024, 3, 1), "end": date(2024, 3, 10), "budget": 1e6, "pacing": "asap"}
    return Campaign(name, **(given_ | {"cost_per_contact": 0.1} | changes))


def items(**columns) -> pl.DataFrame:
    base = {"item_id": ["milk", "tea", "cake"], "price": [10.0, 20.0, 30.0], "category": ["x", "y", "y"]}
    return pl.DataFrame(base | columns)


def stock(**columns) -> pl.DataFrame:
    base = {"item_id": ["milk", "tea", "cake"], "stockout_probability": 0.0, "days_of_cover": 9.0, "spare_units": 1e9}
    return pl.DataFrame(base | columns)


def situation(n: int, campaigns: list[Campaign], plan: pl.DataFrame | None = None, **changes) -> Situation:
    users, channels = pl.Series("user_id", [f"u{i:03d}" for i in range(n)]), sorted({one.channel for one in campaigns})
    send_at = changes.pop("send_at", np.full(n, np.datetime64(NOON, "us")))
    contacts = changes.pop("contacts", no_contacts())
    known = with_stock(changes.pop("items", items()), plan, 0.2, 28.0)
    found = Situation(
        NOON.date(),
        users,
        campaigns,
        np.ones((n, len(campaigns)), bool),
        channels,
        np.ones((n, len(channels)), bool),
        send_at,
        History(contacts, users, send_at),
        np.zeros(len(campaigns)),
        np.ones((n, len(campaigns))),
        known,
        known["category"].rank("dense").cast(pl.Int64).to_numpy(),
    )
    return replace(found, **changes)


def offers(*rows: tuple[int, int, int, float]) -> pl.DataFrame:
    return pl.DataFrame(list(rows), schema=OFFER, orient="row")


def run(found: Situation, given_: pl.DataFrame, policy: Policy = NO_CAPS) -> Outcome:
    return decide(found, policy, screen(found, policy), given_)


def test_the_best_product_is_offered_and_valued():
    # 0.3 margin: milk 0.5 × 3 - 0.1 = 1.4; tea 0.1 × 6 - 0.1 = 0.5
    found = run(situation(1, [campaign()]), offers((0, 0, 1, 0.1), (0, 0, 0, 0.5)))
    assert found.offer["item"].to_list() == [0]
    assert found.allocation.total == pytest.approx(1.4)
    assert found.reason.tolist() == [[Reason.CHOSEN]]


def test_goals_discounts_bonuses_and_uplift():
    one = offers((0, 0, 1, 0.5))
    plenty = stock(days_of_cover=99.0)
    for changes, plan, worth in (
        ({"discount": 0.1}, None, 4.0),  # 18 are paid, 14 is the cost
        ({"goal": "revenue", "discount": 0.1}, None, 18.0),
        ({"goal": "conversion", "conversion_value": 7.0}, None, 7.0),
        ({"overstock_bonus": 0.5}, plenty, 16.0),  # 6 and half the price
        ({"overstock_bonus": 0.5}, stock(), 6.0),  # not overstocked
    ):
        found = run(situation(1, [campaign(**changes)], plan), one)
        assert found.offer["worth"].item() == pytest.approx(worth)
    driven_away = situation(1, [campaign()], uplift=np.full((1, 1), -0.5))
    assert run(driven_away, one).reason.tolist() == [[Reason.VALUE]]
    # driven away from a sale at a loss: (-0.5) × (-12) is no gain
    loss = situation(1, [campaign(discount=0.9)], uplift=np.full((1, 1), -0.5))
    assert run(loss, one).reason.tolist() == [[Reason.VALUE]]
    known = situation(1, [campaign()], items=items(unit_cost=[1.0, 15.0, None]))
    assert run(known, one).offer["worth"].item() == pytest.approx(5.0)


def test_recent_contacts_make_the_next_one_worth_less():
    before = pl.DataFrame([("u000", "sms", NOON, "other", 0.0)], schema=CONTACTS, orient="row")
    policy = replace(NO_CAPS, fatigue=0.25)
    found = run(situation(2, [campaign()], contacts=before), offers((0, 0, 0, 0.5), (1, 0, 0, 0.5)), policy)
    assert sorted(found.offer["value"]) == pytest.approx([0.5 * 3 * 0.75 - 0.1, 1.4])


def test_each_reason_has_its_case():
    many = [campaign(), campaign("shut", budget=0.0)]
    users = 8
    world = situation(
        users,
        many,
        stock(stockout_probability=[0.0, 0.9, 0.0]),
        items=items(price=[10.0, 20.0, None]),
        contacts=pl.DataFrame([("u003", "email", NOON - timedelta(hours=3), "c", 0.0)], schema=CONTACTS, orient="row"),
        audience=np.array([[i != 0, False] for i in range(users - 1)] + [[False, True]]),
        consent=np.array([[i != 1] for i in range(users)]),
        send_at=np.array([np.datetime64("2024-03-11T00:00" if i == 2 else NOON, "us") for i in range(users)]),
    )
    given_ = offers(
        *((i, 0, 0, 0.5) for i in (0, 1, 2, 3)), (4, 0, 1, 0.5), (5, 0, 2, 0.5), (6, 0, 0, 0.01), (7, 1, 0, 0.5)
    )
    found = run(world, given_).reason
    assert [Reason(code).name for code in found[:, 0]] == [
        "AUDIENCE",
        "CONSENT",
        "QUIET_HOURS",
        "CONTACTED",
        "STOCK",
        "NO_PRICE",
        "VALUE",
        "AUDIENCE",
    ]
    assert found[7, 1] == Reason.BUDGET
    assert run(situation(1, [campaign()]), offers()).reason.tolist() == [[Reason.NO_OFFER]]
    assert run(situation(1, [campaign(holdout=1.0)]), offers((0, 0, 0, 0.5))).reason.tolist() == [[Reason.HOLDOUT]]


def test_one_offer_of_a_category_and_of_a_customer():
    two = situation(1, [campaign(), campaign("d")])
    tea_and_cake = offers((0, 0, 1, 0.5), (0, 1, 2, 0.5))
    found = run(two, tea_and_cake, replace(NO_CAPS, offers_per_category=1))
    assert found.reason.tolist() == [[Reason.DIVERSITY, Reason.CHOSEN]]  # cake is dearer
    milk_and_cake = offers((0, 0, 0, 0.5), (0, 1, 2, 0.5))
    found = run(two, milk_and_cake, replace(NO_CAPS, offers_per_category=1, offers_per_customer=1))
    assert found.reason.tolist() == [[Reason.OUTRANKED, Reason.CHOSEN]]


def test_a_campaign_without_money_takes_nothing_from_the_others():
    shut_first = situation(2, [campaign(budget=0.0), campaign("d", cost_per_contact=0.2)], stock(spare_units=1.0))
    milk = offers(*((user, number, 0, 0.5) for user in (0, 1) for number in (0, 1)))
    for policy in (NO_CAPS, replace(NO_CAPS, offers_per_category=1)):
        # the budget that is used up has the better offers of milk; two half units of it can be spared
        assert run(shut_first, milk, policy).reason.tolist() == [[Reason.BUDGET, Reason.CHOSEN]] * 2


def test_whom_one_campaign_cannot_pay_for_gets_the_other_ones_offer_of_the_category():
    # one offer for a customer is one of a category, whoever makes it; the first budget pays for one contact
    two = situation(3, [campaign(budget=0.1), campaign("d", cost_per_contact=0.2)])
    milk = offers(*((user, number, 0, 0.5) for user in range(3) for number in (0, 1)))
    found = run(two, milk, replace(NO_CAPS, offers_per_customer=1, offers_per_category=1))
    assert (found.reason == Reason.CHOSEN).sum(axis=1).tolist() == [1, 1, 1]


def test_what_the_stock_cannot_spare_is_offered_to_the_likeliest_and_the_others_get_something_else():
    # 0.5 + 0.4 units of milk can be spared, not 0.3 more; the third customer gets tea
    given_ = offers((0, 0, 0, 0.5), (1, 0, 0, 0.4), (2, 0, 0, 0.3), (2, 0, 1, 0.05))
    found = run(situation(3, [campaign()], stock(spare_units=[1.0, 9.0, 9.0])), given_)
    assert dict(found.offer.select("user", "item").iter_rows()) == {0: 0, 1: 0, 2: 1}
    assert (found.reason == Reason.CHOSEN).all()


@st.composite
def worlds(draw):
    generator = np.random.default_rng(draw(st.integers(0, 1_000_000)))
    n, m = int(generator.integers(1, 25)), int(generator.integers(1, 5))
    channels = ["email", "push"]
    campaigns = [
        campaign(
            f"c{i}",
            channel=channels[generator.integers(2)],
            budget=float(generator.choice([0.0, 0.35, 1.0, 50.0])),
            cost_per_contact=float(generator.choice([0.0, 0.1, 0.3])),
            holdout=float(generator.choice([0.0, 0.3])),
            pacing=str(generator.choice(["even", "asap"])),
        )
        for i in range(m)
    ]
    sent = int(generator.integers(0, 30))
    contacts = pl.DataFrame(
        {
            "user_id": [f"u{i:03d}" for i in generator.integers(0, n, sent)],
            "channel": generator.choice(channels, sent),
            "send_at": [NOON - timedelta(hours=float(hours)) for hours in generator.uniform(-10, 400, sent)],
            "campaign_id": [f"c{i}" for i in generator.integers(0, m + 2, sent)],
            "cost": 0.1,
        },
        schema=CONTACTS,
    )
    plan = stock(
        stockout_probability=generator.choice([0.0, 0.2, 0.21, 1.0, None], 3).tolist(),
        spare_units=generator.choice([0.0, 0.7, 5.0, None], 3).tolist(),
    ).cast({"stockout_probability": pl.Float64, "spare_units": pl.Float64})
    names = sorted({one.channel for one in campaigns})
    late = generator.random(n) < 0.1
    world = situation(
        n,
        campaigns,
        plan,
        contacts=contacts,
        audience=generator.random((n, m)) < 0.8,
        consent=generator.random((n, len(names))) < 0.8,
        spent=generator.choice([0.0, 0.2, 30.0], m),
        send_at=np.where(late, np.datetime64("2024-03-11T07:00", "us"), np.datetime64(NOON, "us")),
    )
    rows = [
        (i, c, k, float(generator.choice([0.01, 0.05, 0.2, generator.random()])))
        for i in range(n)
        for c in range(m)
        for k in range(3)
        if generator.random() < 0.7
    ]
    policy = Policy(
        caps=("email 2 per 7 days", "all 1 per 1 day", "push 3 per 10 days")[: generator.integers(0, 4)],
        offers_per_customer=int(generator.integers(1, 4)),
        offers_per_category=int(generator.integers(1, 3)),
    )
    return world, offers(*rows), policy


@settings(max_examples=150, deadline=None)
@given(worlds())
def test_no_decision_breaks_a_rule(drawn):
    world, given_, policy = drawn
    outcome = run(world, given_, policy)
    table = to_table(world, outcome, policy)
    sent = table.filter("decided")
    assert (outcome.allocation.chosen == (outcome.reason == Reason.CHOSEN)).all()
    assert table["decision_id"].is_unique().all()
    assert table.height == len(world.users) * len(world.campaigns)
    plan = dict(world.items.select("item_id", "stockout_probability").iter_rows())
    spare = dict(world.items.select("item_id", "spare_units").iter_rows())
    for number, one in enumerate(world.campaigns):
        mine = sent.filter(pl.col("campaign_id") == one.id)
        assert mine["cost"].sum() <= max(one.budget - world.spent[number], 0.0) + 1e-9  # the budget
        assert (mine["send_at"] < datetime(2024, 3, 11)).all()  # the flight
        held_out = holdout_point(world.users, policy.salt, one.id) < one.holdout
        row = mine["user_id"].str.slice(1).cast(pl.Int64).to_numpy()
        assert not held_out[row].any()
        assert world.audience[row, number].all()
        assert world.consent[row, world.channels.index(one.channel)].all()  # the consent
    assert all(plan[item] is None or plan[item] <= policy.stockout_limit for item in sent["item_id"])  # the stock
    assert (sent["value"] > 0).all()
    for item, units in sent.group_by("item_id").agg((pl.col("probability") * pl.col("uplift")).sum()).iter_rows():
        assert spare[item] is None or units <= spare[item] + 1e-9
    contacts = pl.concat(
        [world.history.contacts.select("user_id", "channel", "send_at"), sent.select("user_id", "channel", "send_at")]
    )
    addressed = contacts.filter(pl.col("user_id").is_in(sent["user_id"].implode()))
    for cap in policy.frequency_caps:  # the caps, counted on the day itself for whoever was addressed by the channel
        by = sent if cap.channel == "all" else sent.filter(pl.col("channel") == cap.channel)
        for user in by["user_id"].unique():
            when = by.filter(pl.col("user_id") == user)["send_at"][0]
            mine = addressed.filter((pl.col("user_id") == user) & (pl.col("send_at") > when - timedelta(cap.days)))
            count = mine.height if cap.channel == "all" else (mine["channel"] == cap.channel).sum()
            assert count <= cap.contacts
    per_user = sent.group_by("user_id").len()["len"]
    assert per_user.is_empty() or per_user.max() <= policy.offers_per_customer
    kinds = sent.join(world.items.select("item_id", "category"), on="item_id").group_by("user_id", "category").len()
    assert kinds.is_empty() or kinds["len"].max() <= policy.offers_per_category


@settings(max_examples=100, deadline=None)
@given(worlds(), st.floats(0.0, 1.0), st.integers(0, 3))
def test_removing_budget_never_raises_what_a_campaign_spends(drawn, share, number):
    world, given_, policy = drawn
    number %= len(world.campaigns)
    less = list(world.campaigns)
    less[number] = replace(less[number], budget=less[number].budget * share)
    before, after = run(world, given_, policy), run(replace(world, campaigns=less), given_, policy)
    assert after.allocation.chosen[:, number].sum() <= before.allocation.chosen[:, number].sum()


@settings(max_examples=50, deadline=None)
@given(worlds(), st.randoms(use_true_random=False))
def test_the_order_of_offers_does_not_matter(drawn, shuffle):
    world, given_, policy = drawn
    order = list(range(given_.height))
    shuffle.shuffle(order)
    first, second = run(world, given_, policy), run(world, given_[order], policy)
    assert first.offer.sort("user", "campaign").equals(second.offer.sort("user", "campaign"))
    assert (first.reason == second.reason).all()


def test_uplift_that_holds_for_all_campaigns_names_none():
    table = pl.DataFrame({"user_id": ["u001"], "uplift": [2.0]})
    users = pl.Series(["u000", "u001"])
    assert uplift_of(table, users, [campaign(), campaign("d")]).tolist() == [[1.0, 1.0], [2.0, 2.0]]
