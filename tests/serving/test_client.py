"""What the client asks and answers, over both protocols."""

import asyncio
import pickle
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from data_pipelines.config import describe
from data_pipelines.schema import InputError
from serving.client import (
    AsyncClient,
    Client,
    ClientSettings,
    History,
    InvalidRequest,
    NotFound,
    Recommendations,
    VersionState,
)
from tests.serving.fake_models import AWKWARD, ITEMS

ANNA = History("anna", ["milk", "tea"], ["view", "purchase"], [100, 200], at=1000)
NEW = History("new", at=500)


@pytest.mark.parametrize(
    ("asked", "target", "y"),
    [
        # version 1 and the label stable: x / 2 + 2; version 2, the newest: x / 3 + 2
        ({"version": 1}, ("half_plus_two", 1, ""), [2.5, 4.0]),
        ({"label": "stable"}, ("half_plus_two", None, "stable"), [2.5, 4.0]),
        ({}, ("half_plus_two", None, ""), [np.float32(1) / 3 + 2, np.float32(4) / 3 + 2]),
    ],
)
def test_a_version_or_a_label_is_asked(fake, client, asked, target, y):
    answer = client.predict("half_plus_two", {"x": [1, 4]}, **asked)
    assert answer["y"].dtype == np.float32
    np.testing.assert_array_equal(answer["y"], np.array(y, np.float32))
    assert [one.target for one in fake.seen] == [target, target]  # metadata, then predict


def test_signatures_are_fetched_once_per_target(fake, client):
    for _ in range(3):
        client.predict("half_plus_two", {"x": [1.0]})
        client.predict("half_plus_two", {"x": [1.0]}, label="stable")
    assert fake.count("metadata") == 2
    assert fake.count("predict") == 6


def test_numbers_travel_as_tensor_content_and_strings_as_string_val(fake, make_client, running):
    client = make_client(running.addresses["grpc"])
    client.recommend([ANNA, NEW], 2)
    inputs = next(one.raw for one in fake.seen if one.method == "predict").inputs
    times = inputs["history_timestamp"]
    assert times.dtype == tf.int64.as_datatype_enum
    assert times.tensor_content == np.array([[100, 200], [0, 0]], "<i8").tobytes()
    assert not times.int64_val
    assert inputs["k"].tensor_content == np.array([2, 2], "<i4").tobytes()
    assert list(inputs["history_item_id"].string_val) == [b"milk", b"tea", b"", b""]
    client.predict("half_plus_two", {"x": [1.5]})
    x = fake.seen[-1].raw.inputs["x"]
    assert (x.tensor_content, list(x.float_val)) == (np.float32(1.5).tobytes(), [])


def test_rest_asks_in_the_column_format(fake, make_client, running):
    make_client(running.addresses["rest"]).recommend([ANNA, NEW], 2, exclude=[["milk"], []])
    assert fake.seen[-1].raw == {
        "signature_name": "serving_default",
        "inputs": {
            "user_id": ["anna", "new"],
            "timestamp": [1000, 500],
            "history_item_id": [["milk", "tea"], ["", ""]],
            "history_event_type": [["view", "purchase"], ["", ""]],
            "history_timestamp": [[100, 200], [0, 0]],
            "k": [2, 2],
            "exclude_item_id": [["milk"], [""]],
        },
    }


def test_float32_is_bit_equal_over_both_protocols(client):
    answer = client.predict("constant", {"n": 1})
    assert answer["awkward"].dtype == np.float32
    assert answer["awkward"].view(np.uint32).tolist() == AWKWARD.view(np.uint32).tolist()
    assert answer["none"].shape[0] == 0
    assert answer["none"].ndim == 3


def test_random_float32_is_bit_equal_in_both_directions(client):
    # x / 2 + 2 is computed by the server in float32 from what arrived
    bits = np.random.default_rng(0).integers(0, 2**32, 2000, np.uint32)
    x = bits.view(np.float32)
    x = x[np.isfinite(x)]
    y = client.predict("half_plus_two", {"x": x}, version=1)["y"]
    assert np.array_equal(y.view(np.uint32), (x / 2 + 2).view(np.uint32))


