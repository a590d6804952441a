"""What is known of campaigns, and when: features by hand, and no way to the future."""

from datetime import timedelta
from pathlib import Path

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from data_pipelines.campaign_features import NEVER_DAYS, campaign_features
from data_pipelines.campaign_history import CampaignHistory, load_campaign_history
from data_pipelines.schema import InputError
from tests.campaign_world import CLIPPERS, START, USERS, begins, day, tables, write_world


@pytest.fixture(scope="module")
def history(tmp_path_factory: pytest.TempPathFactory) -> CampaignHistory:
    return load_campaign_history(write_world(tmp_path_factory.mktemp("world")))


def of(history: CampaignHistory, campaign: str, user: str) -> dict[str, float]:
    return campaign_features(history, campaign).row(by_predicate=pl.col("user_id") == user, named=True)


def test_features_of_a_clipper_by_hand(history: CampaignHistory) -> None:
    # c2 begins on day 84: purchases on days 0, 7 … 77 are 12 baskets in 84 days, 4 in 28, for 2 each; the odd weeks
    # bread, 6 lines, the last one on day 77. Campaigns c0 and c1 were sent, both answered, c0 of the same kind; they
    # were answered by 10 of 30. c1's last answer was on day 56 + 6 = 62. The offer is bread
    found = of(history, "c2", CLIPPERS[0])
    expected = {
        "recency_days": 7,
        "tenure_days": 84,
        "baskets_per_28_days": 4,
        "spend_per_28_days": 8,
        "coupon_lines_per_28_days": 4,
        "coupon_share": 1,
        "discount_share": 0,
        "last_coupon_days": 7,
        "distinct_items": 2,
        "past_campaigns": 2,
        "past_campaigns_answered": 2,
        "past_outcomes": 2,
        "past_campaigns_alike_answered": 1,
        "expected_answers": 2 / 3,
        "answers_above_expected": 4 / 3,
        "campaigns_running": 0,
        "last_outcome_days": 22,
        "offered_lines": 6,
        "offered_lines_lately": 4,  # days 35, 49, 63, 77 of the last 56
        "offered_spend": 12,
        "offered_coupon_lines": 6,
        "offers_known": 1,
        "offers_known_share": 1,
        "campaign_offers": 1,
        "campaign_length": 14,
        "campaign_addressed": 30,
        "campaign_kind": 0,
        "user_region": 1,
    }
    assert {name: found[name] for name in expected} == pytest.approx(expected)


def test_features_of_who_never_answers(history: CampaignHistory) -> None:
    # c1 offers milk, which nobody buys; user-01 uses no coupons, user-02 has no known region
    found = of(history, "c1", "user-01")
    assert found["last_coupon_days"] == found["last_outcome_days"] == found["last_offered_days"] == NEVER_DAYS
    assert found["past_campaigns_answered"] == found["offered_lines"] == found["offers_known"] == 0
    assert found["answers_above_expected"] == pytest.approx(-1 / 3)
    assert found["campaign_kind"] == 1
    assert of(history, "c1", "user-02")["user_region"] is None


def test_categories_of_the_offers(tmp_path: Path) -> None:
    # three categories of seven items, so that they repeat; c1 offers milk: cream is dairy too
    names = ["bread", "rolls", "milk", "cream", "soap", "foam", "wax"]
    categories = ["bakery", "bakery", "dairy", "dairy", "bath", "bath", "bath"]
    items = pl.DataFrame({"item_id": names, "category": categories})
    events = tables()["events"].with_columns(item_id=pl.col("item_id").replace("rolls", "cream"))
    found = load_campaign_history(write_world(tmp_path, items=items, events=events))
    # 8 purchases before day 56, the 4 of even weeks cream
    assert of(found, "c1", CLIPPERS[0])["affinity_category"] == 4
    assert of(found, "c1", CLIPPERS[0])["coupon_affinity_category"] == 4
    assert of(found, "c1", "user-01")["coupon_affinity_category"] == 0


