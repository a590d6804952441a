"""Campaign files: templates, and what cannot be."""

from datetime import date
from pathlib import Path

import pytest

from data_pipelines.schema import InputError
from serving.campaigns.campaign import TEMPLATES, Campaign, read_campaigns
from serving.campaigns.pacing import budget_of_day

GOOD = {
    "id": "spring",
    "channel": "email",
    "start": "2024-03-01",
    "end": "2024-03-10",
    "budget": "100",
    "cost_per_contact": "0.5",
}


def write(path: Path, *campaigns: dict) -> Path:
    lines = ["campaigns:"]
    for campaign in campaigns:
        lines += [
            f"  {'- ' if number == 0 else '  '}{key}: {value}" for number, (key, value) in enumerate(campaign.items())
        ]
    path.write_text("\n".join(lines))
    return path


def test_a_campaign_is_read(tmp_path):
    [campaign] = read_campaigns([write(tmp_path / "c.yaml", GOOD | {"products": "[1, 22]"})])
    assert campaign.products == ("1", "22")  # ids are text
    assert (campaign.days, campaign.cost) == (10, 0.5)


def test_a_bid_costs_what_its_clicks_cost(tmp_path):
    words = {key: value for key, value in GOOD.items() if key != "cost_per_contact"}
    [campaign] = read_campaigns([write(tmp_path / "c.yaml", words | {"bid": "0.4", "click_rate": "0.05"})])
    assert campaign.cost == pytest.approx(0.02)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"budget": "-1"}, "campaign 'spring': budget is -1.0; it must be at least 0"),
        ({"budget": "much"}, "setting 'budget' cannot be 'much'; it must be number"),
        ({"budget": "1e308"}, "budget is 1e+308; it must be at least 0 and at most 1e+15"),
        ({"contacts_per_customer": f"{10**30}"}, "it must be at least 1 and at most 1,000,000,000"),
        ({"budget": "nan"}, "setting 'budget' cannot be 'nan'"),
        ({"end": "2024-02-01"}, "end 2024-02-01 is before start 2024-03-01"),
        ({"start": "soon"}, "setting 'start' cannot be 'soon'"),
        ({"budgit": "3"}, "unknown setting 'budgit'; did you mean 'budget'?"),
        ({"holdout": "2"}, "holdout is 2.0; it must be a share from 0 to 1"),
        ({"cost_per_contact": "-0.1"}, "cost_per_contact is -0.1; it must be at least 0"),
        ({"bid": "1"}, "give either cost_per_contact or bid"),
        ({"goal": "fame"}, "setting 'goal' cannot be 'fame'"),
        ({"goal": "conversion"}, "needs conversion_value"),
        ({"contacts_per_customer": "0"}, "contacts_per_customer is 0; it must be at least 1"),
        ({"channel": "all"}, "channel is 'all'; it must be a name"),
        ({"channel": "Email"}, "channel is 'Email'; it must be a name in small letters"),
        ({"id": "a/b"}, "campaign 'a/b': id is 'a/b'; it must be letters"),
    ],
)
def test_what_cannot_be_is_named(tmp_path, change, said):
    with pytest.raises(InputError) as error:
        read_campaigns([write(tmp_path / "c.yaml", GOOD | change)])
    assert said in str(error.value)
    assert str(error.value).startswith(f"{tmp_path / 'c.yaml'}: campaign ")


def test_flights_of_one_campaign_may_follow_each_other_but_not_overlap(tmp_path):
    later = GOOD | {"start": "2024-03-11", "end": "2024-03-12"}
    assert len(read_campaigns([write(tmp_path / "c.yaml", later, GOOD)])) == 2
    overlapping = write(tmp_path / "d.yaml", GOOD | {"start": "2024-03-10", "end": "2024-03-12"})
    with pytest.raises(InputError, match=r"'spring' from 2024-03-10 to 2024-03-12 overlaps its flight from 2024-03-01"):
        read_campaigns([write(tmp_path / "c.yaml", GOOD), overlapping])


def test_files_that_hold_no_campaigns(tmp_path):
    for text in ("", "campaign: 3", "campaigns: []", "campaigns: 3"):
        (tmp_path / "c.yaml").write_text(text)
        with pytest.raises(InputError, match="must hold `campaigns:`"):
            read_campaigns([tmp_path / "c.yaml"])
    (tmp_path / "c.yaml").write_text("campaigns: [3]")
    with pytest.raises(InputError, match="campaign 1: must be `key: value` lines"):
        read_campaigns([tmp_path / "c.yaml"])
    with pytest.raises(InputError, match="no such file or template; did you mean 'win-back'"):
        read_campaigns([Path("winback")])


def test_every_template_can_be_read_by_its_name():
    names = [path.stem for path in TEMPLATES.glob("*.yaml")]
    assert {campaign.id for campaign in read_campaigns([Path(name) for name in names])} == set(names)
    assert {"welcome", "holiday", "win-back", "loyalty", "clearance", "reminder", "cross-sell"} == set(names)


def test_pacing_spends_the_budget_over_the_flight():
    campaign = Campaign("c", "email", date(2024, 3, 1), date(2024, 3, 10), 100.0, cost_per_contact=1.0)
    assert budget_of_day(campaign, date(2024, 3, 1), 0.0) == pytest.approx(10)
    assert budget_of_day(campaign, date(2024, 3, 3), 12.0) == pytest.approx(18)  # 30 until today, 12 are spent
    assert budget_of_day(campaign, date(2024, 3, 3), 35.0) == 0.0  # ahead of time
    assert budget_of_day(campaign, date(2024, 3, 10), 60.0) == pytest.approx(40)
    at_once = Campaign("c", "email", date(2024, 3, 1), date(2024, 3, 10), 100.0, cost_per_contact=1.0, pacing="asap")
    assert budget_of_day(at_once, date(2024, 3, 1), 30.0) == pytest.approx(70)
