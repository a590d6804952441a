import keras
import numpy as np
import numpy.testing as npt
import pytest

from data_pipelines.features import Feature, FeatureTable
from data_pipelines.schema import FIRST_KNOWN, UNKNOWN
from data_pipelines.weekly import WeeklyCovariates
from models.affinity import AttributeAffinity
from models.attributes import AttributeEmbedding, attribute_specs
from models.history import read_history
from models.item_tower import ItemTower
from models.query_tower import QueryTower
from models.two_tower import TwoTower
from tests.models.histories import as_arrays
from tests.models.random_two_tower import N_ITEMS, make_model, make_users
from tests.models.recommender_contract import make_items, make_timelines

INDEX = np.arange(N_ITEMS, dtype=np.int32)
HISTORY = [[(9.0, [2, 3]), (1.0, [4])]]


@pytest.fixture(scope="module")
def model() -> TwoTower:
    return make_model(id_dropout=0.5, query={"user_dropout": 0.5, "dropout": 0.0})


# --- attributes ------------------------------------------------------------------------------------------------------


def test_attributes_add_up_by_hand():
    # index 2: category 1, tags 1 and 2, price (0.5, known); index 3: nothing known
    features = (
        Feature("category", "categorical", np.array([0, 0, 1, 0], np.int32), ("", "x")),
        Feature("tags", "list", np.array([[0, 0], [0, 0], [1, 2], [0, 0]], np.int32), ("", "y", "z")),
        Feature("price/kg", "numeric", np.array([[0, 1], [0, 1], [0.5, 0], [0, 1]], np.float32)),
    )
    table = FeatureTable(np.array(["", "<unknown>", "a", "b"]), features)
    layer = AttributeEmbedding(attribute_specs(table), table.size, 3)
    layer.build()
    layer.set_table(table)
    category = np.asarray(layer.projections["category"].embeddings)
    tags = np.asarray(layer.projections["tags"].embeddings)
    price = np.asarray(layer.projections["price/kg"].kernel)
    vectors = np.asarray(layer(np.array([[2], [3]], np.int32)))
    assert vectors.shape == (2, 1, 3)
    npt.assert_allclose(vectors[0, 0], category[1] + (tags[1] + tags[2]) / np.sqrt(2) + 0.5 * price[0], rtol=1e-5)
    npt.assert_allclose(vectors[1, 0], price[1], rtol=1e-5)  # "the price is missing" is known


def test_without_attributes_there_is_nothing_to_add():
    layer = AttributeEmbedding([], 4, 3)
    assert (np.asarray(layer(np.array([1, 2], np.int32))) == 0).all()


# --- item tower ------------------------------------------------------------------------------------------------------


def test_an_item_is_its_id_and_its_attributes(model):
    tower = model.item_tower
    expected = np.asarray(tower.id_embedding.embeddings) + np.asarray(tower.attributes(INDEX))
    npt.assert_allclose(tower(INDEX), expected, rtol=1e-5)
    npt.assert_array_equal(tower(), tower(INDEX))


def test_ids_are_dropped_in_training_only_and_attributes_never(model):
    tower = model.item_tower
    npt.assert_array_equal(tower(INDEX), tower(INDEX))
    many = np.tile(INDEX, (400, 1))
    vectors = np.asarray(tower(many, training=True))
    with_id = np.asarray(tower(INDEX))
    without = np.asarray(tower.attributes(INDEX))
    kept = np.isclose(vectors, with_id, atol=1e-5).all(axis=-1)
    dropped = np.isclose(vectors, without, atol=1e-5).all(axis=-1)
    assert (kept | dropped).all()
    assert dropped[:, FIRST_KNOWN:].mean() == pytest.approx(0.5, abs=0.05)  # 4,800 draws: standard error 0.007


def test_an_id_counts_for_as_much_as_is_known_of_it():
    tower = make_model(id_shrinkage=3.0).item_tower
    tower.set_counts(np.arange(N_ITEMS))
    ids, attributes = np.asarray(tower.id_embedding.embeddings), np.asarray(tower.attributes(INDEX))
    weight = np.arange(N_ITEMS) / (np.arange(N_ITEMS) + 3.0)  # 1 event counts 1/4, 3 count half
    weight[:FIRST_KNOWN] = 1.0
    npt.assert_allclose(tower(), ids * weight[:, None] + attributes, rtol=1e-5)


