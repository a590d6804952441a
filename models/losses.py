"""Ranking and score losses over multi-item targets.

A query may have several right answers (a basket), so targets are a padded matrix of item columns. All functions return
one loss per query, so that the caller weighs queries.
"""

from typing import Any

from keras import ops

from data_pipelines.schema import PADDING

Tensor = Any
NEVER = -1e9


def full_softmax_loss(log_z: Tensor, picked: Tensor, target: Tensor) -> Tensor:
    """Cross-entropy against the whole catalogue, averaged over a query's targets.

    Args:
        log_z: `[batch]` logsumexp of a query's logits over the catalogue.
        picked: `[batch, max_targets]` logits of the targets.
        target: `[batch, max_targets]` item index, 0 for padding.

    Returns:
        `[batch]`: the mean over targets t of `log_z - logits[t]`, 0 without targets.
    """
    present = ops.cast(ops.not_equal(target, PADDING), picked.dtype)
    loss = ops.sum((log_z[:, None] - picked) * present, axis=1)
    return loss / ops.maximum(ops.sum(present, axis=1), 1.0)


def sampled_softmax_loss(
    logits: Tensor,
    candidate: Tensor,
    log_probability: Tensor,
    positive: Tensor,
    target: Tensor,
    temperature: float = 1.0,
) -> Tensor:
    """Softmax over sampled candidates with logQ correction and accidental hits masked.

    The expected gradient matches the full softmax if the log of each candidate's sampling probability is *subtracted*
    from its logit. A candidate that is another target of the same query is masked. Reference: Yi et al.,
    "Sampling-Bias- Corrected Neural Modeling for Large Corpus Item Recommendations", RecSys 2019; mixed negatives: Yang
    et al., WWW 2020.

    Args:
        logits: `[batch, n_candidates]`.
        candidate: `[n_candidates]` item index of every column.
        log_probability: `[n_candidates]` log of the expected number of times the item is sampled.
        positive: `[batch]` the column of each query's own target.
        target: `[batch, max_targets]` all its targets, 0 for padding.
        temperature: divides the logits; small values sharpen.

    Returns:
        `[batch]`.
    """
    corrected = logits / temperature - log_probability[None, :]
    hit = ops.any(ops.equal(candidate[None, :, None], target[:, None, :]), axis=2)  # [batch, n_candidates]
    own = ops.equal(ops.arange(ops.shape(candidate)[0], dtype="int32")[None, :], positive[:, None])
    corrected = ops.where(ops.logical_and(hit, ops.logical_not(own)), NEVER, corrected)
    return ops.logsumexp(corrected, axis=1) - ops.squeeze(ops.take_along_axis(corrected, positive[:, None], axis=1), 1)


def score_loss(positive: Tensor, target: Tensor, negative: Tensor, candidate: Tensor, log_odds_offset: float) -> Tensor:
    """Sigmoid cross-entropy of purchase probability, positives against uniformly sampled items.

    Sampling one in s of the other items multiplies the odds by s; adding `log s` in training lets the logit itself be
    the one of the true probability. Reference: King and Zeng, "Logistic Regression in Rare Events Data", 2001.

    Args:
        positive: `[batch, max_targets]` logits of the targets.
        target: `[batch, max_targets]` item index, 0 for padding.
        negative: `[batch, n_candidates]` logits of the sampled items.
        candidate: `[n_candidates]` their item index.
        log_odds_offset: log of (items in the catalogue / items sampled).

    Returns:
        `[batch]`: mean over targets plus sampled items that are no target.
    """
    present = ops.cast(ops.not_equal(target, PADDING), positive.dtype)
    hit = ops.any(ops.equal(candidate[None, :, None], target[:, None, :]), axis=2)
    counted = ops.cast(ops.logical_not(hit), negative.dtype)
    loss = ops.sum(ops.softplus(-(positive + log_odds_offset)) * present, axis=1)
    loss = loss + ops.sum(ops.softplus(negative + log_odds_offset) * counted, axis=1)
    return loss / (ops.sum(present, axis=1) + ops.sum(counted, axis=1))
