"""The whole model: invariances with random weights, the sampled loss against the full one, and what it learns."""

import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import keras
import numpy as np
import numpy.testing as npt
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from data_pipelines import datasets
from data_pipelines.schema import FIRST_KNOWN, UNKNOWN
from data_pipelines.splits import Split, SplitConfig, load_split
from data_pipelines.weekly import WeeklyCovariates
from models.attributes import attribute_specs
from models.losses import NEVER
from models.two_tower import TwoTower
from tests.models.histories import ASKED_AT, BASKETS, DAY, Basket, as_arrays
from tests.models.random_two_tower import N_ITEMS, make_model, make_users
from tests.models.recommender_contract import make_items, make_timelines
from tests.toy import ROTATION, day, write_toy

ROOT = Path(__file__).parents[2]
SOME = [[(30.0, [2, 3]), (9.0, [3, 5, 6]), (1.0, [4, 1])], [], [(0.5, [6])], [(700.0, [2]), (400.0, [2, 2])]]


@pytest.fixture(scope="module")
def model() -> TwoTower:
    return make_model()


def logits(model: TwoTower, inputs: dict[str, np.ndarray]) -> np.ndarray:
    """Ranking logits and log odds of the known items, `[batch, 2, n_known]`."""
    outputs = model(inputs)
    both = [np.asarray(values) for values in (model.ranking_logits(outputs), model.log_odds(outputs))]
    assert all((values[:, :FIRST_KNOWN] == NEVER).all() for values in both)
    return np.stack(both, axis=1)[..., FIRST_KNOWN:]


def assert_close(actual: np.ndarray, expected: np.ndarray) -> None:
    npt.assert_allclose(actual, expected, rtol=1e-4, atol=1e-4)


# --- invariances -----------------------------------------------------------------------------------------------------


def test_a_batch_equals_its_requests_one_by_one(model):
    whole = logits(model, as_arrays(SOME))
    assert np.isfinite(whole).all()
    assert_close(np.concatenate([logits(model, as_arrays([one])) for one in SOME]), whole)
    assert np.abs(whole[:, None] - whole[None])[~np.eye(4, dtype=bool)].max(axis=(1, 2)).min() > 1e-3  # all differ


@settings(max_examples=10)
@given(BASKETS, st.integers(1, 30), st.randoms(use_true_random=False))
def test_padding_and_the_order_within_a_basket_change_nothing(model, baskets, padding, random):
    length = max(1, sum(len(items) for _, items in baskets))
    shuffled = [(days, random.sample(items, len(items))) for days, items in baskets]
    plain = logits(model, as_arrays([baskets]))
    assert np.isfinite(plain).all()
    assert_close(logits(model, as_arrays([shuffled], length + padding)), plain)


def test_what_happened_before_and_when_matters(model):
    def answer(baskets: Sequence[Basket]) -> np.ndarray:
        return logits(model, as_arrays([baskets]))

    base = answer([(20.0, [2]), (10.0, [3]), (5.0, [4])])
    for other in (
        [(20.0, [3]), (10.0, [2]), (5.0, [4])],  # another order
        [(20.0, [2]), (10.0, [3]), (4.0, [4])],  # another day
        [(20.0, [2]), (5.0, [3, 4])],  # another basket
        [(20.0, [2]), (10.0, [3])],
    ):
        assert np.abs(answer(other) - base).max() > 1e-3


def test_events_beyond_the_sequence_still_count_for_rebuying():
    short = make_model(query={"sequence_events": 2})
    one, other = ([(50.0, [item]), (2.0, [2]), (1.0, [3])] for item in (4, 5))
    before, after = logits(short, as_arrays([one])), logits(short, as_arrays([other]))
    moved = np.abs(before - after).max(axis=(0, 1))
    assert moved[4 - FIRST_KNOWN] > 1e-3
    assert moved[5 - FIRST_KNOWN] > 1e-3


