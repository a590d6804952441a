"""Taking the week out of a series and putting it back, for methods that know no season.

Classical additive decomposition: the pattern is the mean deviation of each place in the season from a centred moving
average. Reference: Hyndman & Athanasopoulos, "Forecasting: Principles and Practice", 3rd ed., section 3.4.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from statsmodels.tsa.seasonal import seasonal_decompose

Series = npt.NDArray[np.float64]
SEASONS_NEEDED = 3
"""A season is believed in when the history has this many of it."""


@dataclass(frozen=True)
class Adjusted:
    """A series without its season.

    Args:
        series: `[time]` demand less the pattern.
        ahead: `[horizon]` the pattern of the steps after the end, to be added to their forecast.
    """

    series: Series
    ahead: Series


def without_season(history: Series, season: int, horizon: int) -> Adjusted:
    """Take the season of `season` steps out of a history; a short one is left as it is."""
    pattern = np.zeros(season)
    if season > 1 and len(history) >= SEASONS_NEEDED * season:
        pattern = seasonal_decompose(history, period=season).seasonal[:season]
    pattern = pattern[np.arange(len(history) + horizon) % season]
    return Adjusted(history - pattern[: len(history)], pattern[len(history) :])
