"""The forecaster on series whose right answer is known by hand."""

import json
import math
import os
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
from scipy.stats import nbinom

from models.calendar import Calendar
from models.demand_lstm import DemandLSTM, negative_binomial_loss
from models.forecasting.forecaster import LEVELS
from training.lstm_forecaster import build_demand_model

ROOT = Path(__file__).parents[2]
HORIZON = 14
MONDAY = 17_231  # 2017-03-06
ARGUMENTS = {
    "horizon": HORIZON,
    "levels": LEVELS,
    "planned": (True, False),
    "categorical_sizes": (3,),
    "static_sizes": (4, 5),
    "context": 28,
    "units": 8,
    "hidden": 16,
    "dim": 4,
}


def make_model(**settings) -> DemandLSTM:
    keras.utils.set_random_seed(1)
    return build_demand_model(ARGUMENTS | settings)


@pytest.fixture(scope="module")
def model() -> DemandLSTM:
    return make_model()


def request(demand, horizon: int = HORIZON, seed: int = 0) -> dict[str, np.ndarray]:
    demand = np.asarray(demand, np.float32)
    n, time = demand.shape
    generator = np.random.default_rng(seed)
    return {
        "demand": demand,
        "start_day": np.full(n, MONDAY - time, np.int32),
        "numeric": generator.normal(size=(n, time + horizon, 2)).astype(np.float32),
        "categorical": generator.integers(0, 3, (n, time + horizon, 1)).astype(np.int32),
        "static": generator.integers(0, 4, (n, 2)).astype(np.int32),
    }


