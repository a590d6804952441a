"""Who is left alone, so that what a campaign brings can be measured: a pure function of salt, campaign and customer.

It is the hash of the experiments (`serving.experiments.assignment`), so SQL finds the same customers.
"""

import numpy as np
import numpy.typing as npt
import polars as pl

from serving.experiments.assignment import uniform


def holdout_point(users: pl.Series, salt: str, campaign_id: str) -> npt.NDArray[np.float64]:
    """A number from 0 to 1 for every customer; those below the share are held out, also of a larger share.

    Args:
        users: ids.
        salt: the shop's.
        campaign_id: the campaign's; who is held out of one says nothing about another.

    Returns:
        `[users]`, uniform.
    """
    return uniform(("holdout", salt, campaign_id), users.to_list())