def test_every_type_comes_back_as_it_went(client):
    given = {
        "words": ["ä", "", "日本", 'a"b\\'],
        "int32": [-(2**31), 0, 1, 2**31 - 1],
        "int64": [-(2**63), 0, 2**53 + 1, 2**63 - 1],
        "float64": np.array([[0.1, -1e300], [1 / 3, 5e-324], [0, 1], [2, 3]]),
        "flag": [True, False, True, False],
    }
    answer = client.predict("echo", given)
    for name, values in given.items():
        assert answer[f"{name}_again"].tolist() == np.asarray(values).tolist()
        if name != "words":
            assert answer[f"{name}_again"].dtype == np.dtype({"flag": "bool"}.get(name, name))


def test_bytes_that_are_no_text_survive(fake, make_client, running):
    two = {"int32": [0, 0], "int64": [0, 0], "float64": [[0, 0], [0, 0]], "flag": [True, False]}
    grpc = make_client(running.addresses["grpc"]).predict("echo", {"words": [b"\xff\x00", "a"], **two})
    assert grpc["words_again"].tolist() == [b"\xff\x00".decode("utf-8", "surrogateescape"), "a"]
    rest = make_client(running.addresses["rest"]).predict("echo", {"words": [b"\xff\x00", "a"], **two})
    assert fake.seen[-1].raw["inputs"]["words"] == [{"b64": "/wA="}, "a"]
    assert rest["words_again"].tolist() == [b"\xff\x00".decode("utf-8", "surrogateescape"), "a"]


def test_recommendations_are_without_padding(client, protocol):
    first, second = client.recommend([ANNA, NEW], 3, exclude=[["bread"], []], label="stable")
    version = 3 if protocol == "grpc" else None  # REST does not say
    assert first == Recommendations(["milk", "tea"], [3.0, 1.0], version=version)
    assert second == Recommendations(["milk", "bread", "tea"], [3.0, 2.0, 1.0], version=version)


def test_candidates_are_scored(client):
    # Anna has 2 events: 0.2 for each candidate; a new user has none; behind the end of a row is 0
    found = client.score([ANNA, NEW], [["milk", "tea", "bread"], ["milk"]])
    np.testing.assert_array_equal(found, np.array([[0.2, 0.2, 0.2], [0, 0, 0]], np.float32))


def test_users_and_items_are_embedded(client):
    # asked at 1000, the newest event at 200; a new user's newest event is the padding's 0
    np.testing.assert_array_equal(client.embed([ANNA, NEW]), np.array([[800, 1], [500, 1]], np.float32))
    np.testing.assert_array_equal(client.embed_items(["tea", "bread"]), np.array([[3, 1], [5, 1]], np.float32))


def test_a_history_without_time_is_asked_now(fake, client):
    client.embed([History("anna")])
    [asked] = client.embed([History("anna")])
    assert asked[0] > 1_700_000_000


def test_demand_is_forecast(fake, client):
    found = client.forecast(
        [[1, 2, 3], [4, np.nan, 6]], ["2017-01-01"] * 2, 2, {"price": [[1, 1, 1, 1, 1], [2]], "brand": ["a", "b"]}
    )
    # demand 6 and 10, prices 5 · 1 and 1 · 2, unknown after that
    assert found.mean.tolist() == [[11, 11], [12, 12]]
    assert found.quantiles.shape == (2, 2, 2)
    assert found.levels == (pytest.approx(0.1), pytest.approx(0.9))


def test_shorter_series_begin_earlier_with_unknown_demand(fake, make_client, running):
    client = make_client(running.addresses["grpc"])
    demand, dates = [[1, 2, 3], [5]], ["2017-01-01", "2017-01-15"]
    covariates = {"price": [[1, 1, 1], [7, 7]], "brand": ["a", "b"]}
    with pytest.raises(InvalidRequest, match=r"series of 1 to 3 steps; give step_days \(1 for days, 7 for weeks\)"):
        client.forecast(demand, dates, 2, covariates)
    client.forecast(demand, dates, 2, covariates, step_days=7)
    sent = {name: tf.make_ndarray(one).tolist() for name, one in fake.seen[-1].raw.inputs.items()}
    nan = pytest.approx(np.nan, nan_ok=True)
    assert sent["demand"] == [[1, 2, 3], [nan, nan, 5]]
    assert sent["start_date"] == [b"2017-01-01", b"2017-01-01"]  # two weeks earlier
    assert sent["price"] == [[1, 1, 1, nan], [nan, nan, 7, 7]]


