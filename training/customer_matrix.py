"""Customers as rows of numbers that a linear model can be fitted to.

Numbers are replaced by their rank among those of the history, which tames long tails, and scaled; gaps are filled with
the median. Words become one column for each that is frequent. What is learnt from the customers of the history holds
for all others.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl
from sklearn.impute import SimpleImputer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, QuantileTransformer, StandardScaler

from data_pipelines.schema import InputError

FloatArray = npt.NDArray[np.float64]
QUANTILES, WORDS = 200, 20
"""Ranks that are told apart, and words of a column."""


class CustomerMatrix:
    """Numbers for some columns of a table of customers.

    Args:
        table: customers to learn medians, ranks and words from.
        columns: numbers, flags or words.
        source: what messages call the table.

    Raises:
        InputError: if a column holds something else.
    """

    def __init__(self, table: pl.DataFrame, columns: Sequence[str], source: str) -> None:
        for name in columns:
            if not is_feature(table[name].dtype):
                raise InputError(f"{source}: {name} holds {table[name].dtype}; a feature holds numbers, flags or words")
        self.numbers = [name for name in columns if _is_number(table[name].dtype)]
        self.words = [name for name in columns if name not in self.numbers]
        self.names = list(self.numbers)
        if self.numbers:
            self._scale = make_pipeline(
                SimpleImputer(strategy="median", keep_empty_features=True),
                QuantileTransformer(n_quantiles=min(QUANTILES, table.height), subsample=None, random_state=0),
                StandardScaler(),
            ).fit(self._numbers(table))
        if self.words:
            self._levels = OneHotEncoder(
                handle_unknown="infrequent_if_exist", max_categories=WORDS, sparse_output=False
            ).fit(self._words(table))
            self.names += self._levels.get_feature_names_out(self.words).tolist()

    def transform(self, table: pl.DataFrame) -> FloatArray:
        """Rows `[customers, names]` of a table with the same columns."""
        parts = [np.zeros((table.height, 0))]
        if self.numbers and table.height:
            parts.append(self._scale.transform(self._numbers(table)))
        if self.words and table.height:
            parts.append(self._levels.transform(self._words(table)))
        return np.hstack(parts)

    def _numbers(self, table: pl.DataFrame) -> FloatArray:
        values = table.select(pl.col(self.numbers).cast(pl.Float64, strict=False)).to_numpy()
        return np.where(np.isfinite(values), values, np.nan)

    def _words(self, table: pl.DataFrame) -> npt.NDArray[Any]:
        return table.select(pl.col(self.words).cast(pl.String).fill_null("")).to_numpy()


def is_feature(kind: pl.DataType) -> bool:
    """Whether a column of this type says something of a customer that can be learnt from."""
    return _is_number(kind) or kind in (pl.String, pl.Categorical, pl.Enum)


def _is_number(kind: pl.DataType) -> bool:
    return kind.is_numeric() or kind in (pl.Boolean, pl.Null)
