"""Folders as `supplytower rules mine` writes them, with what is read of them."""

from pathlib import Path

import polars as pl

RULES = [
    ("item", ["item0"], ["item1"], 0.5, 4.0),  # weight 0.5 · √4 = 1
    ("item", ["item0", "item2"], ["item3"], 0.6, 9.0),  # 1.8
    ("item", ["item0"], ["item3"], 0.2, 4.0),  # 0.4
    ("item", ["item2"], ["item1"], 0.3, 4.0),  # 0.6
    ("item", ["item0"], ["gone"], 0.1, 1.0),  # 0.1, of a product that the catalogue does not have
    ("item", ["item4"], ["item0", "item5"], 0.9, 9.0),  # two at once
    ("category", ["item0"], ["item9"], 0.9, 9.0),
]
BUNDLES = [
    ("item", ["item0", "item1"], 3.5, 1.25, 40, 6.0),
    ("item", ["item0", "item2", "item3"], 9.0, None, 30, 5.0),
    ("item", ["item4", "item5"], None, None, 20, 4.0),
    ("category", ["item0", "item9"], None, None, 10, 3.0),
]


def write_rules(folder: Path, rows: list[tuple]) -> Path:
    table = pl.DataFrame(rows, ["level", "antecedent", "consequent", "confidence", "lift"], orient="row")
    table = table.with_columns(pl.col("antecedent").list.join(" + ").alias("antecedent_name"))
    table.write_parquet(folder / "rules.parquet")
    return folder


def write_bundles(folder: Path, rows: list[tuple]) -> Path:
    columns = ["level", "items", "price", "margin", "baskets", "lift"]
    pl.DataFrame(rows, columns, orient="row").write_parquet(folder / "bundles.parquet")
    return folder
