"""Which version is stable, and what it takes to become it."""

import json
from pathlib import Path

import pytest
import tensorflow as tf

from serving.model_versions import MOVES, labels, log_move, set_labels
from supplytower import main

MODEL = "recommender"


class Half(tf.Module):
    """y = x / 2 + bias."""

    def __init__(self, bias: float):
        super().__init__()
        self.bias = tf.Variable(bias)

    @tf.function(input_signature=[tf.TensorSpec([None], tf.float32, "x")])
    def __call__(self, x):
        return {"y": x / 2 + self.bias}


def export(models: Path, version: int, validation: float, *, bias: float = 2.0, says: float = 2.0) -> None:
    """A version that adds `bias`, whose manifest says that it adds `says`."""
    folder = models / MODEL / str(version)
    module = Half(bias)
    tf.saved_model.save(module, str(folder), signatures={"serving_default": module.__call__})
    manifest = {
        "model": MODEL,
        "version": version,
        "created": "2024-05-01T00:00:00+00:00",
        "run": "first",
        "metrics": {"training": {"monitor": "ndcg@10", "validation": validation}},
        "signatures": {"serving_default": {"inputs": {"x": {"dtype": "float32", "shape": [-1]}}}},
        "golden": {"serving_default": {"inputs": {"x": [1.0, 5.0]}, "outputs": {"y": [0.5 + says, 2.5 + says]}}},
    }
    (folder / "manifest.json").write_text(json.dumps(manifest))


@pytest.fixture(scope="module")
def exported(tmp_path_factory) -> Path:
    models = tmp_path_factory.mktemp("models")
    export(models, 1, 0.20)
    export(models, 2, 0.25)
    export(models, 3, 0.19)
    export(models, 4, 0.30, bias=2.5)  # answers otherwise than it says
    return models


@pytest.fixture
def models(exported) -> Path:
    set_labels(exported, MODEL, {"stable": 1, "canary": 3}, "/models")
    (exported / MOVES).unlink(missing_ok=True)
    return exported


def run(models: Path, *words: str) -> int:
    return main(["models", *words, "--models", str(models)])


def stable(models: Path) -> int:
    return labels(models, MODEL)["stable"]


def test_the_list(models, capsys):
    assert run(models, "list") == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[:2] for line in lines[1:]] == [[MODEL, str(number)] for number in (1, 2, 3, 4)]
    assert "stable" in lines[1]
    assert "ndcg@10 0.2500" in lines[2]


def test_a_version_that_answers_otherwise_is_found(models, capsys):
    assert run(models, "verify", "--version", "1") == 0
    assert run(models, "verify", "--model", MODEL, "--version", "4") == 1
    assert "y of serving_default is not what it was when the version was exported" in capsys.readouterr().err


def test_promoting_and_going_back(models, capsys):
    assert run(models, "promote", "--model", MODEL, "--version", "2") == 0
    assert labels(models, MODEL) == {"stable": 2, "canary": 3}
    assert "/models/recommender" in (models / "models.config").read_text()  # where the server sees it
    assert run(models, "rollback", "--model", MODEL) == 0
    assert stable(models) == 1
    assert run(models, "rollback", "--model", MODEL) == 2
    assert "no version was stable before 1" in capsys.readouterr().err
    log = [json.loads(line) for line in (models / MOVES).read_text().splitlines()]
    assert [(one["action"], one["from"], one["to"]) for one in log] == [("promote", 1, 2), ("rollback", 2, 1)]


def test_going_back_passes_over_what_was_never_stable(models):
    set_labels(models, MODEL, {"stable": 3, "canary": 3})  # as exports do: 1 is stable, 2 is refused, 3 is stable
    log_move(models, {"action": "export", "model": MODEL, "from": None, "to": 1})
    log_move(models, {"action": "export", "model": MODEL, "from": 1, "to": 3})
    assert run(models, "rollback", "--model", MODEL) == 0
    assert stable(models) == 1


def test_a_damaged_log(models, capsys):
    (models / MOVES).write_text('{"action": "expo\n')
    assert run(models, "rollback", "--model", MODEL) == 2
    assert "promotions.jsonl: line 1 is damaged" in capsys.readouterr().err


def test_a_worse_version_is_promoted_only_with_a_margin_or_a_reason(models, capsys):
    words = ("promote", "--model", MODEL, "--version", "3")
    assert run(models, *words) == 2
    assert "ndcg@10 is 0.1900, worse than the 0.2000 of the stable version" in capsys.readouterr().err
    assert run(models, *words, "--margin", "0.04") == 2
    assert stable(models) == 1
    assert run(models, *words, "--margin", "0.06") == 0  # 5 % worse
    assert stable(models) == 3


def test_overruling_is_written_down(models):
    words = ("promote", "--model", MODEL, "--version", "4")
    assert run(models, *words) == 2
    assert run(models, *words, "--force", "the old one lacks the new items") == 0
    (entry,) = [json.loads(line) for line in (models / MOVES).read_text().splitlines()]
    assert entry["reason"] == "the old one lacks the new items"
    assert "is not what it was" in entry["overruled"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("promote",), "--model: say which"),
        (("promote", "--model", MODEL, "--version", "9"), "no version '9'"),
        (("rollback", "--model", "demand_forecaster"), "no version was stable before None"),
        (("promote", "--model", MODEL, "--margin", "-1"), "--margin -1: must be at least 0"),
        (("list", "--model", "demand_forecaster"), "no exported model; run `supplytower export forecaster"),
    ],
)
def test_impossible_words(models, capsys, words, message):
    assert run(models, *words) == 2
    assert message in capsys.readouterr().err
