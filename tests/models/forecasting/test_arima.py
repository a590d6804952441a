"""Orders of processes that were made with known ones."""

import numpy as np
import pytest

from models.forecasting.arima import acf_pacf, choose_order

RNG = np.random.default_rng(11)
NOISE = RNG.normal(size=400)


def autoregressive(phi: float) -> np.ndarray:
    series = np.zeros(400)
    for step in range(1, 400):
        series[step] = phi * series[step - 1] + NOISE[step]
    return series


def test_a_random_walk_is_differenced_and_noise_is_not() -> None:
    walk = choose_order(np.cumsum(NOISE), p_max=1, q_max=1)
    assert [test.d for test in walk.tests] == [0, 1]
    assert walk.order[1] == 1
    assert choose_order(NOISE, p_max=1, q_max=1).order[1] == 0


def test_the_order_of_least_aic_is_chosen_and_all_are_shown() -> None:
    chosen = choose_order(autoregressive(0.7), p_max=2, q_max=1)
    assert len(chosen.aic) == 6
    assert chosen.order == min(chosen.aic, key=lambda order: chosen.aic[order])
    assert chosen.order[0] >= 1
    assert chosen.aic[1, 0, 0] < chosen.aic[0, 0, 0] - 50


def test_autocorrelation_of_an_autoregressive_process_decays_and_the_partial_one_stops() -> None:
    found = acf_pacf(autoregressive(0.7), lags=10)
    assert found.acf.shape == found.pacf.shape == (11,)
    assert found.acf[0] == 1
    # ρ_k = 0.7^k; the partial one is 0.7 at lag 1 and noise after it.
    assert found.acf[1:3] == pytest.approx([0.7, 0.49], abs=0.1)
    assert found.pacf[1] == pytest.approx(0.7, abs=0.1)
    assert np.abs(found.pacf[2:]).max() < 1.5 * found.bound
    assert found.bound == pytest.approx(1.96 / 20)
