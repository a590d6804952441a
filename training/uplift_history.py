"""A randomised history: who was contacted, who was left alone, what they did, and what was known of them before."""

import difflib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl

from data_pipelines.schema import PROFILES_FILE, SEGMENT_ID, USER_ID, InputError
from serving.experiments.unit_table import UnitTable, check_units, read_frame
from serving.table_file import read_file, require_columns, with_ids
from training.customer_matrix import is_feature

CONTROLS = ("control", "0", "false", "none")
"""What the arm without contact is called, where nobody says."""
FEWEST = 10
"""Customers with and without the outcome that each arm needs."""
IntArray = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Columns:
    """What the columns of a history mean.

    Args:
        unit: of the customers.
        variant: of the arms.
        outcome: 1 for those who did what the campaign is for, 0 for others.
        control: name of the arm without contact; None to find it.
        treatment: name of the arm with it; None for the only other one.
    """

    unit: str
    variant: str
    outcome: str
    control: str | None = None
    treatment: str | None = None


@dataclass(frozen=True)
class UpliftHistory:
    """Two arms of an experiment, a row per customer.

    Args:
        table: user_id and the columns of the file.
        everybody: the same of all arms, also of those that are not compared.
        treated: `[n]`, 1 or 0.
        outcome: `[n]`, 1 or 0.
        arms: names, the control first.
    """

    table: pl.DataFrame
    everybody: pl.DataFrame
    treated: IntArray
    outcome: IntArray
    arms: tuple[str, str]

    def join(self, customers: pl.DataFrame, source: str) -> tuple["UpliftHistory", int]:
        """The history with what a table of customers says of them, and how many it does not know.

        Raises:
            InputError: if it knows none, or too few to learn from.
        """
        known = self.table[USER_ID].is_in(customers[USER_ID].implode())
        if not known.any():
            raise InputError(
                f"{source}: has none of the customers of the history, e.g. {self.table[USER_ID][0]!r}; build the "
                "profiles from the data of the same shop"
            )
        some = known.to_numpy()
        table = self.table.filter(known).select(USER_ID).join(customers, on=USER_ID, how="left", maintain_order="left")
        history = UpliftHistory(table, self.everybody, self.treated[some], self.outcome[some], self.arms)
        history.require_enough(f"{source}: of the customers that it knows,")
        return history, int((~some).sum())

    def require_enough(self, source: str) -> None:
        """Refuse a history in which an arm has too few customers with the outcome, or without.

        Raises:
            InputError: naming the arm.
        """
        for number, arm in enumerate(self.arms):
            for value in (1, 0):
                count = int(((self.treated == number) & (self.outcome == value)).sum())
                if count < FEWEST:
                    raise InputError(
                        f"{source} variant {arm!r} has {count} with outcome {value}; at least {FEWEST} are needed to "
                        "learn an effect"
                    )


def read_history(path: Path, columns: Columns) -> UpliftHistory:
    """Read the table of an experiment.

    Raises:
        InputError: naming the first thing that is wrong: a missing column, no control group, a variant without units,
            a customer who is there twice, an outcome that is neither 0 nor 1.
    """
    source, frame = str(path), read_frame(path, [columns.unit, columns.variant])
    control, treatment = _arms(frame[columns.variant].unique().sort().to_list(), columns, source)
    chosen = frame.filter(pl.col(columns.variant).is_in([control, treatment])) if treatment else frame
    names = [control, *([treatment] if treatment else [])]
    units = check_units(chosen, source, unit=columns.unit, variant=columns.variant, variants=names, control=control)
    if units.weights is not None:
        raise InputError(f"{source}: propensities differ within an arm; uplift is learnt from fixed shares only")
    ids = pl.col(columns.unit).alias(USER_ID)
    arms = (units.variants[0], units.variants[1])
    history = UpliftHistory(
        chosen.with_columns(ids),
        frame.with_columns(ids).unique(USER_ID, keep="first", maintain_order=True),
        units.variant.astype(np.int64),
        _outcome(units, columns.outcome),
        arms,
    )
    history.require_enough(f"{source}:")
    return history


def read_customers(path: Path) -> pl.DataFrame:
    """Read the table that `supplytower profile build` wrote, the folder it is in, or another table of customers.

    Raises:
        InputError: if it cannot be read, or a customer is there twice.
    """
    file = path / PROFILES_FILE if path.is_dir() else path
    table = read_file(file, [USER_ID], "see `supplytower profile build --help`", infer_schema_length=None)
    require_columns(table, (USER_ID,), file)
    table = with_ids(table, USER_ID, file)
    if (twice := table[USER_ID].filter(table[USER_ID].is_duplicated())).len():
        raise InputError(f"{file}: {USER_ID} {twice[0]!r} is there twice; keep one row for each customer")
    return table


def feature_columns(table: pl.DataFrame, wanted: Sequence[str], source: str) -> list[str]:
    """The columns to learn from: those that are asked for, else all that can be.

    Raises:
        InputError: if one is not there, or nothing is left.
    """
    for name in wanted:
        if name not in table.columns:
            close = difflib.get_close_matches(name, table.columns, n=1)
            remedy = f"did you mean {close[0]!r}?" if close else f"it has {', '.join(table.columns)}"
            raise InputError(f"--features {name}: {source} has no such column; {remedy}")
    known = [name for name in table.columns if name not in (USER_ID, SEGMENT_ID) and is_feature(table[name].dtype)]
    if not (found := list(wanted) or known):
        raise InputError(f"{source}: says nothing of the customers but their ids; name another table")
    return found


def _arms(there: list[str], columns: Columns, source: str) -> tuple[str, str | None]:
    """The control, and the other arm if it is known by name or the only one."""
    known = {name.lower(): name for name in there}
    control = columns.control or next((known[name] for name in CONTROLS if name in known), None)
    if control not in there:
        raise InputError(
            f"{source}: no control group: {columns.variant} holds {', '.join(there)}; name the customers who were left "
            "alone with --control"
        )
    if columns.treatment == control:
        raise InputError(f"--treatment {control}: is the control; name the arm that was contacted")
    others = [name for name in there if name != control]
    if columns.treatment is None and len(others) > 1:
        raise InputError(f"{source}: {columns.variant} holds {', '.join(others)}; say which with --treatment")
    return control, columns.treatment or next(iter(others), None)


def _outcome(units: UnitTable, name: str) -> IntArray:
    values = units.numbers(name)
    if len(wrong := np.flatnonzero(~np.isin(values, (0, 1)))):
        raise InputError(
            f"{units.source}: row {wrong[0] + 1}: {name} is {values[wrong[0]]:g}; give 1 to those who did what the "
            "campaign is for, and 0 to others"
        )
    return values.astype(np.int64)
