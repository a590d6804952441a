"""Inputs against signatures: what is converted, what is refused and in which words; signatures that change."""

import asyncio
import threading

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from serving.client import (
    AsyncClient,
    ClientSettings,
    DeadlineExceeded,
    InvalidRequest,
    Signature,
    Signatures,
    TensorSpec,
    UnexpectedAnswer,
)
from serving.json_tensors import read_outputs
from serving.serving_error import Target
from serving.signature_cache import SignatureCache
from serving.signature_check import check_inputs, find_signature
from tests.serving.fake_models import Y
from tests.serving.fake_serving import Version

TARGET = Target("shop", label="stable")
SPECS = {
    "f": TensorSpec("float32", (-1, 3)),
    "i": TensorSpec("int32", (-1,)),
    "u": TensorSpec("uint8", (-1,)),
    "s": TensorSpec("string", (-1,)),
    "any": TensorSpec("int64", None),
    "b": TensorSpec("bool", ()),
}
GOOD = {"f": [[1, 2, 3]], "i": [1], "u": [255], "s": ["a"], "any": 5, "b": True}


def check(**inputs):
    return check_inputs(TARGET, "rank", Signature(SPECS, {}), GOOD | inputs)


@pytest.mark.parametrize(
    "inputs",
    [
        {},
        {"f": np.zeros((1, 3), np.int64)},
        {"f": [[np.nan, np.inf, -np.inf]]},
        {"i": np.array([2**31 - 1])},
        {"i": [True]},
        {"s": np.array(["a"])},
        {"s": [b"\xff"]},
        {"any": [[1], [2], [3]]},  # of any shape: no batch of its own
        {"f": np.zeros((0, 3)), "i": [], "u": [], "s": []},
    ],
)
def test_what_loses_nothing_is_converted(inputs):
    arrays = check(**inputs)
    assert {name: array.dtype.name for name, array in arrays.items()} == {
        "f": "float32",
        "i": "int32",
        "u": "uint8",
        "s": "object",
        "any": "int64",
        "b": "bool",
    }
    for name, values in (GOOD | inputs).items():
        np.testing.assert_array_equal(arrays[name], np.asarray(values, object if name == "s" else None))


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ({"x": [1]}, "signature 'rank': unknown input x; it takes any, b, f, i, s, u"),
        ({"f": [[1, 2]]}, "input 'f': given int64 [1, 2] from 1 to 2, wanted float32 [-1, 3]"),
        ({"f": [1, 2, 3]}, "input 'f': given int64 [3] from 1 to 3, wanted float32 [-1, 3]"),
        ({"f": [[1, 2, 3], [1]]}, "input 'f': given rows of different lengths, wanted float32 [-1, 3]"),
        ({"f": [[1e39, 0, 0]]}, "input 'f': given float64 [1, 3] from 0.0 to 1e+39, wanted float32 [-1, 3]"),
        ({"f": [["1", "2", "3"]]}, "input 'f': given string [1, 3], wanted float32 [-1, 3]"),
        ({"f": [[None, 1, 2]]}, "input 'f': given object [1, 3], wanted float32 [-1, 3]"),
        ({"i": [1.0]}, "input 'i': given float64 [1] from 1.0 to 1.0, wanted int32 [-1]"),
        ({"i": [2**31]}, "input 'i': given int64 [1] from 2147483648 to 2147483648, wanted int32 [-1]"),
        ({"i": [2**70]}, "input 'i': given object [1], wanted int32 [-1]"),
        ({"u": [-1]}, "input 'u': given int64 [1] from -1 to -1, wanted uint8 [-1]"),
        ({"s": [1]}, "input 's': given object [1], wanted string [-1]"),
        ({"s": ["a", ["b"]]}, "input 's': given rows of different lengths, wanted string [-1]"),
        ({"any": "1"}, "input 'any': given string [], wanted int64 of any shape"),
        ({"b": 1}, "input 'b': given int64 [] from 1 to 1, wanted bool []"),
        ({"i": [1, 2]}, "signature 'rank': inputs differ in batch size: f 1, i 2, u 1, s 1"),
    ],
)
def test_what_does_not_fit_is_refused_in_words(inputs, message):
    with pytest.raises(InvalidRequest) as raised:
        check(**inputs)
    assert str(raised.value).startswith("model 'shop' label 'stable': INVALID_ARGUMENT: signature 'rank'")
    assert message in str(raised.value)


