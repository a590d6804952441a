"""The two-tower recommender with an LSTM behaviour-sequence branch, a repeat head and a purchase-probability head.

    logit(query, item) = <query tower, item tower> + attribute affinity + item bias + this week's weight
                                                                                     -> ranking (softmax)
    log odds(query, item) = log softmax(logit) + size(query) + correction(query, item) -> purchase probability (sigmoid)

For items that the user took before, the repeat head's logit replaces the towers', which is one of its inputs: what is
rebought follows other rules than what is discovered, and neither part blurs the other. The softmax says how a basket
divides among the items, `size` how many of them there will be, and the correction is what the score loss finds wrong
with that. The query's history is embedded with the item tower's own vectors, so both towers learn one item space.
"""

import math
from typing import Any, NamedTuple

import keras
import numpy as np
import numpy.typing as npt
from keras import ops

from data_pipelines.schema import FIRST_KNOWN, PADDING
from models.affinity import AttributeAffinity
from models.attributes import AttributeSpec
from models.history import SECONDS_PER_DAY, read_history, segment_sum
from models.item_statistics import TREND_HALF_LIVES_WEEKS, item_statistics, popularity_trend
from models.item_tower import ItemTower
from models.losses import NEVER, full_softmax_loss, sampled_softmax_loss, score_loss
from models.query_tower import QueryTower
from models.recommender import FeaturesLike, TimelinesLike, WeeklyLike
from models.repeat_head import RepeatHead, past_items

Tensor = Any
RANKING, CORRECTION, PRESENT = 0, 1, 2  # outputs of affinity and repeat head; PRESENT marks past items


