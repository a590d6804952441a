"""`supplytower experiment collect`: from the gateway's records to the table that is analyzed."""

import json
from datetime import UTC, datetime

import numpy as np
import polars as pl
import pytest

from supplytower import main

SHOP = "/v1/experiments/shop"


@pytest.fixture
def gateway(start, experiments, store_url, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return start(experiments=experiments, store=store_url)


def run(*words):
    return main(["experiment", "collect", "--experiments", "experiments.yaml", *words])


def test_a_unit_has_the_sum_and_the_count_of_each_metric(gateway, store_url, capsys):
    exposures = [{"unit": unit, "timestamp": 1_769_860_800 + place} for place, unit in enumerate(["b", "a", "c"])]
    shown = gateway.post(f"{SHOP}/exposures", json={"exposures": exposures}).json()["exposures"]
    values = [("a", "revenue", 10.5), ("a", "visit", 1), ("a", "revenue", 4.5), ("a", "revenue", -2), ("c", "visit", 1)]
    outcomes = [{"unit": unit, "metric": metric, "value": value} for unit, metric, value in values]
    assert gateway.post(f"{SHOP}/outcomes", json={"outcomes": outcomes}).json()["accepted"] == 5
    gateway.post("/v1/experiments/win-back/exposures", json={"exposures": exposures})  # of another one
    assert run("--store", store_url, "--id", "shop", "--out", "o.parquet") == 0
    said = capsys.readouterr().err
    assert "3 units with revenue, visit are in o.parquet" in said
    assert "analyze --table o.parquet --experiments experiments.yaml --id shop --metric revenue" in said
    variant = {one["unit"]: one["variant"] for one in shown}
    # 10.5 + 4.5 - 2 = 13 in three orders; b did nothing
    assert pl.read_parquet("o.parquet").rows(named=True) == [
        {
            "unit": unit,
            "experiment": "shop",
            "variant": variant[unit],
            "exposed_at": datetime(2026, 1, 31, 12, 0, second, tzinfo=UTC),
            "propensity": 0.5,
            "revenue": revenue,
            "revenue:count": orders,
            "visit": visit,
            "visit:count": visit,
        }
        for unit, second, revenue, orders, visit in [
            ("a", 1, 13.0, 3.0, 1.0),
            ("b", 0, 0.0, 0.0, 0.0),
            ("c", 2, 0.0, 0.0, 1.0),
        ]
    ]


def test_an_effect_that_was_planted_is_found(gateway, store_url, capsys):
    """900 customers come one after the other; of plain 20 % buy for 10, of bright 40 %."""
    units = [f"customer-{number}" for number in range(900)]
    body = {"exposures": [{"unit": unit} for unit in units]}
    shown = gateway.post(f"{SHOP}/exposures", json=body).json()["exposures"]
    chance, outcomes = np.random.default_rng(7).random(900), []
    for one, luck in zip(shown, chance, strict=True):
        if luck < (0.2 if one["variant"] == "plain" else 0.4):
            order = {"unit": one["unit"], "outcome_id": "order-1"}
            outcomes += [order | {"metric": "bought", "value": 1}, order | {"metric": "revenue", "value": 10.0}]
    assert gateway.post(f"{SHOP}/outcomes", json={"outcomes": outcomes}).json()["duplicates"] == 0
    assert run("--store", store_url, "--id", "shop", "--out", "o.csv") == 0
    capsys.readouterr()
    words = ["--table", "o.csv", "--experiments", "experiments.yaml", "--id", "shop"]
    words += ["--metric", "bought", "--ratio", "revenue/revenue:count", "--json"]
    assert main(["experiment", "analyze", *words]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["sample_ratio"]["passes"]
    assert sum(found["units"].values()) == 900
    bought, per_order = found["comparisons"]
    # the difference of 0.2 has a standard error of sqrt((0.2 * 0.8 + 0.4 * 0.6) / 450) = 0.03
    assert bought["difference"] == pytest.approx(0.2, abs=0.09)
    assert bought["adjusted_p_value"] < 0.001
    assert [per_order["control_mean"], per_order["mean"]] == pytest.approx([10.0, 10.0])


def test_what_was_seen_moves_the_shares(gateway, store_url, tmp_path, capsys):
    """All of bright buy and none of plain: Thompson sampling leaves plain its minimum of 5 %."""
    exposures = [{"unit": f"customer-{number}"} for number in range(60)]
    shown = gateway.post(f"{SHOP}/exposures", json={"exposures": exposures}).json()["exposures"]
    bought = [{"unit": one["unit"], "metric": "bought", "value": 1} for one in shown if one["variant"] == "bright"]
    gateway.post(f"{SHOP}/outcomes", json={"outcomes": bought})
    assert run("--store", store_url, "--id", "shop", "--out", "o.csv") == 0
    (tmp_path / "t.yaml").write_text("{id: shop, allocation: thompson, variants: {plain: 0.5, bright: 0.5}}")
    pl.DataFrame({"user_id": [f"new-{number}" for number in range(50)]}).write_csv("new.csv")
    words = "--experiments t.yaml --units new.csv --outcomes o.csv --metric bought --out a.csv"
    assert main(["experiment", "assign", *words.split()]) == 0
    shares = dict(pl.read_csv("a.csv").select("variant", "propensity").unique().iter_rows())
    assert shares["bright"] == pytest.approx(0.95, abs=1e-6)


def test_without_outcomes_there_are_exposures(gateway, store_url, capsys):
    gateway.post(f"{SHOP}/exposures", json={"unit": "a"})
    assert run("--store", store_url, "--id", "shop", "--out", "o.parquet") == 0
    assert "1 units with no outcomes yet" in capsys.readouterr().err
    assert pl.read_parquet("o.parquet").columns == ["unit", "experiment", "variant", "exposed_at", "propensity"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ((), "has the experiments shop, welcome, win-back, past; say which with --id"),
        (("--id", "none"), "--id none: no such experiment; there are shop"),
        (("--id", "shop"), "has no exposures of shop; post them to /v1/experiments/shop/exposures"),
        (("--id", "shop", "--store", "sqlite:///none.sqlite"), "--store sqlite:///none.sqlite: no such file"),
        (("--id", "shop", "--store", "shop.db"), "--store 'shop.db': write sqlite:///"),
        (("--id", "shop", "--out", "o.txt"), "--out o.txt: name a file that ends with .parquet or .csv"),
        (("--id", "shop", "--store", "redis://127.0.0.1:1/0"), "see that it runs"),
    ],
)
def test_mistakes_are_one_line(gateway, store_url, capsys, tmp_path, words, message):
    if any("redis" in word for word in words):
        pytest.importorskip("redis")
    assert run("--store", store_url, "--out", "o.parquet", *words) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert not list(tmp_path.glob("o.*")) + list(tmp_path.glob("none.*"))
