"""Every expected number is worked out by hand in the comment above it."""

import numpy as np
import pytest

from data_pipelines.panel import Category, Panel
from data_pipelines.schema import InputError
from training.forecast_metrics import (
    coverage,
    hierarchy,
    naive_scales,
    pinball,
    point_metrics,
    quantile_metrics,
    randomised_coverage,
    rmsse,
    value_weights,
    wrmsse,
)

NAN = float("nan")
# two products of one shop and one of another
PANEL = Panel(
    ids=np.array(["a", "b", "c"]),
    first_day=17_000,
    demand=np.array([[0, 2, 4, 2], [1, 1, 3, 1], [NAN, 5, 5, 5]], np.float32),
    static=np.array([[1], [1], [2]], np.int32),
    statics=(Category("shop", ("", "north", "south")),),
    unit_value=np.array([1, 2, 1], np.float32),
)


def test_naive_scales_begin_with_the_first_sale():
    absolute, squared = naive_scales(PANEL.demand)
    # a: |4 - 2|, |2 - 4| (nothing is sold on the first day); b: 0, 2, 2; c: 0, 0
    assert absolute.tolist() == pytest.approx([2, 4 / 3, 0])
    assert squared.tolist() == pytest.approx([4, 8 / 3, 0])


def test_rmsse_by_hand():
    # a: errors 1 and 3, mean square 5, over 4; b: error 2 on the one day that is known, 4 over 8/3
    errors = rmsse(PANEL.demand[:2], np.array([[3, 1], [2, NAN]]), np.array([[2, 4], [4, 9]]))
    assert errors.tolist() == pytest.approx([np.sqrt(5 / 4), np.sqrt(4 / (8 / 3))])


def test_value_weights_are_shares_of_money():
    # units 8, 6, 15 at 1, 2, 1 make 8, 12, 15 of 35
    assert value_weights(PANEL).tolist() == pytest.approx([8 / 35, 12 / 35, 15 / 35])


def test_sums_of_a_level():
    total, shop, item = hierarchy(PANEL, ("total", "shop", "item"))
    assert total.of(PANEL.demand).tolist() == [[1, 8, 12, 8]]
    np.testing.assert_array_equal(shop.of(PANEL.demand), [[1, 3, 7, 3], [NAN, 5, 5, 5]])
    assert (total.n_groups, shop.n_groups, item.n_groups) == (1, 2, 3)


def test_an_unknown_level_is_named():
    with pytest.raises(InputError, match="levels: 'region' is no category"):
        hierarchy(PANEL, ("total", "shop x region"))


def test_wrmsse_by_hand():
    actual, mean = np.array([[2.0], [1.0], [5.0]]), np.array([[4.0], [0.0], [5.0]])
    scores = wrmsse(PANEL, actual, mean, hierarchy(PANEL, ("total", "shop")))
    # total: 9 against 8; naive squares of 1, 8, 12, 8: 49, 16, 16, mean 27
    assert scores["total"] == pytest.approx(1 / np.sqrt(27))
    # north (20/35 of the money): 4 against 3; naive squares of 1, 3, 7, 3: 4, 16, 16, mean 12. South: no error
    assert scores["shop"] == pytest.approx(20 / 35 / np.sqrt(12))
    assert scores["mean"] == pytest.approx((scores["total"] + scores["shop"]) / 2)


def test_days_that_were_not_observed_do_not_count():
    actual = np.array([[2.0, NAN], [1.0, NAN], [5.0, NAN]])
    wide, narrow = (
        wrmsse(PANEL, actual[:, :width], np.full((3, width), 3.0), hierarchy(PANEL, ("item",))) for width in (2, 1)
    )
    assert wide["item"] == pytest.approx(narrow["item"])


def test_point_metrics_by_hand():
    # errors 1, -2 and 3 on demand of 4, 2 and 2
    past = np.array([[1.0, 2, 1, 2, 1, 2, 1, 2, 1]])
    metrics = point_metrics(past, np.array([[4.0, 2, 2]]), np.array([[5.0, 0, 5]]), season=1)
    assert metrics["mae"] == pytest.approx(2)
    assert metrics["mse"] == pytest.approx(14 / 3)
    assert metrics["wape"] == pytest.approx(6 / 8)
    assert metrics["bias"] == pytest.approx(2 / 8)
    assert metrics["mase"] == pytest.approx(2)  # the naive forecast errs by 1 a day
    assert metrics["rmsse"] == pytest.approx(np.sqrt(14 / 3))


def test_pinball_by_hand():
    # actual 10: quantile 0.1 at 8 costs 0.1 x 2; quantile 0.9 at 12 costs 0.1 x 2, at 8 0.9 x 2
    loss = pinball(np.array([[10.0]]), np.array([[[8.0, 12.0]]]), (0.1, 0.9))
    assert loss.tolist() == pytest.approx([0.2, 0.2])
    assert pinball(np.array([[10.0]]), np.array([[[8.0, 8.0]]]), (0.1, 0.9)).tolist() == pytest.approx([0.2, 1.8])


def test_coverage_includes_the_ends():
    actual = np.array([[1.0, 2.0, 3.0, NAN]])
    assert coverage(actual, np.full((1, 4), 1.0), np.full((1, 4), 2.0)) == pytest.approx(2 / 3)


LEVELS = (0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99)


@pytest.mark.parametrize("rate", [0.2, 2.0, 30.0])
def test_randomised_coverage_of_a_perfect_forecast_of_counts(rate):
    # quantiles of a Poisson spread evenly over the half units around each count, as a smooth forecast would be
    generator = np.random.default_rng(0)
    draws = generator.poisson(rate, 400_000) + generator.uniform(-0.5, 0.5, 400_000)
    quantiles = np.quantile(np.maximum(draws, 0.0), LEVELS)
    actual = generator.poisson(rate, (1, 20_000)).astype(float)
    wide = np.broadcast_to(quantiles, (1, 20_000, len(LEVELS)))
    assert randomised_coverage(actual, wide, LEVELS, 0.1, 0.9) == pytest.approx(0.8, abs=0.035)
    shifted = randomised_coverage(actual, wide + 3 * np.sqrt(rate) + 1, LEVELS, 0.1, 0.9)
    assert shifted < 0.7


def test_quantile_metrics_name_the_eighty_per_cent_interval():
    quantiles = np.broadcast_to(np.array([1.0, 2, 3, 4, 5, 6, 7, 8]), (2, 3, 8))
    metrics = quantile_metrics(np.full((2, 3), 4.0), quantiles, LEVELS)
    assert metrics["coverage_80"] == 1.0
    assert metrics["sharpness_80"] == 4.0
