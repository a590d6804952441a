"""Gateways that share a store: together they break no cap and no budget, whatever comes at the same time."""

import asyncio
import random
from collections import Counter

import pytest

from serving.campaigns import caps
from serving.gateway.ads import export_contacts
from serving.gateway.ads.contact import TOPIC
from serving.gateway.ads.desk import AdDesk
from serving.gateway.ads.messages import AdAsked
from serving.gateway.ads.route import open_offerings
from serving.gateway.app import create_app
from serving.gateway.open_store import open_store
from serving.gateway.settings import GatewaySettings
from supplytower import main
from tests.serving.gateway.ads.conftest import CHANCES, NOW, campaign
from tests.serving.gateway.fake_client import FakeClient

BUDGETS = {"a": 0.5, "b": 1.2, "c": 0.0, "d": 100.0}


async def ask_all(shop, url: str, requests: list[tuple[str, str]]) -> tuple[list, list, dict]:
    """Requests of customers, by turns to two gateways, all at once: answers, contacts on record, and what was spent."""
    snapshots, stores, desks = shop.snapshots(), [], []
    for _ in range(2):
        store = open_store(url, history_length=200, ttl_days=90, clock=lambda: NOW)
        await store.open()
        client = FakeClient(chances=CHANCES, delay_seconds=0.01)
        app = create_app(GatewaySettings(), store, client, clock=lambda: NOW, ads=snapshots)
        stores.append(store)
        desks.append(AdDesk(app.state.gateway))

    async def ask(desk: AdDesk, user: str, request_id: str):
        body = AdAsked(user_id=user, channel="web", request_id=request_id, explain=True)
        snapshot = snapshots.current()
        return await desk.answer(body, snapshot, open_offerings(body, snapshot, int(NOW * 1000)), int(NOW * 1000))

    answers = await asyncio.gather(*(ask(desks[n % 2], *request) for n, request in enumerate(requests)))
    entries = [entry async for part in stores[0].ledger.collect(TOPIC) for entry in part]
    spent = await stores[1].ledger.spent([f"{name}/2026-01-31" for name in BUDGETS])
    for store in stores:
        await store.close()
    return answers, entries, dict(zip(BUDGETS, spent, strict=True))


@pytest.mark.parametrize("seed", range(3))
def test_no_cap_and_no_budget_is_broken(shop, store_url, seed):
    shop.policy(caps=["all 2 per 1 day", "web 3 per 7 days"], fatigue=0, offers_per_category=9)
    shop.campaigns(*(campaign(name, budget=budget, contacts_per_customer=2) for name, budget in BUDGETS.items()))
    draw = random.Random(seed)
    requests = [(f"u{draw.randrange(6)}", f"r{draw.randrange(40)}") for _ in range(60)]
    answers, entries, spent = asyncio.run(ask_all(shop, store_url, requests))
    per_user = Counter(entry.user_id for entry in entries)
    assert all(count <= 2 for count in per_user.values())
    assert all(spent[name] <= budget + 1e-9 for name, budget in BUDGETS.items())
    shown = {one.decision_id: one for one in answers if one.show}
    assert len(shown) == len(entries)  # whoever was told to show is on record, and nobody else
    assert sum(spent.values()) == pytest.approx(0.1 * len(entries))
    told = {}
    for (user, request_id), answer in zip(requests, answers, strict=True):
        if answer.show:  # one request, one answer
            assert told.setdefault((user, request_id), answer) == answer
    # d never ends: each customer with two requests that were not lost in the crowd got two ads
    wanted = Counter(user for user, _ in set(requests))
    busy = {user for (user, _), answer in zip(requests, answers, strict=True) if answer.reason_code == "busy"}
    assert all(per_user[user] == 2 for user, count in wanted.items() if count >= 2 and user not in busy)


