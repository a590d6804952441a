"""Which unit sees which variant: a pure function of salt, experiment and unit, so nothing must be stored.

    U(text) = (the first 13 hexadecimal digits of SHA-256 of the text in UTF-8, as a whole number) / 16^13    in [0, 1)

    place   = U("slot:" + layer + ":" + unit)     in the experiment if traffic_from <= place < traffic_from + traffic
    draw    = U("variant:" + salt + ":" + id + ":" + unit)
    variant = the first one whose share, added to those before it, exceeds the draw

A layer that is not named bears the experiment's id, a salt that is not given is empty text. 13 digits are 52 bits,
which a double holds exactly, so any language, and SQL, finds the same variant. The place and the draw are different
hashes: who is in an experiment does not say which variant, and experiments of different layers are independent.

    Python   int(hashlib.sha256(text.encode()).hexdigest()[:13], 16) / 16**13
    DuckDB   ('0x' || substr(sha256(text), 1, 13))::BIGINT / 16^13

Reference: Kohavi, Tang and Xu, "Trustworthy online controlled experiments", 2020, chapter 4.
"""

import hashlib
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import polars as pl

from data_pipelines.schema import EXPERIMENT, PROPENSITY, UNIT, VARIANT
from serving.experiments.experiment import SEPARATOR, Experiment

FloatArray = npt.NDArray[np.float64]
DIGITS_BITS = 52


def uniform(prefix: Sequence[str], units: Sequence[str]) -> FloatArray:
    """`U` of a prefix and each unit, `[n]`.

    Args:
        prefix: what stands before the unit; a separator follows each part.
        units: `[n]` ids.
    """
    begun = hashlib.sha256("".join(part + SEPARATOR for part in prefix).encode())

    def first_bytes(unit: str) -> bytes:
        state = begun.copy()
        state.update(unit.encode())
        return state.digest()[:8]

    # One call per unit, about a microsecond each: a hash that every language and warehouse has is worth more than a
    # faster one that only NumPy could reproduce.
    whole = np.frombuffer(b"".join(map(first_bytes, units)), dtype=">u8").astype(np.uint64)
    return np.asarray((whole >> np.uint64(64 - DIGITS_BITS)) / 2.0**DIGITS_BITS)


def in_traffic(experiment: Experiment, units: Sequence[str]) -> npt.NDArray[np.bool_]:
    """Whether units are in an experiment, `[n]`."""
    place = uniform(("slot", experiment.layer_name), units)
    first, last = experiment.stretch
    return np.asarray((place >= first) & (place < last))


def draw_variant(
    experiment: Experiment, units: Sequence[str], shares: Sequence[float] | None = None
) -> npt.NDArray[np.intp]:
    """The variant's number for units that are in an experiment, `[n]`.

    Args:
        experiment: whose variants.
        units: `[n]` ids.
        shares: other shares than the experiment's, e.g. of Thompson sampling.
    """
    draw = uniform(("variant", experiment.salt, experiment.id), units)
    edges = np.cumsum(experiment.shares if shares is None else shares)[:-1]  # the last one takes what rounding leaves
    return np.searchsorted(edges, draw, side="right")


def assign(experiment: Experiment, units: Sequence[str], shares: Sequence[float] | None = None) -> pl.DataFrame:
    """Assign units to the variants of an experiment.

    Args:
        experiment: the experiment.
        units: `[n]` ids.
        shares: other shares than the experiment's.

    Returns:
        A row for each unit that is in the experiment, in their order: unit, experiment, variant, and the propensity,
        i.e. the probability with which the unit got it.
    """
    names, taken = pl.Series(UNIT, units, dtype=pl.String), in_traffic(experiment, units)
    chosen = names.filter(pl.Series(taken))
    number = draw_variant(experiment, chosen.to_list(), shares)
    probability = np.asarray(experiment.shares if shares is None else shares, dtype=np.float64)
    return pl.DataFrame(
        {
            UNIT: chosen,
            EXPERIMENT: pl.repeat(experiment.id, len(chosen), dtype=pl.String, eager=True),
            VARIANT: pl.Series(experiment.variants).gather(number),
            PROPENSITY: probability[number],
        },
        schema_overrides={VARIANT: pl.String},
    )
