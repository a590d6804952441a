"""Exposures and outcomes over HTTP: who sees what, what is on record, and what is refused."""

import hashlib
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from serving.gateway.collect_experiment import collect
from serving.gateway.event_store import StoreError
from serving.gateway.metrics import Metrics
from tests.serving.gateway.conftest import EXPERIMENTS, NOW

UNITS = [f"customer-{number}" for number in range(200)]
NOW_TEXT = "2026-01-31T22:53:20Z"


@pytest.fixture
def gateway(start, experiments):
    return start(experiments=experiments)


def expose(gateway, units, experiment="shop"):
    body = {"exposures": [{"unit": unit} for unit in units]}
    answer = gateway.post(f"/v1/experiments/{experiment}/exposures", json=body)
    assert answer.status_code == 200, answer.text
    return answer.json()["exposures"]


def post(gateway, body, what="outcomes", experiment="shop"):
    return gateway.post(f"/v1/experiments/{experiment}/{what}", json=body)


def uniform(text):
    """As `serving.experiments.assignment` describes it."""
    return int(hashlib.sha256(text.encode()).hexdigest()[:13], 16) / 16**13


def test_a_customer_sees_what_the_hash_says_and_the_first_exposure_stands(gateway, clock):
    variant = "plain" if uniform("variant::shop:ann") < 0.5 else "bright"
    first = {"unit": "ann", "in_experiment": True, "variant": variant, "first_exposure": NOW_TEXT, "repeated": False}
    assert post(gateway, {"unit": "ann"}, "exposures").json() == first
    clock.now += 60
    assert post(gateway, {"unit": "ann"}, "exposures").json() == first | {"repeated": True}
    shown = {one["unit"]: one["variant"] for one in expose(gateway, UNITS)}
    assert shown == {unit: "plain" if uniform(f"variant::shop:{unit}") < 0.5 else "bright" for unit in UNITS}


def test_a_batch_is_answered_in_its_order_and_records_a_customer_once(gateway):
    answers = expose(gateway, ["b", "a", "b"])
    assert [(one["unit"], one["repeated"]) for one in answers] == [("b", False), ("a", False), ("b", True)]


def test_nobody_is_in_two_exclusive_experiments(gateway):
    inside = {
        name: {one["unit"] for one in expose(gateway, UNITS, name) if one["in_experiment"]}
        for name in ("welcome", "win-back")
    }
    # the two divide their layer in the middle
    assert inside["welcome"] == {unit for unit in UNITS if uniform(f"slot:mail:{unit}") < 0.5}
    assert inside["win-back"] == set(UNITS) - inside["welcome"]


def test_who_is_not_of_the_traffic_is_not_recorded(gateway):
    outside = next(unit for unit in UNITS if uniform(f"slot:mail:{unit}") >= 0.5)
    assert post(gateway, {"unit": outside}, "exposures", "welcome").json() == {
        "unit": outside,
        "in_experiment": False,
        "variant": None,
        "first_exposure": None,
        "repeated": False,
    }
    refused = post(gateway, {"unit": outside, "metric": "visit", "value": 1}, experiment="welcome")
    assert refused.status_code == 409


def test_outside_its_days_nothing_is_recorded(gateway):
    inside = next(unit for unit in UNITS if uniform(f"slot:mail:{unit}") < 0.5)
    # 2026-01-30 is the day before the first one; the last second of 2026-02-01 would be the future
    wrong = {"exposures": [{"unit": inside}, {"unit": inside, "timestamp": "2026-01-30T23:59:59Z"}]}
    answer = post(gateway, wrong, "exposures", "welcome")
    assert answer.status_code == 409
    assert answer.json() == {
        "detail": "exposures[1]: welcome runs from 2026-01-31 to 2026-02-01 (UTC), not on 2026-01-30"
    }
    assert post(gateway, {"unit": inside, "metric": "visit", "value": 1}, experiment="welcome").status_code == 409
    assert (
        "past runs from … to 2026-01-30 (UTC), not on 2026-01-31"
        in post(gateway, {"unit": "ann"}, "exposures", "past").json()["detail"]
    )
    in_time = {"unit": "ann", "timestamp": "2026-01-30T23:59:59Z"}
    assert post(gateway, in_time, "exposures", "past").json()["first_exposure"] == "2026-01-30T23:59:59Z"


