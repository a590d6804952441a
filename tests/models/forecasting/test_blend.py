"""Weights and champions on forecasts whose best mixture is known."""

import numpy as np
import numpy.testing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.forecasting.blend import Blend, ClassChampions, champions, fit_weights
from models.forecasting.forecaster import LEVELS, Forecast, proper


def flat(*values: float) -> Forecast:
    """Forecasts of one step; all quantiles are the mean and their index above it."""
    mean = np.array(values, np.float32)[:, None]
    return proper(mean, mean[..., None] + np.arange(len(LEVELS)))


def test_weights_are_the_mixture_that_is_right() -> None:
    # 7 = .3 * 4 + .7 * 8.2857… is not needed: with members 0 and 10 only .3 and .7 give 7.
    means = np.array([[[0, 0]], [[10, 10]]], np.float32)
    npt.assert_allclose(fit_weights(means, np.array([[7, 7]], np.float32)), [0.3, 0.7], atol=1e-4)


def test_a_member_that_only_harms_gets_nothing() -> None:
    means = np.array([[[5, 5]], [[9, 9]]], np.float32)
    npt.assert_allclose(fit_weights(means, np.array([[4, 4]], np.float32)), [1, 0], atol=1e-4)


def test_without_anything_to_compare_all_count_alike() -> None:
    means = np.ones((4, 2, 3), np.float32)
    npt.assert_allclose(fit_weights(means, np.full((2, 3), np.nan, np.float32)), [0.25] * 4)


@given(st.integers(0, 10_000), st.integers(1, 5))
def test_weights_are_convex_and_not_worse_than_the_best_member(seed: int, n_members: int) -> None:
    rng = np.random.default_rng(seed)
    actual = rng.gamma(2, 5, (6, 4)).astype(np.float32)
    means = (actual * rng.gamma(5, 0.2, (n_members, 6, 4))).astype(np.float32)
    weights = fit_weights(means, actual, np.ones(6, np.float32))
    assert weights.sum() == pytest.approx(1, abs=1e-5)
    assert weights.min() >= 0
    blended = ((np.tensordot(weights, means, 1) - actual) ** 2).mean()
    assert blended <= ((means - actual) ** 2).mean(axis=(1, 2)).min() * 1.001


def test_quantiles_are_averaged_level_by_level() -> None:
    blend = Blend({"": {"a": 0.25, "b": 0.75}})
    forecast = blend.combine({"a": flat(4), "b": flat(8)})
    npt.assert_allclose(forecast.mean, [[7]])
    npt.assert_allclose(forecast.quantiles[0, 0], 7 + np.arange(len(LEVELS)))


def test_weights_may_differ_by_class() -> None:
    actual = np.array([[1], [1], [9]], np.float32)
    label = np.array(["smooth", "smooth", "lumpy"])
    members = {"a": flat(1, 1, 1), "b": flat(9, 9, 9)}
    blend = Blend.of(members, actual, label)
    npt.assert_allclose(blend.combine(members, label).mean, actual, atol=1e-2)
    # An unseen class has the common weights: each series counts by its own mean square, so the errors of a are
    # 0, 0, (8 / 9)² and those of b 8², 8², 0: nearly all goes to a.
    assert blend.combine(members, np.array(["erratic"] * 3)).mean[0, 0] == pytest.approx(1, abs=0.2)


def test_each_class_gets_its_champion() -> None:
    errors = {"ets": {"smooth": 0.8, "lumpy": 1.2}, "tsb": {"smooth": 0.9, "lumpy": 1.1}, "arima": {"smooth": 0.8}}
    choice = champions(errors)
    assert choice == {"smooth": "ets", "lumpy": "tsb"}
    chosen = ClassChampions(choice, fallback="tsb")
    assert chosen.members == ("ets", "tsb")
    forecast = chosen.combine({"ets": flat(1, 1, 1), "tsb": flat(2, 2, 2)}, np.array(["lumpy", "smooth", "erratic"]))
    npt.assert_array_equal(forecast.mean, [[2], [1], [2]])
