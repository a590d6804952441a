"""Expressions over tables: what holds, what is refused, and that nothing is executed."""

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data_pipelines.schema import InputError
from serving.campaigns.audience import matches, row_condition

TABLE = pl.DataFrame(
    {
        "user_id": ["a", "b", "c", "d"],
        "segment": ["loyal", "new", "loyal", None],
        "recency_days": [10.0, 70.0, None, 90.0],
        "frequency": [9, 3, 9, 1],
        "member": [True, False, True, False],
        "spend": [8.0, 0.0, float("nan"), 6.0],
        "returns": [4, 0, 1, 0],
    }
)


@pytest.mark.parametrize(
    ("expression", "users"),
    [
        ("", "abcd"),
        ("true", "abcd"),
        ("recency_days > 60", "bd"),
        ("not recency_days > 60", "ac"),  # of c it is not known, so "more than 60" does not hold
        ("recency_days > 60 or frequency >= 9", "abcd"),
        ('segment == "loyal" and recency_days < 60', "a"),
        ('segment in ["loyal", "new"]', "abc"),
        ('segment not in ["loyal"]', "b"),
        ("5 < frequency <= 9", "ac"),
        ("frequency * 10 - recency_days > -41", "ab"),
        ("member", "ac"),
        ("known(recency_days) and not member", "bd"),
        ("top(frequency, 0.25)", "ac"),  # they share the first place: both or none
        ("top(recency_days, 0.4)", "d"),
        ("bottom(recency_days, 0.4)", "a"),
        ("spend > 7", "a"),  # what is no number is not known
        ("not spend > 7", "bcd"),
        ("spend / returns > 1", "a"),  # neither 0 / 0 nor 6 / 0 is more than anything
    ],
)
def test_what_holds(expression, users):
    assert "".join(TABLE.filter(matches(expression, TABLE, "here"))["user_id"]) == users


@pytest.mark.parametrize(
    ("expression", "said"),
    [
        ("recency > 3", "no column 'recency' in 'recency > 3'; did you mean 'recency_days'?"),
        ('segment == "loyl"', "no segment 'loyl'; did you mean 'loyal'?; there are 'loyal', 'new'"),
        ('segment in ["new", "gone"]', "no segment 'gone'; there are 'loyal', 'new'"),
        ("recency_days >", "is not understood"),
        ("frequency", "is not a condition"),
        ('frequency > "x"', "compares what does not go together"),
        ("__import__('os').system('true')", "is not understood"),
        ("member.real", "'member.real' in 'member.real' is not understood"),
        ("(lambda: 1)() == 1", "is not understood"),
        ("[x for x in [1]] == 1", "is not understood"),
        ("frequency ** 2 > 1", "is not understood"),
        ("segment in other", "a list in brackets must follow `in`"),
        ("top(frequency, 2)", "2 is not a share"),
        ("a" * 3000, "is longer than 2,000 characters"),
        ("(" * 500 + "frequency" + ")" * 500, "is not understood"),
        ("not " * 200 + "member", "has more than 100 parts within parts"),
        ("frequency > " + "-" * 1500 + "1", "is not understood"),
    ],
)
def test_what_is_refused(expression, said):
    with pytest.raises(InputError) as error:
        matches(expression, TABLE, "campaign 'x': audience")
    assert said in str(error.value)
    assert str(error.value).startswith("campaign 'x': audience: ")
    assert "\n" not in str(error.value)


def test_a_share_is_not_lost_to_rounding():
    hundred = pl.DataFrame({"spend": range(100)})
    assert matches("top(spend, 0.29)", hundred, "here").sum() == 29  # though 0.29 × 100 is 28.999999999999996


@given(st.text(alphabet="ab(). +-*/<>=,[]\"'1_notrueind", max_size=30))
def test_whatever_is_typed_is_an_answer_or_one_clear_line(expression):
    try:
        found, said = matches(expression, TABLE, "here"), ""
    except InputError as error:
        found, said = TABLE["member"], str(error)
    assert len(found) == TABLE.height
    assert "\n" not in said


def test_a_segment_without_profiles_says_what_to_give():
    table = TABLE.with_columns(segment=pl.lit(None, pl.String))
    with pytest.raises(InputError, match="give --profiles"):
        matches('segment == "loyal"', table, "here")


@settings(max_examples=100, deadline=None)
@given(
    st.lists(st.one_of(st.none(), st.integers(-3, 3).map(float)), min_size=1, max_size=12),
    st.sampled_from(["top(x, {})", "bottom(x, {})", "x > 1 and not top(x, {})", "known(x) or bottom(x, {})"]),
    st.sampled_from([0.0, 0.1, 0.25, 0.5, 0.9, 1.0]),
)
def test_row_by_row_the_same_are_found_as_in_the_whole_table(values, line, share):
    table = pl.DataFrame({"x": values}, {"x": pl.Float64})
    condition = row_condition(line.format(share), table, "audience")
    found = [table[number].select(condition).item() for number in range(table.height)]
    assert found == matches(line.format(share), table, "audience").to_list()


def test_single_rows_are_measured_by_the_table_that_the_condition_was_made_for():
    condition = row_condition("top(x, 0.5)", pl.DataFrame({"x": [1, 2, 3, 4]}), "audience")
    assert pl.DataFrame({"x": [2, 3, 9]}).select(condition.alias("in"))["in"].to_list() == [False, True, True]
    everybody = row_condition("", pl.DataFrame({"x": [1]}), "audience")
    assert pl.DataFrame({"x": [2]}).select(everybody.alias("in"))["in"].to_list() == [True]
    nobody = row_condition("top(x, 0.5)", pl.DataFrame({"x": []}, {"x": pl.Float64}), "audience")
    assert pl.DataFrame({"x": [2.0]}).select(nobody.alias("in"))["in"].to_list() == [False]
    with pytest.raises(InputError, match="no column 'y'"):
        row_condition("y > 1", pl.DataFrame({"x": [1]}), "audience")
