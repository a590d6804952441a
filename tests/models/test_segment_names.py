import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from models.segment_names import AVERAGE, effects_of, name_segments
from models.traits import KNOWN, TRAITS

NAMES = ("browse_to_buy", "frequency", "monetary", "evening_share")
SOME = [KNOWN[name] for name in NAMES]


def names(*effects: list[float], previous=None) -> list[str]:
    return name_segments(np.array(effects), SOME, previous)[0]


def test_the_strongest_traits_of_different_themes_the_strongest_first():
    # frequency and spend are one theme: the stronger of the two speaks for it
    assert names([1.2, -0.9, -0.8, 0.5]) == ["browses often, buys rarely"]
    assert names([0.1, 0.8, 0.9, -1.5]) == ["seldom shops in the evening, spends much"]


def test_what_hardly_differs_is_not_said():
    assert names([0.0, 0.9, 0.2, 0.29]) == ["buys often"]
    assert names([0.1, -0.1, 0.2, 0.0]) == [AVERAGE]


def test_a_third_trait_tells_apart_what_two_do_not():
    assert names([0.5, 0.9, 0.0, 0.4], [0.5, 0.8, 0.0, -0.4]) == [
        "buys often, browses often, shops in the evening",
        "buys often, browses often, seldom shops in the evening",
    ]


def test_what_nothing_tells_apart_is_numbered():
    assert names([0.0, 0.9, 0.0, 0.0], [0.0, 0.8, 0.0, 0.0]) == ["buys often", "buys often (2)"]


def test_a_name_stays_as_long_as_it_holds():
    earlier = {0: [("frequency", True), ("evening_share", True)]}
    assert names([0.9, 0.4, 0.0, 0.2], previous=earlier) == ["buys often, shops in the evening"]
    assert names([0.9, 0.4, 0.0, 0.1], previous=earlier) == ["browses often, buys often"]  # 0.1 does not hold any more
    assert names([0.9, 0.4, 0.0, 0.2], previous={0: [("weekend_share", True)]}) == ["browses often, buys often"]


def test_effects_are_in_standard_deviations_of_all():
    # values 0, 0, 2, 2: mean 1, deviation 1; the segments' means are 0 and 2; a constant has no effect
    points = np.array([[0.0, 5.0], [0.0, 5.0], [2.0, 5.0], [2.0, 5.0]])
    assert effects_of(points, np.array([0, 0, 1, 1]), 2).tolist() == [[-1.0, 0.0], [1.0, 0.0]]


@given(arrays(float, st.tuples(st.integers(1, 12), st.just(len(TRAITS))), elements=st.floats(-3, 3)))
def test_names_are_always_different_and_true(effects):
    found, said = name_segments(effects, TRAITS)
    assert len(set(found)) == len(effects)
    column = {trait.name: number for number, trait in enumerate(TRAITS)}
    for row, traits in enumerate(said):
        assert all((effects[row, column[name]] > 0) == more for name, more in traits)
        assert len({KNOWN[name].theme for name, _ in traits}) == len(traits)


@pytest.mark.parametrize("trait", TRAITS, ids=lambda trait: trait.name)
def test_every_trait_has_words_of_its_own(trait):
    words = [word for other in TRAITS for word in (other.high, other.low)]
    assert words.count(trait.high) == words.count(trait.low) == 1
