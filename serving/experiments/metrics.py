"""What is measured in every unit: shares of units, means, ratios of sums, retention.

visit                a column of 0 and 1 is a proportion, any other column a mean
clicks/impressions   a ratio of sums: the unit that was assigned is the user, what is counted are its events
retention 28 days    the share of units seen again 28 days or more after their exposure, among those exposed so long
                     before the end of the data that this could be seen
"""

from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum

import numpy as np
import numpy.typing as npt
import polars as pl
from scipy import stats

from data_pipelines.schema import EXPOSED_AT, LAST_SEEN_AT, InputError
from serving.experiments.cuped import adjust
from serving.experiments.effects import Arm, mean_arm, ratio_arm
from serving.experiments.unit_table import FEWEST, FloatArray, UnitTable

MOST_DAYS = 36_500


class Kind(StrEnum):
    """How an effect on a metric is found."""

    PROPORTION = "proportion"
    MEAN = "mean"
    RATIO = "ratio"


@dataclass(frozen=True)
class Metric:
    """A metric of all units.

    Args:
        name: what it is called.
        kind: see `Kind`.
        values: `[n]` of the units; of a ratio the numerators.
        denominator: `[n]` of a ratio.
        among: `[n]` which units count; None for all.
        explained: share of the variance that covariates took away.
    """

    name: str
    kind: Kind
    values: FloatArray
    denominator: FloatArray | None = None
    among: npt.NDArray[np.bool_] | None = None
    explained: float | None = None

    def arm(self, table: UnitTable, number: int) -> Arm:
        """The metric in one variant.

        Raises:
            InputError: if too few of its units count.
        """
        rows = table.variant == number
        if self.among is not None:
            rows &= self.among
        variant = table.variants[number]
        if rows.sum() < FEWEST:
            raise InputError(f"{self.name}: variant {variant!r} has {rows.sum()} units that count; {FEWEST} are needed")
        weights = None if table.weights is None else table.weights[rows]
        if self.denominator is None:
            return mean_arm(self.values[rows], weights)
        if not self.denominator[rows].any():
            raise InputError(f"{table.source}: {self.name}: its denominator is 0 for all units of variant {variant!r}")
        return ratio_arm(self.values[rows], self.denominator[rows], weights)


def skewness_of_difference(metric: Metric, table: UnitTable) -> float:
    """Of the difference of two variants' means, the most unequal ones, if the metric is skewed alike in both.

    In equal arms skewness cancels out; where it does not, the tails of the difference are not those of the t test, and
    0.3 makes about 7 % false alarms of 5 %.
    """
    few, many = min(table.units), max(table.units)
    between = (1 / few**2 - 1 / many**2) / (1 / few + 1 / many) ** 1.5
    return abs(float(stats.skew(metric.values))) * between if np.ptp(metric.values) else 0.0


def column_metric(table: UnitTable, name: str, covariates: FloatArray | None = None) -> Metric:
    """A column as a metric, with the part that covariates explain taken away.

    Args:
        table: of the units.
        name: the column.
        covariates: `[n, m]` from before the exposure.

    Raises:
        InputError: if the column is missing or holds something else than numbers.
    """
    values = table.numbers(name)
    if covariates is None:
        # fractions of which all are 0 are rather revenue that nobody brought than a share
        flags = values.any() or not table.frame[name].dtype.is_float()
        binary = table.weights is None and bool(flags and np.isin(values, (0.0, 1.0)).all())
        return Metric(name, Kind.PROPORTION if binary else Kind.MEAN, values)
    adjusted = adjust(values, covariates, table.variant)
    variance = values.var()
    return Metric(name, Kind.MEAN, adjusted, explained=float(1 - adjusted.var() / variance) if variance else 0.0)


def ratio_metric(table: UnitTable, word: str) -> Metric:
    """`NUMERATOR/DENOMINATOR` as a metric.

    Raises:
        InputError: if it is not of that form, or a denominator is negative.
    """
    numerator, separator, denominator = word.partition("/")
    if not (numerator and separator and denominator):
        raise InputError(f"--ratio {word!r}: write NUMERATOR/DENOMINATOR, two columns, e.g. clicks/impressions")
    per = table.numbers(denominator)
    if len(wrong := np.flatnonzero(per < 0)):
        raise InputError(
            f"{table.source}: row {wrong[0] + 1}: {denominator} is {per[wrong[0]]:g}; it must not be negative"
        )
    return Metric(word, Kind.RATIO, table.numbers(numerator), per)


def retention_metric(table: UnitTable, days: int) -> Metric:
    """Share of units that were seen so many days after their exposure, or later.

    Raises:
        InputError: if times are missing, or no unit was exposed so long ago.
    """
    if not 1 <= days <= MOST_DAYS:
        raise InputError(f"--retention {days}: must be from 1 to {MOST_DAYS:,} days")
    exposed, seen = table.times(EXPOSED_AT), table.times(LAST_SEEN_AT)
    if exposed.null_count():
        raise InputError(
            f"{table.source}: row {exposed.is_null().arg_true()[0] + 1} has no {EXPOSED_AT}; give every unit's"
        )
    exposed = table.exposed_before(LAST_SEEN_AT)
    wait, last = timedelta(days=days), pl.concat([exposed, seen]).max()
    among = (exposed + wait <= last).to_numpy()
    if not among.any():
        raise InputError(
            f"--retention {days}: the data end less than {days} days after the first exposure; ask for fewer"
        )
    retained = (seen - exposed >= wait).fill_null(False).to_numpy().astype(np.float64)
    kind = Kind.PROPORTION if table.weights is None else Kind.MEAN
    return Metric(f"retention {days} days", kind, retained, among=among)
