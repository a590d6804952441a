"""The loop itself: most tests put a recorder in place of the step, so that nothing is compiled."""

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import keras
import numpy as np
import numpy.testing as npt
import pytest
import tensorflow as tf
from rich.progress import Progress

from data_pipelines.datasets import Questions
from data_pipelines.schema import InputError
from data_pipelines.splits import Split, load_split
from data_pipelines.timelines import Queries
from models.two_tower import TwoTower
from tests.toy import SMALL, write_toy
from tests.training.test_checkpoints import fill_the_disk
from training.devices import Device
from training.recommender_config import RecommenderConfig, model_arguments
from training.trainer import BEST, LAST, Trainer
from training.two_tower_recommender import build_model

CONFIG = RecommenderConfig(**SMALL)
CPU = Device(tf.distribute.get_strategy(), False, "CPU")
Rows = list[list[int]]


@pytest.fixture(scope="module")
def split(tmp_path_factory) -> Split:
    return load_split(write_toy(tmp_path_factory.mktemp("trainer")), CONFIG)


def make_model(split: Split) -> TwoTower:
    keras.utils.set_random_seed(1)
    return build_model(model_arguments(CONFIG, split))


@pytest.fixture(scope="module")
def model(split) -> TwoTower:
    """For tests that do not look at its weights."""
    return make_model(split)


def make_trainer(
    model: TwoTower, split: Split, folder: Path, validate: Callable[[], dict[str, float]] | None = None, **settings
) -> Trainer:
    config = RecommenderConfig(**SMALL | settings)
    return Trainer(model, questions(split, split.train, config), config, CPU, folder, validate)


def questions(split: Split, queries: Queries, config: RecommenderConfig) -> Questions:
    return Questions(
        split.timelines, queries, config.batch_size, config.history_length, config.max_targets, config.seed
    )


def run(trainer: Trainer, rounds: int) -> None:
    with Progress(disable=True) as progress:
        trainer.run(rounds, progress)


class Interrupted(Exception):
    pass


def record_steps(trainer: Trainer, stop_after: int | None = None) -> Rows:
    """Put a recorder of the first request times in place of the step; stop like a killed process after some steps."""
    seen: Rows = []

    def step(batch: tuple[dict, dict]) -> None:
        if len(seen) == stop_after:
            raise Interrupted
        seen.append(batch[0]["time"].numpy().tolist())
        trainer.optimizer.iterations.assign_add(1)

    trainer._step = step
    return seen


def epoch_of(trainer: Trainer, epoch: int) -> Rows:
    return [batch[0]["time"].numpy().tolist() for batch in trainer._batches(epoch, 0, trainer.steps_per_epoch)]


# --- rounds and positions --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("rounds_per_epoch", [1, 2, 5])
def test_rounds_divide_an_epoch_without_rest(model, split, tmp_path, rounds_per_epoch):
    trainer = make_trainer(model, split, tmp_path, rounds_per_epoch=rounds_per_epoch)
    seen = record_steps(trainer)
    run(trainer, 2 * rounds_per_epoch)
    first, second = epoch_of(trainer, 0), epoch_of(trainer, 1)
    assert seen == first + second
    assert first != second  # shuffled anew
    assert trainer.state.round == len(trainer.state.history) == 2 * rounds_per_epoch
    assert trainer.state.step == 0


@pytest.mark.parametrize("stop_after", [1, 5, 6, 23])
def test_a_stopped_run_goes_on_with_the_very_next_batch_after_the_last_save(model, split, tmp_path, stop_after):
    # 380 questions make 12 batches of 32: rounds of 6 steps, saves after steps 4 and 6 of each
    settings = {"rounds_per_epoch": 2, "checkpoint_steps": 4}
    whole = make_trainer(model, split, tmp_path / "whole", **settings)
    expected = record_steps(whole)
    run(whole, 4)
    assert len(expected) == 24
    stopped = make_trainer(model, split, tmp_path / "stopped", **settings)
    seen = record_steps(stopped, stop_after)
    with pytest.raises(Interrupted):
        run(stopped, 4)
    resumed = make_trainer(model, split, tmp_path / "stopped", **settings)
    rest = record_steps(resumed)
    saved = stop_after // 6 * 6 + (4 if stop_after % 6 >= 4 else 0)
    assert resumed.resume() == (saved > 0)
    assert (resumed.state.round, resumed.state.step) == divmod(saved, 6)
    run(resumed, 4)
    assert seen[:saved] + rest == expected
    assert resumed.optimizer.iterations == 24


