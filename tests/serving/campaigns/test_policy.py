"""Caps, quiet hours and time zones; who is held out, who agreed, and what earlier contacts do."""

from datetime import UTC, datetime, time

import numpy as np
import numpy.testing as npt
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data_pipelines.schema import InputError
from serving.campaigns.caps import CONTACTS, History, no_contacts, read_contacts
from serving.campaigns.consent import allowed, read_consent
from serving.campaigns.holdout import holdout_point
from serving.campaigns.policy import Cap, Policy, is_quiet, next_allowed, zone

NIGHT = (time(21), time(8))
ZONES = ("UTC", "Europe/Berlin", "America/New_York", "Asia/Kolkata", "Australia/Lord_Howe", "Pacific/Apia")


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("now", "where", "first"),
    [
        ("2018-01-01T12:00", "UTC", "2018-01-01T12:00"),
        ("2018-01-01T22:00", "UTC", "2018-01-02T08:00"),  # the evening waits for the next morning
        ("2018-01-01T03:00", "UTC", "2018-01-01T08:00"),  # the early morning for the same one
        ("2018-01-01T08:00", "UTC", "2018-01-01T08:00"),
        ("2018-01-01T21:00", "UTC", "2018-01-02T08:00"),
        ("2018-01-01T12:00", "America/New_York", "2018-01-01T13:00"),  # 7 in the morning there, 8 is 13 UTC
        ("2018-03-24T22:00", "Europe/Berlin", "2018-03-25T06:00"),  # the clocks go forward in that night
    ],
)
def test_contacts_wait_until_the_quiet_ends(now, where, first):
    assert next_allowed(at(now), zone(where, "here"), NIGHT) == at(first)


def test_an_hour_that_comes_twice_is_not_sent_back_to():
    # quiet until 2:30; on that night 2:15 comes at 0:15 and at 1:15 UTC, and 2:30 at 0:30 and at 1:30
    quiet, berlin = (time(21), time(2, 30)), zone("Europe/Berlin", "here")
    assert next_allowed(at("2018-10-28T00:15"), berlin, quiet) == at("2018-10-28T00:30")
    assert next_allowed(at("2018-10-28T01:15"), berlin, quiet) == at("2018-10-28T01:30")


@settings(max_examples=300, deadline=None)
@given(
    now=st.datetimes(datetime(2015, 1, 1), datetime(2026, 1, 1)),
    where=st.sampled_from(ZONES),
    begin=st.times(),
    end=st.times(),
)
def test_no_moment_is_ever_quiet(now, where, begin, end):
    there = zone(where, "here")
    found = next_allowed(now.replace(tzinfo=UTC), there, (begin, end))
    assert found >= now.replace(tzinfo=UTC)
    assert not is_quiet(found.astimezone(there).time(), (begin, end))


@pytest.mark.parametrize(
    ("settings_", "said"),
    [
        ({"caps": ("email often",)}, "caps: 'email often' is not understood; write e.g. `email 2 per 7 days`"),
        ({"quiet_from": "nine"}, "quiet_from=nine: is no local time of day"),
        ({"quiet_until": "08:00+02:00"}, r"quiet_until=08:00\+02:00: is no local time of day"),
        ({"offers_per_customer": 10**30}, "must be at least 1 and at most 1,000,000,000"),
        ({"time_zone": "Mars/Olympus"}, "time_zone=Mars/Olympus: no such time zone"),
        ({"stockout_limit": 1.5}, "stockout_limit=1.5: must be a share"),
        ({"offers_per_customer": 0}, "offers_per_customer=0: must be at least 1"),
    ],
)
def test_policies_that_cannot_be(settings_, said):
    with pytest.raises(InputError, match=said):
        Policy(**settings_)


NOON = np.array([np.datetime64("2018-01-10T12:00", "us")] * 3)
USERS = pl.Series("user_id", ["a", "b", "c"])


def history(*sent: tuple[str, str, str]) -> History:
    rows = [(user, channel, datetime.fromisoformat(when), "before", 0.1) for user, channel, when in sent]
    contacts = pl.DataFrame(rows, schema=CONTACTS, orient="row") if rows else no_contacts()
    return History(contacts, USERS, NOON)