def test_what_is_on_record_stands_when_the_file_changes(start, experiments, tmp_path, caplog):
    url = f"sqlite:///{tmp_path / 'records.sqlite'}"
    gateway = start(experiments=experiments, store=url, reload_seconds=0)
    before = expose(gateway, UNITS[:100])

    def wait_until(fine):
        deadline = time.monotonic() + 10
        while not fine():
            assert time.monotonic() < deadline
            time.sleep(0.01)

    shop = "id: shop, traffic: 0.5, variants: {plain: 0.1, bright: 0.9}"
    new = "  - {id: new, variants: {a: 0.5, b: 0.5}}\n"
    changed = EXPERIMENTS.replace("id: shop, variants: {plain: 0.5, bright: 0.5}", shop) + new
    experiments.write_text(changed)
    wait_until(lambda: post(gateway, {"unit": "x"}, "exposures", "new").status_code == 200)
    after = expose(gateway, UNITS)
    assert after[:100] == [one | {"repeated": True} for one in before]
    for one in after[100:]:
        assert one["in_experiment"] == (uniform(f"slot:shop:{one['unit']}") < 0.5)
        if one["in_experiment"]:
            assert one["variant"] == ("plain" if uniform(f"variant::shop:{one['unit']}") < 0.1 else "bright")
    # everyone is kept with the probability at the time of the first exposure
    table = collect(url, "shop")
    assert set(table.filter(table["unit"].is_in(UNITS[:100]))["propensity"]) == {0.5}
    assert set(table.filter(~table["unit"].is_in(UNITS[:100]))["propensity"]) == {0.1, 0.9}
    experiments.write_text("experiments: [")
    wait_until(lambda: expose(gateway, ["x"], "new") and "experiments not reloaded" in caplog.text)
    assert expose(gateway, UNITS[:1])[0]["repeated"]


def test_an_outcome_with_an_id_is_recorded_once_for_each_metric(gateway):
    expose(gateway, ["ann", "bob"])
    order = {"unit": "ann", "metric": "orders", "value": 1, "outcome_id": "o1"}
    revenue = order | {"metric": "revenue", "value": 34.9}
    other = order | {"unit": "bob"}
    assert post(gateway, order).json() == {"accepted": 1, "duplicates": 0}
    assert post(gateway, {"outcomes": [order, revenue, revenue, other]}).json() == {"accepted": 2, "duplicates": 2}
    bare = {"unit": "ann", "metric": "visits", "value": 1}
    assert post(gateway, {"outcomes": [bare, bare]}).json() == {"accepted": 2, "duplicates": 0}


@pytest.mark.parametrize(
    ("change", "place"),
    [
        ({"value": "3"}, "value"),
        ({"value": True}, "value"),
        ({"value": None}, "value"),
        ({"value": [1]}, "value"),
        ({"value": 1e13}, "value"),
        ({"metric": ""}, "metric"),
        ({"metric": "a/b"}, "metric"),
        ({"metric": "a:count"}, "metric"),
        ({"metric": "variant"}, "metric"),
        ({"unit": ""}, "unit"),
        ({"timestamp": NOW + 301}, "timestamp"),
        ({"outcome_id": ""}, "outcome_id"),
        ({"other": 1}, "other"),
    ],
)
def test_a_wrong_outcome_is_refused_whole_and_not_repeated(gateway, change, place):
    expose(gateway, ["ann"])
    fine = {"unit": "ann", "metric": "visit", "value": 1, "outcome_id": "v1"}
    answer = post(gateway, {"outcomes": [fine, fine | change]})
    assert answer.status_code == 422
    assert answer.json()["detail"][0]["loc"][-2:] == [1, place]
    assert set(answer.json()["detail"][0]) == {"loc", "msg", "type"}  # never what was sent
    assert post(gateway, fine).json() == {"accepted": 1, "duplicates": 0}


@pytest.mark.parametrize("value", ["NaN", "Infinity", "-Infinity", "1e999"])
def test_an_outcome_is_a_finite_number(gateway, value):
    expose(gateway, ["ann"])
    body = f'{{"unit": "ann", "metric": "visit", "value": {value}}}'
    headers = {"content-type": "application/json"}
    answer = gateway.post("/v1/experiments/shop/outcomes", content=body, headers=headers)
    assert answer.status_code == 422
    assert answer.json()["detail"][0]["loc"][-1] == "value"


def test_an_outcome_follows_an_exposure(gateway, clock):
    expose(gateway, ["ann"])
    clock.now += 60
    fine = {"unit": "ann", "metric": "visit", "value": 1, "outcome_id": "v1"}
    never = post(gateway, {"outcomes": [fine, fine | {"unit": "bob"}]})
    assert never.status_code == 409
    assert never.json()["detail"].startswith("outcomes[1]: this unit was never exposed")
    before = post(gateway, {"outcomes": [fine, fine | {"outcome_id": "v2", "timestamp": NOW - 1}]})
    assert before.status_code == 409
    assert before.json()["detail"].startswith("outcomes[1]: lies before the unit's exposure, 2026-01-31T22:53:20+00:00")
    # nothing of both was recorded; at the very moment is not before
    assert post(gateway, fine | {"timestamp": NOW}).json() == {"accepted": 1, "duplicates": 0}


