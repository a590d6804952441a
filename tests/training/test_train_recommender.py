"""The command `supplytower train recommender`: runs, resumed runs, and what it refuses."""

import json
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml

from data_pipelines.config import resolve
from data_pipelines.splits import load_split
from models.item_statistics import item_statistics
from tests.toy import ROTATION, SMALL, write_toy
from training import checkpoints, runs, train_recommender
from training.devices import configure
from training.recommender_config import RecommenderConfig
from training.tensorboard import Board
from training.train_recommender import main
from training.trainer import Progressed

ROOT = Path(__file__).parents[2]
# two epochs of 12 steps, saved after steps 5 and 10 of each, then a refit
SETTINGS = [f"{key}={value}" for key, value in (SMALL | {"checkpoint_steps": 5}).items()]


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    return write_toy(tmp_path_factory.mktemp("toy") / "data")


def arguments(data: Path, out: Path, *more: str, settings: list[str] = SETTINGS) -> list[str]:
    sets = [word for setting in settings for word in ("--set", setting)]
    return ["--data", str(data), "--out", str(out), *sets, *more]


@pytest.fixture(scope="module")
def finished(data, tmp_path_factory) -> Path:
    """A run that nothing disturbed."""
    out = tmp_path_factory.mktemp("runs") / "finished"
    assert main(arguments(data, out)) == 0
    return out


def weights(run: Path) -> dict[str, np.ndarray]:
    with np.load(run / runs.MODEL) as file:
        return {name: file[name] for name in file.files}


def assert_same_run(one: Path, other: Path) -> None:
    expected, actual = weights(one), weights(other)
    assert expected.keys() == actual.keys()
    for name, values in expected.items():
        assert values.dtype == actual[name].dtype
        assert values.tobytes() == actual[name].tobytes(), name
    assert learnt(one) == learnt(other)


def learnt(run: Path) -> list[dict[str, float]]:
    """The record of every round, without how long it took."""
    history = json.loads((run / runs.METRICS).read_text())["training"]["history"]
    timing = {"seconds", "questions_per_second", "input_wait_share"}
    return [{name: value for name, value in record.items() if name not in timing} for record in history]


# --- a run -----------------------------------------------------------------------------------------------------------


def test_what_a_run_leaves(finished, data):
    assert sorted(path.name for path in finished.iterdir()) == [
        "checkpoints",
        "config.yaml",
        "metrics.json",
        "model.npz",
        "run.json",
        "tensorboard",
    ]
    config = resolve(RecommenderConfig, file=finished / runs.CONFIG)
    assert (config.dim, config.checkpoint_steps, config.monitor) == (8, 5, "ndcg@10")
    record = json.loads((finished / runs.RECORD).read_text())
    assert record["fingerprint"] == "toy"
    assert set(record) == {"data", "fingerprint", "git", "device", "python", "machine", "packages"}
    training = json.loads((finished / runs.METRICS).read_text())["training"]
    best = max(training["history"], key=lambda figures: figures["ndcg@10"])
    assert training["validation"] == best["ndcg@10"]
    assert training["rounds"] == training["history"].index(best) + 1
    assert training["history"][1]["loss"] < training["history"][0]["loss"]
    # the run can be loaded with its data, by those who evaluate and export it
    run = runs.load_run(finished, data)
    assert run.name == "finished"
    assert np.isfinite(run.recommender.score(run.split.timelines, run.split.test)[:, 2:]).all()


def test_what_tensorboard_shows(finished):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    board = finished / runs.TENSORBOARD
    events = EventAccumulator(str(board))
    events.Reload()
    search = EventAccumulator(str(board / "search"))
    search.Reload()
    assert set(events.Tags()["tensors"]) >= {"final/ndcg@10"}
    assert {
        "loss/loss",
        "loss/ranking_loss",
        "loss/score_loss",
        "validation/ndcg@10",
        "validation/recall@10",
        "training/learning_rate",
        "training/input_wait_share",
    } <= set(search.Tags()["tensors"])
    assert "_hparams_/session_start_info" in events.summary_metadata
    names = (board / "item_names.tsv").read_text().splitlines()
    assert names[:2] == ["the a", "the b"]  # every item has twelve buyers, ties by name; the projector shows titles
    vectors = [line.split("\t") for line in (board / "items.tsv").read_text().splitlines()]
    assert len(vectors) == len(names) == len(ROTATION) + 1 + 6
    assert {len(vector) for vector in vectors} == {8}
    assert (board / "projector_config.pbtxt").exists()


def test_a_finished_run_is_left_alone(finished, data, capsys):
    before = weights(finished)
    assert main(arguments(data, finished, "--resume")) == 0
    assert "already trained" in capsys.readouterr().err
    assert all(np.array_equal(before[name], values) for name, values in weights(finished).items())


# --- kill -9 ---------------------------------------------------------------------------------------------------------

