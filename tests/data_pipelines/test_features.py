import numpy as np
import numpy.testing as npt
import polars as pl
import pytest

from data_pipelines.features import Feature, encode
from data_pipelines.schema import FIRST_KNOWN

IDS = ["p", "q", "r", "s", "t"]


def only(values: object, **settings: object) -> Feature:
    """The one feature made of a column, in the order p, q, r, s, t."""
    (feature,) = encode(IDS, pl.DataFrame({"item_id": IDS, "x": values}), "item_id", **settings).features
    return feature


def test_categories_most_frequent_first():
    feature = only(["red", "blue", "blue", "red", "blue"])
    assert feature.kind == "categorical"
    assert feature.vocabulary == ("", "blue", "red")  # three times blue, twice red
    assert feature.values.tolist() == [0, 0, 2, 1, 1, 2, 1]  # padding and unknown in front
    assert feature.values.dtype == np.int32


def test_rare_missing_and_empty_categories_are_code_0():
    feature = only(["red", "red", "once", None, ""])
    assert feature.vocabulary == ("", "red")
    assert feature.values.tolist() == [0, 0, 1, 1, 0, 0, 0]
    assert only(["red", "red", "once", None, ""], min_count=1).vocabulary == ("", "red", "once")


def test_ties_are_broken_by_name_so_that_codes_do_not_depend_on_the_order_of_rows():
    assert only(["b", "a", "a", "b", None]).vocabulary == only(["a", "b", "b", "a", None]).vocabulary == ("", "a", "b")


def test_booleans_are_categories():
    assert only([True, True, False, False, None]).values.tolist() == [0, 0, 2, 2, 1, 1, 0]


def test_numbers_are_standardised_over_the_known_ones():
    # known 1, 2, 3: mean 2, standard deviation sqrt(2/3); missing, NaN and infinity are 0 with the indicator set
    feature = only([1.0, 2.0, 3.0, None, float("nan")])
    z = 1 / np.sqrt(2 / 3)
    assert feature.kind == "numeric"
    npt.assert_allclose(feature.values, [[0, 1], [0, 1], [-z, 0], [0, 0], [z, 0], [0, 1], [0, 1]], rtol=1e-6)
    assert feature.values.dtype == np.float32
    npt.assert_array_equal(only([1.0, 2.0, 3.0, float("inf"), None]).values[:, 1], [1, 1, 0, 0, 0, 1, 1])


@pytest.mark.parametrize("missing", [False, True])
def test_heavy_tails_are_logged_whether_or_not_a_value_is_missing(missing):
    values = [1.0, 1.0, 2.0, 1000.0, None if missing else 1.0]  # 1000 is more than 20 medians
    known = np.log1p([value for value in values if value is not None])
    expected = (known - known.mean()) / known.std()
    npt.assert_allclose(only(values).values[FIRST_KNOWN : FIRST_KNOWN + len(known), 0], expected, rtol=1e-5)


def test_negative_numbers_are_not_logged_and_outliers_are_clipped():
    ids = [str(number) for number in range(100)]
    values = [-1.0] + [0.0] * 98 + [1e9]
    (feature,) = encode(ids, pl.DataFrame({"item_id": ids, "x": values}), "item_id").features
    assert feature.values[:, 0].max() == 5.0  # almost ten standard deviations
    assert np.abs(feature.values[2:-1, 0]).max() < 0.2


def test_a_constant_number_is_zero():
    npt.assert_array_equal(only([3, 3, 3, 3, 3]).values[FIRST_KNOWN:], np.zeros((5, 2)))


def test_lists_most_frequent_first_without_repeats():
    # b is in three lists, a in two, c in one (rare); a repeated value counts once per list when encoded
    feature = only([["a", "b"], ["b", "b", "a"], ["c", "b"], [], None])
    assert feature.kind == "list"
    assert feature.vocabulary == ("", "b", "a")
    assert feature.values.tolist() == [[0, 0], [0, 0], [1, 2], [1, 2], [1, 0], [0, 0], [0, 0]]


def test_long_lists_keep_the_most_frequent_values():
    feature = only([["c", "b", "a"], ["a", "b"], ["a"], ["c", "a", "b"], None], max_list_length=2)
    # a four times, b three times, c twice: of three values the two most frequent stay
    assert feature.vocabulary == ("", "a", "b", "c")
    assert feature.values[FIRST_KNOWN:].tolist() == [[1, 2], [1, 2], [1, 0], [1, 2], [0, 0]]


def test_lists_of_numbers_are_codes_too():
    assert only([[1, 2], [2], [1], None, []]).values[FIRST_KNOWN:].tolist() == [[1, 2], [2, 0], [1, 0], [0, 0], [0, 0]]


@pytest.mark.parametrize(
    "values",
    [
        [None] * 5,
        [float("nan")] * 5,
        ["once", "each", "is", "too", "rare"],
        pl.Series([None] * 5, dtype=pl.List(pl.String)),
        pl.Series([[]] * 5, dtype=pl.List(pl.String)),
    ],
    ids=["null", "nan", "unique", "null lists", "empty lists"],
)
def test_a_column_that_says_nothing_is_left_out(values):
    assert encode(IDS, pl.DataFrame({"item_id": IDS, "x": values}, strict=False), "item_id").features == ()


@pytest.mark.parametrize("name", ["count", "row", "code", "value", "literal", "user_id", "price/kg", "größe in cm"])
def test_attributes_may_have_any_name(name):
    table = pl.DataFrame({"item_id": IDS, name: ["x", "x", "y", "y", None]})
    assert encode(IDS, table, "item_id").features[0].values.tolist() == [0, 0, 1, 1, 2, 2, 0]
    lists = pl.DataFrame({"item_id": IDS, name: [["x"], ["x"], [], [], None]})
    assert encode(IDS, lists, "item_id").features[0].values.tolist() == [[0], [0], [1], [1], [0], [0], [0]]


def test_rows_follow_the_vocabulary_and_ids_without_a_row_miss_everything():
    table = pl.DataFrame(
        {
            "item_id": ["z", "q", "p"],  # z is no known id: its values do not count
            "colour": ["blue", "red", "red"],
            "price": [1e6, 3.0, 1.0],
            "tags": [["blue"], ["red"], ["red"]],
            "note": ["same", "same", "same"],
        }
    )
    made = encode(["p", "missing", "q"], table, "item_id", ignore=["note"])
    assert made.ids.tolist() == ["", "<unknown>", "p", "missing", "q"]
    assert made.size == 5
    colour, price, tags = made.features
    assert [colour.name, price.name, tags.name] == ["colour", "price", "tags"]
    assert colour.vocabulary == tags.vocabulary == ("", "red")
    assert colour.values.tolist() == [0, 0, 1, 0, 1]
    npt.assert_allclose(price.values, [[0, 1], [0, 1], [-1, 0], [0, 1], [1, 0]])  # mean 2, standard deviation 1
    assert tags.values.tolist() == [[0], [0], [1], [0], [1]]


def test_a_table_of_ids_alone_has_no_features():
    assert encode(IDS, pl.DataFrame({"item_id": IDS}), "item_id").features == ()
