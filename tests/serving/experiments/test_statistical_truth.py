"""What the tests promise, by simulation with fixed seeds: false alarms, peeking, power and coverage.

A share that should be p is off by more than three standard errors, 3 sqrt(p (1 − p) / runs), once in 370 times.
"""

import math

import numpy as np
import polars as pl
import pytest
from scipy import stats

from serving.experiments.analysis import analyze, unbalanced
from serving.experiments.cuped import adjust
from serving.experiments.effects import Arm, Effect, compare_means, compare_proportions, mean_arm, ratio_arm
from serving.experiments.metrics import Kind, Metric
from serving.experiments.sample_size import Question, units_for
from serving.experiments.sequential import MINIMUM, compare, limit
from serving.experiments.unit_table import check_units

ALPHA = 0.05


def proportions(random: np.random.Generator, effect: float) -> Effect:
    treated, control = (mean_arm((random.random(800) < rate).astype(float)) for rate in (0.2 + effect, 0.2))
    return compare_proportions(treated, control, ALPHA)


def spending(random: np.random.Generator, effect: float) -> Effect:
    """Most spend nothing, some a lot."""
    arms = [
        mean_arm((random.random(n) < 0.3) * random.gamma(2, 1 + effect / 0.6, n))
        for n, effect in ((600, effect), (1200, 0.0))
    ]
    return compare_means(*arms, ALPHA)


def click_rates(random: np.random.Generator, effect: float) -> Effect:
    """Users with many views click otherwise than those with few: views are no independent units."""
    arms = []
    for added in (effect, 0.0):
        views = 1 + random.poisson(random.gamma(1, 6, 500))
        rate = random.beta(2, 8, 500) * (1 - added) + added
        arms.append(ratio_arm(random.binomial(views, rate).astype(float), views.astype(float)))
    return compare_means(*arms, ALPHA)


def with_covariate(random: np.random.Generator, effect: float) -> Effect:
    before = random.gamma(2, 1, 400)
    variant = random.integers(0, 2, 400)
    outcome = before + random.normal(0, 1, 400) + effect * variant
    adjusted = adjust(outcome, before[:, None], variant)
    return compare_means(mean_arm(adjusted[variant == 1]), mean_arm(adjusted[variant == 0]), ALPHA)


def weighted(random: np.random.Generator, effect: float) -> Effect:
    """Two days with other shares and other customers, as under Thompson sampling: plain means would be wrong."""
    day = random.integers(0, 2, 1000)
    chance = np.array([0.2, 0.8])[day]
    treated = random.random(1000) < chance
    values = random.normal(day * 2.0 + effect * treated, 1)
    arms = [mean_arm(values[rows], 1 / p[rows]) for rows, p in ((treated, chance), (~treated, 1 - chance))]
    return compare_means(*arms, ALPHA)


WORLDS = {
    # the runs, and an effect that is really there
    proportions: (1000, 0.05),
    spending: (3000, 0.2),
    click_rates: (3000, 0.03),
    with_covariate: (3000, 0.3),
    weighted: (3000, 0.2),
}


@pytest.mark.parametrize("world", WORLDS, ids=lambda world: world.__name__)
def test_without_effect_as_many_alarms_as_stated(world):
    runs, _ = WORLDS[world]
    random = np.random.default_rng(6)
    rejected = np.mean([world(random, 0.0).p_value < ALPHA for _ in range(runs)])
    assert rejected == pytest.approx(ALPHA, abs=3 * math.sqrt(ALPHA * (1 - ALPHA) / runs))


@pytest.mark.parametrize("world", WORLDS, ids=lambda world: world.__name__)
def test_intervals_cover_what_is_there(world):
    runs, effect = WORLDS[world]
    random = np.random.default_rng(7)
    found = [world(random, effect) for _ in range(runs)]
    covered = np.mean([one.bounds[0] <= true_difference(world, effect) <= one.bounds[1] for one in found])
    assert covered == pytest.approx(1 - ALPHA, abs=3 * math.sqrt(ALPHA * (1 - ALPHA) / runs))
    control = {proportions: 0.2, spending: 0.6, click_rates: 0.2, with_covariate: 2.0, weighted: 1.0}[world]
    lifts = [one.lift_bounds for one in found if one.lift_bounds is not None]
    assert len(lifts) == runs
    covered = np.mean([low <= true_difference(world, effect) / control <= high for low, high in lifts])
    assert covered == pytest.approx(1 - ALPHA, abs=3 * math.sqrt(ALPHA * (1 - ALPHA) / runs))


