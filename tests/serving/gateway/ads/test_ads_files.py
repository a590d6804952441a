"""The files of campaigns: read again when they change, refused if they do not fit."""

import asyncio
import time
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import polars as pl
import pytest

from serving.campaigns.campaign import TEMPLATES
from serving.gateway import main
from serving.gateway.rows_by_user import RowsByUser
from tests.serving.gateway.ads.conftest import campaign, shown


def until(fine) -> None:
    deadline = time.monotonic() + 10
    while not fine():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_campaigns_are_read_again_when_they_change(opened, shop, caplog):
    gateway = opened(campaign("one", contacts_per_customer=99_999, budget=1e6))
    gateway.app.state.gateway.ads._reload_seconds = gateway.app.state.gateway.ads._next_look = 0.0
    assert shown(gateway) == "one milk"
    shop.campaigns(campaign("two", contacts_per_customer=99_999, budget=1e6))
    until(lambda: shown(gateway) == "two milk")
    shop.campaigns(campaign("three", products=["mlk"]))
    until(lambda: shown(gateway) == "two milk" and "campaigns not reloaded, the last one stays" in caplog.text)
    assert any("did you mean 'milk'?" in getattr(record, "reason", "") for record in caplog.records)
    assert shown(gateway) == "two milk"


def test_the_customers_of_the_data_folder_are_known(opened, shop, clock):
    """ann bought milk twice for 10 a month ago, bob cake once; eve is in the table of users only."""
    data = shop.folder / "data"
    data.mkdir()
    rows = [("ann", "milk", datetime(2025, 12, 1)), ("ann", "milk", datetime(2025, 12, 2))]
    rows += [("bob", "cake", datetime(2025, 12, 3)), ("bob", "not sold any more", datetime(2025, 12, 3))]
    events = pl.DataFrame(rows, schema=["user_id", "item_id", "timestamp"], orient="row")
    events.with_columns(event_type=pl.lit("purchase"), price=10.0).write_parquet(data / "events.parquet")
    pl.DataFrame({"user_id": ["eve"], "age": [50]}).write_parquet(data / "users.parquet")
    shop.files = replace(shop.files, data=data)
    shop.policy(caps=[], products_per_campaign=1)
    twice, old = (
        campaign("twice", audience="frequency == 2 and top(monetary, 0.5)"),
        campaign("old", audience="age > 40"),
    )
    gateway = opened(twice, old, campaign("one", audience="frequency == 1", products=["tea", "cake"]))
    assert [shown(gateway, user) for user in ("ann", "bob", "eve")] == ["twice milk", "one cake", "old milk"]
    assert shop.snapshots().current().offerings[2].best.tolist() == [0]  # of the log, milk sold best


@pytest.mark.parametrize("name", [path.stem for path in sorted(TEMPLATES.glob("*.yaml"))])
def test_templates_are_served_by_their_names(shop, name):
    categories = ["BEEF", "CHEESE", "SOFT DRINKS", "BAG SNACKS", "COOKIES/CONES", "FROZEN PIZZA"]
    categories.append("BAKED BREAD/BUNS/ROLLS")
    items = {"item_id": [str(number) for number in range(7)], "price": 1.0, "product_category": categories}
    pl.DataFrame(items).write_parquet(shop.files.items)
    rule = {"level": ["item"], "antecedent": [["0"]], "consequent": [["1"]], "antecedent_name": ["beef"]}
    shop.table("rules", **rule, confidence=[0.5], lift=[2.0])
    shop.files = replace(shop.files, campaigns=(type(shop.folder)(name),))
    assert [one.campaign.id for one in shop.snapshots().current().offerings] == [name]


@pytest.mark.parametrize(
    ("changes", "policy", "said"),
    [
        ({"audience": "segment == 'loyal'"}, {}, "no segment 'loyal'; give --profiles, which hold segments"),
        ({"audience": "frequency"}, {}, "'frequency' is not a condition"),
        ({"products": ["mlk"]}, {}, "products: no 'mlk' among the items; did you mean 'milk'?"),
        ({"end": "2030-01-01"}, {}, "campaign 'spring': lasts 1432 days, but contacts are forgotten after record_days"),
        ({}, {"caps": ["web 1 per 500 days"]}, "caps of web: lasts 500 days, but contacts are forgotten"),
        ({}, {"cap": []}, "policy.yaml: unknown setting 'cap'; did you mean 'caps'?"),
        ({"offers": "bought_together"}, {}, "campaign 'spring': offers: bought_together needs --rules"),
        ({"budget": -1}, {}, "budget is -1.0; it must be at least 0"),
    ],
)
def test_the_command_refuses_what_does_not_fit(shop, tmp_path, monkeypatch, capsys, changes, policy, said):
    monkeypatch.setattr(main, "connect", lambda *_: None)
    shop.campaigns(campaign(**changes))
    shop.policy(**policy)
    words = ["--items", str(shop.files.items), "--store", f"sqlite:///{tmp_path / 'e.sqlite'}", "--port", "0"]
    words += ["--campaigns", str(shop.folder / "campaigns.yaml"), "--policy", str(shop.folder / "policy.yaml")]
    assert main.main(words) == 2
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1


