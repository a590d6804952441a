"""RFM targeting, the rule of direct marketing: whom to write to by how recently, how often and how much they bought.

Each of the three is cut into five equal groups of the customers at hand, 5 the best, and the three digits are added up;
between equals, who spent more comes first. References: Hughes, "Strategic Database Marketing", 1994 (quintiles);
Miglautsch, "Thoughts on RFM scoring", Journal of Database Marketing 8, 2000 (digits added with equal weights).
"""

import numpy as np
import numpy.typing as npt
from scipy.stats import rankdata

FloatArray = npt.NDArray[np.float64]
GROUPS = 5


def quintile(values: FloatArray) -> FloatArray:
    """The fifth `[n]` each of the values `[n]` is in, from 1 (lowest) to 5; equal values share theirs."""
    share = (rankdata(values, method="average") - 0.5) / max(len(values), 1)
    return np.floor(share * GROUPS) + 1


def rfm_score(recency_days: FloatArray, frequency: FloatArray, monetary: FloatArray) -> FloatArray:
    """RFM score of customers beside each other.

    Args:
        recency_days: `[n]` since the last purchase.
        frequency: `[n]` baskets.
        monetary: `[n]` spend.

    Returns:
        `[n]`: the sum of three digits, 3 to 15, and less than 1 that breaks ties by spend.
    """
    digits = quintile(-recency_days) + quintile(frequency) + quintile(monetary)
    return digits + rankdata(monetary) / (len(monetary) + 1)
