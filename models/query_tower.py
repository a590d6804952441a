"""Query tower: one vector for a user at a moment, from what they did, who they are and when they ask.

Its branches, each optional so that an ablation can tell what earns its place:

- an LSTM over the last baskets (Hidasi et al., "Session-based Recommendations with Recurrent Neural Networks", ICLR
  2016): the items of a basket are summed and normalised by the square root of their number, and event type, time gap
  and basket size are added; where every event has its own time, a basket is one event;
- bags of the history decayed by age at several half-lives (a linear, long memory beside the LSTM's short one);
- the user's id and attributes; the weekday, hour and time since the last event of the request.
"""

from typing import Any

import keras
from keras import ops

from data_pipelines.schema import UNKNOWN
from models.attributes import AttributeEmbedding, AttributeSpec
from models.history import SECONDS_PER_DAY, History, decay, segment_sum

Tensor = Any
ARGUMENTS = (
    "user_specs",
    "n_users",
    "n_event_types",
    "dim",
    "lstm_units",
    "sequence_events",
    "sequence_baskets",
    "bag_half_lives_days",
    "use_user",
    "use_context",
    "user_dropout",
    "dropout",
    "use_cudnn",
)


@keras.saving.register_keras_serializable(package="supplytower")
class QueryTower(keras.layers.Layer):
    """Embed a request.

    Args:
        user_specs: the user attributes.
        n_users: user vocabulary size.
        n_event_types: event type vocabulary size.
        dim: width of the query vector, and of the item vectors in the history.
        lstm_units: width of the LSTM state; 0 leaves the branch out.
        sequence_events: the most recent events that the LSTM and the bags see.
        sequence_baskets: LSTM steps; older baskets are summed into the first step.
        bag_half_lives_days: one decayed bag per half-life; empty leaves the branch out.
        use_user: include user id and attributes.
        use_context: include weekday, hour and time since the last event.
        user_dropout: probability that the user's id and attributes are hidden in a training step.
        dropout: share of history events dropped, and of the joined branches' units.
        use_cudnn: force (or forbid) the cuDNN kernel; "auto" takes it where there is one.
    """

    def __init__(
        self,
        user_specs: list[AttributeSpec],
        n_users: int,
        n_event_types: int,
        dim: int,
        lstm_units: int = 64,
        sequence_events: int = 256,
        sequence_baskets: int = 32,
        bag_half_lives_days: tuple[float, ...] = (14.0, 90.0),
        use_user: bool = True,
        use_context: bool = True,
        user_dropout: float = 0.3,
        dropout: float = 0.2,
        use_cudnn: bool | str = "auto",
        **kwargs: Any,
    ):
        super().__init__(autocast=False, **kwargs)  # ages stay float32 in mixed precision
        self.user_specs, self.n_users, self.n_event_types, self.dim = user_specs, n_users, n_event_types, dim
        self.lstm_units, self.sequence_events, self.sequence_baskets = lstm_units, sequence_events, sequence_baskets
        self.bag_half_lives_days = tuple(bag_half_lives_days)
        self.use_user, self.use_context = use_user, use_context
        self.user_dropout, self.dropout, self.use_cudnn = user_dropout, dropout, use_cudnn
        if lstm_units:
            self.event_type_embedding = keras.layers.Embedding(n_event_types, dim, name="event_type")
            self.gap_projection = keras.layers.Dense(dim, use_bias=False, name="gap")
            self.lstm = keras.layers.LSTM(lstm_units, use_cudnn=use_cudnn, name="lstm")
        if use_user:
            zeros = keras.initializers.Zeros()  # an untrained user is no different from an unknown one
            self.user_id = keras.layers.Embedding(n_users, dim, embeddings_initializer=zeros, name="user_id")
            self.user_attributes = AttributeEmbedding(user_specs, n_users, dim, name="user_attributes")
        if use_context:
            self.hour = keras.layers.Embedding(24, 16, name="hour")
            self.weekday = keras.layers.Embedding(7, 16, name="weekday")
            self.recency = keras.layers.Dense(16, activation="tanh", name="recency")
        self.event_dropout = keras.layers.Dropout(dropout, noise_shape=(None, None, 1), name="event_dropout")
        self.joined_dropout = keras.layers.Dropout(dropout, name="joined_dropout")
        self.joined = keras.layers.Dense(dim, name="joined")
        self.seed_generator = keras.random.SeedGenerator()

    def call(
        self, user: Tensor, time: Tensor, history: History, events: History, vectors: Tensor, training: bool = False
    ) -> Tensor:
        """Embed requests.

        Args:
            user: `[batch]` user index.
            time: `[batch]` seconds since 1970-01-01 UTC of the request.
            history: the whole visible history.
            events: the most recent `sequence_events` of it, `[batch, length]`.
            vectors: `[batch, length, dim]` item vectors of `events`, zero where padded.
            training: whether to drop out.

        Returns:
            `[batch, dim]`.
        """
        vectors = self.event_dropout(vectors, training=training)
        branches = []
        if self.lstm_units:
            branches.append(self._sequence(events, vectors, training))
        branches.extend(self._bags(events, vectors))
        if self.use_user:
            branches.append(self._user(user, training))
        if self.use_context:
            branches.append(self._context(time, history))
        return self.joined(self.joined_dropout(ops.concatenate(branches, axis=-1), training=training))

    def _sequence(self, events: History, vectors: Tensor, training: bool) -> Tensor:
        """LSTM state after the last basket, `[batch, lstm_units]`."""
        steps = self.sequence_baskets
        real = ops.cast(events.mask, vectors.dtype)[..., None]  # [batch, length, 1]
        vectors = vectors + self.event_type_embedding(events.event_type) * real
        n_steps = ops.minimum(events.n_baskets, steps)  # [batch]
        step = ops.clip(n_steps[:, None] - 1 - events.basket, 0, steps - 1)  # oldest basket first
        age = ops.cast(events.age_days, vectors.dtype)[..., None]
        columns = ops.concatenate([vectors, real, age * real], axis=-1)
        summed = segment_sum(columns, step, steps)  # [batch, steps, dim + 2]
        count = summed[..., -2:-1]
        filled = ops.squeeze(count, -1) > 0  # [batch, steps]
        size = ops.maximum(count, 1.0)
        age = summed[..., -1:] / size  # [batch, steps, 1]
        gap = ops.concatenate([ops.zeros_like(age[:, :1]), ops.maximum(age[:, :-1] - age[:, 1:], 0.0)], axis=1)
        numbers = ops.concatenate([ops.log1p(gap), ops.log1p(age), ops.log1p(count)], axis=-1)
        inputs = summed[..., :-2] / ops.sqrt(size) + self.gap_projection(numbers)
        first = ops.arange(steps)[None, :] == 0  # cuDNN refuses a fully masked row: an empty history is one zero step
        mask = ops.logical_or(filled, first)
        return self.lstm(inputs * ops.cast(filled, inputs.dtype)[..., None], mask=mask, training=training)

    def _bags(self, events: History, vectors: Tensor) -> list[Tensor]:
        """Decayed bags, each `[batch, dim]`."""
        if not self.bag_half_lives_days:
            return []
        real = ops.cast(events.mask, "float32")[..., None]
        weight = decay(events.age_days, self.bag_half_lives_days) * real  # [batch, length, half-life]
        weight = weight / ops.sqrt(ops.sum(ops.square(weight), axis=1, keepdims=True) + 1e-6)
        bags = ops.matmul(ops.transpose(ops.cast(weight, vectors.dtype), (0, 2, 1)), vectors)
        return ops.unstack(bags, len(self.bag_half_lives_days), axis=1)

    def _user(self, user: Tensor, training: bool) -> Tensor:
        """Who asks, `[batch, dim]`."""
        if training and self.user_dropout > 0:
            hidden = keras.random.uniform(ops.shape(user), seed=self.seed_generator) < self.user_dropout
            user = ops.where(hidden, UNKNOWN, user)
        return self.user_id(user) + self.user_attributes(user)

    def _context(self, time: Tensor, history: History) -> Tensor:
        """When they ask, `[batch, 48]`."""
        day = time // int(SECONDS_PER_DAY)
        weekday = ops.cast((day + 3) % 7, "int32")  # 1970-01-01 was a Thursday; 0 is Monday
        hour = ops.cast(time // 3600 % 24, "int32")
        oldest_first = ops.where(history.mask, history.age_days, 1e6)
        since_last = ops.where(history.n_baskets > 0, ops.min(oldest_first, axis=1), 0.0)
        numbers = [ops.log1p(since_last), ops.log1p(ops.cast(history.n_baskets, "float32"))]
        recency = self.recency(ops.stack(numbers, axis=-1))
        return ops.concatenate([self.weekday(weekday), self.hour(hour), recency], axis=-1)

    def get_config(self) -> dict[str, Any]:
        """Constructor arguments."""
        return {**super().get_config(), **{name: getattr(self, name) for name in ARGUMENTS}}