def test_missing_inputs_and_signatures_are_named():
    with pytest.raises(
        InvalidRequest, match=r"signature 'rank': missing input b \(bool \[\]\), f \(float32 \[-1, 3\]\)"
    ):
        check_inputs(TARGET, "rank", Signature(SPECS, {}), {name: GOOD[name] for name in ("i", "u", "s", "any")})
    with pytest.raises(InvalidRequest, match="no signature 'rnak'; there are: embed, rank"):
        find_signature(TARGET, "rnak", Signatures(1, {"rank": Signature({}, {}), "embed": Signature({}, {})}))


@given(
    st.lists(st.integers(-(2**63), 2**63 - 1), max_size=5),
    st.sampled_from(["int8", "uint8", "int32", "uint64", "int64"]),
)
def test_integers_are_exact_or_refused(values, dtype):
    signature = Signature({"n": TensorSpec(dtype, (-1,))}, {})
    fits = all(np.iinfo(dtype).min <= one <= np.iinfo(dtype).max for one in values)
    try:
        arrays = check_inputs(TARGET, "rank", signature, {"n": values})
    except InvalidRequest:
        assert not fits
    else:
        assert fits
        assert arrays["n"].tolist() == values


@pytest.mark.parametrize(
    ("outputs", "message"),
    [
        ({"y": [1.0], "z": [1.0]}, "outputs are y, z, wanted score, word"),
        ([1.0], "outputs are a list, wanted score, word"),
        ({"score": ["a"], "word": ["a"]}, "output 'score' is not float32 [-1]"),
        ({"score": [[1.0]], "word": ["a"]}, "output 'score' is not float32 [-1]: given [1, 1]"),
        ({"score": [1.0], "word": [1]}, "output 'word' is not string [-1]: given 1"),
    ],
)
def test_answers_that_are_not_the_signatures_are_refused(outputs, message):
    specs = {"score": TensorSpec("float32", (-1,)), "word": TensorSpec("string", (-1,))}
    with pytest.raises(UnexpectedAnswer) as raised:
        read_outputs(TARGET, "rank", outputs, specs)
    assert message in str(raised.value)


# --- signatures that change ---


def renamed(number, dtype="DT_FLOAT"):
    return Version(
        number, {"serving_default": ({"z": (dtype, (-1,))}, Y, lambda inputs: {"y": inputs["z"].astype("f4")})}
    )


def test_a_label_that_moves_is_noticed_by_the_check(fake, client):
    versions, labels = fake.models["half_plus_two"]
    client.predict("half_plus_two", {"x": [1]}, label="stable")
    versions[4], labels["stable"] = renamed(4), 4
    # "z" does not fit what is believed of `stable`: fetched again, it does
    assert client.predict("half_plus_two", {"z": [7]}, label="stable")["y"].tolist() == [7]
    with pytest.raises(InvalidRequest, match="missing input z"):
        client.predict("half_plus_two", {"x": [1]}, label="stable")


def test_a_label_that_moves_is_noticed_by_the_servers_refusal(fake, client):
    versions, labels = fake.models["half_plus_two"]
    refusing = Version(5, {"serving_default": ({"x": ("DT_INT32", (-1,))}, Y, None)})

    def only_integers(inputs):
        if inputs["x"].dtype != np.int32:
            raise ValueError("expects int32")
        return {"y": inputs["x"].astype(np.float32)}

    refusing.signatures["serving_default"] = ({"x": ("DT_INT32", (-1,))}, Y, only_integers)
    client.predict("half_plus_two", {"x": [1]}, label="stable")
    versions[5], labels["stable"] = refusing, 5
    assert client.predict("half_plus_two", {"x": [3]}, label="stable")["y"].tolist() == [3]


