"""The two-tower recommender with an LSTM behaviour-sequence branch, a repeat head and a purchase-probability head.

    logit(query, item) = <query tower, item tower> + item bias + this week's weight  -> ranking (softmax)
    log odds(query, item) = log softmax(logit) + size(query) + correction(query, item) -> purchase probability (sigmoid)

For items that the user took before, the repeat head's logit replaces the towers', which is one of its inputs: what is
rebought follows other rules than what is discovered, and neither part blurs the other. The softmax says how a basket
divides among the items, `size` how many of them there will be, and the correction is what the score loss finds wrong
with that. The query's history is embedded with the item tower's own vectors, so both towers learn one item space.
"""

import math
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
from keras import ops

from data_pipelines.schema import FIRST_KNOWN, PADDING
from models.attributes import AttributeSpec
from models.history import SECONDS_PER_DAY, read_history, segment_sum
from models.item_statistics import item_statistics, popularity_trend
from models.item_tower import ItemTower
from models.losses import NEVER, full_softmax_loss, sampled_softmax_loss, score_loss
from models.query_tower import QueryTower
from models.recommender import FeaturesLike, TimelinesLike, WeeklyLike
from models.repeat_head import RepeatHead, past_items

Tensor = Any
RANKING, CORRECTION, PRESENT = 0, 1, 2  # outputs of the repeat head; PRESENT marks past items


