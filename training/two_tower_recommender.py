"""The trained two-tower model behind the contract of every recommender."""

import json
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from data_pipelines import datasets
from data_pipelines.schema import FIRST_KNOWN, InputError
from data_pipelines.timelines import Queries, Timelines
from models.recommender import FeaturesLike, QueriesLike, Scores, TimelinesLike
from models.two_tower import TwoTower


class TwoTowerRecommender:
    """Scores with a Keras model.

    Args:
        model: the built model.
        history_length: the most recent events that the model sees.
        batch_size: queries per forward pass.
    """

    name = "two-tower"

    def __init__(self, model: TwoTower, history_length: int, batch_size: int = 256):
        self.model, self.history_length, self.batch_size = model, history_length, batch_size
        self._catalogue = model.catalogue()  # once, not per batch

    def fit(self, timelines: TimelinesLike, items: FeaturesLike) -> Self:
        """Nothing to do: `training.train_recommender` trains the model."""
        return self

    def score(self, timelines: TimelinesLike, queries: QueriesLike) -> Scores:
        """Ranking logits, `[n, n_items]`."""
        return self._run(self._ranking, timelines, queries, -np.inf)[0]

    def probability(self, timelines: TimelinesLike, queries: QueriesLike) -> Scores:
        """Probability that the user takes each item next, `[n, n_items]`."""
        return self.score_and_probability(timelines, queries)[1]

    def score_and_probability(self, timelines: TimelinesLike, queries: QueriesLike) -> tuple[Scores, Scores]:
        """`score` and `probability` for the price of one forward pass."""
        score, probability = self._run(self._ranking_and_probability, timelines, queries, -np.inf, 0.0)
        return score, probability

    def top_k(self, timelines: TimelinesLike, queries: QueriesLike, k: int) -> npt.NDArray[np.int32]:
        """The `k` best items of each query, best first, `[n, k]`; ranks inside the graph, so no score leaves it."""
        top = np.zeros((len(queries), k), np.int32)
        for rows, inputs, _ in self._batches(timelines, queries):
            values = self._top_k(inputs, k).numpy()
            top[rows[rows >= 0]] = values[rows >= 0]
        return top

    def calibrate(self, timelines: TimelinesLike, queries: Queries, sample: int = 500) -> None:
        """Fit slope and intercept of the log odds on questions that the model was not trained on.

        Platt scaling: logistic regression of "was taken" on the log odds, over the whole catalogue of a sample of the
        questions. Reference: Platt, "Probabilistic Outputs for Support Vector Machines", 1999.
        """
        from sklearn.linear_model import LogisticRegression

        chosen = np.random.default_rng(0).permutation(len(queries))[:sample]
        queries = queries.take(np.sort(chosen))
        self.model.calibration.assign([1.0, 0.0])
        owner = np.repeat(np.arange(len(queries)), np.diff(queries.target_offsets))
        (log_odds,) = self._run(self._log_odds, timelines, queries, 0.0)
        taken = np.zeros(log_odds.shape, bool)
        taken[owner, queries.target_item] = True
        generator = np.random.default_rng(0)
        every = max(1, self.model.n_items // 2_000)  # all positives, one negative in `every`, weighted back
        keep = taken | (generator.random(taken.shape) < 1 / every)
        keep[:, :FIRST_KNOWN] = False
        weight = np.where(taken[keep], 1.0, every)
        fitted = LogisticRegression(C=np.inf).fit(log_odds[keep][:, None], taken[keep], sample_weight=weight)
        self.model.calibration.assign([max(float(fitted.coef_[0, 0]), 1e-3), float(fitted.intercept_[0])])

    def save(self, path: Path) -> None:
        """Write constructor arguments and weights into the `.npz` file `path`."""
        weights: dict[str, Any] = {f"w{i}": np.asarray(v) for i, v in enumerate(self.model.variables)}
        settings = {
            "arguments": self.model.arguments,
            "history_length": self.history_length,
            "batch_size": self.batch_size,
        }
        with path.open("wb") as file:
            np.savez(file, settings=np.array(json.dumps(settings)), **weights)

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read what `save` wrote.

        Raises:
            InputError: if the file is damaged, or of a model that this version of the package builds otherwise.
        """
        try:
            with np.load(path) as data:
                settings = json.loads(str(data["settings"]))
                model = build_model(settings["arguments"])
                weights = [data[f"w{i}"] for i in range(len(data.files) - 1)]
            for variable, weight in zip(model.variables, weights, strict=True):
                variable.assign(weight)
        except (OSError, EOFError, KeyError, TypeError, ValueError, zipfile.BadZipFile) as error:
            reason = str(error).partition("\n")[0][:120]
            raise InputError(f"{path}: damaged, or of another version of supplytower ({reason}); train anew") from None
        return cls(model, settings["history_length"], settings["batch_size"])

    def _batches(
        self, timelines: TimelinesLike, queries: QueriesLike
    ) -> Iterator[tuple[npt.NDArray[np.int32], dict[str, Any], dict[str, Any]]]:
        events = Timelines(timelines.offsets, timelines.item, timelines.time, timelines.event_type)
        n = len(queries)
        nothing = Queries(queries.user, queries.end, queries.time, np.zeros(n + 1, np.int64), np.zeros(0, np.int32))
        plan = datasets.plan_epoch(
            events, nothing, batch_size=min(self.batch_size, max(n, 1)), history_length=self.history_length
        )
        for rows, (inputs, targets) in zip(plan.rows, datasets.batches(events, nothing, plan), strict=True):
            yield rows, inputs, targets

    def _run(self, function: Any, timelines: TimelinesLike, queries: QueriesLike, *reserved: float) -> list[Scores]:
        """The matrices `[n, n_items]` that a function gives, with `reserved` for padding and unknown."""
        matrices = [np.empty((len(queries), self.model.n_items), np.float32) for _ in reserved]
        for rows, inputs, _ in self._batches(timelines, queries):
            for matrix, values in zip(matrices, function(inputs), strict=True):
                matrix[rows[rows >= 0]] = values.numpy()[rows >= 0]
        for matrix, value in zip(matrices, reserved, strict=True):
            matrix[:, :FIRST_KNOWN] = value
        return matrices

    def _answer(self, inputs: dict[str, Any]) -> Any:
        return self.model.answer(inputs, self._catalogue)

    @tf.function(reduce_retracing=True, autograph=False)
    def _ranking(self, inputs: dict[str, Any]) -> Any:
        return (self.model.ranking_logits(self._answer(inputs)),)

    @tf.function(reduce_retracing=True, autograph=False)
    def _ranking_and_probability(self, inputs: dict[str, Any]) -> Any:
        outputs = self._answer(inputs)
        return self.model.ranking_logits(outputs), tf.sigmoid(self.model.log_odds(outputs))

    @tf.function(reduce_retracing=True, autograph=False)
    def _log_odds(self, inputs: dict[str, Any]) -> Any:
        return (self.model.log_odds(self._answer(inputs)),)

    @tf.function(reduce_retracing=True, autograph=False)
    def _top_k(self, inputs: dict[str, Any], k: int) -> Any:
        return tf.math.top_k(self.model.ranking_logits(self._answer(inputs)), k).indices


def build_model(arguments: dict[str, Any]) -> TwoTower:
    """Construct the model and create all its variables by a call on one empty history."""
    model = TwoTower(**arguments)
    empty = np.zeros((1, 1), np.int32)
    model(
        {
            datasets.USER: np.ones(1, np.int32),
            datasets.TIME: np.zeros(1, np.int64),
            datasets.EVENT_ITEM: empty,
            datasets.EVENT_KIND: empty,
            datasets.EVENT_TIME: empty.astype(np.int64),
        }
    )
    return model