def answer(model: DemandLSTM, inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {name: np.asarray(value) for name, value in model(inputs).items()}


SALES = np.random.default_rng(5).poisson(3.0, (4, 90)).astype(np.float32)


def test_shapes_and_order_of_quantiles(model):
    outputs = answer(model, request(SALES))
    assert outputs["mean"].shape == (4, HORIZON)
    assert outputs["quantiles"].shape == (4, HORIZON, len(LEVELS))
    assert (outputs["mean"] > 0).all()
    assert (np.diff(outputs["quantiles"], axis=-1) > 0).all()


@pytest.mark.parametrize("time", [1, 2, 28, 500])
@pytest.mark.parametrize("horizon", [1, 5, HORIZON])
def test_any_history_and_any_horizon_up_to_the_trained_one(model, time, horizon):
    outputs = answer(model, request(np.ones((2, time)), horizon))
    assert outputs["mean"].shape == (2, horizon)
    assert np.isfinite(outputs["quantiles"]).all()


def test_a_shorter_horizon_is_the_beginning_of_a_longer_one(model):
    inputs = request(SALES)
    short = inputs | {name: inputs[name][:, :-9] for name in ("numeric", "categorical")}
    np.testing.assert_allclose(answer(model, short)["mean"], answer(model, inputs)["mean"][:, :-9], rtol=1e-5)


def test_days_that_were_not_observed_are_as_if_they_were_not_sent(model):
    inputs = request(SALES)
    padded = inputs | {
        "demand": np.concatenate([np.full((4, 7), np.nan, np.float32), SALES], axis=1),
        "start_day": inputs["start_day"] - 7,
        "numeric": np.concatenate([np.full((4, 7, 2), np.nan, np.float32), inputs["numeric"]], axis=1),
        "categorical": np.concatenate([np.zeros((4, 7, 1), np.int32), inputs["categorical"]], axis=1),
    }
    np.testing.assert_allclose(answer(model, padded)["mean"], answer(model, inputs)["mean"], rtol=1e-5)


def test_one_series_alone_is_forecast_as_in_a_batch(model):
    inputs = request(SALES)
    whole = answer(model, inputs)["quantiles"]
    alone = answer(model, {name: values[2:3] for name, values in inputs.items()})["quantiles"]
    np.testing.assert_allclose(alone[0], whole[2], rtol=1e-4, atol=1e-5)


def test_the_future_of_what_is_only_observed_is_not_looked_at(model):
    inputs = request(SALES)
    moved = {name: values.copy() for name, values in inputs.items()}
    moved["numeric"][:, -HORIZON:, 1] += 5.0  # not planned
    np.testing.assert_array_equal(answer(model, moved)["mean"], answer(model, inputs)["mean"])
    moved["numeric"][:, -HORIZON:, 0] += 5.0  # planned
    assert np.abs(answer(model, moved)["mean"] - answer(model, inputs)["mean"]).max() > 1e-4


def test_an_untrained_forecast_keeps_the_weekly_pattern_and_the_size():
    # before training the mean is scale x (baseline / scale)^0.73: the same weekday's recent demand, somewhat smoothed
    pattern = np.tile([1.0, 2, 3, 4, 5, 6, 21], 20)
    inputs = request(np.stack([pattern, 100 * pattern]))
    first, second = answer(make_model(), inputs)["mean"]
    assert first.argmax() % 7 == pattern[: len(first)].argmax()
    assert first.max() > 2 * np.median(first)
    np.testing.assert_allclose(second / first, np.full(HORIZON, 100.0), rtol=0.3)


def test_training_learns_what_a_promotion_does():
    # a promotion triples demand, on random days; the series differ in size by a factor of a hundred
    keras.utils.set_random_seed(1)
    model = make_model(categorical_sizes=(), static_sizes=(), planned=(True,), history_dropout=0.0, dropout=0.0)
    generator = np.random.default_rng(0)
    promotion = generator.integers(0, 2, (256, 60 + HORIZON, 1)).astype(np.float32)
    size = np.exp(generator.uniform(0, np.log(100), (256, 1)))
    demand = generator.poisson(size * (1 + 2 * promotion[..., 0])).astype(np.float32)
    inputs = {
        "demand": demand[:, :60],
        "start_day": np.full(256, MONDAY, np.int32),
        "numeric": promotion,
        "categorical": np.zeros((256, 60 + HORIZON, 0), np.int32),
        "static": np.zeros((256, 0), np.int32),
    }
    targets = {"actual": demand[:, 60:], "weight": np.ones(256, np.float32)}
    model.compile(optimizer=keras.optimizers.Adam(0.01), jit_compile=False)
    losses = [float(model.train_step((inputs, targets))["loss"]) for _ in range(100)]
    assert losses[-1] < losses[0]
    outputs = answer(model, inputs)
    on = promotion[:, 60:, 0] > 0
    relative = outputs["mean"] / size
    assert relative[on].mean() / relative[~on].mean() == pytest.approx(3.0, rel=0.2)
    median = outputs["quantiles"][..., LEVELS.index(0.5)]
    assert np.mean(targets["actual"] <= median) == pytest.approx(0.5, abs=0.12)


@pytest.mark.parametrize("head", ["negative_binomial", "tweedie", "rmsse"])
def test_every_loss_is_least_at_the_mean(head):
    model = make_model(head=head)
    actual = np.random.default_rng(0).poisson(4.0, (1, 20_000)).astype(np.float32)

    def loss(mean: float) -> float:
        outputs = {
            "mean": np.full_like(actual, mean),
            "dispersion": np.full_like(actual, 50.0),
            "scale": np.ones((1, 1)),
        }
        return float(np.mean(np.asarray(model._mean_loss(actual, outputs))))

    losses = {mean: loss(mean) for mean in (2.0, 3.5, 4.0, 4.5, 8.0)}
    assert min(losses, key=lambda mean: losses[mean]) == 4.0


@pytest.mark.parametrize(
    ("count", "mean", "dispersion"), [(0, 0.1, 0.5), (3, 2.0, 1.5), (40, 55.0, 10.0), (1, 1e-3, 0.01)]
)
def test_the_negative_binomial_likelihood_is_scipys(count, mean, dispersion):
    one = [np.float32([value]) for value in (count, mean, dispersion)]
    expected = -nbinom.logpmf(count, dispersion, dispersion / (dispersion + mean))
    assert np.asarray(negative_binomial_loss(*one))[0] == pytest.approx(expected, rel=1e-3, abs=1e-4)


def test_days_without_demand_known_cost_nothing():
    model = make_model()
    inputs = request(SALES)
    outputs = model(inputs)
    actual = np.full((4, HORIZON), 2.0, np.float32)
    holes = actual.copy()
    holes[:, 3:] = np.nan
    first = {
        name: value[:, :3] if name in ("mean", "dispersion", "quantiles") else value for name, value in outputs.items()
    }
    weight = np.ones(4, np.float32)
    some = float(model.compute_loss(y={"actual": holes, "weight": weight}, y_pred=outputs))
    known = float(model.compute_loss(y={"actual": actual[:, :3], "weight": weight}, y_pred=first))
    assert math.isfinite(some)
    assert some == pytest.approx(known, rel=1e-5)


def test_the_model_is_rebuilt_from_its_configuration():
    model = make_model()
    again = DemandLSTM.from_config(model.get_config())
    again(request(SALES))
    again.set_weights(model.get_weights())
    np.testing.assert_allclose(answer(again, request(SALES))["mean"], answer(model, request(SALES))["mean"], rtol=1e-6)


def test_the_calendar_knows_weekdays_and_holidays():
    christmas = 17_525  # 2017-12-25, a Monday
    features = np.asarray(Calendar("US")(np.array([[christmas - 1, christmas, christmas + 1]], np.int32)))[0]
    assert features[:, :7].argmax(axis=1).tolist() == [6, 0, 1]
    assert features[1, 13] == 1.0  # on the day
    plain = np.asarray(Calendar(None)(np.array([[christmas]], np.int32)))
    assert plain.shape == (1, 1, 13)
    # without the time of the year, two days of the same weekday, number and distance from holidays are the same
    february, march = 17_201, 17_229  # 2017-02-04 and 2017-03-04, Saturdays
    alike = np.asarray(Calendar(None, yearly=False)(np.array([[february, march]], np.int32)))[0]
    np.testing.assert_array_equal(alike[0], alike[1])
    apart = np.asarray(Calendar(None)(np.array([[february, march]], np.int32)))[0]
    assert np.abs(apart[0] - apart[1]).max() > 0.1


JAX = """
import json
import sys

import keras
import numpy as np

from models.demand_lstm import DemandLSTM

assert keras.backend.backend() == "jax"
folder = sys.argv[1]
with np.load(f"{folder}/inputs.npz") as data:
    inputs = {name: data[name] for name in data.files}
model = DemandLSTM(**json.load(open(f"{folder}/arguments.json")))
model(inputs)
model.load_weights(f"{folder}/model.weights.h5")
np.savez(f"{folder}/outputs.npz", **{name: np.asarray(value) for name, value in model(inputs).items()})
n = len(inputs["demand"])
targets = {"actual": inputs["demand"][:, :14], "weight": np.ones(n, np.float32)}
model.compile(optimizer=keras.optimizers.Adam(0.01))
history = model.fit(inputs, targets, batch_size=n, epochs=3, verbose=0).history
assert history["loss"][-1] < history["loss"][0], history
print("trained on", keras.backend.backend())
"""


@pytest.mark.jax
def test_the_same_model_answers_and_trains_on_jax(tmp_path):
    """In a process of its own, because Keras chooses its backend once."""
    environment = os.environ | {"KERAS_BACKEND": "jax", "PYTHONPATH": str(ROOT)}
    if subprocess.run([sys.executable, "-c", "import jax"], env=environment, capture_output=True).returncode:
        pytest.skip("needs the [jax] extra")
    model, inputs = make_model(), request(SALES)
    inputs["demand"][0, :40] = np.nan
    np.savez(tmp_path / "inputs.npz", **inputs)
    (tmp_path / "arguments.json").write_text(json.dumps(model.arguments))
    model.save_weights(tmp_path / "model.weights.h5")
    command = [sys.executable, "-c", JAX, str(tmp_path)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=600)
    assert "trained on jax" in done.stdout, done.stderr[-3000:]
    with np.load(tmp_path / "outputs.npz") as outputs:
        for name, value in answer(model, inputs).items():
            np.testing.assert_allclose(outputs[name], value, rtol=1e-4, atol=1e-4)
