"""The evaluation protocol: every model answers the same questions on the whole catalogue, chunk by chunk.

A model is asked for all scores of a chunk of queries; only its best items, the scores of targets and sampled negatives,
and the reliability counts are kept, so that memory does not grow with users times items.
"""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt
from rich.progress import Progress

from data_pipelines.schema import PADDING
from data_pipelines.splits import Split
from data_pipelines.timelines import Queries, Timelines, histories
from models.recommender import QueriesLike, Recommender, Scores, TimelinesLike
from training.exposure_metrics import coverage, exposure, gini, novelty, repeat_share
from training.ranking_metrics import BoolArray, FloatArray, IntArray, LongArray, contained, ranking_metrics, top_k
from training.score_metrics import Reliability, area_under_curve, reliability, sample_negatives
from training.slices import Task, history_slices, next_basket_tasks, segment_slices, task

CELLS = 6_000_000
"""Scores held at once: 250 users at 24,000 items; peak memory is some 40 bytes for each."""
MAX_CHUNK = 1024
NEGATIVES_PER_POSITIVE = 20
"""At 10,000 targets the AUC's standard error from the negatives' sampling is below 0.001."""


@runtime_checkable
class ScoresProbabilities(Protocol):
    """A recommender with a score head."""

    def score_and_probability(self, timelines: TimelinesLike, queries: QueriesLike) -> tuple[Scores, Scores]:
        """`[n, items]` each: what `score` gives, and the probability that each item is a target of each query."""


@dataclass(frozen=True)
class TestSet:
    """What is asked, the same for every model.

    Args:
        part: `test` or `validation`.
        fingerprint: of the data.
        timelines: the events that histories point into.
        queries: `n` next-basket queries with `p` targets.
        further: queries of the explore period that are not among `queries`; those that are need not be scored twice.
        tasks: some targets apart; positions count through `queries` and then `further`.
        slices: some of `queries` apart, `{group: {slice: [n]}}`.
        popularity: `[items]` events of each item in the data learnt from.
        negatives: `{kind: [p, NEGATIVES_PER_POSITIVE]}`.
    """

    __test__ = False  # not a pytest class

    part: str
    fingerprint: str
    timelines: Timelines
    queries: Queries
    further: Queries
    tasks: dict[str, Task]
    slices: dict[str, dict[str, BoolArray]]
    popularity: LongArray
    negatives: dict[str, IntArray]


@dataclass(frozen=True)
class ModelResult:
    """One model's answers, measured.

    Args:
        name: the model's.
        values: `{task: {metric: [queries of the task]}}`.
        exposure: catalogue metrics of the next-basket lists.
        auc: by kind of negatives.
        reliability: of the probabilities; None without a score head.
        users_per_second: queries scored, ranked and measured in a second.
    """

    name: str
    values: dict[str, dict[str, FloatArray]]
    exposure: dict[str, float]
    auc: dict[str, float | None]
    reliability: Reliability | None
    users_per_second: float


def make_test_set(split: Split, part: Literal["test", "validation"] = "test", *, seed: int = 0) -> TestSet:
    """Pose the questions of a split's test or validation part.

    Args:
        split: the data.
        part: which questions; the validation part has no explore period.
        seed: of the sampled negatives.
    """
    queries = split.test if part == "test" else split.validation
    explore = split.explore if part == "test" else split.explore.take(np.zeros(0, np.int64))
    learnt = split.fitting_timelines if part == "test" else split.training_timelines
    popularity = np.bincount(learnt.item, minlength=split.items.size).astype(np.int64)
    tasks = next_basket_tasks(split.timelines, queries, popularity)
    period = task(explore, np.ones(len(explore.target_item), bool), unseen=True)
    known = _positions(explore, queries)
    position = np.where(known < 0, len(queries) + np.cumsum(known < 0) - 1, known)
    tasks["explore_period"] = replace(period, position=position[period.position])
    slices = {"history": history_slices(split.timelines, queries), **segment_slices(split.users, queries.user)}
    weights = {"uniform": np.ones(split.items.size), "popularity": popularity.astype(np.float64)}
    return TestSet(
        part=part,
        fingerprint=split.fingerprint,
        timelines=split.timelines,
        queries=queries,
        further=explore.take(np.flatnonzero(known < 0)),
        tasks={name: some for name, some in tasks.items() if len(some.queries)},
        slices={group: {name: mask for name, mask in some.items() if mask.any()} for group, some in slices.items()},
        popularity=popularity,
        negatives={
            kind: sample_negatives(queries, weight, NEGATIVES_PER_POSITIVE, seed) for kind, weight in weights.items()
        },
    )


