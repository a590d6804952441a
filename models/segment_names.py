"""Names of segments in words, from what distinguishes each most from the average customer.

    effect = (mean of the segment − mean of all customers) / standard deviation of all customers

A theme gives at most one trait, the one with the largest effect, so that a name does not say the same thing twice.
Segments that would share a name get one more trait each until they differ. A name that a segment has from a previous
fit stays as long as all its traits hold.
"""

from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from models.traits import Trait

FloatArray = npt.NDArray[np.float64]
Said = tuple[str, bool]
"""A feature, and whether there is more of it than on average."""
USUAL_WORDS = 2
NOTABLE, STILL_HOLDS = 0.3, 0.15
"""Effects in standard deviations from which on a trait is worth a word, and down to which a given name stays."""
AVERAGE = "like the average customer"


def name_segments(
    effects: FloatArray, traits: Sequence[Trait], previous: Mapping[int, Sequence[Said]] | None = None
) -> tuple[list[str], list[list[Said]]]:
    """Name every segment.

    Args:
        effects: `[k, d]` distance of each segment's mean from that of all, in standard deviations.
        traits: `[d]`.
        previous: by row of `effects`, the traits of the name that it had.

    Returns:
        `k` different names, and the traits that each consists of, the most telling first.
    """
    ranked = [_ranked(row, traits) for row in effects]
    column = {trait.name: number for number, trait in enumerate(traits)}
    kept = {
        row: [(name, more) for name, more in said]
        for row, said in (previous or {}).items()
        if said and all(name in column and _holds(effects[row, column[name]], more) for name, more in said)
    }
    said = [kept.get(row, one[:USUAL_WORDS]) for row, one in enumerate(ranked)]
    while True:
        names = [_words(one, traits) for one in said]
        count = Counter(names)
        longer = [
            row
            for row, name in enumerate(names)
            if count[name] > 1 and row not in kept and len(said[row]) < len(ranked[row])
        ]
        if not longer:
            return _numbered(names), said
        for row in longer:
            said[row] = ranked[row][: len(said[row]) + 1]


def effects_of(points: FloatArray, label: npt.NDArray[np.int64], segments: int) -> FloatArray:
    """How far each segment's mean is from that of all.

    Args:
        points: `[n, d]` standardised features.
        label: `[n]` segment of each.
        segments: k.

    Returns:
        `[k, d]` in standard deviations.
    """
    count = np.bincount(label, minlength=segments).clip(1)
    means = np.stack([np.bincount(label, column, segments) for column in points.T], axis=1) / count[:, None]
    deviation = points.std(axis=0)
    return (means - points.mean(axis=0)) / np.where(deviation > 0, deviation, 1.0)


def _ranked(effects: FloatArray, traits: Sequence[Trait]) -> list[Said]:
    """The most telling trait of every theme, the most telling theme first."""
    best: dict[str, int] = {}
    for number in np.argsort(-np.abs(effects), kind="stable"):
        best.setdefault(traits[number].theme, int(number))
    return [(traits[number].name, bool(effects[number] > 0)) for number in best.values() if _notable(effects[number])]


def _notable(effect: float) -> bool:
    return bool(abs(effect) >= NOTABLE)


def _holds(effect: float, more: bool) -> bool:
    return bool((effect if more else -effect) >= STILL_HOLDS)


def _words(said: Sequence[Said], traits: Sequence[Trait]) -> str:
    words = {trait.name: trait for trait in traits}
    return ", ".join(words[name].high if more else words[name].low for name, more in said) or AVERAGE


def _numbered(names: Sequence[str]) -> list[str]:
    """Names that nothing tells apart get a number, from the second on."""
    seen: Counter[str] = Counter()
    numbered = []
    for name in names:
        seen[name] += 1
        numbered.append(name if seen[name] == 1 else f"{name} ({seen[name]})")
    return numbered
