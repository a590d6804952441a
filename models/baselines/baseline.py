"""What all baselines share: popularity beneath the evidence, reserved columns, and one file format.

A baseline turns a visible history into *evidence* for each item; 0 means that it knows nothing about the item. Where it
knows nothing, and between equals, popularity decides, so that every baseline ranks the whole catalogue, for a new user
too. That makes them comparable at any cut-off and on any task.
"""

import json
from abc import ABC, abstractmethod
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Self

import numpy as np
from scipy import sparse

from data_pipelines.schema import FIRST_KNOWN, InputError
from models.baselines.history import History, visible_history, whole_history
from models.recommender import FeaturesLike, QueriesLike, Scores, TimelinesLike

State = dict[str, Any]
"""What a baseline learnt: numpy arrays and scipy CSR matrices by name."""

TIE = 1e-4  # evidence that differs by less than this fraction is a tie, which popularity breaks


@dataclass
class Baseline(ABC):
    """Base class: subclasses are dataclasses whose fields are the hyperparameters."""

    state: State = field(init=False, repr=False, compare=False, default_factory=dict)

    @property
    @abstractmethod
    def name(self) -> str:
        """What the evaluation table calls it."""

    @abstractmethod
    def _learn(self, history: History, items: FeaturesLike) -> State:
        """Learn from each training user's whole history."""

    @abstractmethod
    def _evidence(self, history: History) -> Scores:
        """Evidence `[n, n_items]` for each item, 0 where nothing is known."""

    @property
    def n_items(self) -> int:
        """Vocabulary size including padding and unknown."""
        return len(self.state["popularity"])

    def fit(self, timelines: TimelinesLike, items: FeaturesLike) -> Self:
        """Learn from the timelines; see `models.recommender.Recommender.fit`."""
        history = whole_history(timelines)
        baskets = np.bincount(history.item, minlength=items.size)
        popularity = baskets / (baskets.max() + 1)  # in [0, 1)
        self.state = {"popularity": popularity.astype(np.float32), **self._learn(history, items)}
        return self

    def score(self, timelines: TimelinesLike, queries: QueriesLike) -> Scores:
        """Score every item for every query; see `models.recommender.Recommender.score`."""
        popularity = self.state["popularity"]
        scores = self._evidence(visible_history(timelines, queries))
        scores *= 1 + TIE * popularity
        np.copyto(scores, popularity - 1, where=scores == 0)  # below every item with evidence
        scores[:, :FIRST_KNOWN] = -np.inf
        return scores

    def save(self, path: Path) -> None:
        """Write hyperparameters (as JSON) and state to one `.npz` file."""
        hyperparameters = {key: value for key, value in asdict(self).items() if key != "state"}
        arrays = {"model": np.array(json.dumps([type(self).__name__, hyperparameters]))}
        for key, value in self.state.items():
            if sparse.issparse(value):
                arrays |= {f"{key}.{part}": np.asarray(getattr(value, part)) for part in (*_CSR_PARTS, "shape")}
            else:
                arrays[key] = value
        with path.open("wb") as file:
            np.savez(file, **arrays)  # type: ignore[arg-type]

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read what `save` wrote.

        Raises:
            InputError: if the file holds another model.
        """
        with np.load(path, allow_pickle=False) as file:
            kind, hyperparameters = json.loads(str(file["model"]))
            if kind != cls.__name__:
                raise InputError(f"{path}: holds a {kind}, not a {cls.__name__}; load it with {kind}.load")
            arrays = {key: file[key] for key in file.files if key != "model"}
        model = cls(**hyperparameters)
        for key in [key.removesuffix(".shape") for key in arrays if key.endswith(".shape")]:
            shape = tuple(arrays.pop(f"{key}.shape"))
            model.state[key] = sparse.csr_matrix(tuple(arrays.pop(f"{key}.{part}") for part in _CSR_PARTS), shape=shape)
        model.state |= arrays
        return model


_CSR_PARTS = ("data", "indices", "indptr")


def require_positive(**values: float | None) -> None:
    """Check hyperparameters by name; None is allowed.

    Raises:
        InputError: if a value is not above 0.
    """
    for name, value in values.items():
        if value is not None and not value > 0:
            raise InputError(f"{name}={value} must be above 0")