def test_campaigns_need_items(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(main, "connect", lambda *_: None)
    store = f"sqlite:///{tmp_path / 'e.sqlite'}"
    assert main.main(["--campaigns", "welcome", "--store", store, "--port", "0"]) == 2
    assert "--campaigns: what they offer is not known; give --items" in capsys.readouterr().err


@pytest.mark.parametrize("column", ["price", "unit_cost"])
def test_an_amount_that_is_no_number_is_refused_at_the_start(shop, column):
    shop.campaigns(campaign())
    items = pl.DataFrame({"item_id": ["milk", "tea", "cake"], "price": ["1", "2.5", None]})
    items.with_columns(pl.Series(column, ["1", None, "n/a"])).write_parquet(shop.files.items)
    with pytest.raises(ValueError, match=f"{column} in row 3 is 'n/a'; give a number, or leave it out"):
        shop.snapshots()


def test_a_file_that_is_being_replaced_is_not_taken_for_a_template(shop, tmp_path, monkeypatch):
    monkeypatch.setattr(main, "connect", lambda *_: None)
    built = []
    monkeypatch.setattr(main, "serve", lambda app, *_: built.append(app))
    monkeypatch.chdir(shop.folder)
    shop.campaigns(campaign())
    Path("campaigns.yaml").rename("welcome.yaml")
    words = ["--items", "items.parquet", "--store", "sqlite:///e.sqlite", "--campaigns", "welcome.yaml"]
    assert main.main([*words, "--set", "reload_seconds=0"]) == 0
    ads = built[0].state.gateway.ads

    async def reload():
        Path("welcome.yaml").unlink()
        ads.current()
        await ads._reading

    asyncio.run(reload())
    assert ads._snapshot.channels == ["web"]  # the template's is email


def test_a_time_zone_that_there_is_not_is_refused_at_the_start(shop):
    shop.campaigns(campaign())
    shop.table("profiles", user_id=["ann"], time_zone=["Atlantis"])
    with pytest.raises(ValueError, match="time_zone of the customers=Atlantis: no such time zone"):
        shop.snapshots()


def test_the_options_are_those_of_the_files(shop, tmp_path, monkeypatch, profiles):
    monkeypatch.setattr(main, "connect", lambda *_: None)
    built = []
    monkeypatch.setattr(main, "serve", lambda app, *_: built.append(app))
    shop.campaigns(campaign())
    shop.table("consent", user_id=["ann"], channel=["web"], consent=[True])
    shop.table("uplift", user_id=["ann"], uplift=[2.0])
    shop.files = replace(shop.files, profiles=profiles)
    words = ["--items", str(shop.files.items), "--store", f"sqlite:///{tmp_path / 'e.sqlite'}"]
    for option in ("consent", "uplift", "profiles", "policy"):
        words += [f"--{option}", str(getattr(shop.files, option))]
    words += ["--contact-log", str(tmp_path / "log"), "--campaigns", str(shop.folder / "campaigns.yaml"), "welcome"]
    assert main.main(words) == 0
    snapshot = built[0].state.gateway.ads.current()
    assert snapshot.channels == ["email", "web"]
    assert snapshot.policy.caps == ()
    assert snapshot.customers.of("ann")["segment"].to_list() == ["spends much"]
    assert snapshot.uplift.of("ann")["uplift"].to_list() == [2.0]
    assert snapshot.consent.of("bob").is_empty()


def test_rows_are_found_by_user():
    rows = RowsByUser(pl.DataFrame({"user_id": ["b", "a", "b", "é", "B"], "n": range(5)}))
    found = {user: rows.of(user)["n"].to_list() for user in ("a", "b", "B", "é", "c", "", "zz")}
    assert found == {"a": [1], "b": [0, 2], "B": [4], "é": [3], "c": [], "": [], "zz": []}
    assert RowsByUser(pl.DataFrame(schema={"user_id": pl.String})).of("a").is_empty()