def true_difference(world, effect):
    """Click rates are beta(2, 8), mean 0.2, drawn towards 1: 0.2 (1 − e) + e; all others have the effect itself."""
    return 0.8 * effect if world is click_rates else effect


def test_the_delta_method_is_needed():
    # the same click rates as if views were independent: alarms far above what is stated
    random = np.random.default_rng(8)
    alarms = 0
    for _ in range(1000):
        views = 1 + random.poisson(random.gamma(1, 6, (2, 500)))
        clicks = random.binomial(views, random.beta(2, 8, (2, 500))).sum(axis=1)
        counts = views.sum(axis=1)
        pooled = clicks.sum() / counts.sum()
        z = (clicks[0] / counts[0] - clicks[1] / counts[1]) / math.sqrt(pooled * (1 - pooled) * (1 / counts).sum())
        alarms += abs(z) > 1.96
    assert alarms / 1000 > 0.1


def test_several_variants_and_metrics_together_keep_alpha():
    # three treated variants, two metrics: uncorrected at least one of six tests would be significant in a fifth of all
    runs, variants = 600, ("a", "b", "c", "d")
    random = np.random.default_rng(13)
    frame = pl.DataFrame({"unit": [str(i) for i in range(400)], "variant": np.repeat(variants, 100)})
    units = check_units(frame, "t", unit="unit", variant="variant", variants=variants, control=None)
    least = []
    for _ in range(runs):
        metrics = [Metric(name, Kind.MEAN, random.gamma(2, 1, 400)) for name in ("spend", "visits")]
        least.append(min(one.effect.p_value for one in analyze(units, metrics, correction="none").comparisons))
    # Holm's correction makes the least of six p-values six times as large
    corrected = min(one.adjusted_p for one in analyze(units, metrics).comparisons)
    assert corrected == pytest.approx(min(1, 6 * least[-1]))
    assert np.mean(6 * np.array(least) < ALPHA) <= ALPHA + 3 * math.sqrt(ALPHA * (1 - ALPHA) / runs)
    assert np.mean(np.array(least) < ALPHA) > 0.12


@pytest.mark.parametrize("outcomes", ["normal", "visits", "spending"])
def test_peeking_after_every_unit_keeps_alpha(outcomes):
    # 1500 experiments without effect, a look after each of 5000 units per arm, far beyond the plan of 2 × 2000 too
    runs, units = 1500, 5000
    z = np.empty((runs, units - MINIMUM + 1), np.float32)
    random = np.random.default_rng(9)
    size = (2, 100, units)
    draw = {
        "normal": lambda: random.normal(0, 1, size),
        "visits": lambda: (random.random(size) < 0.1).astype(float),
        "spending": lambda: (random.random(size) < 0.2) * random.exponential(1, size),
    }[outcomes]
    for first in range(0, runs, 100):
        z[first : first + 100] = z_path(draw())
    progress = np.arange(MINIMUM, units + 1) / 2000
    crossed = (np.abs(z) > limit(progress, ALPHA)).any(axis=1).mean()
    assert crossed <= ALPHA
    peeked = (np.abs(z) > 1.96).any(axis=1).mean()
    assert peeked > 0.3  # what the ordinary test would do


def test_peeking_keeps_alpha_where_a_small_arm_has_not_bought_yet():
    # 1 % buy; 900 units of the control for 100 of the other arm, looks from its first 100 units to 2000. In a third of
    # all experiments none of the first 100 has bought, 0.99^100 = 0.37, so their own variance is 0
    random, looks, crossed = np.random.default_rng(14), np.arange(100, 2001, 100), []
    for _ in range(400):
        arms = []
        for n in (looks, 9 * looks):
            mean = np.cumsum(random.binomial(np.diff(n, prepend=0), 0.01)) / n
            arms.append([Arm(*arm) for arm in zip(n, mean, np.sqrt(mean * (1 - mean) / (n - 1)), n - 1, strict=True)])
        found = [compare(*pair, ALPHA, n / 2000).p_value for *pair, n in zip(*arms, looks, strict=True)]
        crossed.append(min(found) < ALPHA)
    assert np.mean(crossed) <= ALPHA