class Catalogue(NamedTuple):
    """What is the same for every request.

    Args:
        vectors: `[n_items, dim]` item vectors.
        biases: `[n_weeks, n_items]` what every item's logit holds for everybody in each week; one row without weeks.
        past_vectors: `[n_items, repeat_units]` what the repeat head makes of each item; None without the head.
    """

    vectors: Tensor
    biases: Tensor
    past_vectors: Tensor | None


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
        id_shrinkage: training events at which an item's id counts half.
        affinity_half_lives_days: one affinity to the items' attribute values per half-life; empty leaves them out.
        repeat_units: hidden width of the repeat head; 0 leaves it out.
        repeat_dropout: dropout in the repeat head.
        n_weeks: rows of the weekly table (popularity trend, promotions); 0 leaves it out.
        n_covariates: columns of that table beside the trends.
        loss: `full` softmax over the catalogue, or `sampled` (in-batch and uniform negatives, logQ-corrected).
        n_negatives: uniformly drawn items per batch, for the score head and as the mixed negatives of `sampled`.
        temperature: divides the ranking logits of the sampled loss.
        score_weight: weight of the score head's loss.
        discovery_weight: weight of the loss that ranks, among the items new to the user, those they will take soon
            (`discovered_item` of the targets); 0 leaves it out, and `sampled` does without it.
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
        id_shrinkage: float = 0.0,
        affinity_half_lives_days: tuple[float, ...] = (28.0, 365.0),
        repeat_units: int = 32,
        repeat_dropout: float = 0.1,
        n_weeks: int = 0,
        n_covariates: int = 0,
        loss: str = "full",
        n_negatives: int = 512,
        temperature: float = 1.0,
        score_weight: float = 1.0,
        discovery_weight: float = 0.0,
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
            "id_shrinkage": id_shrinkage,
            "affinity_half_lives_days": affinity_half_lives_days,
            "repeat_units": repeat_units,
            "repeat_dropout": repeat_dropout,
            "n_weeks": n_weeks,
            "n_covariates": n_covariates,
            "loss": loss,
            "n_negatives": n_negatives,
            "temperature": temperature,
            "score_weight": score_weight,
            "discovery_weight": discovery_weight,
            "query": query or {},
        }
        self.n_items, self.loss_kind, self.n_negatives = n_items, loss, n_negatives
        self.n_weeks, self.n_weekly = n_weeks, len(TREND_HALF_LIVES_WEEKS) + n_covariates
        self.temperature = temperature
        self.score_weight, self.discovery_weight = score_weight, discovery_weight
        self.item_tower = ItemTower(item_specs, n_items, dim, id_dropout, id_shrinkage, name="item_tower")
        self.query_tower = QueryTower(user_specs, n_users, n_event_types, dim, **(query or {}), name="query_tower")
        affinity = AttributeAffinity(item_specs, n_items, affinity_half_lives_days, n_outputs=2, name="affinity")
        self.affinity = affinity if affinity.width and affinity_half_lives_days else None
        self.score_query = keras.layers.Dense(dim, kernel_initializer="zeros", name="score_query")
        self.basket_size = keras.layers.Dense(1, name="basket_size")
        self.repeat_head = (
            RepeatHead(n_items, repeat_units, repeat_dropout, name="repeat_head") if repeat_units else None
        )
        self.seed_generator = keras.random.SeedGenerator()
        self.loss_tracker = keras.metrics.Mean(name="loss")
        self.ranking_loss_tracker = keras.metrics.Mean(name="ranking_loss")
        self.score_loss_tracker = keras.metrics.Mean(name="score_loss")
        self.discovery_loss_tracker = keras.metrics.Mean(name="discovery_loss")

    def build(self, input_shape: Any = None) -> None:
        """Create what is known and learnt of every item beside its vector."""
        exact = {"initializer": "zeros", "autocast": False}  # float32 in mixed precision, as all logits are
        self.popularity = self.add_weight(shape=(self.n_items,), trainable=False, name="popularity", **exact)
        self.item_bias = self.add_weight(shape=(self.n_items,), name="item_bias", **exact)
        self.score_bias = self.add_weight(shape=(self.n_items,), name="score_bias", **exact)
        self.calibration = self.add_weight(shape=(2,), initializer="zeros", trainable=False, name="calibration")
        self.calibration.assign([1.0, 0.0])  # Platt scaling: slope and intercept
        if self.n_weeks:
            shape = (self.n_weeks, self.n_items, self.n_weekly)
            self.weekly = self.add_weight(shape=shape, trainable=False, name="weekly", **exact)
            self.weekly_first_day = self.add_weight(
                shape=(), dtype="int32", initializer="zeros", trainable=False, name="weekly_first_day"
            )
            self.weekly_weight = self.add_weight(shape=shape[2:], name="weekly_weight", **exact)
            trends = len(TREND_HALF_LIVES_WEEKS)
            self.weekly_weight.assign([0.5 / trends] * trends + [0.0] * (self.n_weekly - trends))
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
        item_counts = np.bincount(timelines.item, minlength=self.n_items)
        self.item_tower.set_counts(item_counts)
        if self.affinity is not None:
            self.affinity.set_table(items, item_counts)
        if self.query_tower.use_user:
            self.query_tower.user_attributes.set_table(users)
        self._count(timelines, weekly)

    def set_priors(self, target_counts: npt.NDArray[np.integer], n_queries: int) -> None:
        """Start at popularity, so that training begins where the simplest baseline ends.

        Args:
            target_counts: `[n_items]` how often each item is a target in training.
            n_queries: training questions.
        """
        self._set_popularity(target_counts)
        self.basket_size.bias.assign([np.log(max(target_counts.sum(), 1) / max(n_queries, 1))])
        self.target_share.assign((target_counts + 0.5) / (target_counts + 0.5).sum())

    def refresh(self, timelines: TimelinesLike, weekly: WeeklyLike, target_counts: npt.NDArray[np.integer]) -> None:
        """Count popularity, trends and rebuying anew on a longer log, without training.

        Args:
            timelines: the training events and those since.
            weekly: what is known of every item, in the same weeks as at the start.
            target_counts: `[n_items]` how often each item is a target in them.
        """
        self._count(timelines, weekly)
        self._set_popularity(target_counts)

    def _count(self, timelines: TimelinesLike, weekly: WeeklyLike) -> None:
        if self.repeat_head is not None:
            self.repeat_head.statistics.assign(item_statistics(timelines, self.n_items))
        if self.n_weeks:
            trend = popularity_trend(timelines, self.n_items, weekly.first_day, self.n_weeks)
            self.weekly.assign(np.concatenate([trend, weekly.values], axis=-1))
            self.weekly_first_day.assign(weekly.first_day)

    def _set_popularity(self, target_counts: npt.NDArray[np.integer]) -> None:
        log_count = np.log(target_counts + 0.5)
        self.popularity.assign(log_count - log_count.mean())

    def call(self, inputs: dict[str, Tensor], training: bool = False) -> dict[str, Tensor]:
        """Run both towers.

        Returns:
            `query` and `score_query` `[batch, dim]`; `week` `[batch]`, row of the weekly table; `affinities`, if items
            have attributes; with a repeat head `past_item` `[batch, length]` and `past_logits` `[batch, length, 2]`;
            and unless the loss is sampled and the model is training, `items` `[n_items, dim]` and the towers' `logits`
            `[batch, n_items]`.
        """
        if training and self.loss_kind == "sampled":
            return self.answer(inputs, None, training=True)
        return self.answer(inputs, self.catalogue(training), training=training)

    def catalogue(self, training: bool = False) -> Catalogue:
        """Embed all items. Serving does so once."""
        vectors = self.item_tower(training=training)
        past_vectors = self.repeat_head and self.repeat_head.describe_items(np.arange(self.n_items), vectors)
        biases = (self.popularity + self.item_bias)[None, :]
        if self.n_weeks:
            biases = biases + ops.matmul(self.weekly, self.weekly_weight)
        return Catalogue(vectors, biases, past_vectors)

    def answer(
        self, inputs: dict[str, Tensor], catalogue: Catalogue | None, training: bool = False
    ) -> dict[str, Tensor]:
        """As `call`, with all items embedded already, or None to embed what is needed."""
        history = read_history(inputs["event_item"], inputs["event_type"], inputs["event_time"], inputs["time"])
        events = history.last(self.query_tower.sequence_events)

        real = ops.cast(events.mask, self.compute_dtype)[..., None]
        vectors = self._embed(events.item, catalogue, training) * real  # [batch, length, dim]
        query = self.query_tower(inputs["user"], inputs["time"], history, events, vectors, training=training)
        outputs = {
            "query": query,
            "score_query": self.score_query(query),
            "log_size": _exact(self.basket_size(query)),
            "week": self._week(inputs["time"]),
        }
        if self.affinity is not None:
            outputs["affinities"] = self.affinity(history)  # [n_values, batch] each
        if catalogue is not None:
            outputs["items"] = catalogue.vectors
            outputs["logits"] = _exact(ops.matmul(query, ops.transpose(catalogue.vectors)))
            outputs["logits"] = outputs["logits"] + ops.take(catalogue.biases, outputs["week"], axis=0)
            if self.affinity is not None:
                outputs["logits"] = outputs["logits"] + self.affinity.logits(outputs["affinities"][RANKING])
        if self.repeat_head is None:
            return outputs
        past = past_items(history)
        if catalogue is not None:
            by_item = ops.take(catalogue.past_vectors, past.item, axis=0)
            tower = ops.take_along_axis(outputs["logits"], past.item, axis=1)  # [batch, length]
        else:
            vectors = self._embed(past.item, None, training)
            by_item = self.repeat_head.describe_items(past.item, vectors)
            tower = _exact(ops.einsum("bd,bld->bl", query, vectors)) + self._biases(outputs, past.item)
            if self.affinity is not None:
                tower = tower + self.affinity.own_logits(outputs["affinities"][RANKING], past.item)
        tower = ops.stop_gradient(tower)[..., None] / 5.0
        if self.n_weeks:
            tower = ops.concatenate([tower, self._this_week(outputs, past.item)], axis=-1)
        outputs["past_item"] = past.item
        outputs["past_logits"] = _exact(self.repeat_head(past, query, by_item, tower, training=training))
        return outputs

    def ranking_logits(self, outputs: dict[str, Tensor]) -> Tensor:
        """Logits of the whole catalogue, `[batch, n_items]`; padding and unknown are never ranked."""
        logits = outputs["logits"]
        if self.repeat_head is not None:
            logits = _with_past(logits, outputs, outputs["past_logits"][..., RANKING])
        return self._mask_reserved(logits)

    def log_odds(self, outputs: dict[str, Tensor]) -> Tensor:
        """Calibrated log odds that the user takes each item next, `[batch, n_items]`."""
        log_share = ops.log_softmax(self.ranking_logits(outputs), axis=1)
        correction = _exact(ops.matmul(outputs["score_query"], ops.transpose(outputs["items"]))) + self.score_bias
        if self.affinity is not None:
            correction = correction + self.affinity.logits(outputs["affinities"][CORRECTION])
        if self.repeat_head is not None:
            correction = correction + self._past_correction(outputs)
        log_odds = log_share + outputs["log_size"] + correction  # uncalibrated
        return self._mask_reserved(log_odds * self.calibration[0] + self.calibration[1])

    def candidate_log_odds(self, outputs: dict[str, Tensor], candidate: Tensor) -> Tensor:
        """As `log_odds`, of the items `candidate` `[batch, n_candidates]` only; `NEVER`-like outside the catalogue."""
        return ops.take_along_axis(self.log_odds(outputs), candidate, axis=1)

    def _embed(self, index: Tensor, catalogue: Catalogue | None, training: bool) -> Tensor:
        """Item vectors `[..., dim]`, looked up where the whole catalogue is embedded."""
        if catalogue is None:
            return self.item_tower(index, training=training)
        return ops.take(catalogue.vectors, index, axis=0)

    def _week(self, time: Tensor) -> Tensor:
        """Row of the weekly table for each request, `[batch]`."""
        if not self.n_weeks:
            return ops.zeros_like(time, dtype="int32")
        day = ops.cast(time // int(SECONDS_PER_DAY), "int32") - self.weekly_first_day
        return ops.clip(day // 7, 0, self.n_weeks - 1)

    def _this_week(self, outputs: dict[str, Tensor], index: Tensor) -> Tensor:
        """Trends and covariates of the items `index` `[batch, n]`: `[batch, n, n_weekly]`."""
        cell = outputs["week"][:, None] * self.n_items + index
        return ops.take(ops.reshape(self.weekly, (-1, self.n_weekly)), cell, axis=0)

    def _biases(self, outputs: dict[str, Tensor], index: Tensor) -> Tensor:
        """What the logits of the items `index` `[batch, n]` hold for everybody at the time: `[batch, n]`."""
        biases = ops.take(self.popularity, index) + ops.take(self.item_bias, index)
        return biases + ops.matmul(self._this_week(outputs, index), self.weekly_weight) if self.n_weeks else biases

    def _mask_reserved(self, logits: Tensor) -> Tensor:
        return ops.where(ops.arange(self.n_items)[None, :] < FIRST_KNOWN, NEVER, logits)

    def _past_correction(self, outputs: dict[str, Tensor]) -> Tensor:
        """The repeat head's correction of the log odds, spread over the catalogue: `[batch, n_items]`."""
        correction = ops.reshape(outputs["past_logits"][..., CORRECTION], (-1,))
        return ops.scatter(_past_cells(outputs), correction, ops.shape(outputs["logits"]))

    def compute_loss(
        self, x: Any = None, y: Any = None, y_pred: Any = None, sample_weight: Any = None, training: bool = True
    ) -> Tensor:
        """Weighted sum of the ranking and the score loss, averaged over the real queries of the batch."""
        weight = y["weight"] / ops.maximum(ops.sum(y["weight"]), 1.0)
        drawn = keras.random.randint((self.n_negatives,), FIRST_KNOWN, self.n_items, seed=self.seed_generator)
        if self.loss_kind == "sampled" and training:
            losses = (*self._sampled_losses(y_pred, y["target_item"], drawn), ops.zeros_like(weight))
        else:
            losses = self._full_losses(y_pred, y["target_item"], y.get("discovered_item"), drawn)
        ranking, score, discovery = (ops.sum(loss * weight) for loss in losses)
        self.ranking_loss_tracker.update_state(ranking)
        self.score_loss_tracker.update_state(score)
        self.discovery_loss_tracker.update_state(discovery)
        loss = ranking + self.score_weight * score + self.discovery_weight * discovery
        self.loss_tracker.update_state(loss)
        return loss

    def _full_losses(
        self, outputs: dict[str, Tensor], target: Tensor, discovered: Tensor | None, drawn: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Ranking loss over the whole catalogue, score loss on the drawn items, discovery loss; `[batch]` each."""
        new = ranked = self._mask_reserved(outputs["logits"])
        past = ops.full((ops.shape(target)[0], 1), NEVER)
        if self.repeat_head is not None:
            past = ops.where(outputs["past_item"] == PADDING, NEVER, outputs["past_logits"][..., RANKING])
            new = _with_past(new, outputs, ops.full_like(past, NEVER))  # only what is new to the user
            ranked = _with_past(new, outputs, past)
        log_z_new = ops.logsumexp(new, axis=1)  # [batch]
        log_z = ops.logaddexp(log_z_new, ops.logsumexp(past, axis=1))

        # one gather for all losses: its gradient is a matrix as large as the logits
        n_targets = ops.shape(target)[1]
        asked = ops.concatenate([target, ops.broadcast_to(drawn[None, :], (ops.shape(target)[0], self.n_negatives))], 1)
        further = [] if discovered is None else [discovered]
        picked = ops.take_along_axis(ranked, ops.concatenate([asked, *further], axis=1), axis=1)
        ranking = full_softmax_loss(log_z, picked[:, :n_targets], target)
        discovery = ops.zeros_like(ranking)
        if discovered is not None:
            discovery = full_softmax_loss(log_z_new, picked[:, n_targets + self.n_negatives :], discovered)

        items, score_query = outputs["items"], outputs["score_query"]
        positive = _exact(ops.einsum("bd,btd->bt", score_query, ops.take(items, target, axis=0)))
        negative = _exact(ops.matmul(score_query, ops.transpose(ops.take(items, drawn, axis=0))))
        correction = ops.concatenate([positive, negative], axis=1) + ops.take(self.score_bias, asked)
        if self.affinity is not None:
            affinities = outputs["affinities"][CORRECTION]
            by_item = [self.affinity.own_logits(affinities, target), self.affinity.logits(affinities, drawn)]
            correction = correction + ops.concatenate(by_item, axis=1)
        if self.repeat_head is not None:
            correction = correction + ops.take_along_axis(self._past_correction(outputs), asked, axis=1)
        odds = picked[:, : n_targets + self.n_negatives] - log_z[:, None] + outputs["log_size"] + correction
        offset = math.log(self.n_items / self.n_negatives)
        return ranking, score_loss(odds[:, :n_targets], target, odds[:, n_targets:], drawn, offset), discovery

    def _sampled_losses(self, outputs: dict[str, Tensor], target: Tensor, drawn: Tensor) -> tuple[Tensor, Tensor]:
        """Both losses on in-batch targets and the drawn items, `[batch]` each; a random target stands for a basket."""
        batch = ops.shape(target)[0]
        n_targets = ops.sum(ops.cast(ops.not_equal(target, PADDING), "float32"), axis=1)
        place = ops.cast(keras.random.uniform(ops.shape(n_targets), seed=self.seed_generator) * n_targets, "int32")
        chosen = ops.squeeze(ops.take_along_axis(target, place[:, None], axis=1), 1)
        candidate = ops.concatenate([chosen, drawn])  # [n_candidates]
        own = ops.arange(batch, dtype="int32")
        items = self.item_tower(candidate, training=True)
        columns = ops.broadcast_to(candidate[None, :], (batch, ops.shape(candidate)[0]))
        logits = _exact(ops.matmul(outputs["query"], ops.transpose(items))) + self._biases(outputs, columns)
        correction = _exact(ops.matmul(outputs["score_query"], ops.transpose(items)))
        correction = correction + ops.take(self.score_bias, candidate)
        if self.affinity is not None:
            logits = logits + self.affinity.logits(outputs["affinities"][RANKING], candidate)
            correction = correction + self.affinity.logits(outputs["affinities"][CORRECTION], candidate)
        past = self._past_by_candidate(outputs, candidate)
        logits = _replaced(logits, past)
        n_real = ops.sum(ops.cast(n_targets > 0, "float32"))
        expected = ops.take(self.target_share, candidate) * n_real + self.n_negatives / self.n_items
        log_q = ops.where(candidate == PADDING, -NEVER, ops.log(expected))  # a row that is not real is no negative
        ranking = sampled_softmax_loss(logits, candidate, log_q, own, target, self.temperature)
        log_z = ops.logsumexp(logits - log_q[None, :], axis=1, keepdims=True)  # importance sampling
        if past is not None:
            correction = correction + past[..., CORRECTION]
        odds = logits - log_z + outputs["log_size"] + correction
        positive = ops.broadcast_to(ops.take_along_axis(odds, own[:, None], axis=1), ops.shape(target))
        offset = math.log(self.n_items / self.n_negatives)
        return ranking, score_loss(positive, target, odds[:, batch:], drawn, offset)

    def _past_by_candidate(self, outputs: dict[str, Tensor], candidate: Tensor) -> Tensor | None:
        """The repeat head's logits at the candidates and whether there are any, `[batch, n_candidates, 3]`."""
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
        return [self.loss_tracker, self.ranking_loss_tracker, self.score_loss_tracker, self.discovery_loss_tracker]

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


def _past_cells(outputs: dict[str, Tensor]) -> Tensor:
    """Row and column of each past item in a matrix over the catalogue, `[batch * length, 2]`; padding has column 0."""
    item = outputs["past_item"]
    row = ops.broadcast_to(ops.arange(ops.shape(item)[0], dtype="int32")[:, None], ops.shape(item))
    return ops.stack([ops.reshape(row, (-1,)), ops.reshape(item, (-1,))], axis=1)


def _with_past(logits: Tensor, outputs: dict[str, Tensor], values: Tensor) -> Tensor:
    """The logits `[batch, n_items]` with `values` `[batch, length]` in the columns of the past items.

    Padding is written to its own column, which is never read.
    """
    return ops.scatter_update(logits, _past_cells(outputs), ops.reshape(values, (-1,)))
