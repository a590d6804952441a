"""The folder of customer profiles: `profiles.parquet`, a row per user, and `segments.json`, how segments were made."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from data_pipelines.atomic import replace_directory, write_json
from data_pipelines.customer_features import FEATURES
from data_pipelines.schema import PROFILES_FILE, SEGMENT, SEGMENT_ID, SEGMENTS_FILE, UNTIL, USER_ID, InputError
from models.trait_scale import FloatArray, TraitScale
from training.user_requests import first_line

REPORT = "report.html"
SUMMARY = (UNTIL, "settings", "segments", "average", "scale", "left_out", "quality", "next_id")
"""What segments.json has to say."""


@dataclass(frozen=True)
class Profiles:
    """What the folder holds.

    Args:
        table: one row per user: user_id, segment_id, segment, the features.
        summary: the content of segments.json.
    """

    table: pl.DataFrame
    summary: dict[str, Any]

    @property
    def scale(self) -> TraitScale:
        """Of the features that segments are made of."""
        scale = self.summary["scale"]
        return TraitScale(tuple(scale["features"]), np.array(scale["centre"]), np.array(scale["spread"]))

    @property
    def clusters(self) -> list[dict[str, Any]]:
        """The segments that were found, without the one of those who have not bought."""
        return [one for one in self.summary["segments"] if one["centroid"] is not None]

    @property
    def centroids(self) -> FloatArray:
        """`[k, d]` of the clusters, scaled and weighted."""
        return np.array([one["centroid"] for one in self.clusters], float)


def write_profiles(folder: Path, profiles: Profiles) -> None:
    """Write both files, whole or not at all."""
    with replace_directory(folder) as temporary:
        profiles.table.write_parquet(temporary / PROFILES_FILE)
        write_json(temporary / SEGMENTS_FILE, profiles.summary)


def holds_profiles(folder: Path) -> bool:
    """Whether a folder has profiles."""
    return (folder / SEGMENTS_FILE).is_file()


def read_profiles(folder: Path) -> Profiles:
    """Read both files.

    Raises:
        InputError: if one is missing or damaged.
    """
    try:
        table = pl.read_parquet(folder / PROFILES_FILE)
        profiles = Profiles(table, json.loads((folder / SEGMENTS_FILE).read_text(encoding="utf-8")))
        width, scale = len(profiles.scale.names), profiles.scale
        consistent = profiles.centroids.shape[1:] == scale.centre.shape == scale.spread.shape == (width,)
        if missing := [name for name in SUMMARY if name not in profiles.summary]:
            raise ValueError(f"{SEGMENTS_FILE} has no {missing[0]}")
        if missing := [name for name in (USER_ID, SEGMENT_ID, SEGMENT, *FEATURES) if name not in table.columns]:
            raise ValueError(f"{PROFILES_FILE} has no column {missing[0]}")
    except (OSError, ValueError, KeyError, TypeError, pl.exceptions.PolarsError) as error:
        raise InputError(
            f"{folder}: holds no profiles that can be read ({first_line(error)}); run "
            f"`supplytower profile build --data DATA --out {folder}`"
        ) from None
    if not consistent:
        raise InputError(f"{folder / SEGMENTS_FILE}: centroids do not fit the features; build the profiles again")
    return profiles