def evaluate(
    models: Sequence[Recommender],
    test_set: TestSet,
    ks: tuple[int, ...] = (5, 10, 20),
    *,
    chunk_size: int | None = None,
    progress: Progress | None = None,
) -> list[ModelResult]:
    """Measure fitted models on the same questions.

    Args:
        models: fitted recommenders; those with `score_and_probability` are measured as score heads too.
        test_set: the questions.
        ks: cut-offs of the ranking metrics.
        chunk_size: queries scored at once; by default as many as bounded memory allows.
        progress: shows one bar per model.

    Returns:
        One result per model, in the order given.
    """
    chunk_size = chunk_size or max(1, min(MAX_CHUNK, CELLS // len(test_set.popularity)))
    bars = progress or Progress(disable=True)
    return [_evaluate_model(model, test_set, tuple(sorted(set(ks))), chunk_size, bars) for model in models]


@dataclass(frozen=True)
class _Answers:
    """What is kept of a chunk's scores: lists `[n, k]` with and without the history's items, and the scores sampled."""

    top: IntArray
    repeated: BoolArray
    new: IntArray
    positives: npt.NDArray[np.float32]
    negatives: dict[str, npt.NDArray[np.float32]]
    reliability: Reliability | None


def _evaluate_model(
    model: Recommender, test_set: TestSet, ks: tuple[int, ...], chunk_size: int, progress: Progress
) -> ModelResult:
    began = time.perf_counter()
    total = len(test_set.queries) + len(test_set.further)
    bar = progress.add_task(model.name, total=total)
    answers = []
    shortest_first = np.argsort(test_set.queries.end - test_set.timelines.offsets[test_set.queries.user], kind="stable")
    for rows in _chunks(len(test_set.queries), chunk_size):  # models pad alike histories least
        answers.append(_answer(model, test_set, shortest_first[rows], ks[-1]))
        progress.advance(bar, len(rows))
    back = np.argsort(shortest_first)
    new = [np.concatenate([part.new for part in answers])[back]]
    for rows in _chunks(len(test_set.further), chunk_size):
        queries = test_set.further.take(rows)
        scores = model.score(test_set.timelines, queries)
        new.append(top_k(_without_seen(scores, test_set.timelines, queries), ks[-1]))
        progress.advance(bar, len(rows))

    top = np.concatenate([part.top for part in answers])[back]
    unseen = np.concatenate(new)
    values = {name: _task_values(unseen if some.unseen else top, some, ks) for name, some in test_set.tasks.items()}
    positives = np.concatenate([part.positives for part in answers])
    auc = {
        kind: area_under_curve(positives, np.concatenate([part.negatives[kind] for part in answers]))
        for kind in test_set.negatives
    }
    counted = [part.reliability for part in answers if part.reliability is not None]
    repeated = np.concatenate([part.repeated for part in answers])[back]
    return ModelResult(
        name=model.name,
        values=values,
        exposure=_exposure_metrics(top, repeated, test_set.popularity, ks),
        auc=auc,
        reliability=sum(counted[1:], counted[0]) if counted else None,
        users_per_second=total / (time.perf_counter() - began),
    )


def _positions(some: Queries, among: Queries) -> LongArray:
    """`[len(some)]` where each query stands among others, -1 where the same question is not among them."""
    rows = np.concatenate([np.stack([part.user, part.end, part.time], axis=1) for part in (among, some)])
    _, first, inverse = np.unique(rows, axis=0, return_index=True, return_inverse=True)
    position = first[inverse[len(among) :]]
    return np.where(position < len(among), position, -1)


def _chunks(n: int, size: int) -> Iterator[LongArray]:
    return (np.arange(first, min(first + size, n)) for first in range(0, n, size))


def _answer(model: Recommender, test_set: TestSet, rows: LongArray, k: int) -> _Answers:
    queries = test_set.queries.take(rows)
    probabilities = None
    if isinstance(model, ScoresProbabilities):
        scores, probabilities = model.score_and_probability(test_set.timelines, queries)
    else:
        scores = model.score(test_set.timelines, queries)
    top = top_k(scores, k)
    new = _without_seen(scores, test_set.timelines, queries)
    repeated = (np.take_along_axis(new, top, axis=1) == -np.inf) & (top != PADDING)

    numbers = scores if probabilities is None else probabilities
    counts = np.diff(queries.target_offsets)
    query = np.repeat(np.arange(len(rows)), counts)
    target = np.arange(len(query)) + np.repeat(
        test_set.queries.target_offsets[rows] - queries.target_offsets[:-1], counts
    )
    drawn = {kind: negatives[target] for kind, negatives in test_set.negatives.items()}
    return _Answers(
        top=top,
        repeated=repeated,
        new=top_k(new, k),
        positives=numbers[query, queries.target_item],
        negatives={kind: numbers[query[:, None], items][items != PADDING] for kind, items in drawn.items()},
        reliability=None if probabilities is None else reliability(probabilities, query, queries.target_item),
    )


def _without_seen(scores: Scores, timelines: Timelines, queries: Queries) -> Scores:
    """The same scores with `-inf` for every item of the query's visible history."""
    rows, query = histories(timelines, queries)
    scores = scores.copy()
    scores[query, timelines.item[rows]] = -np.inf
    return scores


def _task_values(top: IntArray, some: Task, ks: tuple[int, ...]) -> dict[str, FloatArray]:
    hits = contained(top[some.position], some.queries.target_offsets, some.queries.target_item)
    return ranking_metrics(hits, some.targets, ks)


def _exposure_metrics(
    top: IntArray, repeated: BoolArray, popularity: LongArray, ks: tuple[int, ...]
) -> dict[str, float]:
    metrics: dict[str, float] = {}
    for k in ks:
        shown = exposure(top[:, :k], len(popularity))
        metrics[f"coverage@{k}"] = coverage(shown)
        metrics[f"gini@{k}"] = gini(shown)
        metrics[f"novelty@{k}"] = float(novelty(top[:, :k], popularity).mean())
        metrics[f"repeat_share@{k}"] = float(repeat_share(top[:, :k], repeated[:, :k]).mean())
    return metrics