# --- one model, several ways to ask ----------------------------------------------------------------------------------


def test_serving_with_prepared_vectors_gives_the_same(model):
    inputs = as_arrays(SOME)
    prepared = model.answer(inputs, model.catalogue())
    for name, values in model(inputs).items():
        npt.assert_allclose(prepared[name], values, rtol=1e-5, atol=1e-5, err_msg=name)


def test_embedding_only_what_is_needed_gives_the_same(model):
    inputs = as_arrays(SOME)
    whole, needed = model(inputs), model.answer(inputs, None)
    for name in ("query", "score_query", "past_item", "past_logits"):
        npt.assert_allclose(needed[name], whole[name], rtol=1e-4, atol=1e-5, err_msg=name)


def test_candidates_have_the_odds_of_the_catalogue(model):
    outputs = model(as_arrays(SOME))
    candidate = np.array([[2, 2, 13], [7, 5, 3], [6, 4, 2], [2, 3, 4]], np.int32)
    expected = np.take_along_axis(np.asarray(model.log_odds(outputs)), candidate, axis=1)
    npt.assert_allclose(model.candidate_log_odds(outputs, candidate), expected, rtol=1e-4, atol=1e-5)


def test_calibration_is_a_slope_and_an_intercept():
    model = make_model()
    before = logits(model, as_arrays(SOME))
    model.calibration.assign([2.0, -1.0])
    after = logits(model, as_arrays(SOME))
    npt.assert_allclose(after[:, 1], 2 * before[:, 1] - 1, rtol=1e-4, atol=1e-4)
    npt.assert_array_equal(after[:, 0], before[:, 0])


def test_the_repeat_head_speaks_of_past_items_only(model):
    outputs = model(as_arrays(SOME))
    past, said = np.asarray(outputs["past_item"]), np.asarray(outputs["past_logits"])
    assert [sorted(row[row > 0]) for row in past] == [[2, 3, 4, 5, 6], [], [6], [2]]  # 1 is unknown
    assert (said[past == 0] == 0).all()
    assert (said[past > 0] != 0).all()


def test_the_repeat_head_hears_of_each_items_statistics():
    model = make_model(repeat_units=32)
    before = np.asarray(model(as_arrays([[(9.0, [3, 5])]]))["past_logits"])
    statistics = model.repeat_head.statistics.numpy().copy()
    statistics[5] += 1.0
    model.repeat_head.statistics.assign(statistics)
    outputs = model(as_arrays([[(9.0, [3, 5])]]))
    changed = np.abs(np.asarray(outputs["past_logits"]) - before).max(axis=-1) > 1e-6
    assert np.asarray(outputs["past_item"])[changed].tolist() == [5]


def test_a_request_sees_the_row_of_its_own_week():
    # three weeks from ASKED_AT's own on; the second covariate of item 3 is 1 in the second week only
    model = make_model(n_weeks=3, n_covariates=1)
    first_day = ASKED_AT // DAY
    values = np.zeros((3, N_ITEMS, 1), np.float32)
    values[1, 3, 0] = 1.0
    weekly = WeeklyCovariates(first_day, values)
    model.set_tables(make_items(N_ITEMS), make_users(), make_timelines({}, 5), weekly)
    weight = model.weekly_weight.numpy()[-1]

    def bonus(days: int) -> float:
        inputs = as_arrays([[]]) | {"time": np.array([ASKED_AT + days * DAY], np.int64)}
        outputs = model(inputs)
        plain = np.asarray(outputs["query"]) @ np.asarray(outputs["items"]).T + model.item_bias.numpy()
        (difference,) = np.asarray(outputs["logits"]) - plain
        assert np.abs(np.delete(difference, 3)).max() < 1e-5
        return float(difference[3])

    for days, expected in ((-30, 0), (0, 0), (6, 0), (7, weight), (13, weight), (14, 0), (500, 0)):
        assert bonus(days) == pytest.approx(expected, abs=1e-5), days