def test_a_label_that_moves_is_noticed_by_the_answer(fake, client):
    versions, labels = fake.models["half_plus_two"]
    more = (
        {"x": ("DT_FLOAT", (-1,))},
        Y | {"n": ("DT_INT64", ())},
        lambda one: {"y": one["x"], "n": np.int64(5) + np.zeros((), "i8")},
    )
    client.predict("half_plus_two", {"x": [1]}, label="stable")
    versions[6], labels["stable"] = Version(6, {"serving_default": more}), 6
    answer = client.predict("half_plus_two", {"x": [1]}, label="stable")
    assert (answer["y"].tolist(), answer["n"].item()) == ([1], 5)


def test_an_answer_from_another_version_lets_signatures_be_fetched_again(fake, make_client, running):
    client = make_client(running.addresses["grpc"])
    client.predict("half_plus_two", {"x": [1]}, label="stable")
    fake.models["half_plus_two"][1]["stable"] = 2
    client.predict("half_plus_two", {"x": [1]}, label="stable")
    assert fake.count("metadata") == 1
    client.predict("half_plus_two", {"x": [1]}, label="stable")
    assert fake.count("metadata") == 2


def test_a_wrong_request_is_not_sent_twice(fake, client):
    client.predict("half_plus_two", {"x": [1]})
    fake.fail("INVALID_ARGUMENT", times=5)
    with pytest.raises(InvalidRequest):
        client.predict("half_plus_two", {"x": [1]})
    assert fake.count("predict") == 2


def test_signatures_are_believed_for_a_while_only(fake, make_client):
    client = make_client(signature_ttl_seconds=0)
    client.predict("half_plus_two", {"x": [1]})
    client.predict("half_plus_two", {"x": [1]})
    assert fake.count("metadata") == 2


def test_callers_that_miss_together_wait_for_one_fetch_and_outlive_each_other():
    async def main():
        fetches, release = [], asyncio.Event()

        async def fetch(target, timeout_seconds):
            fetches.append(target)
            await release.wait()
            return Signatures(1, {})

        cache = SignatureCache(60, fetch)
        waiting = [asyncio.ensure_future(cache.fetched(TARGET, 1)) for _ in range(5)]
        await asyncio.sleep(0)
        waiting[0].cancel()  # the one that asked first gives up
        await asyncio.sleep(0)
        release.set()
        assert await asyncio.gather(*waiting[1:]) == [Signatures(1, {})] * 4
        assert cache.held(TARGET) == Signatures(1, {})
        return fetches

    assert asyncio.run(main()) == [TARGET]


def test_a_calls_own_deadline_is_the_fetchs_too(fake, make_client):
    client = make_client(timeout_seconds=0.1)
    held = fake.hold(times=1, method="metadata")
    threading.Timer(0.3, held.set).start()
    assert client.predict("half_plus_two", {"x": [1]}, version=1, timeout_seconds=10)["y"].tolist() == [2.5]
    assert fake.count("metadata") == 1


def test_who_waits_for_anothers_fetch_outlives_its_deadline(fake, address):
    async def main():
        async with AsyncClient(address) as client:
            held = fake.hold(times=1, method="metadata")  # the first fetch is never answered, the next is
            hasty, patient = await asyncio.gather(
                *(client.predict("half_plus_two", {"x": [1]}, version=1, timeout_seconds=s) for s in (0.2, 10)),
                return_exceptions=True,
            )
            held.set()
            return hasty, patient

    hasty, patient = asyncio.run(main())
    assert type(hasty) is DeadlineExceeded
    assert patient["y"].tolist() == [2.5]
    assert fake.count("metadata") == 2


def test_a_failed_fetch_is_not_remembered(fake, address):
    async def main():
        async with AsyncClient(address, ClientSettings(max_attempts=1)) as client:
            fake.fail("UNAVAILABLE", times=1, method="metadata")
            found = await asyncio.gather(
                *(client.predict("half_plus_two", {"x": [1]}) for _ in range(3)), return_exceptions=True
            )
            return {type(one).__name__ for one in found}, await client.predict("half_plus_two", {"x": [3]})

    failures, answer = asyncio.run(main())
    assert failures == {"Unavailable"}
    assert answer["y"].tolist() == [3]
