import numpy as np
import pytest

from models.trait_scale import CLIP, TraitScale, fit_scale
from models.traits import TRAITS, is_trait, trait_of

MANY = 1e12


def test_quartiles_make_the_scale_and_an_enormous_customer_does_not():
    # 1 … 101: median 51, quartiles 26 and 76, so a spread is 50 ÷ 1.349 (the middle nine in ten: 90 ÷ 3.290 is less)
    values = np.arange(1.0, 102.0)[:, None]
    values[-1] = 1e6
    scale, left_out = fit_scale(["price_index"], values)
    assert scale.centre == pytest.approx([51.0])
    assert scale.spread == pytest.approx([50 / 1.349])
    assert left_out == {}
    z = scale.standardise(np.array([[51.0], [76.0], [1e6]]), np.full(3, MANY))
    assert z[:, 0] == pytest.approx([0.0, 1.349 / 2, CLIP])


def test_counts_and_money_are_compared_by_factors():
    # log(1 + x) of 0, 1, 3, 7, 15 is 0 … 4 × log 2: evenly spaced, so ±2 steps are as far from the centre on each side
    values = np.array([[0, 1, 3, 7, 15]], float).T
    scale, _ = fit_scale(["monetary"], values)
    z = scale.standardise(values, np.full(5, MANY))[:, 0]
    assert np.diff(z) == pytest.approx(np.full(4, z[1] - z[0]))


def test_a_ratio_of_few_baskets_is_pulled_to_the_centre_and_a_total_is_not():
    scale = TraitScale(("evening_share", "frequency"), np.array([0.2, 0.0]), np.array([0.4, 1.0]))
    # 3 baskets and 3 imaginary ones: half of (1.0 − 0.2) ÷ 0.4
    z = scale.standardise(np.array([[1.0, np.e - 1]]), np.array([3.0]))
    assert z == pytest.approx(np.array([[1.0, 1.0]]))


def test_what_is_missing_stands_at_the_centre():
    scale = TraitScale(("price_index",), np.array([1.0]), np.array([0.1]))
    assert scale.standardise(np.array([[np.nan]]), np.array([5.0])).tolist() == [[0.0]]


def test_features_that_say_nothing_are_left_out_with_the_reason():
    n = 10
    values = np.full((n, 5), np.nan)
    values[:, 0] = np.arange(n)
    values[:, 1] = 7.0
    values[:4, 2] = np.arange(4)
    values[:, 4] = np.arange(n)
    scale, left_out = fit_scale(["monetary", "frequency", "price_index", "browse_to_buy", "tenure_days"], values)
    assert scale.names == ("monetary",)  # tenure says when the log began rather than who the customer is
    assert left_out == {
        "frequency": "the same for all customers",
        "price_index": "known of 40% of the customers only",
        "browse_to_buy": "not in the data",
    }


@pytest.mark.parametrize(("customers", "spread"), [(10, 1 / 3.290), (1, np.sqrt(0.01 * 0.99))])
def test_quartiles_that_coincide_do_not_make_a_spread_of_zero(customers, spread):
    # of 100 customers ten (one) come at night only: both quartiles are 0, the 95th percentile is 1 (0)
    values = np.zeros((100, 1))
    values[:customers] = 1.0
    assert fit_scale(["night_share"], values)[0].spread == pytest.approx([spread])


def test_themes_weigh_alike():
    names = tuple(trait.name for trait in TRAITS)
    scale = TraitScale((*names, "channel_share_app", "channel_share_web"), np.zeros(20), np.ones(20))
    themes = np.array([trait.theme for trait in scale.traits])
    for theme in set(themes):
        assert np.square(scale.weights)[themes == theme].sum() == pytest.approx(1.0)


def test_channels_are_traits_by_their_name():
    assert trait_of("channel_share_app").high == "buys by app"
    assert is_trait("channel_share_app")
    assert not is_trait("top_brand")
    with pytest.raises(KeyError):
        trait_of("top_brand")
