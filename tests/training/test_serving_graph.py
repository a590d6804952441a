"""What the exported signatures answer, compared with the model's own scores on index arrays."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.testing as npt
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from data_pipelines.schema import FIRST_KNOWN, UNKNOWN
from models.history import read_history
from models.losses import NEVER
from tests.training.export_world import CONFIG, DAY, N_USERS, START, Shop, random_recommender
from training.servable import servable
from training.serving_graph import HISTORY, ServingGraph, Vocabularies
from training.two_tower_recommender import TwoTowerRecommender

NOW = START + 200 * DAY
HISTORY_LENGTH = CONFIG.history_length

Event = tuple[str, str, int]
Answer = dict[str, np.ndarray]
Ask = Callable[..., Answer]


def event(item: int | str, day: float, kind: str = "purchase") -> Event:
    return (item if isinstance(item, str) else f"Käse {item}", kind, int(START + day * DAY))


SOME = [event(3, 0), event(5, 0), event(3, 7), event(8, 9, "view"), event(9, 30)]


def history(rows: Sequence[Sequence[Event]], users: Sequence[str] = ("Kunde 03",), now: int = NOW) -> dict[str, Any]:
    """The history inputs of a batch, padded on the right."""
    width = max(map(len, rows))
    full = [[*row, *[("", "", 0)] * (width - len(row))] for row in rows]
    n = len(rows)
    columns = [np.array([[cell[part] for cell in row] for row in full]).reshape(n, width) for part in range(3)]
    return {
        "user_id": np.array([*users] * (n // len(users))),
        "timestamp": np.full(n, now, np.int64),
        "history_item_id": columns[0].astype(np.str_),
        "history_event_type": columns[1].astype(np.str_),
        "history_timestamp": columns[2].astype(np.int64),
    }


def asking(signatures: Any) -> Ask:
    """Ask a signature with NumPy arrays."""

    def call(signature: str, **inputs: Any) -> Answer:
        outputs = signatures[signature](**{name: tf.constant(value) for name, value in inputs.items()})
        return {
            name: np.char.decode(value.numpy().astype(bytes), "utf-8") if value.dtype == tf.string else value.numpy()
            for name, value in outputs.items()
        }

    return call


@pytest.fixture(scope="module")
def ask(shop: Shop) -> Ask:
    """Ask the exported SavedModel."""
    return asking(tf.saved_model.load(str(shop.version)).signatures)


def recommend(ask: Ask, rows: Sequence[Sequence[Event]], k: Any = 100, exclude: Any = (), **kwargs: Any) -> Answer:
    n = len(rows)
    excluded = np.array(exclude, np.str_).reshape(n, -1) if len(exclude) else np.zeros((n, 0), np.str_)
    return ask("serving_default", **history(rows, **kwargs), k=np.asarray(k, np.int32), exclude_item_id=excluded)


def assert_same(first: Answer, second: Answer) -> None:
    npt.assert_array_equal(first["item_id"], second["item_id"])
    npt.assert_allclose(first["score"], second["score"], rtol=1e-5, atol=1e-5)


def by_index(shop: Shop, answer: Answer) -> np.ndarray:
    """The answer's scores in the order of the vocabulary, `[batch, items]`."""
    order = {item: index for index, item in enumerate(shop.split.items.ids.tolist())}
    scores = np.full((len(answer["score"]), len(order)), -np.inf, np.float32)
    for row, (items, values) in enumerate(zip(answer["item_id"], answer["score"], strict=True)):
        scores[row, [order[item] for item in items]] = values
    return scores


def log_of(shop: Shop, user: int) -> list[Event]:
    """A user's whole log as raw events; items outside the vocabulary under some name."""
    timelines, split = shop.split.timelines, shop.split
    rows = range(timelines.offsets[user], timelines.offsets[user + 1])
    return [
        (
            str(split.items.ids[timelines.item[r]]),
            str(split.event_types[timelines.event_type[r]]),
            int(timelines.time[r]),
        )
        for r in rows
    ]


def test_every_user_is_scored_as_in_training(ask: Ask, shop: Shop) -> None:
    users = np.arange(FIRST_KNOWN, FIRST_KNOWN + N_USERS)
    expected = shop.recommender.score(shop.split.timelines, shop.queries(users))
    rows = [log_of(shop, user) for user in users]
    assert max(map(len, rows)) > HISTORY_LENGTH  # and yet the whole log is sent
    now = int(shop.split.timelines.time.max()) + 1
    answer = recommend(ask, rows, users=shop.split.users.ids[users].tolist(), now=now)
    npt.assert_allclose(by_index(shop, answer), expected, rtol=1e-5, atol=1e-5)
    assert np.all(np.diff(answer["score"], axis=1) <= 0)
    assert np.ptp(expected[:, FIRST_KNOWN:], axis=0).min() > 0.1  # the users differ, so the comparison means something