# --- losses ----------------------------------------------------------------------------------------------------------


def gradient(model: TwoTower, inputs: dict, targets: dict, variable: keras.Variable) -> np.ndarray:
    with tf.GradientTape() as tape:
        loss = model.compute_loss(y=targets, y_pred=model(inputs, training=True), training=True)
    return tf.convert_to_tensor(tape.gradient(loss, variable.value)).numpy()


def rare_second_targets() -> tuple[np.ndarray, np.ndarray]:
    """Targets `[batch, 2]` in ascending order, and how often each item is one: 2 leads every basket, 3 to 6 follow."""
    second = np.repeat([3, 4, 5, 6, 0], [40, 30, 20, 10, 100]).astype(np.int32)
    target = np.stack([np.full(200, 2, np.int32), second], axis=1)
    return target, np.bincount(target[target > 0], minlength=N_ITEMS)


STILL = {"user_dropout": 0.0, "dropout": 0.0, "lstm_units": 0}
QUIET = {"id_dropout": 0.0, "repeat_units": 0, "score_weight": 0.0, "query": STILL}


def test_the_sampled_gradient_is_the_full_one_on_average():
    target, counts = rare_second_targets()
    inputs = as_arrays([[]] * len(target))
    targets = {"target_item": target, "weight": np.ones(len(target), np.float32)}
    found = {}
    for loss in ("full", "sampled"):
        model = make_model(loss=loss, **QUIET)
        model.set_priors(counts, len(target))
        model.item_bias.assign(np.zeros(N_ITEMS))
        draws = 1 if loss == "full" else 60
        found[loss] = np.mean([gradient(model, inputs, targets, model.item_bias) for _ in range(draws)], axis=0)
    full, sampled = (values[FIRST_KNOWN:] for values in (found["full"], found["sampled"]))
    assert np.corrcoef(full, sampled)[0, 1] > 0.95
    assert (np.sign(full[:5]) == np.sign(sampled[:5])).all()  # every target is pulled up or pushed down alike