def test_clocks_that_differ_make_no_outcome_earlier_than_its_exposure(gateway):
    assert post(gateway, {"unit": "ann", "timestamp": NOW + 200}, "exposures").status_code == 200
    assert post(gateway, {"unit": "ann", "metric": "visit", "value": 1}).status_code == 200
    assert post(gateway, {"unit": "ann", "timestamp": NOW + 301}, "exposures").status_code == 422


def test_an_experiment_that_is_not_there(gateway, start):
    for what, body in (("exposures", {"unit": "a"}), ("outcomes", {"unit": "a", "metric": "m", "value": 1})):
        answer = post(gateway, body, what, "shopp")
        assert answer.status_code == 404
        assert answer.json() == {"detail": "no experiment 'shopp'; there are shop, welcome, win-back, past"}
        answer = post(start(), body, what)
        assert answer.status_code == 503
        assert "--experiments FILE" in answer.json()["detail"]


def test_too_many_at_once_are_refused(start, experiments):
    gateway = start(experiments=experiments, most_events=1)
    for what, one in (("exposures", {"unit": "a"}), ("outcomes", {"unit": "a", "metric": "m", "value": 1})):
        answer = post(gateway, {what: [one, one]}, what)
        assert answer.status_code == 422
        assert answer.json()["detail"][0]["msg"] == f"has 2 {what}; send at most 1 at once"


def test_erasing_a_customer_erases_what_is_on_record(start, experiments, store_url):
    gateway = start(experiments=experiments, store=store_url)
    expose(gateway, ["ann", "bob"])
    outcome = {"unit": "ann", "metric": "visit", "value": 1}
    post(gateway, {"outcomes": [outcome, outcome, outcome | {"unit": "bob"}]})
    assert gateway.delete("/v1/users/ann").json() == {"events": 0, "records": 3}  # the exposure and two outcomes
    assert post(gateway, outcome).status_code == 409
    assert collect(store_url, "shop").select("unit", "visit").rows() == [("bob", 1.0)]
    assert not expose(gateway, ["ann"])[0]["repeated"]


def test_gateways_that_share_a_store_record_a_customer_once(start, experiments, store_url):
    gateways = [start(experiments=experiments, store=store_url) for _ in range(2)]
    outcomes = [{"unit": unit, "metric": "visit", "value": 1, "outcome_id": "v"} for unit in UNITS[:40]]

    def ask(number):
        gateway = gateways[number % 2]
        shown = expose(gateway, UNITS[:40])
        return shown, post(gateway, {"outcomes": outcomes}).json()["accepted"]

    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(ask, range(8)))
    assert all([one["variant"] for one in shown] == [one["variant"] for one in answers[0][0]] for shown, _ in answers)
    assert sum(not one["repeated"] for shown, _ in answers for one in shown) == 40
    assert sum(accepted for _, accepted in answers) == 40
    assert collect(store_url, "shop")["visit"].to_list() == [1.0] * 40


def test_what_is_counted_names_no_customer(gateway):
    expose(gateway, ["ann", "ann"])
    post(gateway, {"unit": "ann", "metric": "visit", "value": 1})
    text = gateway.get("/metrics").text
    variant = "plain" if uniform("variant::shop:ann") < 0.5 else "bright"
    assert f'supplytower_gateway_exposures_total{{experiment="shop",variant="{variant}"}} 1.0' in text
    assert 'supplytower_gateway_outcomes_total{experiment="shop",metric="visit"} 1.0' in text
    assert "ann" not in text


def test_clients_make_no_labels_without_end():
    metrics = Metrics()
    for number in range(1000):
        metrics.count_outcome("shop", f"m{number}")
    text = metrics.text().decode()
    assert text.count("supplytower_gateway_outcomes_total{") == 51
    assert 'outcomes_total{experiment="shop",metric="other"} 950.0' in text


def test_a_store_that_goes_away_is_503_to_be_tried_again(gateway, monkeypatch):
    async def gone(*arguments):
        raise StoreError("gone")

    for name in ("add", "entries"):
        monkeypatch.setattr(gateway.app.state.gateway.store.ledger, name, gone)
    for what, body in (("exposures", {"unit": "a"}), ("outcomes", {"unit": "a", "metric": "m", "value": 1})):
        answer = post(gateway, body, what)
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
