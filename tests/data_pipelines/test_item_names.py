import polars as pl

from data_pipelines.item_names import item_names, series_names


def named(**columns: list[object]) -> list[str]:
    items = pl.DataFrame({"item_id": [f"i{number}" for number in range(6)], **columns})
    assert item_names(items)["item_id"].to_list() == items["item_id"].to_list()
    return item_names(items)["item_name"].to_list()


def test_a_name_column_is_taken_as_it_is_and_a_missing_name_is_the_id():
    titles = ["tea", "café crème", "", None, "milk", "milk"]
    assert named(title=titles, brand=["x"] * 6) == ["tea", "café crème", "i2", "i3", "milk", "milk"]


def test_the_first_of_the_usual_columns_wins():
    assert named(description=["long"] * 6, name=["short"] * 6) == ["short"] * 6


def test_else_the_two_most_specific_attributes_that_still_repeat():
    # sku names each item apart and number is digits; of the others kind (2 values) is the most specific, then shop (1)
    assert (
        named(
            shop=["s"] * 6,
            sku=list("abcdef"),
            number=["10", "10", "11", "11", "10", "10"],
            kind=["tea", "tea", "tea", "milk", "milk", "milk"],
        )
        == ["tea, s"] * 3 + ["milk, s"] * 3
    )


def test_a_few_digits_among_words_do_not_make_a_code():
    assert named(brand=["7", "7", "tea", "tea", "tea", "tea"]) == ["7", "7", "tea", "tea", "tea", "tea"]


def test_nothing_to_tell_is_the_id():
    ids = [f"i{number}" for number in range(6)]
    assert named(price=[1.0] * 6) == ids
    assert named(brand=[None] * 6) == ids


def test_series_are_named_after_their_item_and_store(tmp_path):
    items = pl.DataFrame({"item_id": ["1", "2"], "name": ["tea", "bread"]})
    items.write_parquet(tmp_path / "items.parquet")
    assert series_names(tmp_path, ["2", "1@north", "3", "3@north"]) == ["bread", "tea @ north", "3", "3@north"]
    assert series_names(tmp_path / "none", ["2"]) == ["2"]
