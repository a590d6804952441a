"""Customers' features on one scale: what one unit of distance between two customers means.

    z = clip((f(x) − centre) / spread, ±CLIP) · weight        f = log(1 + x) for counts and money

with the median as centre, and as spread the interquartile range ÷ 1.349 or the range of the middle nine in ten ÷ 3.290,
whichever is larger (either is the deviation of a normal distribution), so that a few enormous customers do not set the
scale. An average over a customer's n baskets is pulled towards the shop's by m imaginary ones, (n f(x) + m centre) /
(n + m): who was here once is no "evening shopper". Weights make every theme count alike. What is missing stands at the
centre.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from models.traits import Trait, is_trait, trait_of

FloatArray = npt.NDArray[np.float64]
CLIP = 3.0
NORMAL_QUARTILES, NORMAL_NINE_IN_TEN = 1.349, 3.290
PSEUDO_BASKETS = 3.0
MIN_KNOWN_SHARE = 0.5
"""A feature that fewer customers have says more about who has it than about its value."""


@dataclass(frozen=True)
class TraitScale:
    """How features become comparable.

    Args:
        names: `[d]` columns of the profile table.
        centre: `[d]` of the transformed feature.
        spread: `[d]`, above 0.
    """

    names: tuple[str, ...]
    centre: FloatArray
    spread: FloatArray

    @property
    def traits(self) -> list[Trait]:
        """What is known of each feature."""
        return [trait_of(name) for name in self.names]

    @property
    def weights(self) -> FloatArray:
        """`[d]`; their squares add up to 1 in every theme."""
        themes = [trait.theme for trait in self.traits]
        return np.array([themes.count(theme) for theme in themes], float) ** -0.5

    def standardise(self, values: FloatArray, baskets: FloatArray) -> FloatArray:
        """Spreads away from the centre, without weights.

        Args:
            values: `[n, d]` features, NaN where missing.
            baskets: `[n]` that each customer's ratios are averages of.

        Returns:
            `[n, d]`, between ±CLIP; 0 where missing.
        """
        z = (_transformed(values, self.traits) - self.centre) / self.spread
        trust = baskets / (baskets + PSEUDO_BASKETS)
        ratio = np.array([trait.ratio for trait in self.traits])
        z = np.where(ratio, z * trust[:, None], z)
        return np.nan_to_num(z.clip(-CLIP, CLIP))


def fit_scale(names: Sequence[str], values: FloatArray) -> tuple[TraitScale, dict[str, str]]:
    """Find the scale of a shop's customers.

    Args:
        names: `[d]` columns.
        values: `[n, d]` features of the customers, NaN where missing.

    Returns:
        The scale of the usable columns, and of the others why they are left out.
    """
    left_out, kept = {}, []
    for column, name in enumerate(names):
        known = values[:, column][np.isfinite(values[:, column])]
        if not is_trait(name):
            continue
        if not len(known):
            left_out[name] = "not in the data"
        elif len(known) < MIN_KNOWN_SHARE * len(values):
            left_out[name] = f"known of {len(known) / len(values):.0%} of the customers only"
        elif known.min() == known.max():
            left_out[name] = "the same for all customers"
        else:
            kept.append(column)
    traits = [trait_of(names[column]) for column in kept]
    columns = [column[np.isfinite(column)] for column in _transformed(values[:, kept], traits).T]
    quantiles = np.array([np.quantile(column, [0.05, 0.25, 0.5, 0.75, 0.95]) for column in columns]).reshape(-1, 5)
    lowest, low, centre, high, highest = quantiles.T
    # the quartiles of a share that most customers have none of are close to each other, or the same
    spread = np.maximum((high - low) / NORMAL_QUARTILES, (highest - lowest) / NORMAL_NINE_IN_TEN)
    spread = np.where(spread > 0, spread, [column.std() for column in columns])
    return TraitScale(tuple(trait.name for trait in traits), centre, spread), left_out


def _transformed(values: FloatArray, traits: Sequence[Trait]) -> FloatArray:
    skewed = np.array([trait.skewed for trait in traits], bool)
    return np.where(skewed, np.log1p(np.where(skewed, values, 0.0).clip(0.0)), values)
