"""The forecaster's exported graph: plain numbers, dates and names in; mean and quantiles out.

    serving_default   demand [batch, time], start_date [batch], horizon, one input per covariate and category
                      -> mean [batch, horizon], quantiles [batch, horizon, levels], levels [levels]

`demand` is what was sold on each step from `start_date` ("2017-12-04") on, NaN where it is not known, of any length
from 1 on. A covariate has a column per step of the history and of the horizon; where it is shorter it is unknown from
there on, and one that cannot be known in advance is only read up to the end of the history. Categories that training
did not know are served by the vector that was reserved for unknown ones. Scaling, calendar and holidays are computed in
the graph by the model's own code, so training and serving cannot differ.
"""

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from data_pipelines import demand_windows
from data_pipelines.panel import Category, Panel
from data_pipelines.schema import DEMAND_HISTORY, HORIZON, LEVELS, MEAN, QUANTILES, SERVING_DEFAULT, START_DATE
from models.demand_lstm import DemandLSTM
from training.lstm_forecaster import average

Tensor = Any


class ForecastGraph:
    """Trained members as a TensorFlow function of raw requests.

    Args:
        members: models with kernels that every server has.
        panel: the series that they were trained on; only names and categories are read.
    """

    def __init__(self, members: Sequence[DemandLSTM], panel: Panel):
        self._members = list(members)
        self._numeric, self._categories, self._statics = panel.numeric_names, panel.categories, panel.statics
        self._tables = {category.name: _index(category) for category in (*panel.categories, *panel.statics)}

    def save(self, path: Path) -> None:
        """Write the SavedModel into the folder `path`."""
        module = tf.Module()
        module.tables = list(self._tables.values())
        module.read = list({id(v): v for function in self.signatures.values() for v in function.variables}.values())
        tf.saved_model.save(module, str(path), signatures=self.signatures)

    @cached_property
    def signatures(self) -> dict[str, Any]:
        """The concrete functions by signature name."""
        specs = [
            tf.TensorSpec([None, None], tf.float32, DEMAND_HISTORY),
            tf.TensorSpec([None], tf.string, START_DATE),
            tf.TensorSpec(None, tf.int32, HORIZON),  # of any rank: one number, or one per row
            *(tf.TensorSpec([None, None], tf.float32, name) for name in self._numeric),
            *(tf.TensorSpec([None, None], tf.string, category.name) for category in self._categories),
            *(tf.TensorSpec([None], tf.string, category.name) for category in self._statics),
        ]
        function = tf.function(self.forecast, input_signature=specs, autograph=False)
        return {SERVING_DEFAULT: function.get_concrete_function()}

    def forecast(self, demand: Tensor, start_date: Tensor, horizon: Tensor, *covariates: Tensor) -> dict[str, Tensor]:
        """Forecast the steps after the end of `demand`."""
        first = self._members[0]
        demand = tf.pad(demand, [[0, 0], [tf.maximum(1 - tf.shape(demand)[1], 0), 0]], constant_values=np.nan)
        batch, time = tf.unstack(tf.shape(demand))
        horizon = tf.reduce_max(tf.reshape(horizon, [-1]))
        longest = tf.debugging.assert_less_equal(
            horizon, first.horizon, "horizon: longer than the model was trained for"
        )
        shortest = tf.debugging.assert_positive(horizon, "horizon: must be at least 1")
        named = dict(zip(self._names, covariates, strict=True))
        with tf.control_dependencies([longest, shortest]):
            total = time + horizon
        numeric = [_reaching(named[name], total, np.float32(np.nan)) for name in self._numeric]
        codes = [_reaching(self._code(named, category), total, 0) for category in self._categories]
        static = [self._code(named, category) for category in self._statics]
        inputs = {
            demand_windows.DEMAND: demand,
            demand_windows.START_DAY: day_number(start_date),
            demand_windows.NUMERIC: _stacked(numeric, [batch, total], tf.float32),
            demand_windows.CATEGORICAL: _stacked(codes, [batch, total], tf.int32),
            demand_windows.STATIC: _stacked(static, [batch], tf.int32),
        }
        mean, quantiles = average([member(inputs) for member in self._members])
        return {MEAN: mean, QUANTILES: quantiles, LEVELS: tf.constant(first.levels, tf.float32)}

    @property
    def _names(self) -> list[str]:
        return [*self._numeric, *(category.name for category in (*self._categories, *self._statics))]

    def _code(self, named: dict[str, Tensor], category: Category) -> Tensor:
        return self._tables[category.name].lookup(named[category.name])


def day_number(dates: Tensor) -> Tensor:
    """Days since 1970-01-01 of dates such as "2017-12-04", `[n]` int32.

    Reference: Hinnant, "chrono-Compatible Low-Level Date Algorithms", 2013 (days_from_civil).
    """
    year, month, day = (
        tf.strings.to_number(tf.strings.substr(dates, *at), tf.int32) for at in ((0, 4), (5, 2), (8, 2))
    )
    year = year - tf.cast(month <= 2, tf.int32)  # the year begins in March: the leap day is its last
    era = year // 400
    year_of_era = year - era * 400
    day_of_year = (153 * ((month + 9) % 12) + 2) // 5 + day - 1
    day_of_era = year_of_era * 365 + year_of_era // 4 - year_of_era // 100 + day_of_year
    return era * 146_097 + day_of_era - 719_468


def _reaching(values: Tensor, steps: Tensor, fill: Any) -> Tensor:
    """`[batch, any]` as `[batch, steps]`, cut or filled."""
    missing = tf.maximum(steps - tf.shape(values)[1], 0)
    return tf.pad(values, [[0, 0], [0, missing]], constant_values=fill)[:, :steps]


def _stacked(columns: list[Tensor], shape: list[Any], dtype: Any) -> Tensor:
    """Columns side by side, `[*shape, n]`, also where there is none."""
    return tf.stack(columns, axis=-1) if columns else tf.zeros([*shape, 0], dtype)


def _index(category: Category) -> tf.lookup.StaticHashTable:
    known = tf.constant(np.asarray(category.vocabulary[1:], np.str_))
    codes = tf.range(1, len(category.vocabulary), dtype=tf.int32)
    return tf.lookup.StaticHashTable(tf.lookup.KeyValueTensorInitializer(known, codes), default_value=0)