def test_past_items_reach_the_candidates_without_a_catalogue_wide_matrix(model):
    outputs = model(as_arrays(SOME))
    candidate = np.array([2, 6, 7, 2, 3, 0, 13, 6], np.int32)  # some twice, one padding
    past, said = np.asarray(outputs["past_item"]), np.asarray(outputs["past_logits"])
    expected = np.zeros((len(SOME), N_ITEMS, 3), np.float32)  # ranking logit, correction, presence
    row, column = np.nonzero(past)
    expected[row, past[row, column]] = np.concatenate([said[row, column], np.ones((len(row), 1))], axis=1)
    npt.assert_allclose(model._past_by_candidate(outputs, candidate), expected[:, candidate], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("loss", ["full", "sampled"])
def test_rows_without_weight_do_not_count(loss):
    target, _ = rare_second_targets()
    real = {"target_item": target[38:42], "weight": np.ones(4, np.float32)}
    empty = {"target_item": np.zeros((3, 2), np.int32), "weight": np.zeros(3, np.float32)}
    padded = {name: np.concatenate([real[name], empty[name]]) for name in real}
    model = make_model(loss=loss, **QUIET)
    variables = [model.item_tower.id_embedding.embeddings, model.query_tower.joined.bias]
    for variable in variables:
        state = model.seed_generator.state.numpy().copy()
        plain = gradient(model, as_arrays([SOME[0]] * 4), real, variable)
        model.seed_generator.state.assign(state)  # the same items are drawn
        filled = gradient(model, as_arrays([*[SOME[0]] * 4, *[[]] * 3]), padded, variable)
        # in-batch negatives: the padding item stands among the candidates of real rows and must not be one
        npt.assert_allclose(filled[FIRST_KNOWN:], plain[FIRST_KNOWN:], rtol=1e-4, atol=1e-6)


def test_priors_start_at_popularity():
    model = make_model(random=False)
    counts = np.zeros(N_ITEMS, int)
    counts[2:5] = 60, 30, 6
    model.set_priors(counts, 40)
    assert (model.item_bias.numpy() == 0).all()
    bias = model.popularity.numpy()
    assert np.argsort(-bias)[:3].tolist() == [2, 3, 4]
    assert bias[2] - bias[3] == pytest.approx(np.log(60.5 / 30.5), abs=1e-5)
    assert model.basket_size.bias.numpy()[0] == pytest.approx(np.log(96 / 40), abs=1e-5)
    assert model.target_share.numpy().sum() == pytest.approx(1, abs=1e-5)


def test_the_discovery_loss_is_the_cross_entropy_among_what_is_new(model):
    targets = {
        "target_item": np.array([[2], [3], [6], [2]], np.int32),
        "discovered_item": np.array([[7, 9], [2, 0], [0, 0], [13, 0]], np.int32),
        "weight": np.ones(4, np.float32),
    }
    outputs = model(as_arrays(SOME))
    logits = np.asarray(outputs["logits"]).copy()
    expected = []
    for row, (items, discovered) in enumerate(zip(SOME, targets["discovered_item"], strict=True)):
        had = {item for _, basket in items for item in basket}
        new = [item for item in range(FIRST_KNOWN, N_ITEMS) if item not in had]
        log_z = np.log(np.exp(logits[row, new]).sum())
        losses = [log_z - logits[row, item] for item in discovered if item]
        expected.append(np.mean(losses) if losses else 0.0)
    model.reset_metrics()
    model.compute_loss(y=targets, y_pred=outputs, training=True)
    assert float(model.discovery_loss_tracker.result()) == pytest.approx(np.mean(expected), rel=1e-4)


def test_counting_anew_changes_counts_only():
    model = make_model(n_weeks=2)
    weekly = WeeklyCovariates(ASKED_AT // DAY - 7, np.zeros((2, N_ITEMS, 0), np.float32))
    few = make_timelines({2: [(ASKED_AT // DAY - 9, [2, 3])]}, 5)
    more = make_timelines({2: [(ASKED_AT // DAY - 9, [2, 3]), (ASKED_AT // DAY - 8, [4, 4, 4])]}, 5)
    model.set_tables(make_items(N_ITEMS), make_users(), few, weekly)
    model.set_priors(np.bincount(few.item, minlength=N_ITEMS), 1)
    learnt = [variable.numpy() for variable in model.trainable_variables]
    before = logits(model, as_arrays(SOME))
    model.refresh(more, weekly, np.bincount(more.item, minlength=N_ITEMS))
    for variable, value in zip(model.trainable_variables, learnt, strict=True):
        npt.assert_array_equal(variable, value)
    moved = (logits(model, as_arrays([[]])) - before[1:2])[0, 0]
    assert moved.argmax() == 4 - FIRST_KNOWN  # as the one that has become popular


# --- learning --------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def toy(tmp_path_factory) -> Split:
    return load_split(write_toy(tmp_path_factory.mktemp("toy")), SplitConfig())


def train(split: Split, *, epochs: int, **changed: object) -> TwoTower:
    keras.utils.set_random_seed(1)
    arguments = {
        "item_specs": attribute_specs(split.items),
        "user_specs": attribute_specs(split.users),
        "n_items": split.items.size,
        "n_users": split.users.size,
        "n_event_types": len(split.event_types),
        "dim": 8,
        "repeat_units": 8,
        "n_negatives": 4,
        "query": {"lstm_units": 8, "sequence_events": 16, "sequence_baskets": 8, "dropout": 0.1},
    }
    model = TwoTower(**arguments | changed)
    model(as_arrays([[]]))
    model.set_tables(split.items, split.users, split.training_timelines, split.weekly)
    model.set_priors(np.bincount(split.train.target_item, minlength=split.items.size), len(split.train))
    model.compile(optimizer=keras.optimizers.Adam(0.02), jit_compile=False)
    plan = datasets.plan_epoch(split.timelines, split.train, batch_size=95, history_length=32, seed=1)
    batches = datasets.batches(split.timelines, split.train, plan)
    model.fit(batches, epochs=epochs, verbose=0)
    return model


@pytest.fixture(scope="module", params=["full", "sampled"])
def learnt(request, toy) -> TwoTower:
    return train(toy, epochs=25, loss=request.param)


def test_the_rotation_and_the_weekly_milk_are_learnt(learnt, toy):
    """The test question of every user, seven days after the last training question."""
    questions = toy.test
    plan = datasets.plan_epoch(toy.timelines, questions, batch_size=len(questions), history_length=32)
    ((inputs, targets),) = datasets.batches(toy.timelines, questions, plan).as_numpy_iterator()
    outputs = learnt(inputs)
    best = np.asarray(learnt.ranking_logits(outputs)).argmax(axis=1)
    right = targets["target_item"][:, 0]
    assert (best == right).mean() >= 0.9, list(zip(toy.items.ids[best], toy.items.ids[right], strict=True))
    # the score head knows it too: each user takes one item, and the right one has most of the probability
    odds = np.asarray(learnt.log_odds(outputs))
    assert (odds.argmax(axis=1) == right).mean() >= 0.9
    assert np.median(1 / (1 + np.exp(-odds[np.arange(len(right)), right]))) > 0.5


def test_a_stranger_in_the_rotation_gets_the_next_item(learnt, toy):
    a, b, c, d = (toy.items.ids.tolist().index(name) for name in ROTATION)
    purchase = toy.event_types.index("purchase")
    inputs = as_arrays([[(5.0, [a]), (4.0, [b]), (3.0, [c]), (2.0, [d]), (1.0, [a])]])
    inputs["event_type"] = np.where(inputs["event_item"] > 0, purchase, 0).astype(np.int32)
    inputs["user"] = np.array([UNKNOWN], np.int32)
    # at midnight, like everything in the toy shop, soon after its log
    shift = int((day(36) - day(0)).total_seconds()) + 1_704_067_200 - ASKED_AT
    inputs["time"], inputs["event_time"] = inputs["time"] + shift, inputs["event_time"] + shift
    ranked = np.asarray(learnt.ranking_logits(learnt(inputs)))[0].argsort()[::-1]
    assert ranked[0] == b


# --- saving, precision, size, backend --------------------------------------------------------------------------------


def test_rebuilt_from_configuration_and_weights(model):
    copy = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(model))
    assert isinstance(copy, TwoTower)
    copy(as_arrays([[]]))
    for new, old in zip(copy.variables, model.variables, strict=True):
        new.assign(old)
    npt.assert_array_equal(logits(copy, as_arrays(SOME)), logits(model, as_arrays(SOME)))


@pytest.fixture
def bfloat16() -> Iterator[None]:
    before = keras.mixed_precision.dtype_policy()
    keras.mixed_precision.set_dtype_policy("mixed_bfloat16")
    yield
    keras.mixed_precision.set_dtype_policy(before)


@pytest.mark.parametrize("loss", ["full", "sampled"])
def test_a_step_in_bfloat16(bfloat16, loss):
    model = make_model(loss=loss, n_weeks=2)
    model.compile(optimizer=keras.optimizers.Adam(0.01), jit_compile=False, run_eagerly=True)
    target, _ = rare_second_targets()
    before = [variable.numpy().copy() for variable in model.trainable_variables]
    model.train_on_batch(as_arrays(SOME), {"target_item": target[38:42], "weight": np.ones(4, np.float32)})
    assert np.isfinite(float(model.loss_tracker.result()))
    assert {variable.dtype for variable in model.trainable_variables} == {"float32"}
    assert all(np.isfinite(variable.numpy()).all() for variable in model.trainable_variables)
    assert any((old != new.numpy()).any() for old, new in zip(before, model.trainable_variables, strict=True))
    outputs = model(as_arrays(SOME))
    assert outputs["query"].dtype == tf.bfloat16
    assert model.ranking_logits(outputs).dtype == model.log_odds(outputs).dtype == tf.float32


def test_a_million_items_without_a_catalogue_wide_matrix():
    """Training with the sampled loss holds no `[batch, n_items]` tensor, forward or backward."""
    n_items, batch = 1_000_000, 256
    keras.utils.set_random_seed(1)
    query = {"lstm_units": 4, "sequence_events": 4, "sequence_baskets": 2, "use_user": False}
    model = TwoTower([], [], n_items, 3, 4, dim=4, repeat_units=4, loss="sampled", n_negatives=8, query=query)
    model(as_arrays([[]]))
    model.compile(optimizer=keras.optimizers.SGD(0.1), jit_compile=False)
    inputs = {name: np.repeat(values, batch, axis=0) for name, values in as_arrays([SOME[0]]).items()}
    inputs["event_item"][:, 0] = n_items - 1
    targets = {
        "target_item": np.arange(n_items - batch, n_items, dtype=np.int32)[:, None],
        "weight": np.ones(batch, np.float32),
    }
    step = tf.function(model.train_step).get_concrete_function((inputs, targets))
    graphs = [
        step.graph,
        *(function.graph for function in step.graph._functions.values() if hasattr(function, "graph")),
    ]
    sizes = [
        tensor.shape.num_elements() or 0
        for graph in graphs
        for operation in graph.get_operations()
        for tensor in operation.outputs
        if tensor.shape.rank is not None
    ]
    assert n_items * 4 in sizes  # the table itself is among what was looked at
    assert max(sizes) < n_items * batch / 10
    loss = step()["loss"] if not step.structured_input_signature[0] else model.train_step((inputs, targets))["loss"]
    assert np.isfinite(float(loss))


JAX = """
import keras
import numpy as np

from tests.models.histories import as_arrays
from tests.models.random_two_tower import make_model

assert keras.backend.backend() == "jax"
some = [[(30.0, [2, 3]), (9.0, [3, 5, 6])], [], [(0.5, [6])], [(700.0, [2]), (400.0, [2, 2])]]
target = {"target_item": np.array([[2, 3], [4, 0], [6, 0], [2, 5]], np.int32), "weight": np.ones(4, np.float32)}
for loss in ("full", "sampled"):
    model = make_model(loss=loss)
    np.save(f"{loss}.npy", np.asarray(model.ranking_logits(model(as_arrays(some)))))
    model.compile(optimizer=keras.optimizers.Adam(0.01))
    history = model.fit(as_arrays(some), target, batch_size=4, epochs=2, verbose=0).history
    assert np.isfinite(history["loss"]).all(), history
    assert history["ranking_loss"][0] > 0
print("trained on", keras.backend.backend())
"""


@pytest.mark.jax
def test_the_same_model_trains_on_jax(model, tmp_path):
    """In a process of its own, because Keras chooses its backend once."""
    environment = os.environ | {
        "KERAS_BACKEND": "jax",
        "PYTHONPATH": f"{ROOT}{os.pathsep}{os.environ.get('PYTHONPATH', '')}",
    }
    probe = subprocess.run([sys.executable, "-c", "import jax"], env=environment, capture_output=True)
    if probe.returncode:
        pytest.skip("needs the [jax] extra")
    command = [sys.executable, "-c", JAX]
    done = subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True, timeout=600)
    assert "trained on jax" in done.stdout, done.stderr[-3000:]
    some = [SOME[0][:2], *SOME[1:]]
    expected = np.asarray(model.ranking_logits(model(as_arrays(some))))
    npt.assert_allclose(np.load(tmp_path / "full.npy"), expected, rtol=1e-4, atol=1e-4)
