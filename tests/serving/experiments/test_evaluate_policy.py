"""`supplytower experiment off-policy`, by hand."""

import json

import polars as pl
import pytest

from supplytower import main

COMMAND = "experiment off-policy --log log.csv --policy policy.csv --reward visit"


@pytest.fixture
def world(tmp_path, monkeypatch):
    """Old customers visit only after a, new ones only after b; variants were drawn with ½ each."""
    monkeypatch.chdir(tmp_path)
    kind, variant = ["old", "old", "new", "new"] * 50, ["a", "b"] * 100
    pl.DataFrame({"kind": kind, "variant": variant, "visit": [1, 0, 0, 1] * 50, "propensity": 0.5}).write_csv("log.csv")
    policy = {"kind": ["old", "new"], "variant": ["a", "b"], "probability": [1.0, 1.0]}
    pl.DataFrame(policy).write_csv("policy.csv")


def test_the_right_variant_for_each_kind(world, capsys):
    assert main([*COMMAND.split(), "--by", "kind", "--json"]) == 0
    printed = capsys.readouterr()
    assert not printed.err
    found = json.loads(printed.out)
    assert found["the one that ran"]["mean"] == 0.5
    # half of the decisions are the policy's, all with a visit: weights 2 and 0
    assert found["IPS"]["mean"] == found["SNIPS"]["mean"] == 1.0
    assert found["doubly robust"]["mean"] == pytest.approx(1.0, abs=0.05)
    assert found["IPS"]["effective_decisions"] == 100
    assert found["IPS"]["mean_weight"] == 1


def test_a_policy_for_all(world, capsys):
    pl.DataFrame({"variant": ["a"], "probability": [1]}).write_csv("policy.csv")
    assert main(COMMAND.split()) == 0
    # after a half of them visit: as before
    assert capsys.readouterr().out.splitlines()[-1].split()[:3] == ["doubly", "robust", "0.5"]


def test_what_the_log_never_took_there_is_said(world, capsys):
    # b was never tried with old customers, to whom the policy gives nothing else: IPS counts these decisions as none
    log = pl.read_csv("log.csv").filter((pl.col("kind") == "new") | (pl.col("variant") == "a"))
    log.write_csv("log.csv")
    pl.DataFrame({"kind": ["old", "new"], "variant": ["b", "b"], "probability": [1, 1]}).write_csv("policy.csv")
    assert main([*COMMAND.split(), "--by", "kind", "--json"]) == 0
    found = capsys.readouterr()
    # 50 of 150 decisions have weight 2, the others 0
    assert json.loads(found.out)["IPS"]["mean_weight"] == pytest.approx(2 / 3)
    # 0.67 ± 0.077, by 150 decisions that are worth 50: 4.3 errors
    assert "weights are 0.67 in the mean, not 1" in found.err


@pytest.mark.parametrize(
    ("policy", "words", "said"),
    [
        ({"variant": ["a", "b"], "probability": [0.5, 0.4]}, "", "the policy: probabilities add up to 0.9"),
        ({"variant": ["a", "b"], "probability": [1.5, -0.5]}, "", "probabilities add up to 1; from 0 to 1"),
        ({"variant": ["a", "a"], "probability": [0.5, 0.5]}, "", "row 1: its variant is listed twice"),
        ({"variant": ["a"], "probability": ["all"]}, "", "policy.csv: row 1: probability is 'all'"),
        (
            {"variant": ["a"], "probability": [1], "kind": ["old"]},
            "--by kind",
            "row 3: the policy says nothing of kind 'new'",
        ),
        (
            {"variant": ["a", "c"], "probability": [0.1, 0.9]},
            "",
            "policy.csv: variant 'c' is nowhere in log.csv; nothing is known of it",
        ),
        ({"variant": ["a"], "probability": [1]}, "--by kind", "policy.csv: no column 'kind'"),
        ({"variant": ["a"], "probability": [1]}, "--alpha 0", "--alpha 0: must lie between 0 and 1"),
    ],
)
def test_impossible_policies(world, policy, words, said, capsys):
    pl.DataFrame(policy).write_csv("policy.csv")
    assert main([*COMMAND.split(), *words.split()]) == 2
    assert said in capsys.readouterr().err
