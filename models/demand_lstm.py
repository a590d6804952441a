"""The demand forecaster: a global LSTM with a direct multi-horizon decoder, a mean head and a quantile head.

    log mean(t + h) = log scale + gate * log(baseline / scale) + f(LSTM state, known future, season, category)
    quantile_j      = mean + spread * (z_0 + sum of softplus steps up to j),  spread = a mean + sqrt(mean)

All series share the weights; what differs in size is divided away by each series' own recent mean, which a model can
only do fairly inside the graph: a client sends plain numbers and dates. The decoder sees, for every day ahead, what is
planned for it, the calendar, and what the series sold on the same weekdays lately and a year ago. Days that were not
observed (NaN) are neither learnt from nor taken for zero.

Reference: Wen et al., "A Multi-Horizon Quantile Recurrent Forecaster", 2017; Salinas et al., "DeepAR", 2020 (scaling,
negative binomial likelihood); Makridakis et al., "The M5 competition", 2022 (Tweedie loss, RMSSE).
"""

from typing import Any

import keras
import numpy as np
import numpy.typing as npt
from keras import ops

from models.calendar import Calendar

Tensor = Any
WEEKS = (1, 2, 4, 8)
"""Seasons over which the same season's demand is averaged."""
RECENT = (7, 28, 84)
"""Steps over which recent demand is averaged."""
SMALLEST_SCALE = 0.01
LARGEST_CHANGE = 6.0
"""Of the log mean, beside the baseline; far more than any real one, but no exponential runs away in early training."""
TWEEDIE_POWER = 1.3
SPREAD_OF_MEAN = 0.2


