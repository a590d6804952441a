"""What kind of demand a series has: smooth, erratic, intermittent or lumpy.

`ADI` is the average demand interval, steps per step with demand; `CV²` is the squared coefficient of variation of the
sizes where there is demand. Above 1.32 demand is intermittent, above 0.49 its size is erratic, above both it is lumpy:
where these lines are crossed another method has the smaller error.
Reference: Syntetos, Boylan & Croston, "On the categorization of demand patterns", JORS 2005.
"""

from dataclasses import dataclass
from enum import StrEnum

import numpy as np
import numpy.typing as npt

from models.forecasting.forecaster import FloatArray

INTERVAL_LIMIT = 1.32
VARIATION_LIMIT = 0.49


class DemandClass(StrEnum):
    """The four classes."""

    SMOOTH = "smooth"
    ERRATIC = "erratic"
    INTERMITTENT = "intermittent"
    LUMPY = "lumpy"


@dataclass(frozen=True)
class DemandClasses:
    """Classes of series and the two numbers they follow from.

    Args:
        interval: `[n]` ADI, steps; infinite where nothing was sold.
        variation: `[n]` CV² of the sizes, 0 where nothing was sold.
        label: `[n]` values of `DemandClass`.
    """

    interval: FloatArray
    variation: FloatArray
    label: npt.NDArray[np.str_]


def classify(demand: FloatArray) -> DemandClasses:
    """The class of every series.

    Args:
        demand: `[n, time]` units; NaN, such as before the launch, does not count.
    """
    sold = np.isfinite(demand) & (demand > 0)
    count = sold.sum(axis=1)
    sizes = np.where(sold, demand, 0.0).astype(np.float64)
    known = np.maximum(count, 1)
    mean = sizes.sum(axis=1) / known
    variance = (np.where(sold, sizes - mean[:, None], 0.0) ** 2).sum(axis=1) / known
    interval = np.where(count > 0, np.isfinite(demand).sum(axis=1) / known, np.inf).astype(np.float32)
    variation = (variance / np.where(mean > 0, mean, 1.0) ** 2).astype(np.float32)
    names = np.array([[DemandClass.SMOOTH, DemandClass.ERRATIC], [DemandClass.INTERMITTENT, DemandClass.LUMPY]])
    label = names[(interval > INTERVAL_LIMIT).astype(int), (variation > VARIATION_LIMIT).astype(int)]
    return DemandClasses(interval, variation, label)
