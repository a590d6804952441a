"""The contract that every recommender fulfils, the two-tower model and each baseline alike.

Models see plain index arrays (see `data_pipelines.timelines` for the concrete classes): item and user index 0 is
padding and 1 is unknown, so that column `j` of a score matrix is item `j` of the vocabulary.
"""

from pathlib import Path
from typing import Any, Protocol, Self, runtime_checkable

import numpy as np
import numpy.typing as npt

Scores = npt.NDArray[np.float32]


class TimelinesLike(Protocol):
    """Every user's events as flat arrays; the fields of `data_pipelines.timelines.Timelines`."""

    @property
    def offsets(self) -> npt.NDArray[np.int64]: ...
    @property
    def item(self) -> npt.NDArray[np.int32]: ...
    @property
    def time(self) -> npt.NDArray[np.int64]: ...
    @property
    def event_type(self) -> npt.NDArray[np.int32]: ...
    @property
    def user(self) -> npt.NDArray[np.int32]: ...
    @property
    def n_users(self) -> int: ...


class QueriesLike(Protocol):
    """Questions with their visible histories; the fields of `data_pipelines.timelines.Queries`."""

    @property
    def user(self) -> npt.NDArray[np.int32]: ...
    @property
    def end(self) -> npt.NDArray[np.int64]: ...
    @property
    def time(self) -> npt.NDArray[np.int64]: ...
    def __len__(self) -> int: ...


class FeaturesLike(Protocol):
    """Encoded attributes of all items or users; the fields of `data_pipelines.features.FeatureTable`."""

    @property
    def size(self) -> int: ...
    @property
    def features(self) -> tuple[Any, ...]: ...


class WeeklyLike(Protocol):
    """What is known of items week by week; the fields of `data_pipelines.weekly.WeeklyCovariates`."""

    @property
    def first_day(self) -> int: ...
    @property
    def values(self) -> npt.NDArray[np.float32]: ...


@runtime_checkable
class Recommender(Protocol):
    """Ranks the whole item vocabulary for each query."""

    @property
    def name(self) -> str:
        """What the evaluation table calls it, e.g. `tifu-knn`."""

    def fit(self, timelines: TimelinesLike, items: FeaturesLike) -> Self:
        """Learn from the timelines (all events given are training events).

        Args:
            timelines: the training events.
            items: encoded item attributes, `items.size` is the vocabulary size including padding and unknown.
        """

    def score(self, timelines: TimelinesLike, queries: QueriesLike) -> Scores:
        """Score every item for every query; higher is better.

        Args:
            timelines: the events that the queries' histories point into (may be later than those of `fit`).
            queries: `n` queries.

        Returns:
            `[n, items.size]`; the columns of padding and unknown are `-inf`.
        """

    def save(self, path: Path) -> None:
        """Write everything `load` needs into the file `path`."""

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read what `save` wrote; the loaded model scores identically."""