@keras.saving.register_keras_serializable(package="supplytower")
class TwoTower(keras.Model):
    """Rank the catalogue for a request and estimate purchase probabilities.

    Called with the dictionary of arrays that `data_pipelines.datasets.batches` yields: `user` and `time` `[batch]`,
    `event_item`, `event_type`, `event_time` `[batch, length]`.

    Args:
        item_specs: item attributes.
        user_specs: user attributes.
        n_items: item vocabulary size.
        n_users: user vocabulary size.
        n_event_types: event type vocabulary size.
        dim: width of item and query vectors.
        id_dropout: probability that an item's id is hidden in a training step.
        repeat_units: hidden width of the repeat head; 0 leaves it out.
        repeat_dropout: dropout in the repeat head.
        n_weeks: rows of the weekly table (popularity trend, promotions); 0 leaves it out.
        n_covariates: columns of that table beside the trend.
        loss: `full` softmax over the catalogue, or `sampled` (in-batch and uniform negatives, logQ-corrected).
        n_negatives: uniformly drawn items per batch, for the score head and as the mixed negatives of `sampled`.
        temperature: divides the ranking logits of the sampled loss.
        score_weight: weight of the score head's loss.
        query: arguments of the query tower beyond the vocabularies.
    """

    def __init__(
        self,
        item_specs: list[AttributeSpec],
        user_specs: list[AttributeSpec],
        n_items: int,
        n_users: int,
        n_event_types: int,
        dim: int = 64,
        id_dropout: float = 0.1,
        repeat_units: int = 32,
        repeat_dropout: float = 0.1,
        n_weeks: int = 0,
        n_covariates: int = 0,
        loss: str = "full",
        n_negatives: int = 512,
        temperature: float = 1.0,
        score_weight: float = 1.0,
        query: dict[str, Any] | None = None,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        self.arguments = {
            "item_specs": item_specs,
            "user_specs": user_specs,
            "n_items": n_items,
            "n_users": n_users,
            "n_event_types": n_event_types,
            "dim": dim,
            "id_dropout": id_dropout,
            "repeat_units": repeat_units,
            "repeat_dropout": repeat_dropout,
            "n_weeks": n_weeks,
            "n_covariates": n_covariates,
            "loss": loss,
            "n_negatives": n_negatives,
            "temperature": temperature,
            "score_weight": score_weight,
            "query": query or {},
        }
        self.n_items, self.loss_kind, self.n_negatives = n_items, loss, n_negatives
        self.n_weeks, self.n_covariates = n_weeks, n_covariates
        self.temperature, self.score_weight = temperature, score_weight
        self.item_tower = ItemTower(item_specs, n_items, dim, id_dropout, name="item_tower")
        self.query_tower = QueryTower(user_specs, n_users, n_event_types, dim, **(query or {}), name="query_tower")
        self.score_query = keras.layers.Dense(dim, kernel_initializer="zeros", name="score_query")
        self.basket_size = keras.layers.Dense(1, name="basket_size")
        self.repeat_head = (
            RepeatHead(n_items, repeat_units, repeat_dropout, name="repeat_head") if repeat_units else None
        )
        self.seed_generator = keras.random.SeedGenerator()
        self.loss_tracker = keras.metrics.Mean(name="loss")
        self.ranking_loss_tracker = keras.metrics.Mean(name="ranking_loss")
        self.score_loss_tracker = keras.metrics.Mean(name="score_loss")

    def build(self, input_shape: Any = None) -> None:
        """Create the item biases; the score bias starts at the odds of one item in the catalogue."""
        exact = {"initializer": "zeros", "autocast": False}  # float32 in mixed precision, as all logits are
        self.item_bias = self.add_weight(shape=(self.n_items,), name="item_bias", **exact)
        self.score_bias = self.add_weight(shape=(self.n_items,), name="score_bias", **exact)
        self.calibration = self.add_weight(shape=(2,), initializer="zeros", trainable=False, name="calibration")
        self.calibration.assign([1.0, 0.0])  # Platt scaling: slope and intercept
        if self.n_weeks:
            shape = (self.n_weeks, self.n_items, 1 + self.n_covariates)
            self.weekly = self.add_weight(shape=shape, trainable=False, name="weekly", **exact)
            self.weekly_first_day = self.add_weight(
                shape=(), dtype="int32", initializer="zeros", trainable=False, name="weekly_first_day"
            )
            self.weekly_weight = self.add_weight(shape=shape[2:], name="weekly_weight", **exact)
            self.weekly_weight.assign([0.5] + [0.0] * self.n_covariates)
        uniform = keras.initializers.Constant(1.0 / self.n_items)
        self.target_share = self.add_weight(
            shape=(self.n_items,), initializer=uniform, trainable=False, name="target_share"
        )
        self.built = True

    def set_tables(
        self, items: FeaturesLike, users: FeaturesLike, timelines: TimelinesLike, weekly: WeeklyLike
    ) -> None:
        """Fill in the attributes of all items and users and the items' rebuying statistics; call before training.

        Args:
            items: encoded item attributes.
            users: encoded user attributes.
            timelines: the training events.
            weekly: what is known of every item week by week.
        """
        self.item_tower.attributes.set_table(items)
        self.item_tower.hide_ids(np.bincount(timelines.item, minlength=self.n_items) == 0)
        if self.query_tower.use_user:
            self.query_tower.user_attributes.set_table(users)
        if self.repeat_head is not None:
            self.repeat_head.statistics.assign(item_statistics(timelines, self.n_items))
        if self.n_weeks:
            trend = popularity_trend(timelines, self.n_items, weekly.first_day, self.n_weeks)
            self.weekly.assign(np.concatenate([trend[..., None], weekly.values], axis=-1))
            self.weekly_first_day.assign(weekly.first_day)

    def set_priors(self, target_counts: npt.NDArray[np.integer], n_queries: int) -> None:
        """Start the biases at popularity, so that training begins where the simplest baseline ends.

        Args:
            target_counts: `[n_items]` how often each item is a target in training.
            n_queries: training questions.
        """
        counts = target_counts + 0.5
        share = counts / counts.sum()
        log_share = np.log(share)
        self.item_bias.assign(log_share - log_share.mean())
        self.basket_size.bias.assign([np.log(max(target_counts.sum(), 1) / max(n_queries, 1))])
        self.target_share.assign(share)

    def call(self, inputs: dict[str, Tensor], training: bool = False) -> dict[str, Tensor]:
        """Run both towers.

        Returns:
            `query` and `score_query` `[batch, dim]`; `week` `[batch]`, row of the weekly table; with a repeat head
            `past_item` `[batch, length]` and `past_logits` `[batch, length, 2]`; and unless the loss is sampled and
            the model is training, `items` `[n_items, dim]` and the towers' `logits` `[batch, n_items]`.
        """
        if training and self.loss_kind == "sampled":
            return self.answer(inputs, None, training=True)
        return self.answer(inputs, self.item_tower.all_items(training=training), training=training)

    def answer(
        self,
        inputs: dict[str, Tensor],
        items: Tensor | None,
        training: bool = False,
        past_vectors: Tensor | None = None,
    ) -> dict[str, Tensor]:
        """As `call`, with the vectors of all items given, or None to embed what is needed.

        Serving computes `items` once, and what the repeat head makes of them (`describe_items`) too: `past_vectors`.
        """
        history = read_history(inputs["event_item"], inputs["event_type"], inputs["event_time"], inputs["time"])
        events = history.last(self.query_tower.sequence_events)

        def embed(index: Tensor, project: Any = lambda index, vectors: vectors) -> Tensor:
            if items is None:
                return project(index, self.item_tower(index, training=training))
            return ops.take(project(np.arange(self.n_items), items), index, axis=0)

        real = ops.cast(events.mask, self.compute_dtype)[..., None]
        vectors = embed(events.item) * real  # [batch, length, dim]
        query = self.query_tower(inputs["user"], inputs["time"], history, events, vectors, training=training)
        outputs = {
            "query": query,
            "score_query": self.score_query(query),
            "log_size": _exact(self.basket_size(query)),
            "week": self._week(inputs["time"]),
        }
        if items is not None:
            outputs["items"] = items
            outputs["logits"] = _exact(ops.matmul(query, ops.transpose(items))) + self.item_bias
            if self.n_weeks:
                outputs["logits"] = outputs["logits"] + ops.matmul(self._this_week(outputs), self.weekly_weight)
        if self.repeat_head is None:
            return outputs
        past = past_items(history)
        if past_vectors is None:
            by_item = embed(past.item, self.repeat_head.describe_items)
        else:
            by_item = ops.take(past_vectors, past.item, axis=0)
        if items is not None:
            tower = ops.take_along_axis(outputs["logits"], past.item, axis=1)  # [batch, length]
        else:
            tower = _exact(ops.einsum("bd,bld->bl", query, embed(past.item))) + ops.take(self.item_bias, past.item)
            if self.n_weeks:
                tower = tower + ops.matmul(self._this_week(outputs, past.item), self.weekly_weight)
        tower = ops.stop_gradient(tower)[..., None] / 5.0
        if self.n_weeks:
            tower = ops.concatenate([tower, self._this_week(outputs, past.item)], axis=-1)
        outputs["past_item"] = past.item
        outputs["past_logits"] = _exact(self.repeat_head(past, query, by_item, tower, training=training))
        return outputs

    def ranking_logits(self, outputs: dict[str, Tensor]) -> Tensor:
        """Logits of the whole catalogue, `[batch, n_items]`; padding and unknown are never ranked."""
        return self._mask_reserved(_replaced(outputs["logits"], self._past_by_item(outputs)))

    def log_odds(self, outputs: dict[str, Tensor]) -> Tensor:
        """Calibrated log odds that the user takes each item next, `[batch, n_items]`."""
        past = self._past_by_item(outputs)
        log_share = ops.log_softmax(self._mask_reserved(_replaced(outputs["logits"], past)), axis=1)
        correction = _exact(ops.matmul(outputs["score_query"], ops.transpose(outputs["items"]))) + self.score_bias
        log_odds = self._log_odds(outputs, log_share, correction, past)
        return self._mask_reserved(log_odds * self.calibration[0] + self.calibration[1])

    def candidate_log_odds(self, outputs: dict[str, Tensor], candidate: Tensor) -> Tensor:
        """As `log_odds`, of the items `candidate` `[batch, n_candidates]` only; `NEVER`-like outside the catalogue."""
        return ops.take_along_axis(self.log_odds(outputs), candidate, axis=1)

    def _log_odds(
        self, outputs: dict[str, Tensor], log_share: Tensor, correction: Tensor, past: Tensor | None
    ) -> Tensor:
        """Uncalibrated log odds `[batch, n]` from the log share of a basket that each item takes."""
        log_odds = log_share + outputs["log_size"] + correction
        return log_odds if past is None else log_odds + past[..., CORRECTION]

    def _week(self, time: Tensor) -> Tensor:
        """Row of the weekly table for each request, `[batch]`."""
        if not self.n_weeks:
            return ops.zeros_like(time, dtype="int32")
        day = ops.cast(time // int(SECONDS_PER_DAY), "int32") - self.weekly_first_day
        return ops.clip(day // 7, 0, self.n_weeks - 1)

    def _this_week(self, outputs: dict[str, Tensor], index: Tensor | None = None) -> Tensor:
        """Trend and covariates of the items `index` `[batch, n]`, of all if None: `[batch, n, 1 + n_covariates]`."""
        if index is None:
            return ops.take(self.weekly, outputs["week"], axis=0)
        cell = outputs["week"][:, None] * self.n_items + index
        return ops.take(ops.reshape(self.weekly, (-1, 1 + self.n_covariates)), cell, axis=0)

    def latest_bias(self) -> Tensor:
        """What every item's ranking logit holds for any request after the last week of the table, `[n_items]`."""
        if not self.n_weeks:
            return ops.convert_to_tensor(self.item_bias)
        return self.item_bias + ops.matmul(self.weekly[-1], self.weekly_weight)

    def _mask_reserved(self, logits: Tensor) -> Tensor:
        return ops.where(ops.arange(self.n_items)[None, :] < FIRST_KNOWN, NEVER, logits)

    def _past_by_item(self, outputs: dict[str, Tensor]) -> Tensor | None:
        """The repeat head's logits and whether there are any, spread over the catalogue, `[batch, n_items, 3]`."""
        if self.repeat_head is None:
            return None
        return segment_sum(_with_presence(outputs), outputs["past_item"], self.n_items)

    def compute_loss(
        self, x: Any = None, y: Any = None, y_pred: Any = None, sample_weight: Any = None, training: bool = True
    ) -> Tensor:
        """Weighted sum of the ranking and the score loss, averaged over the real queries of the batch."""
        weight = y["weight"] / ops.maximum(ops.sum(y["weight"]), 1.0)
        drawn = keras.random.randint((self.n_negatives,), FIRST_KNOWN, self.n_items, seed=self.seed_generator)
        losses = self._sampled_losses if self.loss_kind == "sampled" and training else self._full_losses
        ranking, score = losses(y_pred, y["target_item"], drawn)
        ranking, score = ops.sum(ranking * weight), ops.sum(score * weight)
        self.ranking_loss_tracker.update_state(ranking)
        self.score_loss_tracker.update_state(score)
        loss = ranking + self.score_weight * score
        self.loss_tracker.update_state(loss)
        return loss

    def _full_losses(self, outputs: dict[str, Tensor], target: Tensor, drawn: Tensor) -> tuple[Tensor, Tensor]:
        """Ranking loss over the whole catalogue, score loss on the drawn items; `[batch]` each."""
        items, past = outputs["items"], self._past_by_item(outputs)  # [batch, n_items, 3]
        logits = self._mask_reserved(_replaced(outputs["logits"], past))
        log_z = ops.logsumexp(logits, axis=1, keepdims=True)
        negative = ops.matmul(outputs["score_query"], ops.transpose(ops.take(items, drawn, axis=0)))
        negative = _exact(negative) + ops.take(self.score_bias, drawn)  # [batch, n_negatives]
        past_drawn = None if past is None else ops.take(past, drawn, axis=1)
        negative = self._log_odds(outputs, ops.take(logits, drawn, axis=1) - log_z, negative, past_drawn)
        positive = ops.einsum("bd,btd->bt", outputs["score_query"], ops.take(items, target, axis=0))
        positive = _exact(positive) + ops.take(self.score_bias, target)  # [batch, max_targets]
        past_target = None if past is None else ops.take_along_axis(past, target[..., None], axis=1)
        log_share = ops.take_along_axis(logits, target, axis=1) - log_z
        positive = self._log_odds(outputs, log_share, positive, past_target)
        offset = math.log(self.n_items / self.n_negatives)
        return full_softmax_loss(logits, target), score_loss(positive, target, negative, drawn, offset)

    def _sampled_losses(self, outputs: dict[str, Tensor], target: Tensor, drawn: Tensor) -> tuple[Tensor, Tensor]:
        """Both losses on in-batch targets and the drawn items, `[batch]` each; a random target stands for a basket."""
        batch = ops.shape(target)[0]
        n_targets = ops.sum(ops.cast(ops.not_equal(target, PADDING), "float32"), axis=1)
        place = ops.cast(keras.random.uniform(ops.shape(n_targets), seed=self.seed_generator) * n_targets, "int32")
        chosen = ops.squeeze(ops.take_along_axis(target, place[:, None], axis=1), 1)
        candidate = ops.concatenate([chosen, drawn])  # [n_candidates]
        own = ops.arange(batch, dtype="int32")
        items = self.item_tower(candidate, training=True)
        logits = _exact(ops.matmul(outputs["query"], ops.transpose(items))) + ops.take(self.item_bias, candidate)
        correction = _exact(ops.matmul(outputs["score_query"], ops.transpose(items)))
        correction = correction + ops.take(self.score_bias, candidate)
        if self.n_weeks:
            columns = ops.broadcast_to(candidate[None, :], ops.shape(logits))
            logits = logits + ops.matmul(self._this_week(outputs, columns), self.weekly_weight)
        past = self._past_by_candidate(outputs, candidate)
        logits = _replaced(logits, past)
        n_real = ops.sum(ops.cast(n_targets > 0, "float32"))
        expected = ops.take(self.target_share, candidate) * n_real + self.n_negatives / self.n_items
        log_q = ops.where(candidate == PADDING, -NEVER, ops.log(expected))  # a row that is not real is no negative
        ranking = sampled_softmax_loss(logits, candidate, log_q, own, target, self.temperature)
        log_z = ops.logsumexp(logits - log_q[None, :], axis=1, keepdims=True)  # importance sampling
        odds = self._log_odds(outputs, logits - log_z, correction, past)
        positive = ops.broadcast_to(ops.take_along_axis(odds, own[:, None], axis=1), ops.shape(target))
        offset = math.log(self.n_items / self.n_negatives)
        return ranking, score_loss(positive, target, odds[:, batch:], drawn, offset)

    def _past_by_candidate(self, outputs: dict[str, Tensor], candidate: Tensor) -> Tensor | None:
        """As `_past_by_item` at the candidates, `[batch, n_candidates, 3]`, without a catalogue-wide matrix."""
        if self.repeat_head is None:
            return None
        n_candidates = ops.shape(candidate)[0]
        column = ops.arange(1, n_candidates + 1, dtype="int32")
        # an item drawn twice has two columns: one of them stands for both
        column_of = ops.scatter_update(ops.zeros((self.n_items,), "int32"), candidate[:, None], column)
        spread = segment_sum(_with_presence(outputs), ops.take(column_of, outputs["past_item"]), n_candidates + 1)
        return ops.take(spread, ops.take(column_of, candidate), axis=1)

    @property
    def metrics(self) -> list[Any]:
        """The running losses."""
        return [self.loss_tracker, self.ranking_loss_tracker, self.score_loss_tracker]

    def get_config(self) -> dict[str, Any]:
        """Constructor arguments."""
        return {**super().get_config(), **self.arguments}


def _exact(logits: Tensor) -> Tensor:
    """In float32, whatever the towers compute in."""
    return ops.cast(logits, "float32")


def _with_presence(outputs: dict[str, Tensor]) -> Tensor:
    """The repeat head's logits and a 1 for every past item, `[batch, length, 3]`."""
    present = ops.cast(ops.not_equal(outputs["past_item"], PADDING), "float32")
    return ops.concatenate([outputs["past_logits"], present[..., None]], axis=-1)


def _replaced(logits: Tensor, past: Tensor | None) -> Tensor:
    """The towers' logits `[batch, n]`, with the repeat head's in the columns of past items (`past` `[batch, n, 3]`)."""
    return logits if past is None else logits * (1.0 - past[..., PRESENT]) + past[..., RANKING]
