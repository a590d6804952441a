"""From features to segments: scale, number, centroids, ids that stay, names in words."""

from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from data_pipelines.customer_features import numeric_features
from data_pipelines.schema import FREQUENCY, MONETARY, SEGMENT, SEGMENT_ID, USER_ID, InputError
from models.segment_matching import match_ids
from models.segment_names import effects_of, name_segments
from models.segments import Candidate, choose, cluster, judge, nearest
from models.trait_scale import FloatArray, TraitScale, fit_scale
from training.profile_config import ProfileConfig
from training.profile_folder import Profiles

NOT_BOUGHT_ID, NOT_BOUGHT = 0, "has not bought yet"
"""Of whom too little is known to tell habits: a segment by definition, not by its centroid."""
IntArray = npt.NDArray[np.int64]
Track = Callable[[Sequence[int]], Any]


def segment_customers(
    features: pl.DataFrame, config: ProfileConfig, previous: Profiles | None = None, *, track: Track = tuple
) -> Profiles:
    """Divide customers into named segments.

    Args:
        features: one row per user, see `data_pipelines.customer_features`.
        config: the settings.
        previous: profiles whose ids, number of segments and, as long as they hold, names are kept.
        track: wraps the numbers of segments that are tried, for a progress bar.

    Returns:
        The table with segments, and how they were made.

    Raises:
        InputError: if too few customers bought, or nothing tells them apart.
    """
    bought = features.filter(pl.col(FREQUENCY) > 0)
    names = numeric_features(features.columns)
    scale, left_out = fit_scale(names, _matrix(bought, names))
    if not scale.names:
        raise InputError("the data tell no customer from another: there is no feature in which they differ")
    z = standardised(bought, scale)
    points = z * scale.weights
    candidates = judge(
        points, _numbers(points, config, previous), resamples=config.resamples, seed=config.seed, track=track
    )
    chosen = choose(candidates, config.stability_floor)
    before = _before(previous, scale, chosen.segments)
    centroids = cluster(points, chosen.segments, config.seed, before)
    label = nearest(points, centroids)
    ids = _ids(bought, label, chosen.segments, previous)
    order = np.argsort(ids)  # of equal names the older segment's stays as it is
    centroids, ids, label = centroids[order], sorted(ids), np.argsort(order)[label]
    earlier = {one["id"]: [(name, bool(more)) for name, more in one["traits"]] for one in _clusters(previous)}
    words, traits = name_segments(
        effects_of(z, label, len(ids)),
        scale.traits,
        {row: earlier[one] for row, one in enumerate(ids) if one in earlier},
    )
    table = _labelled(features, np.array(ids)[label], dict(zip(ids, words, strict=True)))
    radius = np.sqrt(_means(np.square(points - centroids[label]).sum(axis=1), label, len(ids)))
    clusters = [
        {"id": ids[row], "traits": traits[row], "centroid": centroids[row].tolist(), "radius": float(radius[row])}
        for row in range(len(ids))
    ]
    return Profiles(
        table,
        {
            "version": 1,
            "segments": _described(table, clusters),
            "average": _averages(table.filter(pl.col(FREQUENCY) > 0)),
            "scale": {
                "features": list(scale.names),
                "centre": scale.centre.tolist(),
                "spread": scale.spread.tolist(),
                "weight": scale.weights.tolist(),
            },
            "left_out": left_out,
            "quality": _quality(candidates, chosen, table, previous),
            "next_id": max([*ids, _next_id(previous) - 1]) + 1,
        },
    )


def standardised(bought: pl.DataFrame, scale: TraitScale) -> FloatArray:
    """Customers on a scale, `[n, d]`, without weights; a feature that the table lacks is 0."""
    return scale.standardise(_matrix(bought, scale.names), bought[FREQUENCY].to_numpy().astype(float))


def _matrix(table: pl.DataFrame, names: Sequence[str]) -> FloatArray:
    """`[n, d]`, NaN where missing."""
    lacking = [pl.lit(None, pl.Float64).alias(name) for name in names if name not in table.columns]
    wanted = pl.col(list(names)).cast(pl.Float64).fill_null(float("nan"))
    return table.with_columns(lacking).select(wanted).to_numpy()


# --- the number of segments, and where they were before ------------------------------------------------------------


def _clusters(previous: Profiles | None) -> list[dict[str, Any]]:
    return previous.clusters if previous else []


def _next_id(previous: Profiles | None) -> int:
    return int(previous.summary["next_id"]) if previous else NOT_BOUGHT_ID + 1