def test_a_covariate_of_moving_shares_is_not_taken_for_changed():
    # on the second day customers spend more and most get b: among those who got b the covariate is higher, by design
    random = np.random.default_rng(18)
    day = random.integers(0, 2, 4000)
    chance = np.array([0.2, 0.8])[day]
    b = random.random(4000) < chance
    frame = pl.DataFrame({"unit": [str(i) for i in range(4000)], "variant": np.where(b, "b", "a")})
    frame = frame.with_columns(propensity=np.where(b, chance, 1 - chance))
    units = check_units(frame, "t", unit="unit", variant="variant", variants=(), control=None)
    before = random.normal(day, 1)
    assert unbalanced(units, np.column_stack([before, before + b]), ["before", "after"]) == ["after"]


def test_a_metric_of_fewer_units_is_tested_as_of_these():
    # retention counts who was exposed long ago, here a tenth: its limit is that of a tenth of the plan, 3.86 instead of
    # 3.04 standard errors, sqrt((1 + 1 / 0.79362) log(1.79362 / 0.0025))
    frame = pl.DataFrame({"unit": [str(i) for i in range(4000)], "variant": np.tile(["a", "b"], 2000)})
    units = check_units(frame, "t", unit="unit", variant="variant", variants=(), control=None)
    values = np.random.default_rng(15).normal(0, 1, 4000)
    among = np.arange(4000) < 400
    metrics = [Metric("all", Kind.MEAN, values), Metric("early", Kind.MEAN, values, among=among)]
    for one, expected in zip(analyze(units, metrics, planned_units=4000).comparisons, (3.0352, 3.8551), strict=True):
        assert (one.effect.bounds[1] - one.effect.difference) / one.effect.standard_error == pytest.approx(
            expected, abs=1e-4
        )


def z_path(draws: np.ndarray) -> np.ndarray:
    """Difference by standard error after every unit from MINIMUM, `[runs, looks]`, of `[2, runs, units]`."""
    n = np.arange(1, draws.shape[2] + 1)
    mean, square = np.cumsum(draws, axis=2) / n, np.cumsum(draws**2, axis=2) / n
    error = np.sqrt(((square - mean**2) / np.maximum(n - 1, 1)).sum(axis=0))
    return ((mean[0] - mean[1]) / np.maximum(error, 1e-12))[:, MINIMUM - 1 :]


def test_peeking_finds_what_is_there_and_mostly_early():
    # designed for 80 % power at the planned end: at least that, since any look before may find it too
    question = Question(0.0, deviation=1.0, sequential=True)
    units = units_for(question, 0.2)
    random = np.random.default_rng(10)
    draws = random.normal(0, 1, (2, 800, units))
    draws[0] += 0.2
    over = np.abs(z_path(draws)) > limit(np.arange(MINIMUM, units + 1) / units, ALPHA)
    assert over.any(axis=1).mean() > 0.8 - 3 * math.sqrt(0.16 / 800)
    stopped = np.where(over.any(axis=1), over.argmax(axis=1) + MINIMUM, units)
    assert stopped.mean() < 0.75 * units


def test_rates_have_the_power_that_was_designed():
    question = Question(0.1, power=0.8)
    units, runs = units_for(question, 0.03), 4000
    random = np.random.default_rng(11)
    treated, control = random.binomial(units, 0.13, runs), random.binomial(units, 0.1, runs)
    pooled = (treated + control) / (2 * units)
    z = (treated - control) / units / np.sqrt(pooled * (1 - pooled) * 2 / units)
    assert np.mean(np.abs(z) > stats.norm.ppf(0.975)) == pytest.approx(0.8, abs=3 * math.sqrt(0.16 / runs))


def test_means_have_the_power_that_was_designed():
    units, runs = units_for(Question(5, deviation=2, power=0.9, ratio=0.5), 0.8), 2000
    random = np.random.default_rng(12)
    found = [
        compare_means(mean_arm(random.normal(5.8, 2, units // 2)), mean_arm(random.normal(5, 2, units)), ALPHA).p_value
        for _ in range(runs)
    ]
    assert np.mean(np.array(found) < ALPHA) == pytest.approx(0.9, abs=3 * math.sqrt(0.09 / runs))
