"""Histories written as baskets, and the padded arrays that the model reads."""

from collections.abc import Sequence

import numpy as np
from hypothesis import strategies as st

DAY = 86_400
ASKED_AT = 1_700_000_000

Basket = tuple[float, Sequence[int]]
"""days before the request, items"""

# up to 12 baskets on different hours, oldest first; item 1 is unknown, an item may stand twice in a basket
BASKETS = st.lists(
    st.tuples(st.integers(0, 2000), st.lists(st.integers(1, 6), min_size=1, max_size=4)),
    max_size=12,
    unique_by=lambda basket: basket[0],
).map(lambda baskets: [(hours / 24, items) for hours, items in sorted(baskets, reverse=True)])


def as_arrays(histories: Sequence[Sequence[Basket]], length: int | None = None) -> dict[str, np.ndarray]:
    """Model inputs of a batch of requests by user 1, right-padded to `length` (the longest history, at least 1)."""
    events = [
        [(item, 2 + item % 2, ASKED_AT - round(days * DAY)) for days, items in baskets for item in items]
        for baskets in histories
    ]
    length = length or max(1, *(len(rows) for rows in events))
    table = np.zeros((len(events), length, 3), np.int64)
    for row, rows in enumerate(events):
        table[row, : len(rows)] = np.array(rows).reshape(-1, 3)
    return {
        "user": np.ones(len(events), np.int32),
        "time": np.full(len(events), ASKED_AT, np.int64),
        "event_item": table[..., 0].astype(np.int32),
        "event_type": table[..., 1].astype(np.int32),
        "event_time": table[..., 2],
    }
