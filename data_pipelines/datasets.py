"""tf.data over timelines: windows made on the fly, bucketed by length, in an order that is a function of (seed, epoch).

An epoch is a plan, a matrix of query numbers with one row per batch, made before the first batch is read. So the order
is shuffled anew every epoch yet reproducible, a run resumes at any batch, and workers share an epoch by taking rows in
turn. The windows themselves are one gather out of the flat timelines inside the tf.data graph.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from data_pipelines.discoveries import Discoveries
from data_pipelines.timelines import Queries, Timelines

USER = "user"
TIME = "time"
EVENT_ITEM = "event_item"
EVENT_KIND = "event_type"
EVENT_TIME = "event_time"
TARGET_ITEM = "target_item"
DISCOVERED_ITEM = "discovered_item"
WEIGHT = "weight"


@dataclass(frozen=True)
class EpochPlan:
    """Which queries make up each batch.

    Args:
        rows: `[n_batches, batch_size]` query numbers, -1 where a batch is not full.
        length: `[n_batches]` the history length that each batch is padded to, in events.
    """

    rows: npt.NDArray[np.int32]
    length: npt.NDArray[np.int32]

    def shard(self, index: int, count: int) -> "EpochPlan":
        """Every `count`-th batch from batch `index` on; trailing batches that do not fill a round are dropped."""
        usable = len(self.length) // count * count
        return EpochPlan(self.rows[index:usable:count], self.length[index:usable:count])


def bucket_lengths(history_length: int, shortest: int = 32) -> list[int]:
    """Padded lengths, 2^n and 1.5 x 2^n up to and including `history_length`: a third is padding at most."""
    steps = (length for power in range(32) for length in (shortest << power, 3 * (shortest << power) // 2))
    return [*(length for length in steps if length < history_length), history_length]


def plan_epoch(
    timelines: Timelines,
    queries: Queries,
    *,
    batch_size: int,
    history_length: int,
    seed: int | None = None,
    epoch: int = 0,
) -> EpochPlan:
    """Divide the queries into batches of similar history length.

    Args:
        timelines: the events.
        queries: the questions.
        batch_size: queries per batch.
        history_length: the most recent events that are looked at.
        seed: shuffles queries within and across buckets, anew in every epoch; None keeps their order within a bucket.
        epoch: number of the pass, from 0.
    """
    generator = np.random.default_rng((seed, epoch)) if seed is not None else None
    order = np.arange(len(queries)) if generator is None else generator.permutation(len(queries))
    visible = np.minimum(queries.end - timelines.offsets[queries.user], history_length)[order]
    lengths = bucket_lengths(history_length)
    bucket = np.searchsorted(lengths, visible)
    rows, length = [], []
    for number, padded in enumerate(lengths):
        members = order[bucket == number].astype(np.int32)
        batches = -(-len(members) // batch_size)
        full = np.full(batches * batch_size, -1, np.int32)
        full[: len(members)] = members
        rows.append(full.reshape(batches, batch_size))
        length.append(np.full(batches, padded, np.int32))
    plan = EpochPlan(np.concatenate(rows), np.concatenate(length))
    if generator is None:
        return plan
    shuffled = generator.permutation(len(plan.length))
    return EpochPlan(plan.rows[shuffled], plan.length[shuffled])


@dataclass(frozen=True)
class Questions:
    """Questions to train on, pass after pass.

    Args:
        timelines: all events; a question sees what was before it.
        queries: the questions.
        batch_size: questions per step.
        history_length: the most recent events that are looked at.
        max_targets: targets of one question that count.
        seed: of the order.
        discoveries: further targets of each question.
    """

    timelines: Timelines
    queries: Queries
    batch_size: int
    history_length: int
    max_targets: int
    seed: int
    discoveries: Discoveries | None = None

    @cached_property
    def steps(self) -> int:
        """Steps of one pass."""
        return len(self.plan(0).length)

    def plan(self, epoch: int) -> EpochPlan:
        """The batches of a pass."""
        return plan_epoch(
            self.timelines,
            self.queries,
            batch_size=self.batch_size,
            history_length=self.history_length,
            seed=self.seed,
            epoch=epoch,
        )

    def batches(self, epoch: int, first: int, last: int) -> tf.data.Dataset:
        """The batches `first` up to `last` of a pass."""
        plan = self.plan(epoch)
        plan = EpochPlan(plan.rows[:last], plan.length[:last])
        return batches(
            self.timelines,
            self.queries,
            plan,
            max_targets=self.max_targets,
            start=first,
            discoveries=self.discoveries,
        )


def batches(
    timelines: Timelines,
    queries: Queries,
    plan: EpochPlan,
    *,
    max_targets: int | None = None,
    start: int = 0,
    discoveries: Discoveries | None = None,
) -> tf.data.Dataset:
    """The batches of a plan, from batch number `start` on.

    Args:
        timelines: the events.
        queries: the questions.
        plan: which query goes where.
        max_targets: width of the target matrix; None makes it as wide as the largest basket.
        start: batches already consumed; the stream continues exactly where it was left.
        discoveries: further targets of each question, see `data_pipelines.discoveries`.

    Returns:
        A dataset of `(inputs, targets)`. Inputs: `user` `[batch]`, `time` `[batch]` int64 seconds, and `event_item`,
        `event_type` `[batch, length]` int32 and `event_time` `[batch, length]` int64, oldest event first, padded with
        zeros on the right. Targets: `target_item` `[batch, max_targets]` padded with 0, `weight` `[batch]` float32,
        0 where the batch is not full, and with discoveries `discovered_item`, as `target_item`.
    """
    widest = int(np.diff(queries.target_offsets).max(initial=1))
    width = min(widest, max_targets) if max_targets else widest
    begin = tf.constant(timelines.offsets[queries.user])
    end = tf.constant(queries.end)
    user, time = tf.constant(queries.user), tf.constant(queries.time)
    item, kind = tf.constant(_not_empty(timelines.item)), tf.constant(_not_empty(timelines.event_type))
    event_time = tf.constant(_not_empty(timelines.time))
    target_begin = tf.constant(queries.target_offsets[:-1])
    target_end = tf.constant(queries.target_offsets[1:])
    target = tf.constant(_not_empty(queries.target_item))
    if discoveries is not None:
        found_begin, found_end = tf.constant(discoveries.begin), tf.constant(discoveries.end)
        found = tf.constant(_not_empty(discoveries.item))

    def window(values: tf.Tensor, first: tf.Tensor, last: tf.Tensor, length: tf.Tensor) -> tf.Tensor:
        position = first[:, None] + tf.range(length, dtype=tf.int64)[None, :]  # [batch, length]
        inside = position < last[:, None]
        return tf.where(inside, tf.gather(values, tf.where(inside, position, 0)), tf.zeros([], values.dtype))

    def load(rows: tf.Tensor, length: tf.Tensor) -> tuple[dict[str, tf.Tensor], dict[str, tf.Tensor]]:
        real = rows >= 0
        rows = tf.maximum(rows, 0)
        last = tf.where(real, tf.gather(end, rows), 0)
        first = tf.maximum(tf.gather(begin, rows), last - tf.cast(length, tf.int64))
        inputs = {
            USER: tf.gather(user, rows),
            TIME: tf.gather(time, rows),
            EVENT_ITEM: window(item, first, last, length),
            EVENT_KIND: window(kind, first, last, length),
            EVENT_TIME: window(event_time, first, last, length),
        }
        target_last = tf.where(real, tf.gather(target_end, rows), 0)
        targets = {
            TARGET_ITEM: window(target, tf.gather(target_begin, rows), target_last, tf.constant(width)),
            WEIGHT: tf.cast(real, tf.float32),
        }
        if discoveries is not None:
            found_last = tf.where(real, tf.gather(found_end, rows), 0)
            targets[DISCOVERED_ITEM] = window(found, tf.gather(found_begin, rows), found_last, tf.constant(width))
        return inputs, targets

    plan_rows, plan_length = tf.constant(plan.rows), tf.constant(plan.length)
    dataset = tf.data.Dataset.range(start, len(plan.length))
    dataset = dataset.map(lambda i: load(plan_rows[i], plan_length[i]), num_parallel_calls=2, deterministic=True)
    return dataset.prefetch(tf.data.AUTOTUNE)


def _not_empty(values: npt.NDArray[np.generic]) -> npt.NDArray[np.generic]:
    """One zero in place of nothing, so that a masked gather has something to read."""
    return values if len(values) else np.zeros(1, values.dtype)
