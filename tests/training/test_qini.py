"""The Qini curve on a toy experiment that is worked out by hand, and on simulated ones with known effects."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from data_pipelines.schema import InputError
from training.qini import compare_qini, qini, qini_curve, resampled_qini

# by falling score: T buys, C does not, T buys, C buys, T does not, C buys, T does not, C does not
SCORE = np.array([8.0, 7, 6, 5, 4, 3, 2, 1])
TREATED = np.array([1, 0, 1, 0, 1, 0, 1, 0])
OUTCOME = np.array([1, 0, 1, 1, 0, 1, 0, 0])


def test_the_curve_by_hand() -> None:
    # after each customer: treated buyers less control buyers times treated per control, over the 4 treated
    # 1 - 0 | 1 - 0 | 2 - 0 | 2 - 1·2/2 | 2 - 1·3/2 | 2 - 2·3/3 | 2 - 2·4/3 | 2 - 2·4/4
    curve = qini_curve(SCORE, TREATED, OUTCOME)
    assert curve.share == pytest.approx(np.arange(9) / 8)
    assert curve.gain == pytest.approx(np.array([0, 1, 1, 2, 1, 0.5, 0, -2 / 3, 0]) / 4)
    # trapezoids of width 1/8; both ends are 0, so their sum is that of the points: (1+1+2+1+.5+0-2/3) / 4 / 8
    assert curve.coefficient == pytest.approx((29 / 6) / 32)
    assert qini(SCORE, TREATED, OUTCOME) == curve.coefficient


def test_the_average_effect_is_the_end_of_the_curve() -> None:
    # 3 of 4 and 1 of 4: 1/2
    assert qini_curve(SCORE, TREATED, np.array([1, 0, 1, 0, 1, 1, 0, 0])).gain[-1] == pytest.approx(0.5)


def test_equal_scores_are_one_step() -> None:
    # all equal: the straight line. Two groups of four: (2 − 1·2/2) / 4 halfway, then 0: a triangle of height 1/4
    assert qini(np.zeros(8), TREATED, OUTCOME) == 0
    assert qini(np.array([1, 1, 1, 1, 0, 0, 0, 0.0]), TREATED, OUTCOME) == pytest.approx(1 / 8)


@given(st.permutations(range(8)), st.floats(0.1, 10))
def test_neither_the_order_of_rows_nor_the_scale_matters(order: list[int], scale: float) -> None:
    tied = np.floor(SCORE / 2) * scale
    shuffled = qini(tied[order], TREATED[order], OUTCOME[order])
    assert shuffled == pytest.approx(qini(tied, TREATED, OUTCOME))


def world(seed: int, n: int = 4000) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The first half of the customers gains 20 points by being contacted, the other half nothing."""
    random = np.random.default_rng(seed)
    effect = np.repeat([0.2, 0.0], n // 2)
    treated = random.random(n) < 0.5
    return effect, treated, random.random(n) < 0.3 + effect * treated


def test_perfect_noisy_and_random_orders() -> None:
    # perfect: g rises to the mean effect 0.1 at half the customers and stays: area 0.1·3/4 less 0.1/2, 0.025
    random = np.random.default_rng(1)
    perfect, noisy, chance = [], [], []
    for seed in range(60):
        effect, treated, outcome = world(seed)
        perfect.append(qini(effect, treated, outcome))
        noisy.append(qini(effect + random.normal(0, 0.2, 4000), treated, outcome))
        chance.append(qini(random.random(4000), treated, outcome))
    error = np.std(perfect) / np.sqrt(60)
    assert np.mean(perfect) == pytest.approx(0.025, abs=3 * error)
    assert np.mean(chance) == pytest.approx(0, abs=3 * np.std(chance) / np.sqrt(60))
    assert np.mean(perfect) > np.mean(noisy) + 3 * error
    assert np.mean(noisy) > np.mean(chance) + 3 * error


def test_intervals_cover_as_often_as_they_say() -> None:
    # 80 experiments: 90 % ± 3 standard errors of √(.9·.1/80) = 0.034
    covered = 0
    for seed in range(80):
        effect, treated, outcome = world(seed, 1000)
        estimate = compare_qini({"all": effect}, treated, outcome, resamples=200, seed=seed, level=0.9)["all"]
        covered += estimate.low <= 0.025 <= estimate.high
    assert covered / 80 == pytest.approx(0.9, abs=0.1)


def test_draws_are_paired() -> None:
    effect, treated, outcome = world(0)
    scores = {"one": effect, "same": 2 * effect, "chance": np.random.default_rng(0).random(4000)}
    gaps = compare_qini(scores, treated, outcome, against="one", resamples=50)
    assert set(gaps) == {"same", "chance"}
    assert (gaps["same"].low, gaps["same"].high) == (0, 0)
    assert gaps["chance"].high < 0
    again = resampled_qini(effect, treated, outcome, resamples=50)
    assert (again == resampled_qini(effect, treated, outcome, resamples=50)).all()


def test_amounts_are_outcomes_too() -> None:
    # twice the money, twice the area
    assert qini(SCORE, TREATED, 2 * OUTCOME) == pytest.approx(2 * qini(SCORE, TREATED, OUTCOME))


@pytest.mark.parametrize(
    ("score", "treated", "outcome", "message"),
    [
        ([1.0, 2], [1, 1], [0, 1], "treated: must be 1 or 0, and both"),
        ([1.0, 2], [0, 3], [0, 1], "treated: must be 1 or 0, and both"),
        ([1.0, np.nan], [0, 1], [0, 1], "uplift: holds values that are not finite"),
        ([1.0, 2], [0, 1], [0, 1, 1], r"outcome: has shape \(3,\)"),
    ],
)
def test_bad_input(score: list[float], treated: list[int], outcome: list[int], message: str) -> None:
    with pytest.raises(InputError, match=message):
        qini(np.array(score), np.array(treated), np.array(outcome))
