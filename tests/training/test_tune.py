"""The search, mostly with a stand-in for training whose figure is known: 1 − |dropout − 0.3|."""

import fcntl
from dataclasses import replace

import optuna
import pytest

from data_pipelines.config import resolve
from data_pipelines.schema import InputError
from tests.training.demand_world import SETTINGS, write_demand
from tests.training.export_world import write_data
from training import runs, tune_forecaster, tune_recommender, tuning
from training.recommender_config import RecommenderConfig
from training.trainer import DivergedError
from training.training_config import load_preset
from training.tune_forecaster import FORECASTER
from training.tune_recommender import RECOMMENDER, SPACE, main
from training.tuning import best_trials, readable


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tune") / "data"
    write_data(folder)
    return folder


class StandIn:
    """`train` without training: two rounds, and the folder that a run leaves."""

    def __init__(self):
        self.configs, self.resumed, self.stop_at = [], [], None

    def __call__(self, data, out, config, *, resume, after_round):
        self.resumed.append((out / "checkpoints").exists())
        (out / "checkpoints").mkdir(parents=True, exist_ok=True)
        self.configs.append(config)
        if len(self.configs) == self.stop_at:
            raise KeyboardInterrupt
        figure = 1 - abs(config.dropout - 0.3)
        if config.weight_decay > 0.09:
            raise DivergedError("the loss became nan")
        for number in (1, 2):
            after_round(number, {config.monitor: figure})
        (out / "model.npz").touch()
        runs.update_metrics(out, "training", {"rounds": 2, "validation": figure, "monitor": config.monitor})


@pytest.fixture
def train(monkeypatch):
    stand_in = StandIn()
    monkeypatch.setattr(tune_recommender, "RECOMMENDER", replace(RECOMMENDER, train=stand_in))
    return stand_in


def tune(data, out, trials, **keywords):
    return tuning.tune(tune_recommender.RECOMMENDER, data, out, trials, **keywords)


@pytest.mark.parametrize("preset", ["quick", "full"])
def test_the_search_starts_from_the_preset_which_lies_in_the_space(data, tmp_path, train, preset, recwarn):
    tune(data, tmp_path / "study", 1, preset=preset)
    words = ["refit=false"]  # the only difference: a trial is judged by validation, a refit would cost time for nothing
    assert train.configs == [resolve(RecommenderConfig, preset=load_preset("recommender", preset), overrides=words)]
    assert not [w for w in recwarn if "enqueue" in str(w.message) or "out of range" in str(w.message)]


def test_the_best_settings_can_be_trained_with(data, tmp_path, train):
    study = tune(data, tmp_path / "study", 3)
    best = best_trials(study)[0]
    found = resolve(RecommenderConfig, preset=load_preset("recommender", "full"), file=tmp_path / "study" / "best.yaml")
    assert {name: getattr(found, name) for name in SPACE} == readable(best.params)
    assert found.refit  # as the preset has it: the search's own settings stay out of the file
    assert abs(found.dropout - 0.3) == min(abs(config.dropout - 0.3) for config in train.configs)


def test_a_setting_given_by_the_user_is_held_fixed(data, tmp_path, train):
    study = tune(data, tmp_path / "study", 3, overrides=["dim=48", "bag_half_lives_days=7,30"])
    assert [config.dim for config in train.configs] == [48, 48, 48]
    assert "dim" not in study.trials[0].params
    found = resolve(RecommenderConfig, file=tmp_path / "study" / "best.yaml")
    assert (found.dim, found.bag_half_lives_days) == (48, (7.0, 30.0))


def test_trials_count_in_all(data, tmp_path, train):
    tune(data, tmp_path / "study", 2)
    tune(data, tmp_path / "study", 3)
    study = tune(data, tmp_path / "study", 3)
    assert len(train.configs) == len(study.trials) == 3
    assert len({config.learning_rate for config in train.configs}) == 3  # the sampler does not begin anew


def test_only_the_figures_of_a_trial_are_kept(data, tmp_path, train):
    tune(data, tmp_path / "study", 1)
    assert [path.name for path in (tmp_path / "study" / "trials" / "0000").iterdir()] == ["metrics.json"]


