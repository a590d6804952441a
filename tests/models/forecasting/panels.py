"""Small panels whose right answer is known."""

from collections.abc import Sequence

import numpy as np

from data_pipelines.panel import Category, Panel

MONDAY = int(np.datetime64("2024-01-01").astype(int))
"""A Monday, in days since 1970-01-01."""


def panel_of(*series: Sequence[float], first_day: int = MONDAY, step_days: int = 1) -> Panel:
    """A panel of series of one length, the first column a Monday."""
    demand = np.array(series, np.float32)
    return Panel(np.array([f"series {i}" for i in range(len(demand))]), first_day, demand, step_days)


def shop(n_days: int = 150, seed: int = 3) -> Panel:
    """Eight seasonal series of Poisson demand: one launched late, one always zero, one of a single day, one constant.

    A promotion is planned beyond the end and doubles demand, a price is only observed, and there is one static.
    """
    rng = np.random.default_rng(seed)
    day = np.arange(n_days + 28)
    level = np.array([30, 20, 15, 10, 8, 5, 3, 1.0])[:, None]
    promotion = (rng.random((8, n_days + 28)) < 0.1).astype(np.float32)
    profile = 1 + 0.5 * np.isin(day % 7, (5, 6))
    demand = rng.poisson(level * profile * (1 + promotion)).astype(np.float32)[:, :n_days]
    demand[4, : n_days - 40] = np.nan
    demand[4, n_days - 20] = np.nan
    demand[5] = 0
    demand[6, : n_days - 1] = np.nan
    demand[7] = 4
    price = np.where(rng.random((8, n_days + 28)) < 0.2, np.nan, 2.0).astype(np.float32)
    price[:, n_days:] = price[:, n_days - 1 : n_days]
    return Panel(
        np.array([f"series {i}" for i in range(8)]),
        MONDAY,
        demand,
        numeric=np.stack([promotion, price], axis=-1),
        numeric_names=("promotion", "price"),
        planned=(True, False),
        static=np.array([[1], [1], [1], [2], [2], [2], [2], [0]], np.int32),
        statics=(Category("department", ("", "a", "b")),),
    )


LATE, ALL_ZERO, ONE_POINT, CONSTANT = 4, 5, 6, 7
"""Rows of `shop`."""
