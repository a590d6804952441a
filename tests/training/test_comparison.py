import json

import pytest

from tests.training.evaluation_world import oracle, same_for_all, split
from training.comparison import BETTER, UNDECIDED, WORSE, label, summarise, verdict
from training.confidence import Estimate
from training.evaluation import evaluate, make_test_set


def summary(models, model, ks=(1, 2)):
    test_set = make_test_set(split())
    return summarise(evaluate(models, test_set, ks), test_set, model=model, resamples=200)


def test_verdict_needs_the_whole_interval_on_one_side():
    assert verdict(Estimate(0.1, 0.01, 0.2)) == BETTER
    assert verdict(Estimate(0.1, -0.01, 0.2)) == UNDECIDED
    assert verdict(Estimate(-0.1, -0.2, -0.01)) == WORSE
    assert verdict(Estimate(0.0, 0.0, 0.0)) == UNDECIDED


def test_compared_with_the_best_baseline_of_each_metric():
    result = summary([oracle(), same_for_all("first"), same_for_all("second")], "oracle")
    assert result["baselines"] == ["first", "second"]
    compared = result["comparisons"]["next_basket"]["recall@2"]
    # the oracle has 1, the list by index (1/2 + 0 + 1/2) / 3
    assert compared["best_baseline"] == "first"
    assert compared["model"] == pytest.approx(1)
    assert compared["baseline"] == pytest.approx(1 / 3)
    assert compared["difference"]["mean"] == pytest.approx(2 / 3)
    assert compared["difference"]["low"] == pytest.approx(1 / 2)  # whoever is drawn misses at least half
    assert compared["ratio"] is None  # a draw of user 3 alone has no hit to divide by
    assert compared["verdict"] == BETTER
    assert result["tasks"]["next_basket"]["queries"] == 3
    assert result["catalogue"] == 6


def test_sentences_say_how_it_stands():
    better = summary([oracle(), same_for_all()], "oracle")["statements"]
    assert better[0]["verdict"] == BETTER
    assert better[0]["text"].startswith(
        "Next basket: oracle is better than by index on Recall@2 (1.0000 against 0.3333: "
    )
    assert len(better) == 4  # Recall and NDCG, of the next basket and of what is new in the whole period
    worse = summary([same_for_all("ours"), oracle(), same_for_all("other")], "ours")["statements"][0]
    assert "ours is worse than oracle, the best of 2 baselines, on Recall@2" in worse["text"]
    equal = summary([same_for_all("ours"), same_for_all("theirs")], "ours")["statements"][0]
    assert "ours is not distinguishable from theirs" in equal["text"]
    alone = summary([same_for_all("ours")], "ours")
    assert alone["statements"][0]["text"] == "Next basket: ours reaches Recall@2 0.3333; no baseline was evaluated."
    assert alone["comparisons"] == {}


def test_headline_cut_off():
    assert summary([oracle()], "oracle", (5, 10, 20))["headline_k"] == 10
    assert summary([oracle()], "oracle", (1, 3, 7))["headline_k"] == 3


def test_slices_have_counts_and_intervals():
    slices = summary([oracle(), same_for_all()], "oracle")["slices"]
    assert slices["history"]["1–5"]["queries"] == 3
    north = slices["region"]["north"]["models"]["by index"]["recall@2"]  # users 2 and 3
    assert north["mean"] == pytest.approx((1 / 2 + 0) / 2)
    assert (north["low"], north["high"]) == (0, 0.5)


def test_the_summary_is_json_and_the_same_every_time():
    first, second = (summary([oracle(), same_for_all()], "oracle") for _ in range(2))
    for result in (first, second):
        for model in result["models"].values():
            assert model.pop("users_per_second") > 0
    assert json.loads(json.dumps(first, allow_nan=False)) == json.loads(json.dumps(second))


def test_labels():
    assert label("ndcg@10") == "NDCG@10"
    assert label("repeat_share@5") == "Repeat share@5"
