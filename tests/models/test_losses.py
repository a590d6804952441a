"""Losses against NumPy, and the estimates that they lead to against the truth that generated the data."""

import keras
import numpy as np
import numpy.testing as npt
import pytest
import tensorflow as tf

from models.losses import full_softmax_loss, sampled_softmax_loss, score_loss

RNG = np.random.default_rng(5)
LOGITS = RNG.normal(size=(4, 7)).astype(np.float32)
TARGET = np.array([[2, 5, 0], [6, 0, 0], [0, 0, 0], [3, 4, 6]], np.int32)


def full_loss(logits: np.ndarray, target: np.ndarray) -> np.ndarray:
    log_z = np.log(np.exp(logits).sum(axis=1))
    return np.asarray(full_softmax_loss(log_z, np.take_along_axis(logits, target, axis=1), target))


def log_softmax(logits: np.ndarray) -> np.ndarray:
    return logits - np.log(np.exp(logits).sum(axis=-1, keepdims=True))


def test_full_softmax_is_the_mean_cross_entropy_over_the_targets():
    log_probability = log_softmax(LOGITS)
    expected = [
        -(log_probability[0, 2] + log_probability[0, 5]) / 2,
        -log_probability[1, 6],
        0.0,  # no target, no loss
        -(log_probability[3, 3] + log_probability[3, 4] + log_probability[3, 6]) / 3,
    ]
    npt.assert_allclose(full_loss(LOGITS, TARGET), expected, rtol=1e-5, atol=1e-6)


# --- sampled softmax -------------------------------------------------------------------------------------------------

CANDIDATE = np.array([2, 6, 3, 5, 6, 4], np.int32)  # three in-batch targets, then drawn items
OWN = np.array([0, 1, 2], np.int32)
TARGETS = np.array([[2, 5], [6, 0], [3, 0]], np.int32)


def test_sampled_softmax_subtracts_logq_and_masks_accidental_hits():
    logits = RNG.normal(size=(3, 6)).astype(np.float32)
    log_q = np.log(RNG.uniform(0.1, 2.0, 6)).astype(np.float32)
    expected = []
    # query 0 also took item 5 (column 3); query 1 finds its own item 6 again in column 4; query 2 has no hit
    for row, columns in enumerate([[0, 1, 2, 4, 5], [0, 1, 2, 3, 5], [0, 1, 2, 3, 4, 5]]):
        corrected = logits[row] / 0.5 - log_q
        expected.append(-(corrected[row] - np.log(np.exp(corrected[columns]).sum())))
    actual = sampled_softmax_loss(logits, CANDIDATE, log_q, OWN, TARGETS, temperature=0.5)
    npt.assert_allclose(actual, expected, rtol=1e-5)


def test_sampling_everything_once_is_the_full_softmax():
    everything = np.arange(7, dtype=np.int32)
    own = np.array([2, 6, 3], np.int32)
    actual = sampled_softmax_loss(LOGITS[:3], everything, np.zeros(7, np.float32), own, own[:, None])
    npt.assert_allclose(actual, full_loss(LOGITS[:3], own[:, None]), rtol=1e-5)


def popularity_learnt(sign: float, steps: int = 600, batch: int = 64) -> float:
    """Fit one free logit per item with in-batch negatives; slope of the logits on the true log popularity."""
    popularity = 1 / np.arange(1, 13)
    popularity /= popularity.sum()
    drawn = np.random.default_rng(0).choice(12, (steps, batch), p=popularity).astype(np.int32) + 2
    log_q = sign * tf.constant(np.log(np.append([1, 1], popularity * batch)), tf.float32)
    logit = tf.Variable(tf.zeros(14))
    optimizer = keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(0.1, steps))

    @tf.function
    def step(target):
        with tf.GradientTape() as tape:
            logits = tf.tile(tf.gather(logit, target)[None], [batch, 1])
            loss = sampled_softmax_loss(logits, target, tf.gather(log_q, target), tf.range(batch), target[:, None])
            loss = tf.reduce_mean(loss)
        optimizer.apply([tape.gradient(tf.convert_to_tensor(loss), logit)], [logit])

    for target in drawn:
        step(tf.constant(target))
    return float(np.polyfit(np.log(popularity), logit.numpy()[2:], 1)[0])