def test_no_dropout_no_difference():
    tower = make_model(id_dropout=0.0).item_tower
    npt.assert_array_equal(tower(INDEX, training=True), tower(INDEX))


def test_an_item_that_training_never_saw_is_its_attributes():
    # items 6 and 8 are never bought; 4 is, and shares the category of 7, which is not
    model = make_model()
    timelines = make_timelines({2: [(1, [2, 3, 4]), (2, [5, 9, 10, 11, 12, 13])]}, 5)
    model.set_tables(make_items(N_ITEMS), make_users(), timelines, WeeklyCovariates(0, np.zeros((1, N_ITEMS, 0))))
    tower = model.item_tower
    before = np.asarray(tower())
    ids = tower.id_embedding.embeddings.numpy().copy()
    npt.assert_allclose(before[6:9], tower.attributes(np.arange(6, 9)), rtol=1e-5)
    assert np.abs(before[6] - before[8]).max() > 0.01  # their attributes tell them apart
    ids[[4, 6, 7, 8]] += 9.0
    tower.id_embedding.embeddings.assign(ids)
    moved = np.abs(np.asarray(tower()) - before).max(axis=1) > 1e-6
    assert np.flatnonzero(moved).tolist() == [4]  # the others' own rows were never filled with anything


# --- query tower -----------------------------------------------------------------------------------------------------


def query(model: TwoTower, *, training: bool = False, **changed: object) -> np.ndarray:
    return np.asarray(model(as_arrays(HISTORY) | changed, training=training)["query"])


def test_user_and_time_have_a_say(model):
    base = query(model)
    assert np.abs(query(model, user=np.array([3], np.int32)) - base).max() > 1e-3
    assert np.abs(query(model, user=np.array([3], np.int32)) - query(model, user=np.array([4], np.int32))).max() > 1e-3
    hours_later = as_arrays(HISTORY)["time"] + 5 * 3600
    assert np.abs(query(model, time=hours_later) - base).max() > 1e-4


def test_users_are_hidden_in_training_only(model):
    known, unknown = np.array([3], np.int32), np.array([UNKNOWN], np.int32)
    as_known, as_unknown = query(model, user=known), query(model, user=unknown)
    npt.assert_array_equal(query(model, user=known), as_known)
    # user 3 with 40 chances to be hidden; items keep their ids, so that nothing else is random
    quiet = make_model(id_dropout=0.0, query={"user_dropout": 0.5, "dropout": 0.0})
    batch = {name: np.repeat(values, 40, axis=0) for name, values in (as_arrays(HISTORY) | {"user": known}).items()}
    queries = np.asarray(quiet(batch, training=True)["query"])
    seen = np.isclose(queries, as_known, atol=1e-4).all(axis=-1)
    hidden = np.isclose(queries, as_unknown, atol=1e-4).all(axis=-1)
    assert (seen ^ hidden).all()
    assert 5 < hidden.sum() < 35


@pytest.mark.parametrize(
    "left_out",
    [{"lstm_units": 0}, {"bag_half_lives_days": ()}, {"use_user": False}, {"use_context": False}],
    ids=lambda given: next(iter(given)),
)
def test_every_branch_can_be_left_out(left_out):
    small = make_model(query=left_out)
    assert np.isfinite(query(small)).all()
    if left_out == {"use_user": False}:
        npt.assert_array_equal(query(small, user=np.array([3], np.int32)), query(small))