KILLED = """
import os, signal, sys
from training import checkpoints
from training.train_recommender import main

save, saves = checkpoints.save, []

def save_or_die(path, variables, state):
    saves.append(path)
    if len(saves) == 6:
        path.with_name(".half." + path.name).write_bytes(b"half a checkpoint")
        os.kill(os.getpid(), signal.SIGKILL)
    save(path, variables, state)

checkpoints.save = save_or_die
main(sys.argv[1:])
"""


def test_a_killed_run_resumes_to_the_very_same_weights(finished, data, tmp_path, monkeypatch):
    """Killed in the middle of the second round while it saves, then stopped in the refit, then finished."""
    out = tmp_path / "killed"
    command = [sys.executable, "-c", KILLED, *arguments(data, out)]
    killed = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=600)
    assert killed.returncode == -signal.SIGKILL, killed.stderr[-3000:]
    # saved so far: step 5, step 10, best, last of round 1, step 5 of round 2; the sixth was under way
    with np.load(out / "checkpoints" / "search" / "last.npz") as last:
        state = json.loads(str(last["state"]))
    assert (state["round"], state["step"]) == (1, 5)
    assert not (out / runs.MODEL).exists()

    save = checkpoints.save

    def stop_in_the_refit(path: Path, *rest: object) -> None:
        save(path, *rest)
        if path.parent.name == "refit":
            raise KeyboardInterrupt

    with monkeypatch.context() as stopped:
        stopped.setattr(checkpoints, "save", stop_in_the_refit)
        assert main(arguments(data, out, "--resume")) == 130
    assert (out / "checkpoints" / "refit" / "last.npz").exists()
    assert not (out / runs.MODEL).exists()
    assert main(arguments(data, out, "--resume")) == 0
    assert_same_run(finished, out)


# --- seeds and phases ------------------------------------------------------------------------------------------------


@pytest.fixture
def phases(monkeypatch) -> list[train_recommender._Phase]:
    """Record the trainings that a command asks for, without doing them."""
    asked: list[train_recommender._Phase] = []

    def fake(phase, config, device, out, board, *rest):
        asked.append(phase)
        model = train_recommender.build_model(train_recommender.model_arguments(config, phase.split))
        return model, Progressed(round=2, best=0.5, best_round=1, history=[])

    monkeypatch.setattr(train_recommender, "_run_phase", fake)
    return asked


def n_asked(data: Path, hold_out: str) -> int:
    return len(load_split(data, RecommenderConfig(), hold_out).train)


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        (["refit=false"], [("search", "validation", 2)]),
        ([], [("search", "validation", 2), ("refit", "test", 1)]),
        (["refit=false", "final=true"], [("search", "validation", 2), ("final", "nothing", 1)]),
    ],
)
def test_what_is_learnt_from_before_the_test_and_for_production(data, tmp_path, phases, settings, expected):
    assert main(arguments(data, tmp_path / "run", settings=[*SETTINGS, *settings])) == 0
    # as many rounds again as validation chose, the first one
    assert [(phase.name, phase.rounds, len(phase.train)) for phase in phases] == [
        (name, rounds, n_asked(data, hold_out)) for name, hold_out, rounds in expected
    ]
    assert [phase.validation is not None for phase in phases] == [True, False][: len(phases)]
    if len(phases) == 2:  # the score head keeps what was fitted on questions that the model had not seen
        loaded = runs.load_run(tmp_path / "run", data)
        assert loaded.recommender.model.calibration.numpy()[1] != 0.0


def test_without_a_refit_the_counts_are_brought_up_to_the_test(data, tmp_path, phases):
    assert main(arguments(data, tmp_path / "run", settings=[*SETTINGS, "refit=false"])) == 0
    split = load_split(data, RecommenderConfig(), "test")  # validation is in, the test is not
    counts = np.bincount(split.train.target_item, minlength=split.items.size)
    log_count = np.log(counts + 0.5)
    model = runs.load_run(tmp_path / "run", data).recommender.model
    np.testing.assert_allclose(model.popularity.numpy(), log_count - log_count.mean(), rtol=1e-4)
    expected = item_statistics(split.training_timelines, split.items.size)
    np.testing.assert_allclose(model.repeat_head.statistics.numpy(), expected, rtol=1e-4, atol=1e-6)


def test_the_seed_decides_the_weights(data, tmp_path):
    def initial(seed: int) -> bytes:
        config = RecommenderConfig(**SMALL, seed=seed)
        phase = train_recommender._Phase("refit", split, split.train, None, rounds=0)
        folder = tmp_path / str(seed)
        model, _ = train_recommender._run_phase(phase, config, configure(), folder, Board(folder))
        return b"".join(variable.numpy().tobytes() for variable in model.trainable_variables)

    split = load_split(data, RecommenderConfig(**SMALL))
    assert initial(1) == initial(1)
    assert initial(1) != initial(2)