@pytest.mark.parametrize(("sign", "slope"), [(1, 1), (0, 0), (-1, -1)], ids=["logQ", "uncorrected", "wrong sign"])
def test_the_sign_of_logq_decides_whether_popularity_is_learnt(sign, slope):
    # A softmax over the whole catalogue would learn logit = log popularity. Items come into the batch as often as they
    # are popular, so uncorrected all logits stay level, and the wrong sign turns popularity upside down. (Masking hits
    # spares the very popular items some of their negatives: in so small a catalogue that adds 0.16 to every slope.)
    assert popularity_learnt(sign) == pytest.approx(slope, abs=0.25)


# --- score head ------------------------------------------------------------------------------------------------------


def test_score_loss_by_hand():
    def softplus(x: float) -> float:
        return float(np.log1p(np.exp(x)))

    positive = np.array([[0.5, 9.0], [-1.0, 2.0]], np.float32)
    target = np.array([[4, 0], [5, 3]], np.int32)
    negative = np.array([[0.1, 0.2, 0.3], [0.4, 0.5, 0.6]], np.float32)
    candidate = np.array([3, 5, 6], np.int32)
    # query 0: one target, nothing of it among the drawn; query 1: two targets, and only item 6 is no target
    expected = [
        (softplus(-(0.5 + 2)) + softplus(0.1 + 2) + softplus(0.2 + 2) + softplus(0.3 + 2)) / 4,
        (softplus(-(-1 + 2)) + softplus(-(2 + 2)) + softplus(0.6 + 2)) / 3,
    ]
    npt.assert_allclose(score_loss(positive, target, negative, candidate, 2.0), expected, rtol=1e-5)


def calibrated(offset: float, steps: int = 800, batch: int = 128, size: int = 32, n_negatives: int = 8) -> np.ndarray:
    """Fit one free log odds per item on independent purchases; returns log odds minus the true ones."""
    rng = np.random.default_rng(1)
    true = np.full(size, 0.02)
    true[2:6] = [0.5, 0.3, 0.15, 0.08]
    taken = rng.random((steps, batch, size)) < true
    taken[..., :2] = False
    order = np.argsort(~taken, axis=-1, kind="stable")[..., :12]  # the taken ones first
    targets = np.where(np.take_along_axis(taken, order, axis=-1), order, 0).astype(np.int32)
    drawn = rng.integers(2, size, (steps, n_negatives)).astype(np.int32)
    log_odds = tf.Variable(tf.zeros(size))
    optimizer = keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(0.1, steps))

    @tf.function
    def step(target, candidate):
        with tf.GradientTape() as tape:
            negative = tf.tile(tf.gather(log_odds, candidate)[None], [batch, 1])
            loss = tf.reduce_mean(score_loss(tf.gather(log_odds, target), target, negative, candidate, offset))
        optimizer.apply([tf.convert_to_tensor(tape.gradient(loss, log_odds))], [log_odds])

    for target, candidate in zip(targets, drawn, strict=True):
        step(tf.constant(target), tf.constant(candidate))
    return log_odds.numpy()[2:] - np.log(true / (1 - true))[2:]


def test_the_offset_makes_probabilities_those_of_the_whole_catalogue():
    # 8 of 30 items are drawn: without the offset of log(30 / 8) = 1.3 all odds come out that much too high
    assert np.abs(calibrated(np.log(30 / 8))[:4]).max() < 0.35
    assert calibrated(0.0)[:4].mean() == pytest.approx(np.log(30 / 8), abs=0.35)