def test_an_empty_batch_is_answered_without_a_call(fake, client):
    assert client.recommend([]) == []
    assert client.score([], []).shape == (0, 0)
    assert client.score([ANNA, NEW], [[], []]).shape == (2, 0)
    assert client.embed([]).shape == client.embed_items([]).shape == (0, 0)
    empty = client.forecast([], [], 7)
    assert (empty.mean.shape, empty.quantiles.shape, empty.levels) == ((0, 7), (0, 7, 0), ())
    assert fake.seen == []


WRONG = [
    (lambda c: c.recommend([ANNA], 0), "k is 0; it must be a whole number of at least 1"),
    (lambda c: c.recommend([ANNA], 2.5), "k is 2.5; it must be a whole number"),
    (
        lambda c: c.recommend([NEW, History("a", ["milk"], ["view"], [])]),
        "history 1 (of 2): lengths differ: item_id 1, event_type 1, timestamp 0",
    ),
    (lambda c: c.recommend([ANNA], exclude=[]), "exclude has 0 rows for 1 histories; give one per history"),
    (lambda c: c.recommend([ANNA], exclude=["milk"]), "exclude of row 0 is the text 'milk'; give a list"),
    (lambda c: c.recommend([History("a", "m", "v", [1])]), "item_id of row 0 is the text 'm'; give a list"),
    (
        lambda c: c.embed([History("a", ["milk"], ["view"], [1.5])]),
        "history_timestamp: times are whole unix seconds (int64); a float, a date or text is none",
    ),
    (lambda c: c.embed([History("a", at=2**63)]), "timestamp: times are whole unix seconds"),
    (
        lambda c: c.embed([History("a", [1], ["view"], [1])]),
        "input 'history_item_id': given object [1, 1], wanted string [-1, -1]",
    ),
    (lambda c: c.score([ANNA], []), "candidates has 0 rows for 1 histories"),
    (lambda c: c.forecast([[1]], [], 1), "0 start dates for 1 series"),
    (lambda c: c.forecast([[1]], ["2017-01-01"], 0), "horizon is 0; it must be a whole number of at least 1"),
    (lambda c: c.forecast([["x"]], ["2017-01-01"], 1), "demand: not rows of numbers: could not convert string"),
    (
        lambda c: c.forecast([[1, 2], [1]], ["2017-01-01", "soon"], 1, step_days=1),
        "start date 'soon' is not of the form",
    ),
    (lambda c: c.forecast([[1]], ["2017-01-01"], 1), "missing input brand (string [-1]), price (float32 [-1, -1])"),
    (
        lambda c: c.predict("half_plus_two", {"x": [1]}, version=1, label="stable"),
        "give a version or a label, not both",
    ),
    (lambda c: c.predict("../secret", {}), "'../secret' is not a name"),
    (lambda c: c.predict("", {}), "'' is not a name"),
]


@pytest.mark.parametrize(("ask", "message"), WRONG, ids=[message[:40] for _, message in WRONG])
def test_what_is_wrong_is_said_before_anything_is_predicted(fake, client, ask, message):
    with pytest.raises(InvalidRequest) as raised:
        ask(client)
    assert message in str(raised.value)
    assert raised.value.code == "INVALID_ARGUMENT"
    assert fake.count("predict") == 0


