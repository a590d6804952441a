"""Tables whose rows are answered as JSON."""

import polars as pl


def json_table(table: pl.DataFrame) -> pl.DataFrame:
    """With values that JSON has: times as text, null where a number is not finite."""
    return table.with_columns(
        pl.selectors.temporal().cast(pl.String),
        pl.selectors.categorical().cast(pl.String),
        pl.selectors.decimal().cast(pl.Float64),
    ).with_columns(pl.when(pl.selectors.float().is_finite()).then(pl.selectors.float()))
