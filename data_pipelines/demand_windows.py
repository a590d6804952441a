"""tf.data over a demand panel: windows of history and horizon, cut out of the panel inside the graph.

A window is a series and an origin, the first day that is not known yet. Which windows an epoch visits and in which
order is a function of (seed, epoch), made before the first batch is read, so that training can be resumed anywhere.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from data_pipelines.panel import Panel

DEMAND = "demand"
START_DAY = "start_day"
NUMERIC = "numeric"
CATEGORICAL = "categorical"
STATIC = "static"
ACTUAL = "actual"
WEIGHT = "weight"


@dataclass(frozen=True)
class Windows:
    """Which windows there are to learn from.

    Args:
        series: `[k]` row of the panel.
        origin: `[k]` column of the first step that is forecast.
    """

    series: npt.NDArray[np.int32]
    origin: npt.NDArray[np.int32]

    def __len__(self) -> int:
        """Number of windows."""
        return len(self.series)


def training_windows(panel: Panel, horizon: int) -> Windows:
    """Every origin of every series with a known day before it and its whole horizon within the panel.

    Args:
        panel: the series.
        horizon: steps ahead.
    """
    time = panel.time
    known = np.isfinite(panel.demand)
    first = np.where(known.any(axis=1), known.argmax(axis=1), time)
    origins = np.arange(time - horizon, 0, -1, dtype=np.int32)
    usable = origins[None, :] > first[:, None]  # [n, origins]
    series, column = np.nonzero(usable)
    return Windows(series.astype(np.int32), origins[column])


@dataclass(frozen=True)
class DemandExamples:
    """Windows to train on, pass after pass.

    Args:
        panel: the series, until the last day that may be learnt from.
        windows: the windows there are.
        batch_size: windows per step.
        steps: steps of one pass.
        history: steps before the origin.
        horizon: steps from the origin on.
        weight: `[n]` weight of every series in the loss.
        seed: of the order.
    """

    panel: Panel
    windows: Windows
    batch_size: int
    steps: int
    history: int
    horizon: int
    weight: npt.NDArray[np.float32]
    seed: int

    def batches(self, epoch: int, first: int, last: int) -> tf.data.Dataset:
        """The batches `first` up to `last` of a pass."""
        plan = plan_epoch(self.windows, self.batch_size, self.steps, self.seed, epoch)
        return batches(
            self.panel,
            self.windows,
            plan[:last],
            history=self.history,
            horizon=self.horizon,
            weight=self.weight,
            start=first,
        )


def plan_epoch(windows: Windows, batch_size: int, steps: int, seed: int, epoch: int) -> npt.NDArray[np.int64]:
    """Windows of every batch of a pass, `[steps, batch_size]`: a random order, none twice before all were once."""
    generator = np.random.default_rng((seed, epoch))
    wanted = steps * batch_size
    rounds = -(-wanted // max(len(windows), 1))
    order = np.concatenate([generator.permutation(len(windows)) for _ in range(rounds)])
    return order[:wanted].reshape(steps, batch_size)


def batches(
    panel: Panel,
    windows: Windows,
    plan: npt.NDArray[np.int64],
    *,
    history: int,
    horizon: int,
    weight: npt.NDArray[np.float32],
    start: int = 0,
) -> tf.data.Dataset:
    """The batches of a plan, from batch number `start` on.

    Args:
        panel: the series.
        windows: the windows that the plan numbers.
        plan: `[steps, batch_size]` windows of each batch.
        history: steps before the origin.
        horizon: steps from the origin on.
        weight: `[n]` weight of every series in the loss.
        start: batches already consumed.

    Returns:
        A dataset of `(inputs, targets)`: inputs as `models.demand_lstm.DemandLSTM` takes them, targets `actual`
        `[batch, horizon]` with NaN where not observed, and `weight` `[batch]`.
    """
    n, time = panel.demand.shape
    width = history + time + horizon
    demand = np.full((n, width), np.nan, np.float32)
    demand[:, history : history + time] = panel.demand
    numeric = _extended(panel.numeric, np.float32(np.nan), history, width)
    categorical = _extended(panel.categorical, np.int32(0), history, width)
    flat_demand = tf.constant(demand.reshape(-1))
    flat_numeric = tf.constant(numeric.reshape(n * width, -1))
    flat_categorical = tf.constant(categorical.reshape(n * width, -1))
    static, weights = tf.constant(panel.static), tf.constant(weight.astype(np.float32))
    series, origin = tf.constant(windows.series, tf.int64), tf.constant(windows.origin, tf.int64)
    first_day, step_days = panel.first_day, panel.step_days

    def load(rows: tf.Tensor) -> tuple[dict[str, tf.Tensor], dict[str, tf.Tensor]]:
        some, begins = tf.gather(series, rows), tf.gather(origin, rows)
        cell = (some * width + begins)[:, None] + tf.range(history + horizon, dtype=tf.int64)[None, :]
        values = tf.gather(flat_demand, cell)  # [batch, history + horizon]
        inputs = {
            DEMAND: values[:, :history],
            START_DAY: tf.cast(first_day + step_days * (begins - history), tf.int32),
            NUMERIC: tf.gather(flat_numeric, cell),
            CATEGORICAL: tf.gather(flat_categorical, cell),
            STATIC: tf.gather(static, some),
        }
        return inputs, {ACTUAL: values[:, history:], WEIGHT: tf.gather(weights, some)}

    plan_rows = tf.constant(plan)
    dataset = tf.data.Dataset.range(start, len(plan))
    dataset = dataset.map(lambda i: load(plan_rows[i]), num_parallel_calls=2, deterministic=True)
    return dataset.prefetch(tf.data.AUTOTUNE)


def _extended(values: npt.NDArray[np.generic], fill: np.generic, history: int, width: int) -> npt.NDArray[np.generic]:
    """`[n, time + future, k]` as `[n, width, k]`, shifted by the history, with `fill` where nothing is known."""
    result = np.full((values.shape[0], width, values.shape[2]), fill, values.dtype)
    known = min(values.shape[1], width - history)
    result[:, history : history + known] = values[:, :known]
    return result
