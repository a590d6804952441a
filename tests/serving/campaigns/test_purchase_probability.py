"""What a model is asked about whom, from a log and from a model server, and which products come into question."""

from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl
import pytest

from data_pipelines.schema import InputError
from serving.campaigns import purchase_probability
from serving.campaigns.campaign import Campaign
from serving.campaigns.offers import candidates, reminders
from serving.campaigns.policy import Policy
from serving.campaigns.purchase_probability import Questions, ask_models, ask_server

AT = datetime(2018, 1, 1)
USERS, ITEMS = pl.Series(["a", "b", "c"]), pl.Series(["milk", "tea", "cake"])


def events(*rows: tuple[int, int, str, float]) -> pl.DataFrame:
    """user, item, event_type, days before AT."""
    table = pl.DataFrame(
        [(user, item, kind, AT - timedelta(days=days)) for user, item, kind, days in rows],
        schema={"user": pl.Int64, "item": pl.Int64, "event_type": pl.String, "timestamp": pl.Datetime("us")},
        orient="row",
    )
    return table.sort("user", "timestamp")


def questions(*pairs: tuple[int, int]) -> Questions:
    past = events((0, 0, "purchase", 3), (0, 1, "view", 1), (2, 2, "purchase", 2))
    asked = pl.DataFrame(list(pairs), schema={"user": pl.Int64, "item": pl.Int64}, orient="row")
    return Questions(USERS, ITEMS, past, asked, AT)


def answer(inputs) -> np.ndarray:
    """Candidate number within the row, plus ten times the length of the history."""
    lengths = (inputs["history_item_id"] != "").sum(axis=1)
    return np.arange(inputs["candidate_item_id"].shape[1]) + 10.0 * lengths[:, None]


def test_each_customer_is_asked_for_with_what_he_did(monkeypatch, tmp_path):
    seen = []

    def replay(folder, requests):
        seen.extend(request["score"] for request in requests)
        return [{"score": {"probability": answer(request["score"])}} for request in requests]

    monkeypatch.setattr(purchase_probability, "replay", replay)
    (tmp_path / "recommender" / "1").mkdir(parents=True)
    found = ask_models(tmp_path, None, questions((0, 0), (0, 2), (1, 1), (2, 0)))
    assert found.tolist() == [20, 21, 0, 10]
    [inputs] = seen
    assert inputs["user_id"].tolist() == ["b", "c", "a"]  # short histories first
    assert inputs["history_item_id"].tolist() == [["", ""], ["cake", ""], ["milk", "tea"]]
    assert inputs["history_event_type"].tolist() == [["", ""], ["purchase", ""], ["purchase", "view"]]
    assert inputs["candidate_item_id"].tolist() == [["tea", ""], ["milk", ""], ["milk", "cake"]]
    now = int(AT.replace(tzinfo=UTC).timestamp())
    assert inputs["timestamp"].tolist() == [now] * 3
    assert inputs["history_timestamp"][2].tolist() == [now - 3 * 86400, now - 86400]


def test_a_server_is_asked_the_same(fake, running):
    found = ask_server(running.addresses["grpc"], None, questions((0, 0), (2, 1)))
    assert found.shape == (2,)
    assert fake.count() == 1


def test_who_does_not_answer_is_named(tmp_path):
    with pytest.raises(InputError, match="no exported model; run `supplytower export recommender"):
        ask_models(tmp_path, None, questions((0, 0)))


def test_popular_and_own_products_come_into_question():
    log = events((0, 0, "purchase", 3), (0, 0, "purchase", 4), (1, 1, "purchase", 5), (2, 2, "purchase", 200))
    one = Campaign("c", "email", AT.date(), AT.date(), 1.0, cost_per_contact=0.0)
    policy = Policy(products_per_campaign=1, products_per_customer=1)
    found = candidates(log, AT, [one], policy, np.array([[True], [True], [True]]), np.ones((1, 3), bool))
    # milk is the most popular of the last 90 days; each one's own besides
    assert found.select("user", "item").rows() == [(0, 0), (1, 0), (1, 1), (2, 0), (2, 2)]
    only_tea = candidates(log, AT, [one], policy, np.array([[True], [False], [True]]), np.array([[False, True, False]]))
    assert only_tea.select("user", "item").rows() == [(0, 1), (2, 1)]


def test_reminders_of_carts_and_views_that_were_not_bought():
    log = events(
        (0, 0, "add_to_cart", 3),
        (0, 1, "view", 1),
        (1, 0, "add_to_cart", 3),
        (1, 0, "purchase", 2),  # was bought since
        (2, 2, "view", 200),  # is long ago
    )
    assert reminders(log, AT).rows() == [(0, 0), (0, 1)]  # the cart first


def test_reminders_of_what_is_bought_regularly_and_would_be_by_now():
    log = events(
        *((0, 0, "purchase", days) for days in (12, 22, 32)),  # every ten days, for twelve days not
        *((1, 0, "purchase", days) for days in (8, 18, 28)),  # not yet
        *((2, 0, "purchase", days) for days in (90, 100, 110)),  # not any more
        *((2, 1, "purchase", days) for days in (20, 30)),  # twice is no habit
    )
    assert reminders(log, AT).rows() == [(0, 0)]