def test_caps_count_what_was_sent_in_the_window():
    before = history(
        ("a", "email", "2018-01-10T09:00"),
        ("a", "sms", "2018-01-05T09:00"),
        ("b", "email", "2018-01-03T12:00"),  # exactly seven days: no longer in the window
        ("b", "email", "2018-01-10T20:00"),  # is still to be sent
        ("x", "email", "2018-01-10T09:00"),
    )
    caps = (Cap("email", 2, 7.0), Cap("email", 1, 1.0), Cap("all", 2, 30.0))
    assert before.room("email", caps, 5).tolist() == [0, 0, 1]
    assert before.room("email", Policy(caps=(f"email {10**30} per 1 day",)).frequency_caps, 5).tolist() == [5, 5, 5]
    assert before.room("sms", caps, 5).tolist() == [5, 5, 5]
    assert before.room("all", caps, 5).tolist() == [0, 0, 2]


def test_channels_and_campaigns_of_contacts_are_names(tmp_path):
    (tmp_path / "sent.csv").write_text("user_id,channel,send_at,campaign_id\na,Email,2018-01-10T09:00:00,007\n")
    sent = read_contacts(tmp_path / "sent.csv")
    assert sent.select("channel", "campaign_id").row(0) == ("email", "007")
    assert Policy(caps=("Email 1 per 7 days",)).frequency_caps[0].channel == "email"


def test_contacts_tire_half_as_much_after_a_half_life():
    load = history(("a", "email", "2018-01-10T12:00"), ("a", "sms", "2018-01-03T12:00")).load(7.0)
    npt.assert_allclose(load, [1.5, 0.0, 0.0])
    assert history().load(7.0).tolist() == [0.0, 0.0, 0.0]


def test_consent_is_given_by_channel_and_an_opt_out_counts_most(tmp_path):
    pl.DataFrame(
        {
            "user_id": ["a", "a", "b", "b", "x"],
            "channel": ["email", "sms", "all", "sms", "all"],
            "consent": ["true", "false", "TRUE", "false", "true"],
        }
    ).write_csv(tmp_path / "consent.csv")
    consent = read_consent(tmp_path / "consent.csv")
    # a: e-mail; b: all but sms; c: was never asked
    assert allowed(consent, USERS, ["email", "sms"]).tolist() == [[True, False], [True, False], [False, False]]
    # names of channels are the same in capitals
    (tmp_path / "capitals.csv").write_text("user_id,channel,consent\na,ALL,true\na, Email,false\n")
    assert allowed(read_consent(tmp_path / "capitals.csv"), USERS, ["email", "sms"])[0].tolist() == [False, True]
    opted_out = pl.concat([consent, pl.DataFrame({"user_id": "b", "channel": "all", "consent": False})])
    assert not allowed(opted_out, USERS, ["email", "sms"])[1].any()
    assert allowed(None, USERS, ["email"]).all()
    (tmp_path / "consent.csv").write_text("user_id,channel,consent\na,email,maybe\n")
    with pytest.raises(InputError, match="consent in row 1 is 'maybe'; write true or false"):
        read_consent(tmp_path / "consent.csv")
    (tmp_path / "consent.csv").write_text("user_id,channel,consent\na,all,true\na,,false\n")
    with pytest.raises(InputError, match="row 2 has no channel"):
        read_consent(tmp_path / "consent.csv")


def test_holdouts_are_even_stable_and_independent_of_each_other():
    users = pl.Series([f"user-{number}" for number in range(20_000)])
    first, other = holdout_point(users, "s", "one"), holdout_point(users, "s", "two")
    # 20 bins of 1,000 each: chi² with 19 degrees of freedom is below 43.8 in 99.9 % of cases
    counts = np.bincount((first * 20).astype(int), minlength=20)
    assert (((counts - 1000) ** 2) / 1000).sum() < 43.8
    assert abs(np.corrcoef(first, other)[0, 1]) < 4 / np.sqrt(20_000)
    # neither the order nor the company of others matters, nor how long their ids are
    npt.assert_array_equal(holdout_point(users[::-1].append(pl.Series(["a" * 40])), "s", "one")[:-1], first[::-1])
    assert (holdout_point(users, "t", "one") != first).all()
