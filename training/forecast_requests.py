"""Requests to an exported forecaster, made from a panel: names and dates instead of codes and columns."""

from typing import Any

import numpy as np

from data_pipelines.panel import Panel
from data_pipelines.schema import DEMAND_HISTORY, HORIZON, START_DATE


def make_requests(panel: Panel, history: int, horizon: int) -> dict[str, Any]:
    """Ask for the steps after a panel's end.

    Args:
        panel: the series.
        history: steps of demand to send at the most.
        horizon: steps ahead.

    Returns:
        The inputs of `training.forecast_graph`.
    """
    first = max(panel.time - history, 0)
    span = slice(first, panel.time + horizon)
    requests: dict[str, Any] = {
        DEMAND_HISTORY: panel.demand[:, first:],
        START_DATE: np.full(len(panel), str(panel.dates(first, first + 1)[0])),
        HORIZON: np.array(horizon, np.int32),
    }
    for i, name in enumerate(panel.numeric_names):
        requests[name] = panel.numeric[:, span, i]
    for i, category in enumerate(panel.categories):
        requests[category.name] = np.array(category.vocabulary)[panel.categorical[:, span, i]]
    for i, category in enumerate(panel.statics):
        requests[category.name] = np.array(category.vocabulary)[panel.static[:, i]]
    return requests
