"""What a history tells about itself, derived in the graph from raw events: training and serving cannot differ.

Everything is written with `keras.ops` on right-padded `[batch, length]` arrays. Events of one user that share a
timestamp are one basket.
"""

import math
from typing import Any, NamedTuple

from keras import ops

from data_pipelines.schema import PADDING

SECONDS_PER_DAY = 86_400.0
Tensor = Any


class History(NamedTuple):
    """A batch of histories with their basic derived quantities.

    Args:
        item: `[batch, length]` item index, 0 is padding (on the right).
        event_type: `[batch, length]` event type index.
        mask: `[batch, length]` True for real events.
        age_days: `[batch, length]` days between the event and the request, never negative.
        basket: `[batch, length]` baskets after this event's one: 0 for the most recent basket.
        n_baskets: `[batch]` number of baskets.
    """

    item: Tensor
    event_type: Tensor
    mask: Tensor
    age_days: Tensor
    basket: Tensor
    n_baskets: Tensor

    def last(self, count: int) -> "History":
        """Only the most recent `count` events of each history, right-padded again."""
        length = ops.shape(self.item)[1]
        events = ops.sum(ops.cast(self.mask, "int32"), axis=1, keepdims=True)  # [batch, 1]
        width = ops.minimum(length, count) if not isinstance(length, int) else min(length, count)
        position = ops.maximum(events - count, 0) + ops.arange(width, dtype="int32")[None, :]  # [batch, width]
        inside = position < events
        position = ops.where(inside, position, 0)

        def gather(values: Tensor) -> Tensor:
            return ops.take_along_axis(values, position, axis=1)

        return History(
            ops.where(inside, gather(self.item), PADDING),
            ops.where(inside, gather(self.event_type), PADDING),
            inside,
            gather(self.age_days),
            gather(self.basket),
            self.n_baskets,
        )


def read_history(item: Tensor, event_type: Tensor, time: Tensor, request_time: Tensor) -> History:
    """Derive ages and baskets.

    Args:
        item: `[batch, length]` item index, 0 for padding.
        event_type: `[batch, length]` event type index.
        time: `[batch, length]` seconds since 1970-01-01 UTC, ascending.
        request_time: `[batch]` seconds since 1970-01-01 UTC.
    """
    mask = ops.not_equal(item, PADDING)
    age_days = ops.cast(ops.maximum(request_time[:, None] - time, 0), "float32") / SECONDS_PER_DAY
    age_days = ops.where(mask, age_days, 0.0)
    begins = ops.cast(ops.not_equal(time[:, 1:], time[:, :-1]), "int32")
    begins = ops.concatenate([ops.ones_like(item[:, :1]), begins], axis=1) * ops.cast(mask, "int32")  # [batch, length]
    number = ops.cumsum(begins, axis=1)  # 1 for the oldest basket
    n_baskets = ops.sum(begins, axis=1)
    basket = ops.where(mask, n_baskets[:, None] - number, 0)
    return History(item, event_type, mask, age_days, basket, n_baskets)


def decay(age: Tensor, half_lives: tuple[float, ...]) -> Tensor:
    """What is left of one after `age`, `[..., n_half_lives]`: `2^(-age / half-life)`, as `exp` since `pow` is slow."""
    rates = ops.cast([-math.log(2.0) / half_life for half_life in half_lives], "float32")
    return ops.exp(age[..., None] * rates)


def segment_sum(values: Tensor, segment: Tensor, n_segments: int | Tensor) -> Tensor:
    """Sum the entries of each row into that row's segments.

    Args:
        values: `[batch, length, dim]`.
        segment: `[batch, length]` segment number below `n_segments`.
        n_segments: segments per row.

    Returns:
        `[batch, n_segments, dim]`.
    """
    batch = ops.shape(values)[0]
    row = ops.arange(batch, dtype="int32")[:, None] * n_segments
    flat = ops.reshape(row + segment, (-1,))  # [batch * length]
    dim = ops.shape(values)[2]
    summed = ops.segment_sum(ops.reshape(values, (-1, dim)), flat, num_segments=batch * n_segments)
    return ops.reshape(summed, (batch, n_segments, dim))
