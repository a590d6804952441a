"""What an experiment is: its variants and their shares, who can be in it, and when. Read from YAML.

    experiments:
      - id: welcome-mail
        layer: mail                  # experiments of one layer never share a unit
        traffic_from: 0.0            # this one has the first 40 % of the layer
        traffic: 0.4
        variants: {none: 0.5, discount: 0.25, gift: 0.25}   # the first is the control
        start: 2024-05-01
        end: 2024-05-28

A layer is the line from 0 to 1 on which every unit has its place; an experiment takes a stretch of it. Two experiments
of one layer may have the same stretch only if their dates are apart. Layers are independent of each other.

Reference: Tang, Agarwal, O'Brien and Meyer, "Overlapping experiment infrastructure", KDD 2010.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from itertools import combinations, pairwise
from pathlib import Path
from typing import Literal

import yaml

from data_pipelines.config import resolve
from data_pipelines.schema import InputError

TOLERANCE, DECIMALS = 1e-9, 9
SEPARATOR = ":"
"""Stands between the parts of what is hashed, so no part but the last may contain it."""


@dataclass(frozen=True)
class Experiment:
    """One experiment; see the module for a file."""

    id: str
    """Its name; part of what is hashed, so a new name shuffles anew."""
    variants: tuple[str, ...]
    """Their names, the control first."""
    shares: tuple[float, ...]
    """Share of each variant among the experiment's units; they add up to 1."""
    salt: str = ""
    """Text that shuffles the variants anew under the same name."""
    layer: str | None = None
    """Experiments of one layer are exclusive; null for a layer of its own."""
    traffic_from: float = 0.0
    """Where the experiment's stretch of its layer begins, from 0 to 1."""
    traffic: float = 1.0
    """How much of its layer the experiment takes. It may grow: who is in stays in."""
    start: date | None = None
    """First day; null if it has begun already."""
    end: date | None = None
    """Last day; null if it has none."""
    allocation: Literal["fixed", "thompson"] = "fixed"
    """Whether the shares stay, or follow what was seen (Thompson sampling)."""
    minimum_share: float = 0.05
    """Under Thompson sampling no variant falls below this share: weights by propensity stay bounded."""

    def __post_init__(self) -> None:
        """Refuse what cannot be meant."""
        for what, text in (("id", self.id), ("salt", self.salt), ("layer", self.layer or "")):
            if SEPARATOR in text or (what == "id" and not text):
                raise InputError(f"{what} {text!r}: must be text without {SEPARATOR!r}")
        if len(set(self.variants)) < max(len(self.variants), 2) or not all(self.variants):
            raise InputError(f"experiment {self.id}: variants {', '.join(self.variants)}: give two or more names")
        if len(self.shares) != len(self.variants):
            raise InputError(
                f"experiment {self.id}: {len(self.variants)} variants, {len(self.shares)} shares; pair them"
            )
        if min(self.shares) <= 0:
            name = self.variants[self.shares.index(min(self.shares))]
            raise InputError(
                f"experiment {self.id}: variant {name!r} has share {min(self.shares):g}; more than 0 is needed"
            )
        if abs(math.fsum(self.shares) - 1) > TOLERANCE:
            raise InputError(
                f"experiment {self.id}: shares add up to {math.fsum(self.shares):g}; they must add up to 1"
            )
        if not (self.traffic_from >= 0 and 0 < self.traffic <= 1 - self.traffic_from + TOLERANCE):
            raise InputError(
                f"experiment {self.id}: traffic_from {self.traffic_from:g}, traffic {self.traffic:g}: "
                "the stretch must lie between 0 and 1"
            )
        if self.start is not None and self.end is not None and self.end < self.start:
            raise InputError(f"experiment {self.id}: ends on {self.end}, before its start on {self.start}")
        if not 0 <= self.minimum_share <= 1 / len(self.variants):
            raise InputError(
                f"experiment {self.id}: minimum_share {self.minimum_share:g}: must be from 0 to "
                f"{1 / len(self.variants):g}"
            )

    @property
    def control(self) -> str:
        """The variant that others are compared with."""
        return self.variants[0]

    @property
    def layer_name(self) -> str:
        """The layer, which bears the experiment's own name if none was given."""
        return self.layer or self.id

    @property
    def stretch(self) -> tuple[float, float]:
        """Where its stretch of the layer begins and ends; 0.1 + 0.2 must meet 0.3, so both are rounded."""
        return round(self.traffic_from, DECIMALS), round(self.traffic_from + self.traffic, DECIMALS)

    def runs_on(self, day: date) -> bool:
        """Whether a day is within its dates."""
        return (self.start or date.min) <= day <= (self.end or date.max)


def read_experiments(path: Path) -> tuple[Experiment, ...]:
    """Read a file of experiments, or of one.

    Raises:
        InputError: if it is no such file, or two experiments have one name or share units of their layer.
    """
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise InputError(f"{path} is not valid YAML: {' '.join(str(error).split())}") from None
    listed = content.get("experiments", [content]) if isinstance(content, Mapping) else content
    if not isinstance(listed, Sequence) or isinstance(listed, str) or not listed:
        raise InputError(f"{path}: holds no experiments; begin with `experiments:` and list them")
    found = tuple(_read(path, number, given) for number, given in enumerate(listed, start=1))
    check_exclusive(found)
    return found


def read_experiment(path: Path, name: str | None) -> Experiment:
    """Read one experiment of a file.

    Args:
        path: the file.
        name: which one, if it has several.

    Raises:
        InputError: if it is no such file, or does not say which one.
    """
    known = {one.id: one for one in read_experiments(path)}
    if name is None and len(known) > 1:
        raise InputError(f"{path}: has the experiments {', '.join(known)}; say which with --id")
    if name is not None and name not in known:
        raise InputError(f"--id {name}: no such experiment; there are {', '.join(known)}")
    return known[name or next(iter(known))]


def _read(path: Path, number: int, given: object) -> Experiment:
    if not isinstance(given, Mapping):
        raise InputError(f"{path}: experiment {number} is {given!r}; give `key: value` lines")
    variants = given.get("variants")
    if not isinstance(variants, Mapping) or not all(isinstance(name, str) for name in variants):
        raise InputError(
            f"{path}: experiment {number}: variants is {variants!r}; give name: share, names in quotes if in doubt"
        )
    if "shares" in given:
        raise InputError(f"{path}: experiment {number}: unknown setting 'shares'; write variants: {{name: share, ...}}")
    values = {**given, "variants": list(variants), "shares": list(variants.values())}
    try:
        return resolve(Experiment, preset=values)
    except InputError as error:
        raise InputError(f"{path}: experiment {number}: {str(error).removeprefix('preset: ')}") from None


def check_exclusive(experiments: Sequence[Experiment]) -> None:
    """Refuse experiments that would share units of one layer on a day, or a name.

    Raises:
        InputError: naming the two.
    """
    by_name = sorted(experiments, key=lambda one: one.id)
    for one, other in pairwise(by_name):
        if one.id == other.id:
            raise InputError(f"experiment {one.id}: is listed twice; give each a name of its own")
    for one, other in combinations(experiments, 2):
        together = (one.start or date.min) <= (other.end or date.max) and (other.start or date.min) <= (
            one.end or date.max
        )
        first = max(one.stretch[0], other.stretch[0])
        last = min(one.stretch[1], other.stretch[1])
        if one.layer_name == other.layer_name and together and first < last:
            raise InputError(
                f"experiments {one.id} and {other.id}: both take {first:g} to {last:g} of layer {one.layer_name!r} on "
                "the same days; give them stretches or dates that are apart"
            )