def test_ctrl_c_shows_what_was_found_and_the_next_call_takes_up_the_trial(data, tmp_path, train, capsys):
    arguments = ["--data", str(data), "--out", str(tmp_path / "study"), "--trials", "3"]
    train.stop_at = 2
    assert main(arguments) == 130
    assert "0 (preset)" in capsys.readouterr().out
    assert main(arguments) == 0
    # trial 0, trial 1 stopped, trial 1 again from its checkpoints, one more
    assert train.resumed == [False, False, True, False]
    assert train.configs[1] == train.configs[2]


def test_a_trial_that_diverges_counts_but_never_wins(data, tmp_path, train):
    study = tune(data, tmp_path / "study", 3, overrides=["weight_decay=0.095"])
    assert [trial.state for trial in study.trials] == [optuna.trial.TrialState.PRUNED] * 3
    assert not (tmp_path / "study" / "best.yaml").exists()


def test_a_poor_trial_is_stopped_early(data, tmp_path, train, monkeypatch):
    monkeypatch.setattr(tuning, "RANDOM_TRIALS", 1)
    trials = tune(data, tmp_path / "study", 4).trials
    pruned = [trial for trial in trials if trial.state == optuna.trial.TrialState.PRUNED]
    assert pruned
    # the first trial's figure is the median of one, and a later median is no lower: what is stopped was worse than it
    assert all(trial.intermediate_values[2] < trials[0].value for trial in pruned)


@pytest.mark.parametrize("words", [["--set", "seed=2"], ["--preset", "quick"]])
def test_another_search_in_the_same_folder(data, tmp_path, train, capsys, words):
    arguments = ["--data", str(data), "--out", str(tmp_path / "study"), "--trials", "1"]
    assert main(arguments) == 0
    assert main([*arguments, *words]) == 2
    assert "holds a search with other settings" in capsys.readouterr().err


def test_two_searches_at_once(data, tmp_path, train):
    (tmp_path / "study").mkdir()
    with (tmp_path / "study" / ".lock").open("w") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        with pytest.raises(InputError, match="a search is under way there"):
            tune(data, tmp_path / "study", 1)


def test_no_trials(data, capsys):
    assert main(["--data", str(data), "--trials", "0"]) == 2
    assert "--trials 0: must be at least 1" in capsys.readouterr().err


def test_training_in_earnest(data, tmp_path, capsys):
    small = ("dim=8", "lstm_units=8", "repeat_units=4", "batch_size=32", "epochs=1", "history_length=16")
    arguments = ["--data", str(data), "--out", str(tmp_path / "study"), "--trials", "1", "--preset", "quick"]
    assert main([*arguments, *(word for setting in small for word in ("--set", setting))]) == 0
    printed = capsys.readouterr()
    assert "validation ndcg@10, best trials" in printed.out
    assert "round " not in printed.err  # a trial's own messages are kept out
    kept = {path.name for path in (tmp_path / "study" / "trials" / "0000").iterdir()}
    assert kept >= {"config.yaml", "metrics.json", "tensorboard"}
    assert not kept & {"checkpoints", "model.npz"}


def test_of_a_figure_that_should_be_small_the_smallest_is_best(tmp_path, monkeypatch, capsys):
    data = write_demand(tmp_path)
    small = [word for name, value in SETTINGS.items() for word in ("--set", f"{name}={value}")]
    arguments = ["--data", str(data), "--out", str(tmp_path / "study"), "--trials", "2", "--preset", "quick"]
    assert tune_forecaster.main([*arguments, *small]) == 0
    assert "validation wrmsse, best trials" in capsys.readouterr().out
    records = [runs.read_metrics(tmp_path / "study" / "trials" / f"000{number}")["training"] for number in (0, 1)]
    best = min(records, key=lambda record: record["validation"])
    assert f"{best['validation']:.4f}" in (tmp_path / "study" / "best.yaml").read_text().splitlines()[0]
    found = resolve(FORECASTER.config, preset=load_preset("forecaster", "full"), file=tmp_path / "study" / "best.yaml")
    assert found.context == SETTINGS["context"]  # held fixed
    # a trial is judged by validation: nothing is trained after that
    phases = {path.name for path in (tmp_path / "study" / "trials" / "0000" / "tensorboard").iterdir() if path.is_dir()}
    assert phases == {"search"}