def test_weekday_and_hour_by_hand():
    tower = make_model().query_tower
    seconds = np.array(
        [1_704_067_200, 1_704_067_200 + 6 * 86_400 + 23 * 3600 + 59], np.int64
    )  # 2024-01-01 00:00, Monday
    inputs = as_arrays([[], []]) | {"time": seconds}
    history = read_history(inputs["event_item"], inputs["event_type"], inputs["event_time"], inputs["time"])
    context = np.asarray(tower._context(seconds, history))
    weekday, hour = np.asarray(tower.weekday.embeddings), np.asarray(tower.hour.embeddings)
    width = weekday.shape[1]
    npt.assert_allclose(context[:, :width], weekday[[0, 6]], rtol=1e-6)
    npt.assert_allclose(context[:, width : 2 * width], hour[[0, 23]], rtol=1e-6)


def test_bags_weigh_events_by_age(model):
    # half-life 14 days: item 2 of 28 days ago weighs a quarter, item 3 of today one; the weights' norm is made 1
    tower, vectors = model.query_tower, np.asarray(model.item_tower())
    arrays = as_arrays([[(28.0, [2]), (0.0, [3])], []], length=4)
    history = read_history(arrays["event_item"], arrays["event_type"], arrays["event_time"], arrays["time"])
    masked = vectors[arrays["event_item"]] * np.asarray(history.mask)[..., None]
    assert tower.bag_half_lives_days[0] == 14
    bag = np.asarray(tower._bags(history, masked)[0])
    npt.assert_allclose(bag[0], (0.25 * vectors[2] + vectors[3]) / np.sqrt(0.25**2 + 1), rtol=1e-4)
    npt.assert_allclose(bag[1], 0, atol=1e-6)


@pytest.mark.parametrize(
    "baskets",
    [
        [(30.0, [2, 3]), (9.0, [3, 5, 6]), (1.0, [4])],
        [(40.0, [2]), (30.0, [5]), (20.0, [3, 4]), (9.0, [6]), (2.0, [7, 8]), (1.0, [2])],  # two more than steps
        [(3.0, [9])],
        [],
    ],
    ids=["short", "long", "one basket", "empty"],
)
def test_the_lstm_reads_baskets_oldest_first(model, baskets):
    """Step by step: the items of a basket, normalised, with the gap to the basket before, its age and its size."""
    tower, vectors = model.query_tower, np.asarray(model.item_tower())
    kinds = np.asarray(tower.event_type_embedding.embeddings)
    steps = [[(days, item) for item in items] for days, items in baskets]
    extra = max(len(steps) - tower.sequence_baskets, 0)
    steps = [[event for step in steps[: extra + 1] for event in step], *steps[extra + 1 :]]  # the oldest ones together
    inputs, age_before = [], None
    for step in steps if baskets else []:
        age = np.mean([days for days, _ in step])
        summed = sum(vectors[item] + kinds[2 + item % 2] for _, item in step) / np.sqrt(len(step))
        gap = 0.0 if age_before is None else max(age_before - age, 0.0)
        numbers = np.log1p([gap, age, len(step)])
        inputs.append(summed + numbers @ np.asarray(tower.gap_projection.kernel))
        age_before = age
    if not inputs:
        inputs = [np.zeros(vectors.shape[1])]
    expected = np.asarray(tower.lstm(np.array([inputs], np.float32)))

    arrays = as_arrays([baskets], length=20)
    history = read_history(arrays["event_item"], arrays["event_type"], arrays["event_time"], arrays["time"])
    masked = vectors[arrays["event_item"]] * np.asarray(history.mask)[..., None]
    npt.assert_allclose(tower._sequence(history, masked, training=False), expected, rtol=1e-3, atol=1e-4)


# --- saving ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("layer", ["item_tower", "query_tower", "attributes", "affinity"])
def test_layers_are_rebuilt_from_their_configuration(model, layer):
    original = {
        "item_tower": model.item_tower,
        "query_tower": model.query_tower,
        "attributes": model.item_tower.attributes,
        "affinity": model.affinity,
    }[layer]
    saved = keras.saving.serialize_keras_object(original)
    assert saved["registered_name"] == f"supplytower>{type(original).__name__}"
    copy = keras.saving.deserialize_keras_object(saved)
    assert type(copy) is type(original)
    assert isinstance(copy, ItemTower | QueryTower | AttributeEmbedding | AttributeAffinity)
    assert copy.get_config() == original.get_config()
