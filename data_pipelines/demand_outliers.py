"""Demand that no customer meant: a wholesale order, a slipped digit.

Judged on whole series without regard to time, like the cleaning steps: what is not plausible is nothing to predict.
"""

import narwhals as nw

from data_pipelines.frames import Lazy, height, materialise
from data_pipelines.report import Repair
from data_pipelines.schema import UNIQUE_ID, Y

OUTLIER_QUANTILE = 0.99


def cap_outliers(demand: Lazy, factor: float) -> tuple[Lazy, Repair | None]:
    """Lower demand that is far beyond what its series ever sees.

    Args:
        demand: with `unique_id` and `y`.
        factor: of the 99th percentile of the positive steps of the series; 0 for off.

    Returns:
        The table, and how many rows were lowered; None if none was.
    """
    if not factor:
        return demand, None
    limit, largest = "__limit", "__largest"
    limits = (
        demand.filter(nw.col(Y) > 0)
        .group_by(UNIQUE_ID)
        .agg(
            (nw.col(Y).quantile(OUTLIER_QUANTILE, interpolation="linear") * factor).alias(limit),
            nw.col(Y).max().alias(largest),
        )
    )
    exceeded = materialise(limits.filter(nw.col(largest) > nw.col(limit)).select(UNIQUE_ID, limit))
    if not height(exceeded):
        return demand, None
    marked = demand.join(exceeded, on=UNIQUE_ID, how="left")
    found = height(marked.filter(nw.col(Y) > nw.col(limit)))
    lowered = nw.when(nw.col(Y) > nw.col(limit)).then(nw.col(limit)).otherwise(nw.col(Y))
    action = f"lowered to {factor:g} times the 99th percentile of the series (demand_outlier_factor)"
    return marked.with_columns(lowered.alias(Y)).drop(limit), Repair("outliers", found, action)
