"""What is bought together, as `supplytower rules mine` wrote it: rules between products, and bundles of them."""

from pathlib import Path

import polars as pl

from data_pipelines.schema import (
    ANTECEDENT,
    BASKETS,
    BUNDLE_ITEMS,
    BUNDLES_FILE,
    CONFIDENCE,
    CONSEQUENT,
    LEVEL,
    LIFT,
    MARGIN,
    PRICE,
    RULES_FILE,
    InputError,
)
from serving.table_file import read_file, require_columns

MINE = "write it with `supplytower rules mine --data DATA --out RULES`"
RULE = "rule"
ANTECEDENT_NAME = f"{ANTECEDENT}_name"


def rules_file(path: Path) -> Path:
    """The table of rules in a folder that `supplytower rules mine` wrote; a table stands for itself."""
    return path / RULES_FILE if path.is_dir() else path


def bundles_file(path: Path) -> Path:
    """The table of bundles beside that of rules."""
    return rules_file(path).with_name(BUNDLES_FILE)


def read_rules(path: Path) -> pl.DataFrame:
    """Read the rules between products, the best first.

    Args:
        path: the folder that `supplytower rules mine` wrote, or its table of rules.

    Returns:
        rule (its number), antecedent (list of ids), antecedent_name, consequent (one id), confidence, lift. Rules for
        several products at once are left out: for each of these there is a rule that is believed more.

    Raises:
        InputError: if it cannot be read, or holds no rule between products.
    """
    file = rules_file(path)
    table = _read(file, (LEVEL, ANTECEDENT, ANTECEDENT_NAME, CONSEQUENT, CONFIDENCE, LIFT), (ANTECEDENT, CONSEQUENT))
    rules = table.filter((pl.col(LEVEL) == "item") & (pl.col(CONSEQUENT).list.len() == 1))
    if rules.is_empty():
        raise InputError(f"{file}: holds no rules between products; mine with --level item, or --min-support lower")
    rules = rules.sort(pl.col(CONFIDENCE) * pl.col(LIFT).sqrt(), descending=True, maintain_order=True)
    columns = (ANTECEDENT, ANTECEDENT_NAME, pl.col(CONSEQUENT).list.first(), CONFIDENCE, LIFT)
    return rules.select(columns).with_row_index(RULE)


def read_bundles(path: Path) -> pl.DataFrame:
    """Read the bundles of products, the best first.

    Args:
        path: as for `read_rules`.

    Returns:
        items (list of ids), price and margin of one of each (null where they are not known), baskets, lift.

    Raises:
        InputError: if it cannot be read.
    """
    columns = (BUNDLE_ITEMS, PRICE, MARGIN, BASKETS, LIFT)
    table = _read(bundles_file(path), (LEVEL, *columns), (BUNDLE_ITEMS,))
    return table.filter(pl.col(LEVEL) == "item").select(columns)


def _read(file: Path, columns: tuple[str, ...], lists: tuple[str, ...]) -> pl.DataFrame:
    table = read_file(file, (), MINE)
    require_columns(table, columns, file)
    for name in lists:
        if table[name].dtype != pl.List(pl.String):
            raise InputError(f"{file}: {name} holds {table[name].dtype}, not lists of ids; {MINE}")
    return table