def test_presets_files_and_words_in_this_order(data, tmp_path, phases):
    file = tmp_path / "settings.yaml"
    file.write_text(yaml.safe_dump({"epochs": 7, "dim": 4}))
    small = ["dim=6", "lstm_units=0", "repeat_units=0"]
    assert main(arguments(data, tmp_path / "run", "--preset", "quick", "--config", str(file), settings=small)) == 0
    config = resolve(RecommenderConfig, file=tmp_path / "run" / runs.CONFIG)
    assert (config.refit, config.epochs, config.dim) == (False, 7, 6)


# --- bad input -------------------------------------------------------------------------------------------------------


def refused(given: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    """The one line that says why."""
    assert main(given) == 2
    (line,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error:")]
    return line


def test_a_folder_that_holds_a_run_needs_resume(finished, data, capsys):
    assert "already holds a run; continue it with --resume" in refused(arguments(data, finished), capsys)
    assert "is there already and is no run" in refused(arguments(data, finished.parent), capsys)


def test_a_run_goes_on_with_its_own_settings_only(finished, data, capsys):
    given = arguments(data, finished, "--resume", settings=[*SETTINGS, "dim=16"])
    assert "the settings differ from" in refused(given, capsys)


def test_a_run_goes_on_with_its_own_data_only(finished, tmp_path, capsys):
    other = write_toy(tmp_path, fingerprint="other")
    line = refused(arguments(other, finished, "--resume"), capsys)
    assert "was trained on other data (toy)" in line
    assert "(other); give the same --data" in line
    with pytest.raises(ValueError, match="was trained on other data"):
        runs.load_run(finished, other)


def test_a_run_that_is_not_finished_cannot_be_loaded(data, tmp_path):
    with pytest.raises(ValueError, match="no run there; write one with `supplytower train recommender"):
        runs.load_run(tmp_path, data)
    (tmp_path / runs.RECORD).write_text("{}")
    with pytest.raises(ValueError, match="no trained model there; finish `supplytower train recommender"):
        runs.load_run(tmp_path, data)


def test_a_damaged_checkpoint_is_named(finished, data, tmp_path, capsys):
    out = tmp_path / "run"
    (out / "checkpoints" / "search").mkdir(parents=True)
    for name in (runs.CONFIG, runs.RECORD):
        (out / name).write_bytes((finished / name).read_bytes())
    (out / "checkpoints" / "search" / "last.npz").write_bytes(b"PK\x03\x04 cut off")
    line = refused(arguments(data, out, "--resume"), capsys)
    assert "checkpoints/search/last.npz: not a readable checkpoint" in line
    assert "delete the run folder and train anew" in line


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (["learning_rat=1"], "unknown setting 'learning_rat'; did you mean 'learning_rate'?"),
        (["dim=wide"], "dim"),
        (["dim=0"], "dim=0: must be at least 1"),
        (["patience=0"], "patience=0: must be at least 1"),
        (["dropout=1"], "dropout=1.0: must be at least 0 and below 1"),
        (["learning_rate=0"], "learning_rate=0.0"),
        (["lstm_units=0", "bag_half_lives_days=", "use_user=false", "use_context=false"], "no branch left"),
        (["loss=hinge"], "loss"),
        (["dim"], "not of the form key=value"),
        (["test_start=never"], "test_start='never' is not an ISO date"),
        (["target_event_types=return"], "target_event_types='return': the data has purchase"),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else "",
)
def test_settings_that_cannot_work_are_refused_before_anything_is_written(data, tmp_path, capsys, settings, message):
    assert message in refused(arguments(data, tmp_path / "run", settings=settings), capsys)
    assert not (tmp_path / "run").exists()


def test_missing_things_are_named(data, tmp_path, capsys):
    assert "--data" in refused(["--out", str(tmp_path / "run")], capsys)
    assert "not a prepared data folder" in refused(arguments(tmp_path, tmp_path / "run"), capsys)
    given = arguments(data, tmp_path / "run", "--config", str(tmp_path / "none.yaml"))
    assert "none.yaml" in refused(given, capsys)
    assert not (tmp_path / "run").exists()


def test_an_out_that_is_a_file_is_named(data, tmp_path, capsys):
    (tmp_path / "run").write_text("mine")
    assert str(tmp_path / "run") in refused(arguments(data, tmp_path / "run"), capsys)
    assert (tmp_path / "run").read_text() == "mine"


def test_a_truncated_table_is_named(data, tmp_path, capsys):
    folder = write_toy(tmp_path / "data")
    events = folder / "events.parquet"
    events.write_bytes(events.read_bytes()[:300])
    assert "events.parquet: not readable" in refused(arguments(folder, tmp_path / "run"), capsys)


def test_help_shows_examples_and_settings(capsys):
    assert main(["--help"]) == 0
    text = capsys.readouterr().out
    assert "supplytower train recommender --data" in text
    assert "learning_rate: number = 0." in text