def test_errors_say_which_model_and_version(client, protocol):
    with pytest.raises(NotFound) as raised:
        client.predict("half_plus_two", {"x": [1]}, version=9)
    error = raised.value
    assert (error.model, error.version, error.label, error.code) == ("half_plus_two", 9, None, "NOT_FOUND")
    http = "HTTP 404: " if protocol == "rest" else ""
    wanted = (
        f"model 'half_plus_two' version 9: NOT_FOUND: {http}Servable not found for request: ('half_plus_two', 9, '')"
    )
    assert str(error) == wanted
    with pytest.raises(
        InvalidRequest, match=r"model 'demand_forecaster' label 'stable': INVALID_ARGUMENT: .*horizon: longer"
    ):
        client.forecast([[1]], ["2017-01-01"], 29, {"price": [[1]], "brand": ["a"]}, label="stable")


def test_errors_survive_pickling(client):
    with pytest.raises(NotFound) as raised:
        client.status("absent")
    copy = pickle.loads(pickle.dumps(raised.value))
    assert (type(copy), str(copy), copy.model) == (NotFound, str(raised.value), "absent")


def test_a_message_that_is_too_large_is_a_wrong_request(fake, make_client, running):
    client = make_client(running.addresses["grpc"], max_message_bytes=2000)
    assert client.predict("half_plus_two", {"x": np.zeros(100)})["y"].shape == (100,)
    with pytest.raises(InvalidRequest, match=r"larger than max.*see the setting max_message_bytes"):
        client.predict("half_plus_two", {"x": np.zeros(10_000)})
    assert fake.count() == 1


def test_the_status_lists_the_versions(client):
    assert client.status("half_plus_two") == [
        VersionState(1, "AVAILABLE", "OK", ""),
        VersionState(2, "AVAILABLE", "OK", ""),
        VersionState(0, "END", "DATA_LOSS", "no saved_model.pb"),
    ]
    with pytest.raises(NotFound, match="Could not find any versions of model absent"):
        client.status("absent")


def test_metadata_names_types_and_shapes(client):
    found = client.metadata("recommender", label="stable")
    assert found.version == 3
    assert sorted(found.signatures) == ["item_embedding", "score", "serving_default", "user_embedding"]
    inputs = found.signatures["serving_default"].inputs
    assert (str(inputs["history_timestamp"]), str(inputs["k"])) == ("int64 [-1, -1]", "int32 of any shape")
    assert found.signatures["score"].outputs["probability"].shape == (-1, -1)


@pytest.mark.parametrize(
    ("address", "settings", "message"),
    [
        ("localhost:8500", {}, "is none of grpc://"),
        ("ftp://host", {}, "is none of grpc://"),
        ("grpc://", {}, "is none of grpc://"),
        ("grpc://host:99999", {}, "is none of grpc://"),
        ("grpc://host:1/path", {}, "a host and a port only"),
        ("grpc://host", {"ca": "ca.pem"}, "use grpcs://"),
        ("https://host", {"ca": "absent.pem"}, "setting 'ca': there is no file absent.pem"),
    ],
)
def test_unusable_addresses_are_refused(address, settings, message):
    with pytest.raises(InputError, match=message):
        Client(address, ClientSettings(**{name: Path(value) for name, value in settings.items()}))


@pytest.mark.parametrize(
    "wrong", [{"timeout_seconds": 0}, {"max_attempts": 0}, {"hedge_after_seconds": -1}, {"key": "key.pem"}]
)
def test_settings_are_validated(wrong):
    with pytest.raises(InputError, match="client setting '"):
        ClientSettings(**wrong)


def test_settings_are_documented():
    assert "hedge_after_seconds: number or null = null" in describe(ClientSettings)


def test_both_clients_have_the_same_methods():
    public = [name for name in vars(AsyncClient) if not name.startswith("_")]
    assert sorted(public) == sorted(name for name in vars(Client) if not name.startswith("_"))
    assert Client.recommend.__doc__ == AsyncClient.recommend.__doc__


def test_a_closed_client_says_so(client):
    client.predict("half_plus_two", {"x": [1]})
    client.close()
    client.close()
    with pytest.raises(RuntimeError, match="the client is closed"):
        client.status("half_plus_two")


def test_the_client_for_functions_works_inside_an_event_loop(client):
    async def main():
        return client.recommend([ANNA], 1)

    assert asyncio.run(main())[0].item_id == [ITEMS[0].decode()]
