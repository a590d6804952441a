import json
from dataclasses import replace

import pytest

from data_pipelines.schema import InputError
from models.baselines import BASELINES
from tests.training.evaluation_world import oracle, split
from training import runs
from training.evaluate_recommender import main, select_baselines
from training.recommender_config import RecommenderConfig


@pytest.fixture
def run(tmp_path, monkeypatch):
    """A run folder whose model is an oracle on the hand-made world."""
    path = tmp_path / "first"
    path.mkdir()
    (path / "metrics.json").write_text(json.dumps({"training": {"rounds": 3}}))
    config = RecommenderConfig(refit=False)
    loaded = runs.Run("first", path, config, split(), oracle("two-tower"))
    monkeypatch.setattr(runs, "load_run", lambda run, data: loaded)
    return path


def arguments(run, *more):
    return ["--run", str(run), "--data", "data", "--bootstrap", "100", *more]


def test_table_metrics_and_report(run, capsys):
    assert main(arguments(run, "--k", "2", "3", "--baselines", "popularity,personal-frequency")) == 0
    printed = capsys.readouterr().out
    assert "two-tower" in printed
    assert "personal-frequency" in printed
    assert "difference to it" in printed
    assert "two-tower is better than" in " ".join(printed.split())
    metrics = json.loads((run / "metrics.json").read_text())
    assert metrics["training"] == {"rounds": 3}
    assert metrics["evaluation"]["baselines"] == ["popularity", "personal-frequency"]
    assert metrics["evaluation"]["ks"] == [2, 3]
    assert metrics["evaluation"]["bootstrap"]["resamples"] == 100
    assert "two-tower is better than" in (run / "report.html").read_text()
    assert sorted(file.name for file in run.iterdir()) == ["metrics.json", "report.html"]  # no temporary file left


def test_every_baseline_by_default(run, capsys):
    assert main(arguments(run)) == 0
    printed = capsys.readouterr().out
    assert all(f"\n {name} " in printed for name in BASELINES)


def test_no_baseline(run, capsys):
    assert main(arguments(run, "--baselines", "none")) == 0
    assert "no baseline was evaluated" in capsys.readouterr().out


def test_a_run_without_held_out_questions(run, monkeypatch, capsys):
    final = replace(runs.load_run(run, run), config=RecommenderConfig(final=True))
    monkeypatch.setattr(runs, "load_run", lambda run, data: final)
    assert main(arguments(run)) == 2
    assert "nothing was held out" in capsys.readouterr().err


def test_unknown_arguments_name_the_remedy(run, capsys):
    assert main(arguments(run, "--baselines", "popularity,magic")) == 2
    assert "--baselines magic: unknown" in capsys.readouterr().err
    assert main(arguments(run, "--k", "0")) == 2
    assert "0 is not a whole number of at least 1" in capsys.readouterr().err


def test_selection():
    assert select_baselines("all") == tuple(BASELINES)
    assert select_baselines("none") == ()
    assert select_baselines("tifu-knn, popularity,tifu-knn") == ("tifu-knn", "popularity")
    with pytest.raises(InputError, match="magic"):
        select_baselines("magic")