def test_probabilities_are_those_of_training(ask: Ask, shop: Shop) -> None:
    users = np.arange(FIRST_KNOWN, FIRST_KNOWN + N_USERS)
    expected = shop.recommender.probability(shop.split.timelines, shop.queries(users))
    now = int(shop.split.timelines.time.max()) + 1
    inputs = history([log_of(shop, user) for user in users], shop.split.users.ids[users].tolist(), now)
    candidates = np.tile(shop.split.items.ids[FIRST_KNOWN:], (N_USERS, 1))
    answer = ask("score", **inputs, candidate_item_id=candidates)["probability"]
    npt.assert_allclose(answer, expected[:, FIRST_KNOWN:], rtol=1e-4)


def test_an_empty_history_may_have_no_columns_or_only_padding(ask: Ask, shop: Shop) -> None:
    nobody = shop.recommender.score(
        shop.split.timelines, replace(shop.queries(np.array([UNKNOWN])), time=np.array([NOW]))
    )
    none = recommend(ask, [[]], users=["nobody"])
    npt.assert_allclose(by_index(shop, none), nobody, rtol=1e-5, atol=1e-5)
    assert_same(none, recommend(ask, [[("", "", 0)] * 5], users=["nobody"]))
    assert_same(none, recommend(ask, [[("", "purchase", NOW)] * 40], users=["nobody"]))


def test_unknown_users_are_all_alike_and_not_like_a_known_one(ask: Ask) -> None:
    answers = [recommend(ask, [SOME], users=[user]) for user in ("nobody", "", "Kunde 99", "Kunde 03")]
    assert_same(answers[0], answers[1])
    assert_same(answers[0], answers[2])
    assert not np.allclose(answers[0]["score"], answers[3]["score"])


def test_unknown_items_are_events_that_are_all_alike(ask: Ask) -> None:
    one, other = (recommend(ask, [[*SOME, event(name, 40)]]) for name in ("from another shop", "rare 4"))
    assert_same(one, other)
    assert not np.allclose(one["score"], recommend(ask, [SOME])["score"])


def test_unknown_event_types_are_served(ask: Ask) -> None:
    one, other = (recommend(ask, [[*SOME, event(1, 40, kind)]]) for kind in ("wish list", "returned"))
    assert_same(one, other)
    assert not np.allclose(one["score"], recommend(ask, [[*SOME, event(1, 40)]])["score"])


def test_a_batch_is_answered_like_its_rows_one_by_one(ask: Ask) -> None:
    rows = [SOME, [], SOME[:1], [event(i % 20, i) for i in range(60)]]
    batch = recommend(ask, rows)
    for number, row in enumerate(rows):
        single = recommend(ask, [row])
        assert_same(single, {name: value[number : number + 1] for name, value in batch.items()})


def test_only_the_most_recent_events_count(ask: Ask) -> None:
    events = [event(i % 20, i) for i in range(60)]
    assert_same(recommend(ask, [events]), recommend(ask, [events[-HISTORY_LENGTH:]]))
    assert not np.allclose(recommend(ask, [events])["score"], recommend(ask, [events[-HISTORY_LENGTH + 1 :]])["score"])


def test_an_event_after_the_request_counts_as_just_now(ask: Ask) -> None:
    assert_same(recommend(ask, [[event(4, 300)]]), recommend(ask, [[("Käse 4", "purchase", NOW)]]))


@settings(max_examples=15)
@given(order=st.permutations(range(len(SOME) + 4)))
def test_neither_the_order_of_events_nor_padding_between_them_matters(ask: Ask, order: list[int]) -> None:
    cells = [*SOME, *[("", "", 0)] * 2, *[("", "view", NOW + 5)] * 2]
    assert_same(recommend(ask, [[cells[position] for position in order]]), recommend(ask, [SOME]))


def test_excluded_items_leave_the_list_and_the_rest_stays(ask: Ask) -> None:
    whole = recommend(ask, [SOME, SOME])
    first, third = whole["item_id"][0, [0, 2]]
    less = recommend(ask, [SOME, SOME], exclude=[[third, "nonsense", first, first], ["", "", "", ""]])
    n = whole["score"].shape[1]
    npt.assert_array_equal(less["item_id"][0, : n - 2], np.delete(whole["item_id"][0], [0, 2]))
    npt.assert_array_equal(less["item_id"][0, n - 2 :], ["", ""])
    npt.assert_array_equal(less["score"][0, n - 2 :], np.float32(NEVER))
    npt.assert_array_equal(less["item_id"][1], whole["item_id"][1])


