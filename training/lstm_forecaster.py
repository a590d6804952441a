"""The LSTM behind the forecasters' contract: members trained with different seeds, averaged; saved as one file."""

import json
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np
import tensorflow as tf

from data_pipelines import demand_windows
from data_pipelines.panel import FloatArray, Panel
from data_pipelines.schema import InputError
from models.demand_lstm import DemandLSTM
from models.forecasting.forecaster import Forecast, proper

SERIES_AT_ONCE = 512


class LSTMForecaster:
    """Trained members that answer together.

    Args:
        members: trained models of the same shape.
    """

    name = "lstm"

    def __init__(self, members: Sequence[DemandLSTM]):
        self.members = list(members)

    def forecast(self, panel: Panel, horizon: int | None = None) -> Forecast:
        """Forecast what follows the panel's end.

        Args:
            panel: the series.
            horizon: steps ahead, at most the trained horizon; all if None.

        Raises:
            InputError: if the horizon is longer than trained.
        """
        first = self.members[0]
        horizon = require_horizon(horizon or first.horizon, first.horizon)
        inputs = forecast_inputs(panel, first.memory, horizon)
        answers = []
        for begin in range(0, len(panel), SERIES_AT_ONCE):
            some = {name: values[begin : begin + SERIES_AT_ONCE] for name, values in inputs.items()}
            answers.append([value.numpy() for value in self._average(some)])
        mean, quantiles = (np.concatenate(parts) for parts in zip(*answers, strict=True))
        return proper(mean, quantiles, first.levels)

    @tf.function(reduce_retracing=True, autograph=False)
    def _average(self, inputs: dict[str, Any]) -> Any:
        return average([member(inputs) for member in self.members])

    def save(self, path: Path) -> None:
        """Write constructor arguments and all members' weights into the `.npz` file `path`."""
        weights = {
            f"m{number}_w{i}": np.asarray(variable)
            for number, member in enumerate(self.members)
            for i, variable in enumerate(member.variables)
        }
        settings = {"arguments": self.members[0].arguments, "members": len(self.members)}
        with path.open("wb") as file:
            np.savez(file, settings=np.array(json.dumps(settings)), **weights)  # type: ignore[arg-type]

    @classmethod
    def load(cls, path: Path, **overrides: Any) -> Self:
        """Read what `save` wrote.

        Args:
            path: the file.
            overrides: constructor arguments to change, such as `use_cudnn`.

        Raises:
            InputError: if the file is damaged, or of a model that this version of the package builds otherwise.
        """
        try:
            with np.load(path) as data:
                settings = json.loads(str(data["settings"]))
                members = []
                for number in range(settings["members"]):
                    member = build_demand_model(settings["arguments"] | overrides)
                    for i, variable in enumerate(member.variables):
                        variable.assign(data[f"m{number}_w{i}"])
                    members.append(member)
        except (OSError, EOFError, KeyError, TypeError, ValueError, zipfile.BadZipFile) as error:
            reason = str(error).partition("\n")[0][:120]
            raise InputError(f"{path}: damaged, or of another version of supplytower ({reason}); train anew") from None
        return cls(members)


class RefittedLSTM:
    """The contract's `fit` and `predict` for the backtest: a training on every panel that it is given.

    Args:
        train: trains on a panel.
    """

    name = "lstm"

    def __init__(self, train: Callable[[Panel], LSTMForecaster]):
        self.train = train

    def fit(self, panel: Any) -> Self:
        """Train from fresh weights."""
        self.panel, self.forecaster = panel, self.train(panel)
        return self

    def predict(self, horizon: int) -> Forecast:
        """Forecast the steps after the panel's end."""
        return self.forecaster.forecast(self.panel, horizon)

    def predict_members(self, horizon: int) -> FloatArray:
        """The mean forecasts of every member alone, `[members, n, horizon]`."""
        alone = [LSTMForecaster([member]).forecast(self.panel, horizon) for member in self.forecaster.members]
        return np.stack([one.mean for one in alone])


def average(outputs: Sequence[dict[str, Any]]) -> tuple[Any, Any]:
    """Mean forecasts and quantiles (Vincentization) of several members; never negative."""
    mean = sum(output["mean"] for output in outputs) / len(outputs)
    quantiles = sum(output["quantiles"] for output in outputs) / len(outputs)
    return mean, tf.maximum(quantiles, 0.0)


def require_horizon(horizon: int, trained: int) -> int:
    """The horizon, if the model can look so far.

    Raises:
        InputError: if it cannot.
    """
    if not 1 <= horizon <= trained:
        raise InputError(
            f"horizon {horizon}: the model was trained for 1 to {trained} steps ahead; "
            f"train with --set horizon={max(horizon, 1)}"
        )
    return horizon


def forecast_inputs(panel: Panel, history: int, horizon: int) -> dict[str, Any]:
    """The model's inputs for the steps after a panel's end.

    Args:
        panel: the series.
        history: steps before the end to pass at the most.
        horizon: steps ahead.
    """
    known = min(history, panel.time)
    first = panel.time - known
    span = slice(first, panel.time + horizon)
    return {
        demand_windows.DEMAND: panel.demand[:, first:],
        demand_windows.START_DAY: np.full(len(panel), panel.first_day + panel.step_days * first, np.int32),
        demand_windows.NUMERIC: _reaching(panel.numeric[:, span], known + horizon, np.float32(np.nan)),
        demand_windows.CATEGORICAL: _reaching(panel.categorical[:, span], known + horizon, np.int32(0)),
        demand_windows.STATIC: panel.static,
    }


def _reaching(values: Any, steps: int, fill: Any) -> Any:
    """`[n, known, k]` as `[n, steps, k]`, with `fill` where nothing is known."""
    missing = np.full((values.shape[0], steps - values.shape[1], values.shape[2]), fill, values.dtype)
    return np.concatenate([values, missing], axis=1)


def build_demand_model(arguments: dict[str, Any]) -> DemandLSTM:
    """Construct the model and create all its variables by a call on one empty series."""
    model = DemandLSTM(**arguments)
    steps = 1 + model.horizon
    model(
        {
            demand_windows.DEMAND: np.zeros((1, 1), np.float32),
            demand_windows.START_DAY: np.zeros(1, np.int32),
            demand_windows.NUMERIC: np.zeros((1, steps, len(model.planned)), np.float32),
            demand_windows.CATEGORICAL: np.zeros((1, steps, len(arguments["categorical_sizes"])), np.int32),
            demand_windows.STATIC: np.zeros((1, len(arguments["static_sizes"])), np.int32),
        }
    )
    return model