@keras.saving.register_keras_serializable(package="supplytower")
class DemandLSTM(keras.Model):
    """Forecast a batch of series.

    Called with a dictionary:
        demand: `[batch, time]` units before the origin, NaN where not observed; any length from 1 on.
        start_day: `[batch]` day since 1970-01-01 of the first of them.
        numeric: `[batch, time + horizon, n_numeric]` covariates, NaN where unknown.
        categorical: `[batch, time + horizon, n_categorical]` codes, 0 is none.
        static: `[batch, n_static]` codes, 0 is unknown.
    The horizon is whatever the covariates reach beyond `demand`, up to the one that was trained.

    Args:
        horizon: steps ahead at the most.
        levels: quantile levels, ascending.
        planned: `[n_numeric]` whether a covariate's future is known; of the others the last value is taken.
        categorical_sizes: vocabulary size of each categorical covariate.
        static_sizes: vocabulary size of each static category.
        context: steps of history that the LSTM reads.
        season: steps in a week; 1 for weekly data.
        year: steps in a year, a multiple of the season.
        step_days: days in a step.
        units: width of the LSTM state.
        hidden: width of the decoder.
        dim: width of static embeddings.
        dropout: in the decoder and on its inputs.
        static_dropout: probability that a static category is hidden in a training step.
        history_dropout: probability that a training window is cut to a few days, as if the product were new.
        head: loss of the mean: `negative_binomial`, `tweedie` or `rmsse`.
        country: whose holidays the calendar knows.
        yearly: whether the calendar tells the time of the year.
        use_cudnn: force (or forbid) the cuDNN kernel.
    """

    def __init__(
        self,
        horizon: int,
        levels: tuple[float, ...],
        planned: tuple[bool, ...] = (),
        categorical_sizes: tuple[int, ...] = (),
        static_sizes: tuple[int, ...] = (),
        context: int = 84,
        season: int = 7,
        year: int = 364,
        step_days: int = 1,
        units: int = 64,
        hidden: int = 128,
        dim: int = 8,
        dropout: float = 0.1,
        static_dropout: float = 0.1,
        history_dropout: float = 0.1,
        head: str = "negative_binomial",
        country: str | None = "US",
        yearly: bool = True,
        use_cudnn: bool | str = "auto",
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        self.arguments = {
            "horizon": horizon,
            "levels": tuple(levels),
            "planned": tuple(planned),
            "categorical_sizes": tuple(categorical_sizes),
            "static_sizes": tuple(static_sizes),
            "context": context,
            "season": season,
            "year": year,
            "step_days": step_days,
            "units": units,
            "hidden": hidden,
            "dim": dim,
            "dropout": dropout,
            "static_dropout": static_dropout,
            "history_dropout": history_dropout,
            "head": head,
            "country": country,
            "yearly": yearly,
            "use_cudnn": use_cudnn,
        }
        self.horizon, self.levels, self.planned = horizon, tuple(levels), tuple(planned)
        self.context, self.season, self.year, self.step_days = context, season, year, step_days
        self.static_dropout, self.history_dropout, self.head = static_dropout, history_dropout, head
        # steps that are looked at; not `history`, which `fit` writes
        self.memory = year + max(context, max(WEEKS) * season) + season
        self.calendar = Calendar(country, yearly, name="calendar")
        self.static_embeddings = [
            keras.layers.Embedding(size, dim, name=f"static_{i}") for i, size in enumerate(static_sizes)
        ]
        self.categorical_embeddings = [
            keras.layers.Embedding(size, 4, name=f"categorical_{i}") for i, size in enumerate(categorical_sizes)
        ]
        self.lstm = keras.layers.LSTM(units, use_cudnn=use_cudnn, name="lstm")
        self.horizon_embedding = keras.layers.Embedding(horizon, 8, name="horizon")
        self.from_state = keras.layers.Dense(hidden, name="from_state")
        self.from_step = keras.layers.Dense(hidden, use_bias=False, name="from_step")
        self.drop = keras.layers.Dropout(dropout, name="drop")
        self.decoder = keras.layers.Dense(hidden, activation="relu", name="decoder")
        small = keras.initializers.RandomNormal(stddev=0.01)
        self.mean_output = keras.layers.Dense(3, kernel_initializer=small, name="mean_output")  # f, gate, dispersion
        self.quantile_hidden = keras.layers.Dense(hidden // 2, activation="relu", name="quantile_hidden")
        self.quantile_output = keras.layers.Dense(len(levels), kernel_initializer=small, name="quantile_output")
        self.seed_generator = keras.random.SeedGenerator()
        self.loss_tracker = keras.metrics.Mean(name="loss")
        self.mean_loss_tracker = keras.metrics.Mean(name="mean_loss")
        self.quantile_loss_tracker = keras.metrics.Mean(name="quantile_loss")

    def build(self, input_shape: Any = None) -> None:
        """Create what is known of the panel as a whole."""
        fixed = {"trainable": False, "autocast": False}
        n_numeric = len(self.planned)
        self.numeric_mean = self.add_weight(shape=(n_numeric,), initializer="zeros", name="numeric_mean", **fixed)
        self.numeric_scale = self.add_weight(shape=(n_numeric,), initializer="ones", name="numeric_scale", **fixed)
        self.calibration = self.add_weight(shape=(len(self.levels),), initializer="zeros", name="calibration", **fixed)
        self.built = True

    def set_tables(self, numeric: npt.NDArray[np.float32]) -> None:
        """Learn the size of the covariates; call before training.

        Args:
            numeric: `[n, time, n_numeric]` of the training period.
        """
        if numeric.shape[-1]:
            flat = numeric.reshape(-1, numeric.shape[-1])
            self.numeric_mean.assign(np.nan_to_num(np.nanmean(flat, axis=0)))
            self.numeric_scale.assign(np.maximum(np.nan_to_num(np.nanstd(flat, axis=0)), 1e-6))

    def call(self, inputs: dict[str, Tensor], training: bool = False) -> dict[str, Tensor]:
        """Forecast.

        Returns:
            `mean` `[batch, horizon]`, `dispersion` `[batch, horizon]` of the negative binomial, `scale` `[batch, 1]`
            and `quantiles` `[batch, horizon, n_levels]`, which may still be negative.
        """
        demand, observed = self._history(inputs["demand"], training)  # [batch, memory]
        length = ops.shape(inputs["demand"])[1]
        steps = ops.shape(inputs["numeric"])[1] - length
        ahead = ops.arange(steps, dtype="int32")  # [horizon]
        scale = self._scale(demand, observed)  # [batch, 1]
        level = ops.log1p(demand / scale) * observed
        static = self._static(inputs["static"], training)

        first = inputs["start_day"][:, None] + self.step_days * length  # the origin's day
        past_days = first + self.step_days * ops.arange(-self.context, 0, dtype="int32")[None, :]
        past_known, future_known = self._covariates(inputs, length)
        past = ops.concatenate(
            [
                level[:, -self.context :, None],
                observed[:, -self.context :, None],
                self.calendar(past_days),
                past_known,
            ],
            axis=-1,
        )  # [batch, context, features]
        state = ops.concatenate([self.lstm(past), static, self._summary(level, observed, scale)], axis=-1)

        seasonal, baseline = self._seasonal(demand, observed, scale, ahead)
        days = first + self.step_days * ahead[None, :]
        position = ops.broadcast_to(self.horizon_embedding(ahead)[None], (ops.shape(demand)[0], steps, 8))
        step = ops.concatenate([seasonal, self.calendar(days), future_known, position], axis=-1)
        hidden = ops.relu(self.from_state(self.drop(state, training=training))[:, None, :] + self.from_step(step))
        hidden = self.drop(self.decoder(hidden), training=training)  # [batch, horizon, hidden]
        f, gate, dispersion = ops.unstack(self.mean_output(hidden), 3, axis=-1)
        change = LARGEST_CHANGE * ops.tanh(f / LARGEST_CHANGE)
        mean = ops.exp(ops.log(scale) + ops.sigmoid(gate + 1.0) * baseline + change)
        return {
            "mean": mean,
            "dispersion": ops.exp(ops.clip(dispersion, -6.0, 6.0)),
            "scale": scale,
            "quantiles": self._quantiles(mean, hidden),
        }

    def _history(self, demand: Tensor, training: bool) -> tuple[Tensor, Tensor]:
        """The last `memory` steps with zeros where nothing was observed, and 1 where something was."""
        batch = ops.shape(demand)[0]
        missing = ops.full((batch, self.memory), np.nan)
        demand = ops.concatenate([missing, demand], axis=1)[:, -self.memory :]
        observed = ops.cast(ops.logical_not(ops.isnan(demand)), "float32")
        if training and self.history_dropout:
            new = keras.random.uniform((batch, 1), seed=self.seed_generator) < self.history_dropout
            days = keras.random.uniform((batch, 1), 1.0, 29.0, seed=self.seed_generator)  # of nothing at all, a loss in
            # multiples of the scale would be as large as that of everything else
            age = ops.cast(ops.arange(self.memory, 0, -1, dtype="int32"), "float32")[None, :]
            observed = observed * ops.cast(ops.logical_or(ops.logical_not(new), age <= days), "float32")
        return ops.where(observed > 0, demand, 0.0), observed

    def _scale(self, demand: Tensor, observed: Tensor) -> Tensor:
        """Recent mean demand, `[batch, 1]`; small but positive where nothing was sold."""
        recent = ops.sum(demand[:, -28:], axis=1, keepdims=True)
        days = ops.sum(observed[:, -28:], axis=1, keepdims=True)
        longer = ops.sum(demand[:, -self.context :], axis=1, keepdims=True)
        longer_days = ops.sum(observed[:, -self.context :], axis=1, keepdims=True)
        rate = (longer + 0.1) / (longer_days + 1.0)
        return ops.maximum((recent + 7.0 * rate) / (days + 7.0), SMALLEST_SCALE)

    def _summary(self, level: Tensor, observed: Tensor, scale: Tensor) -> Tensor:
        """How much, how often and for how long, `[batch, features]`."""
        columns = [ops.log(scale), ops.log1p(ops.sum(observed, axis=1, keepdims=True)) / 5.0]
        for days in RECENT:
            columns.append(_mean(level[:, -days:], observed[:, -days:]))
            sold = ops.cast(level[:, -days:] > 0, "float32")
            columns.append(_mean(sold, observed[:, -days:]))
        year_ago = slice(-self.year - 28, -self.year)
        columns.append(_mean(level[:, year_ago], observed[:, year_ago]))
        columns.append(ops.mean(observed[:, year_ago], axis=1, keepdims=True))
        return ops.concatenate(columns, axis=-1)

    def _seasonal(self, demand: Tensor, observed: Tensor, scale: Tensor, ahead: Tensor) -> tuple[Tensor, Tensor]:
        """Demand in the same season lately and a year ago, `[batch, horizon, features]`, and the log baseline."""
        back = -(ahead // self.season + 1) * self.season + ahead  # the last such season before the origin, negative
        columns, sums, counts = [], 0.0, 0.0
        baseline = None
        for number in range(max(WEEKS)):
            at = self.memory + back - number * self.season
            sums = sums + ops.take(demand, at, axis=1)
            counts = counts + ops.take(observed, at, axis=1)
            if number + 1 in WEEKS:
                average = (sums / scale + 1.0) / (counts + 1.0)
                columns.append(ops.log1p(average))
            if number + 1 == 4:
                baseline = ops.log((sums / scale + 0.5) / (counts + 0.5))
        year_ago = self.memory + ahead - self.year
        inside = ops.clip(year_ago, 0, self.memory - 1)
        local = slice(self.memory - self.year - 28, self.memory - self.year)
        known = observed[:, local]
        usual = (ops.sum(demand[:, local], axis=1, keepdims=True) + scale) / (
            ops.sum(known, axis=1, keepdims=True) + 1.0
        )
        for shift in (0, self.season, -self.season):
            at = ops.clip(inside + shift, 0, self.memory - 1)
            there = ops.take(observed, at, axis=1)
            columns += [ops.log((ops.take(demand, at, axis=1) + 0.1 * usual) / (1.1 * usual)) * there, there]
        return ops.stack(columns, axis=-1), baseline

    def _static(self, codes: Tensor, training: bool) -> Tensor:
        """Embedded categories, `[batch, n_static * dim]`; code 0 is learnt as "unknown" by hiding some."""
        if not self.static_embeddings:
            return ops.zeros((ops.shape(codes)[0], 0))
        if training and self.static_dropout:
            kept = keras.random.uniform(ops.shape(codes), seed=self.seed_generator) >= self.static_dropout
            codes = codes * ops.cast(kept, codes.dtype)
        return ops.concatenate([layer(codes[:, i]) for i, layer in enumerate(self.static_embeddings)], axis=-1)

    def _covariates(self, inputs: dict[str, Tensor], length: Tensor) -> tuple[Tensor, Tensor]:
        """Covariates of the context and of the horizon, `[batch, context | horizon, features]`, scaled and embedded."""
        numeric, categorical = inputs["numeric"], inputs["categorical"]
        parts = []
        if self.planned:
            known = ops.cast(ops.logical_not(ops.isnan(numeric)), "float32")
            scaled = ops.where(known > 0, (numeric - self.numeric_mean) / self.numeric_scale, 0.0)
            ahead = ops.shape(numeric)[1] - length
            last = ops.repeat(scaled[:, length - 1 : length], ahead, axis=1)
            planned = np.array(self.planned)[None, None, :]
            scaled = ops.concatenate([scaled[:, :length], ops.where(planned, scaled[:, length:], last)], axis=1)
            change = ops.concatenate([scaled[:, :length], scaled[:, length:] - last], axis=1)
            parts += [ops.clip(scaled, -8.0, 8.0), ops.clip(change, -8.0, 8.0)]
        parts += [layer(categorical[:, :, i]) for i, layer in enumerate(self.categorical_embeddings)]
        parts.append(ops.zeros((*ops.shape(numeric)[:2], 1)))  # so that there is something to join
        known = ops.concatenate(parts, axis=-1)
        nothing = ops.zeros_like(ops.repeat(known[:, :1], self.context, axis=1))
        past = ops.concatenate([nothing, known[:, :length]], axis=1)[:, -self.context :]
        return past, known[:, length:]

    def _quantiles(self, mean: Tensor, hidden: Tensor) -> Tensor:
        """Ascending quantiles around the mean; the mean is not moved by their loss."""
        mean = ops.stop_gradient(mean)[..., None]
        spread = SPREAD_OF_MEAN * mean + ops.sqrt(mean)
        normal = np.array([_normal_quantile(level) for level in self.levels], np.float32)
        start = np.concatenate([normal[:1], _inverse_softplus(np.diff(normal))])
        raw = self.quantile_output(self.quantile_hidden(ops.stop_gradient(hidden))) + start
        steps = ops.concatenate([raw[..., :1], ops.softplus(raw[..., 1:])], axis=-1)
        return mean + spread * ops.cumsum(steps, axis=-1)

    def compute_loss(
        self, x: Any = None, y: Any = None, y_pred: Any = None, sample_weight: Any = None, training: bool = True
    ) -> Tensor:
        """Weighted mean over the observed days of the loss of the mean and the pinball loss."""
        actual = y["actual"]
        known = ops.cast(ops.logical_not(ops.isnan(actual)), "float32")
        actual = ops.where(known > 0, actual, 0.0)
        weight = known * y["weight"][:, None]
        weight = weight / ops.maximum(ops.sum(weight), 1e-6)
        mean_loss = ops.sum(weight * self._mean_loss(actual, y_pred))
        levels = np.array(self.levels, np.float32)
        difference = actual[..., None] - y_pred["quantiles"]
        pinball = ops.mean(ops.maximum(levels * difference, (levels - 1.0) * difference), axis=-1)
        even = known / ops.maximum(ops.sum(known), 1.0)
        quantile_loss = ops.sum(even * pinball / (y_pred["scale"] + 0.5))
        self.mean_loss_tracker.update_state(mean_loss)
        self.quantile_loss_tracker.update_state(quantile_loss)
        loss = mean_loss + quantile_loss
        self.loss_tracker.update_state(loss)
        return loss

    def _mean_loss(self, actual: Tensor, outputs: dict[str, Tensor]) -> Tensor:
        """`[batch, horizon]`."""
        mean, scale = outputs["mean"], outputs["scale"]
        if self.head == "tweedie":
            y, m = actual / scale, mean / scale
            return m ** (2.0 - TWEEDIE_POWER) / (2.0 - TWEEDIE_POWER) - y * m ** (1.0 - TWEEDIE_POWER) / (
                1.0 - TWEEDIE_POWER
            )
        if self.head == "rmsse":
            return ops.square((actual - mean) / scale)
        return negative_binomial_loss(actual, mean, outputs["dispersion"])

    @property
    def metrics(self) -> list[Any]:
        """The running losses."""
        return [self.loss_tracker, self.mean_loss_tracker, self.quantile_loss_tracker]

    def get_config(self) -> dict[str, Any]:
        """Constructor arguments."""
        return {**super().get_config(), **self.arguments}


def negative_binomial_loss(actual: Tensor, mean: Tensor, dispersion: Tensor) -> Tensor:
    """Negative log likelihood of counts with the given mean and variance `mean + mean^2 / dispersion`."""
    r = dispersion
    log_share = ops.log(r) - ops.log(r + mean)
    likelihood = (
        _log_gamma(actual + r)
        - _log_gamma(r)
        - _log_gamma(actual + 1.0)
        + r * log_share
        + actual * (ops.log(mean + 1e-8) - ops.log(r + mean))
    )
    return -likelihood


def _log_gamma(x: Tensor) -> Tensor:
    """Stirling's series after shifting the argument by 8: Keras has no log-gamma. Error below 1e-7 for x > 0."""
    shifted, product = x + 8.0, ops.log(x)
    for k in range(1, 8):
        product = product + ops.log(x + k)
    inverse = 1.0 / shifted
    series = inverse / 12.0 - inverse**3 / 360.0
    return (shifted - 0.5) * ops.log(shifted) - shifted + 0.9189385332 + series - product


def _mean(values: Tensor, observed: Tensor) -> Tensor:
    return ops.sum(values * observed, axis=1, keepdims=True) / (ops.sum(observed, axis=1, keepdims=True) + 1.0)


def _normal_quantile(level: float) -> float:
    from statistics import NormalDist

    return NormalDist().inv_cdf(level)


def _inverse_softplus(value: npt.NDArray[np.floating]) -> npt.NDArray[np.floating]:
    return np.log(np.expm1(value))