def test_a_round_that_was_stopped_goes_on_counting_its_loss(model, split, tmp_path):
    def count(trainer: Trainer, stop_after: int | None = None) -> None:
        record_steps(trainer, stop_after)
        step = trainer._step

        def counting(batch: tuple[dict, dict]) -> None:
            step(batch)
            trainer.model.loss_tracker.update_state(float(trainer.optimizer.iterations))

        trainer._step = counting

    stopped = make_trainer(model, split, tmp_path, checkpoint_steps=4)
    count(stopped, 6)
    with pytest.raises(Interrupted):
        run(stopped, 1)
    resumed = make_trainer(model, split, tmp_path, checkpoint_steps=4)
    count(resumed)
    resumed.resume()
    run(resumed, 1)
    assert resumed.state.history[0]["loss"] == 6.5  # the mean of 1 to 12


# --- choosing on validation ------------------------------------------------------------------------------------------


def scripted(figures: list[float]) -> Callable[[], dict[str, float]]:
    remaining: Iterator[float] = iter(figures)
    return lambda: {"ndcg@10": next(remaining), "recall@10": 0.0}


@pytest.mark.parametrize(
    ("figures", "rounds", "best"),
    [
        ([0.1, 0.5, 0.4, 0.5, 0.6], 4, 2),  # an equal figure is no better one
        ([0.5, 0.4, 0.6, 0.5, 0.5], 5, 3),
        ([0.1, 0.2, 0.3, 0.4, 0.5], 5, 5),
        ([0.0, 0.0, 0.0, 0.0, 0.0], 3, 1),  # even nothing is worth saving once
    ],
)
def test_training_stops_when_validation_does_not_improve(model, split, tmp_path, figures, rounds, best):
    trainer = make_trainer(model, split, tmp_path, scripted(figures), patience=2)
    record_steps(trainer)
    run(trainer, 5)
    assert (trainer.state.round, trainer.state.best_round) == (rounds, best)
    assert trainer.state.best == figures[best - 1]
    again = make_trainer(model, split, tmp_path, scripted([]), patience=2)  # a resumed run does not forget
    again.resume()
    run(again, 5)
    assert vars(again.state) == vars(trainer.state)


def test_without_validation_every_round_is_trained(model, split, tmp_path):
    trainer = make_trainer(model, split, tmp_path, patience=1)
    record_steps(trainer)
    run(trainer, 4)
    assert trainer.state.round == 4


def test_another_figure_can_decide(model, split, tmp_path):
    figures = iter([(0.1, 0.9), (0.2, 0.8)])
    trainer = make_trainer(
        model,
        split,
        tmp_path,
        lambda: dict(zip(("ndcg@10", "recall@10"), next(figures), strict=True)),
        monitor="recall@10",
    )
    record_steps(trainer)
    run(trainer, 2)
    assert trainer.state.best_round == 1


def test_the_best_weights_come_back_and_training_is_what_changed_them(split, tmp_path):
    model = make_model(split)
    snapshots: list[list[np.ndarray]] = []

    def validate() -> dict[str, float]:
        snapshots.append([variable.numpy().copy() for variable in model.variables])
        return {"ndcg@10": [0.1, 0.3, 0.2][len(snapshots) - 1]}

    trainer = make_trainer(model, split, tmp_path, validate)
    losses = []
    trainer.log = lambda step, figures: losses.append((step, figures["loss"]))
    run(trainer, 3)
    trainer.load_best()
    after = [variable.numpy() for variable in model.variables]
    assert all(np.array_equal(one, other) for one, other in zip(after, snapshots[1], strict=True))
    trainable = {id(variable) for variable in model.trainable_variables}
    moved = [
        not np.array_equal(one, other)
        for one, other, variable in zip(snapshots[1], snapshots[2], model.variables, strict=True)
        if id(variable) in trainable
    ]
    assert sum(moved) > 0.9 * len(moved)
    history = trainer.state.history
    assert [step for step, _ in losses] == [12, 24, 36]
    assert history[2]["loss"] < history[0]["loss"]
    assert all(0 <= record["input_wait_share"] <= 1 and record["questions_per_second"] > 0 for record in history)


def test_moving_averages_are_judged_and_kept_while_training_goes_on_from_the_last_step(split, tmp_path):
    model = make_model(split)
    weight = model.trainable_variables[0]
    judged, stepped, averages = [], [], []

    def validate() -> dict[str, float]:
        judged.append(weight.numpy())
        return {"ndcg@10": 0.1}

    trainer = make_trainer(
        model, split, tmp_path, validate, ema_share=2 / 24
    )  # two epochs of 12 steps: momentum 1 - 1/2
    step = trainer._step

    def recording(batch: tuple[dict, dict]) -> None:
        step(batch)
        stepped.append(weight.numpy())
        averages.append(0.5 * averages[-1] + 0.5 * stepped[-1] if averages else stepped[-1])

    trainer._step = recording
    run(trainer, 2)
    for found, steps in zip(judged, (12, 24), strict=True):
        npt.assert_allclose(found, averages[steps - 1], atol=1e-6)
    npt.assert_allclose(weight.numpy(), averages[-1], atol=1e-6)
    plain = make_model(split)  # the path of the steps is that of a training without averages
    same = make_trainer(plain, split, tmp_path / "plain")
    run(same, 2)
    npt.assert_allclose(plain.trainable_variables[0].numpy(), stepped[-1], atol=1e-5)