@pytest.mark.parametrize(("method", "before", "after"), [("spent", ["r"], []), ("claim", ["other"], ["r"])])
def test_a_request_that_is_sent_twice_at_once_is_told_the_same(shop, store_url, monkeypatch, method, before, after):
    """The second one is quicker: before the first reads the budget, or after it lost against somebody else."""
    shop.campaigns(campaign("a", budget=0.1 * len(before + after), contacts_per_customer=2))

    async def work():
        store, snapshots = open_store(store_url, history_length=5, ttl_days=1, clock=lambda: NOW), shop.snapshots()
        await store.open()
        client = FakeClient(chances=CHANCES)
        desk = AdDesk(create_app(GatewaySettings(), store, client, clock=lambda: NOW, ads=snapshots).state.gateway)
        usual, quicker = getattr(store.ledger, method), []

        async def ask(request_id: str):
            body, now = AdAsked(user_id="ann", channel="web", request_id=request_id), int(NOW * 1000)
            snapshot = snapshots.current()
            return await desk.answer(body, snapshot, open_offerings(body, snapshot, now), now)

        async def late(*arguments):
            monkeypatch.setattr(store.ledger, method, usual)
            quicker.extend([await ask(request_id) for request_id in before])
            found = await usual(*arguments)
            quicker.extend([await ask(request_id) for request_id in after])
            return found

        monkeypatch.setattr(store.ledger, method, late)
        assert await ask("r") == quicker[-1]
        assert all(one.show for one in quicker)
        await store.close()

    asyncio.run(work())


def test_a_budget_is_used_up_to_the_last_contact(shop, store_url):
    shop.policy(caps=["all 1 per 1 day"])
    shop.campaigns(campaign("a", budget=1.0))
    answers, entries, spent = asyncio.run(ask_all(shop, store_url, [(f"u{n}", "r") for n in range(16)]))
    assert Counter(one.reason_code for one in answers) == {"chosen": 10, "budget": 6}
    assert len(entries) == 10
    assert spent["a"] == pytest.approx(1.0)


def test_what_the_stock_can_spare_is_shared(shop, store_url):
    # 8 - 6.4 = 1.6 units of milk can be spared, 0.5 are expected of each customer: three get milk
    columns = {"on_hand": [8.0, 99.0, 99.0], "on_order": 0.0, "demand_until_arrival": [6.4, 1.0, 1.0]}
    shop.table("stock", unique_id=["milk", "tea", "cake"], stockout_probability=0.0, **columns)
    shop.campaigns(campaign())
    answers, _, _ = asyncio.run(ask_all(shop, store_url, [(f"u{n}", "r") for n in range(8)]))
    assert Counter(one.item_id for one in answers) == {"milk": 3, "tea": 5}


def test_contacts_are_exported_for_plans(shop, store_url, tmp_path, capsys):
    shop.policy(caps=[])
    shop.campaigns(campaign("a"), campaign("b", contacts_per_customer=2))
    answers, _, _ = asyncio.run(ask_all(shop, store_url, [("ann", "1"), ("bob", "2"), ("ann", "3"), ("ann", "4")]))
    for out in (tmp_path / "contacts.parquet", tmp_path / "contacts.csv"):
        assert main(["serve", "export-contacts", "--store", store_url, "--out", str(out)]) == 0
        assert "4 contacts of 2 customers" in capsys.readouterr().err
        table = caps.read_contacts(out)
        assert table["user_id"].to_list() == ["ann", "ann", "ann", "bob"]
        assert set(table["channel"]) == {"web"}
        assert table["cost"].sum() == pytest.approx(0.4)
        assert sorted(table["campaign_id"]) == sorted(one.campaign_id for one in answers)
        assert {when.isoformat() for when in table["send_at"]} == {"2026-01-31T12:00:00"}


def test_nothing_to_export_is_an_empty_table(tmp_path, capsys):
    store = f"sqlite:///{tmp_path / 'e.sqlite'}"
    assert export_contacts.main(["--store", store, "--out", str(tmp_path / "c.csv")]) == 2
    assert "e.sqlite: no such file; name the store of the gateway" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
    asyncio.run(open_store(store, history_length=5, ttl_days=1).close())
    assert export_contacts.main(["--store", store, "--out", str(tmp_path / "c.csv")]) == 0
    assert caps.read_contacts(tmp_path / "c.csv").height == 0
    assert export_contacts.main(["--store", "what", "--out", str(tmp_path / "c.csv")]) == 2
    assert export_contacts.main(["--out", str(tmp_path / "c.txt")]) == 2