@pytest.mark.parametrize("campaign", ["c0", "c3"])
def test_nothing_of_the_future_is_known(tmp_path: Path, campaign: str) -> None:
    moment = begins(int(campaign[1]))
    now = tables()
    # the future as it was, against one in which everybody buys soap with coupons and answers everything
    wild = pl.DataFrame(
        [
            (user, "bread", "purchase", moment + timedelta(hours=hour), f"w{hour}", 99.0, 9.0)
            for user in USERS
            for hour in range(50)
        ],
        now["events"].columns,
        orient="row",
    )
    answers = pl.DataFrame(
        [(user, f"c{number}", moment + timedelta(days=1)) for user in USERS for number in range(8)],
        now["outcomes"].columns,
        orient="row",
    )
    later = {
        "events": pl.concat([now["events"].filter(pl.col("timestamp") < moment), wild]),
        "outcomes": pl.concat([now["outcomes"].filter(pl.col("timestamp") < moment), answers]),
        "campaigns": now["campaigns"].with_columns(
            ends_at=pl.when(pl.col("starts_at") > moment)
            .then(pl.col("ends_at") + timedelta(days=900))
            .otherwise("ends_at")
        ),
    }
    as_it_was = load_campaign_history(write_world(tmp_path / "one"))
    otherwise = load_campaign_history(write_world(tmp_path / "two", **later))
    assert_frame_equal(campaign_features(as_it_was, campaign), campaign_features(otherwise, campaign))


def test_before_leaves_out_the_moment_itself(history: CampaignHistory) -> None:
    past = history.before(begins(1))
    assert past.campaigns["campaign_id"].to_list() == ["c0"]
    assert past.purchases["timestamp"].max() == day(49)
    assert set(past.exposures["campaign_id"]) == set(past.offers["campaign_id"]) == {"c0"}
    assert history.before(START).purchases.is_empty()


def test_a_shop_that_keeps_less(tmp_path: Path) -> None:
    events = tables()["events"].select("user_id", "item_id", "event_type", "timestamp")
    campaigns, offers = tables()["campaigns"].drop("campaign_type"), tables()["offers"].drop("offer_id")
    items, users = tables()["items"].select("item_id"), tables()["users"].select("user_id")
    less = {"events": events, "campaigns": campaigns, "offers": offers, "items": items, "users": users}
    found = of(load_campaign_history(write_world(tmp_path, **less)), "c2", CLIPPERS[0])
    assert found["baskets_per_28_days"] == 4  # a day is a basket
    assert found["spend_per_28_days"] == found["coupon_share"] == 0
    assert found["past_campaigns_alike"] == 2  # all campaigns are of one kind


def test_rows_that_fit_nothing_are_left_out_and_said(tmp_path: Path) -> None:
    exposures = pl.concat([tables()["exposures"], pl.DataFrame({"user_id": ["x"], "campaign_id": ["gone"]})])
    outcomes = pl.concat([tables()["outcomes"], tables()["outcomes"].head(2).with_columns(user_id=pl.lit("stranger"))])
    found = load_campaign_history(write_world(tmp_path, exposures=exposures, outcomes=outcomes))
    assert found.notices == (
        "1 exposures of unknown campaigns, or given twice, left out",
        "2 outcomes of users whom the campaign did not reach left out",
    )


def test_what_cannot_be_used(tmp_path: Path) -> None:
    backwards = tables()["campaigns"].with_columns(ends_at=pl.col("starts_at"))
    with pytest.raises(
        InputError, match=r"campaigns\.parquet: campaign 'c0' begins .* a campaign ends after it begins"
    ):
        load_campaign_history(write_world(tmp_path / "one", campaigns=backwards))
    strange = tables()["exposures"].with_columns(campaign_id=pl.lit("C0"))
    with pytest.raises(InputError, match="no row of exposures names a campaign"):
        load_campaign_history(write_world(tmp_path / "two", exposures=strange))
    (write_world(tmp_path / "three") / "offers.parquet").unlink()
    with pytest.raises(InputError, match=r"offers\.parquet: does not exist; run `supplytower data prepare`"):
        load_campaign_history(tmp_path / "three")
