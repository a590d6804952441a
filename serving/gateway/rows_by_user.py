"""A table about customers, asked for one of them at a time.

A million customers take no index beside their table: it is sorted, so twenty comparisons find a row.
"""

from bisect import bisect_left, bisect_right

import polars as pl

from data_pipelines.schema import USER_ID


class RowsByUser:
    """The rows of every customer.

    Args:
        table: with user_id.
    """

    def __init__(self, table: pl.DataFrame):
        self.table = table.sort(USER_ID, maintain_order=True).rechunk()
        self._ids = self.table[USER_ID]

    def of(self, user_id: str) -> pl.DataFrame:
        """The customer's rows, in the table's order; none for unknown customers."""
        first = bisect_left(self._ids, user_id)
        return self.table.slice(first, bisect_right(self._ids, user_id, lo=first) - first)