def test_k_is_an_input(ask: Ask, shop: Shop) -> None:
    catalogue = shop.split.items.size - FIRST_KNOWN
    whole = recommend(ask, [SOME])
    for k, width in ((0, 0), (-3, 0), (1, 1), (7, 7), (catalogue, catalogue), (2**31 - 1, catalogue)):
        answer = recommend(ask, [SOME], k=k)
        assert answer["item_id"].shape == (1, width)
        assert_same(answer, {name: value[:, :width] for name, value in whole.items()})


def test_k_may_be_one_per_row(ask: Ask) -> None:
    answer = recommend(ask, [SOME, SOME, SOME], k=[2, 4, 0])
    assert (answer["item_id"] != "").tolist() == [[True, True, False, False], [True] * 4, [False] * 4]


def test_candidates_may_be_padded_or_unknown(ask: Ask) -> None:
    candidates = np.array([["Käse 3", "", "from another shop", "rare 4", "Käse 3"]])
    known, padding, unknown, rare, again = ask("score", **history([SOME]), candidate_item_id=candidates)["probability"][
        0
    ]
    assert padding == unknown == rare == 0
    assert 0 < known == again < 1


def test_the_product_of_the_embeddings_is_the_towers_part_of_the_score(ask: Ask, shop: Shop) -> None:
    ids = shop.split.items.ids[FIRST_KNOWN:]
    user = ask("user_embedding", **history([SOME]))["embedding"]
    items = ask("item_embedding", item_id=ids)["embedding"]
    assert user.shape == (1, CONFIG.dim + 1)
    assert items.shape == (len(ids), CONFIG.dim + 1)
    affinity = shop.recommender.model.affinity
    index = np.array([[shop.split.items.ids.tolist().index(item) for item, _, _ in SOME]], np.int32)
    time = np.array([[when for _, _, when in SOME]])
    affinities = affinity(read_history(index, np.full_like(index, 2), time, np.array([NOW])))
    product = user @ items.T + np.asarray(affinity.logits(affinities[0]))[:, FIRST_KNOWN:]
    scores = by_index(shop, recommend(ask, [SOME]))[:, FIRST_KNOWN:]
    taken = np.isin(ids, [item for item, _, _ in SOME])
    npt.assert_allclose(product[:, ~taken], scores[:, ~taken], rtol=1e-4, atol=1e-4)
    assert np.abs(product[:, taken] - scores[:, taken]).min() > 1e-3  # these have the repeat head's logit


def test_unknown_items_have_one_embedding(ask: Ask) -> None:
    first, second, known = ask("item_embedding", item_id=np.array(["x", "", "Käse 1"]))["embedding"]
    npt.assert_array_equal(first, second)
    assert not np.allclose(first, known)


def test_histories_that_do_not_fit_together_are_refused_by_name(ask: Ask) -> None:
    inputs = history([SOME]) | {"history_event_type": np.array([["purchase"]])}
    with pytest.raises(
        tf.errors.InvalidArgumentError, match="history_item_id, history_event_type and history_timestamp"
    ):
        ask("user_embedding", **inputs)


# --- other models than the default ------------------------------------------------------------------------------------


def ask_directly(shop: Shop, recommender: TwoTowerRecommender) -> Ask:
    """Ask the functions for recommendations without tracing and saving them."""
    vocabularies = Vocabularies(shop.split.items.ids, shop.split.users.ids, shop.split.event_types)
    graph = ServingGraph(servable(recommender.model), vocabularies, recommender.history_length)
    names = [*(spec.name for spec in HISTORY), "k", "exclude_item_id"]
    return asking({"serving_default": lambda **inputs: graph.recommend(*(inputs[name] for name in names))})


@pytest.mark.parametrize(
    ("config", "arguments"),
    [
        ({"repeat_units": 0}, {}),
        ({"lstm_units": 0}, {}),
        ({"use_user": False, "use_context": False, "bag_half_lives_days": ()}, {}),
        ({"sequence_baskets": 80, "history_length": 200, "sequence_events": 200}, {}),  # too long to be unrolled
        ({}, {"loss": "sampled"}),
    ],
    ids=lambda value: ",".join(map(str, value)) or "-",
)
def test_every_kind_of_model_can_be_served(shop: Shop, config: dict[str, Any], arguments: dict[str, Any]) -> None:
    recommender = random_recommender(shop.split, replace(CONFIG, **config), **arguments)
    user = FIRST_KNOWN + N_USERS - 1
    now = int(shop.split.timelines.time.max()) + 1
    ask = ask_directly(shop, recommender)
    answer = recommend(ask, [log_of(shop, user)], users=[str(shop.split.users.ids[user])], now=now)
    expected = recommender.score(shop.split.timelines, shop.queries(np.array([user])))
    npt.assert_allclose(by_index(shop, answer), expected, rtol=1e-4, atol=1e-4)