def _numbers(points: FloatArray, config: ProfileConfig, previous: Profiles | None) -> list[int]:
    """The numbers of segments to choose from."""
    different = pl.from_numpy(points).n_unique()
    kept = len(_clusters(previous)) if not config.choose_again else 0
    wanted = config.segments or kept
    numbers = [wanted] if wanted else list(range(config.min_segments, config.max_segments + 1))
    possible = [number for number in numbers if number < different]
    if not possible:
        raise InputError(
            f"{len(points):,} customers who bought, {different:,} of them different, cannot be divided into "
            f"{numbers[0]} segments; give more data, or lower --set {'segments' if wanted else 'min_segments'}"
        )
    return possible


def _before(previous: Profiles | None, scale: TraitScale, segments: int) -> FloatArray | None:
    """The previous centroids on the new scale; what was no feature then stands at the centre."""
    if previous is None or len(previous.clusters) != segments:
        return None
    old = previous.scale
    z = previous.centroids / old.weights * old.spread + old.centre
    start = np.zeros((segments, len(scale.names)))
    for column, name in enumerate(scale.names):
        if name in old.names:
            start[:, column] = (z[:, old.names.index(name)] - scale.centre[column]) / scale.spread[column]
    return start * scale.weights


def _ids(bought: pl.DataFrame, label: IntArray, segments: int, previous: Profiles | None) -> list[int]:
    """Ids of the segments: those of the previous ones they continue; of new ones the largest comes first."""
    rank = np.argsort(np.argsort(-np.bincount(label, minlength=segments), kind="stable"))
    if previous is None:
        return [int(place) + NOT_BOUGHT_ID + 1 for place in rank]
    scale = previous.scale
    points = standardised(bought, scale) * scale.weights
    known = np.array([name in bought.columns and bought[name].count() > 0 for name in scale.names])
    if not known.any():
        raise InputError(
            f"the previous profiles were made of {', '.join(scale.names)}, of which these data have nothing; "
            "begin with --anew"
        )
    centroids = np.stack([_means(column, label, segments) for column in points.T[known]], axis=1)
    order = np.argsort(rank)  # new ids go to the largest first
    old = previous.clusters
    matched = match_ids(
        centroids[order],
        previous.centroids[:, known],
        [one["id"] for one in old],
        np.array([one["radius"] for one in old]),
        _next_id(previous),
    )
    return [matched[place] for place in rank]


def _means(values: FloatArray, label: IntArray, segments: int) -> FloatArray:
    return np.bincount(label, values, segments) / np.bincount(label, minlength=segments).clip(1)


# --- what is written -----------------------------------------------------------------------------------------------


def _labelled(features: pl.DataFrame, ids: IntArray, words: dict[int, str]) -> pl.DataFrame:
    """The table with segments; `ids` are of those who bought, in its order."""
    bought = (features[FREQUENCY] > 0).to_numpy()
    every = np.full(len(bought), NOT_BOUGHT_ID, np.int64)
    every[bought] = ids
    words = {NOT_BOUGHT_ID: NOT_BOUGHT, **words}
    segment = pl.col(SEGMENT_ID).replace_strict(list(words), list(words.values()), return_dtype=pl.String)
    table = features.with_columns(pl.Series(SEGMENT_ID, every)).with_columns(segment.alias(SEGMENT))
    return table.select(USER_ID, SEGMENT_ID, SEGMENT, pl.exclude(USER_ID, SEGMENT_ID, SEGMENT))


def _averages(table: pl.DataFrame) -> dict[str, float | None]:
    means = table.select(pl.col(numeric_features(table.columns)).cast(pl.Float64).mean()).row(0, named=True)
    return dict(means)


def _described(table: pl.DataFrame, clusters: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Every segment with its size, share of the spend and means, the smallest id first."""
    spend = _spend(table)
    made = {one["id"]: one for one in clusters}
    described = []
    for (number, name), members in sorted(table.group_by(SEGMENT_ID, SEGMENT), key=lambda group: group[0]):
        described.append(
            {
                "id": number,
                "name": name,
                "customers": members.height,
                "share": members.height / table.height,
                "spend_share": _spend(members) / spend if spend else None,
                "traits": [],
                "centroid": None,
                "radius": None,
                "means": _averages(members),
            }
            | made.get(number, {})
        )
    return described


def _spend(table: pl.DataFrame) -> float:
    return float(table[MONETARY].cast(pl.Float64).sum())


def _quality(
    candidates: Sequence[Candidate], chosen: Candidate, table: pl.DataFrame, previous: Profiles | None
) -> dict[str, Any]:
    """How distinct and stable, and how many customers are where they were."""
    found: dict[str, Any] = asdict(chosen) | {"candidates": [asdict(one) for one in candidates], "kept_share": None}
    if previous is not None:
        both = table.join(previous.table.select(USER_ID, before=SEGMENT_ID), on=USER_ID)
        found["kept_share"] = (both[SEGMENT_ID] == both["before"]).mean()
    return found