# --- schedules -------------------------------------------------------------------------------------------------------


def test_the_learning_rate_rises_then_falls_to_a_twentieth(model, split, tmp_path):
    # two epochs of 12 steps; warm-up is at most a tenth of them: 2 steps
    rate = make_trainer(model, split, tmp_path, learning_rate=0.1, warmup_steps=100).optimizer._learning_rate
    assert [float(rate(step)) for step in (0, 1, 2)] == pytest.approx([0.0, 0.05, 0.1])
    assert float(rate(2 + 11)) == pytest.approx(0.1 * (0.05 + 0.95 / 2))  # half-way down the cosine
    assert float(rate(24)) == pytest.approx(0.005)


def test_a_constant_rate_stays(model, split, tmp_path):
    settings = {"learning_rate": 0.1, "schedule": "constant"}
    rate = make_trainer(model, split, tmp_path, **settings, warmup_steps=2).optimizer._learning_rate
    assert [float(rate(step)) for step in (0, 1, 2, 13, 24)] == pytest.approx([0.0, 0.05, 0.1, 0.1, 0.1])
    level = make_trainer(model, split, tmp_path, **settings, warmup_steps=0).optimizer._learning_rate
    assert [float(level(step)) for step in (0, 24)] == pytest.approx([0.1, 0.1])


# --- what can go wrong -----------------------------------------------------------------------------------------------


def test_a_disk_that_fills_during_a_checkpoint_leaves_the_one_before(model, split, tmp_path, monkeypatch):
    trainer = make_trainer(model, split, tmp_path)
    record_steps(trainer)
    run(trainer, 1)
    with monkeypatch.context() as full:
        fill_the_disk(full)
        with pytest.raises(InputError, match="no space left to write"):
            run(trainer, 2)
    assert sorted(path.name for path in tmp_path.iterdir()) == [BEST, LAST]
    resumed = make_trainer(model, split, tmp_path)
    assert resumed.resume()
    assert (resumed.state.round, resumed.optimizer.iterations) == (1, 12)


def test_a_loss_that_is_no_number_is_an_input_error(model, split, tmp_path):
    trainer = make_trainer(model, split, tmp_path)
    trainer._step = lambda batch: trainer.model.loss_tracker.update_state(float("nan"))
    with pytest.raises(InputError, match=r"learning_rate=0\.03: the loss became nan in round 1; lower it"):
        run(trainer, 1)
    assert not (tmp_path / LAST).exists()


# --- several devices -------------------------------------------------------------------------------------------------

MIRRORED = """
import sys
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

(cpu,) = tf.config.list_physical_devices("CPU")
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)

from data_pipelines.splits import load_split
from tests.toy import SMALL, write_toy
from tests.training.test_trainer import questions, run
from training.devices import Device
from training.recommender_config import RecommenderConfig, model_arguments
from training.trainer import Trainer
from training.two_tower_recommender import build_model

folder = Path(sys.argv[1])
# the loop is looked at, not the model: without LSTM and repeat head it compiles fast
small = SMALL | {"lstm_units": 0, "repeat_units": 0}
config = RecommenderConfig(**small, id_dropout=0.0, user_dropout=0.0, dropout=0.0, score_weight=0.0)
split = load_split(write_toy(folder / "data"), config)
one_batch = split.train.take(np.arange(32))


def make(strategy, name):
    keras.utils.set_random_seed(1)
    with strategy.scope():
        model = build_model(model_arguments(config, split))
    model.set_tables(split.items, split.users, split.training_timelines, split.weekly)
    examples = questions(split, one_batch, config)
    return Trainer(model, examples, config, Device(strategy, False, ""), folder / name)


two = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
assert two.num_replicas_in_sync == 2
alone, together = make(tf.distribute.get_strategy(), "alone"), make(two, "together")
for trainer in (alone, together):
    run(trainer, 1)
# each replica averages over its half, and gradients are summed over replicas: twice the gradient of the whole batch
for one, both in zip(alone.optimizer._momentums, together.optimizer._momentums, strict=True):
    np.testing.assert_allclose(both.numpy(), 2 * one.numpy(), rtol=1e-3, atol=1e-6, err_msg=one.path)
np.testing.assert_allclose(together.state.history[0]["loss"], alone.state.history[0]["loss"], rtol=1e-5)
again = make(two, "together")
assert again.resume() and again.state.round == 1
for saved, restored in zip(together._variables(), again._variables(), strict=True):
    np.testing.assert_array_equal(saved.numpy(), restored.numpy())
print("two replicas agree with one")
"""


def test_two_replicas_train_like_one(tmp_path):
    command = [sys.executable, "-c", MIRRORED, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=Path(__file__).parents[2], timeout=600)
    assert "two replicas agree with one" in done.stdout, done.stderr[-3000:]
