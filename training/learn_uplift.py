"""Whom does a contact move? `supplytower campaigns uplift`.

Reads an experiment, a row per customer: who was contacted, who was left alone, what they did. Writes a factor on the
purchase probability for every customer, as `supplytower campaigns plan --uplift` takes it. Customers differ in it only
if the ranking is better than random on customers who were held out; else all get the average effect.
"""

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import polars as pl
from rich.table import Table

from data_pipelines import console as terminal
from data_pipelines.config import describe, resolve
from data_pipelines.result_table import require_apart, require_table, write_table
from data_pipelines.schema import CAMPAIGN_ID, UPLIFT, USER_ID, VARIANT, InputError
from training.confidence import Estimate
from training.customer_matrix import CustomerMatrix, FloatArray
from training.randomisation import doubts
from training.uplift_config import UpliftConfig
from training.uplift_effect import PERSONAL, Measured, arms, average_factor, measure, personal_factors
from training.uplift_history import Columns, UpliftHistory, feature_columns, read_customers, read_history

WIDE = 120


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit status."""
    return terminal.run(_main, argv)


def _parser() -> argparse.ArgumentParser:
    command = "supplytower campaigns uplift"
    parser = terminal.command_parser(
        command,
        "Learn from a randomised history whom a contact moves, and write the factors for `campaigns plan --uplift`.\n"
        "What is known of the customers must be from before the contact: `profile build --until`.",
        examples=[
            f"{command} --table test.parquet --outcome bought --profiles build/profiles --out uplift.parquet",
            f"{command} --table test.csv --variant arm --control none --treatment mail --outcome visit \\\n"
            "      --profiles build/before --customers build/profiles --campaign spring --out uplift.parquet",
            f"{command} --table test.csv --outcome visit --features recency history channel --out uplift.csv",
        ],
        settings=describe(UpliftConfig),
    )
    parser.add_argument("--table", type=Path, required=True, help="table of customers, .parquet or .csv")
    parser.add_argument("--unit", default=USER_ID, help=f"column of the customers (default: {USER_ID})")
    parser.add_argument("--variant", default=VARIANT, help=f"column of the arms (default: {VARIANT})")
    parser.add_argument("--control", help="arm that was left alone (default: control, 0, false or none)")
    parser.add_argument("--treatment", help="arm that was contacted (default: the only other one)")
    parser.add_argument("--outcome", required=True, help="column: 1 for those who did it, 0 for others")
    parser.add_argument("--profiles", type=Path, help="folder or table of profiles from before the contact")
    parser.add_argument(
        "--features", nargs="+", default=[], metavar="COLUMN", help="to learn from (default: all of the profiles)"
    )
    parser.add_argument(
        "--customers", type=Path, help="folder or table of whom to write factors for (default: --profiles, or --table)"
    )
    parser.add_argument("--campaign", help="id of the only campaign that the factors are for (default: all)")
    parser.add_argument("--force", action="store_true", help="write what the models say in any case")
    parser.add_argument("--out", type=Path, required=True, help="table to write, .parquet or .csv")
    parser.add_argument("--config", type=Path, help="YAML file of settings")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="one setting, over the file")
    return parser


def _main(argv: Sequence[str] | None) -> int:
    arguments = _parser().parse_args(argv)
    require_table(arguments.out)
    require_apart(arguments, written=("out",), read=("table", "profiles", "customers", "config"))
    config = resolve(UpliftConfig, file=arguments.config, overrides=arguments.set)
    history, customers, names = _read(arguments)
    matrix = CustomerMatrix(history.table, names, str(arguments.profiles or arguments.table))
    features = matrix.transform(history.table)
    for doubt in doubts(features, history.treated, matrix.names, config.planned_share):
        _say(f"Warning: {doubt}")
    with terminal.console.status("measuring on customers who were held out"):
        measured = measure(features, history.treated, history.outcome, config)
    average = average_factor(history.treated, history.outcome, config.confidence)
    _print(history, arguments.outcome, average, measured.qini, config)
    personal = measured.qini[PERSONAL].low > 0
    factors = np.full(customers.height, average.mean)
    if personal or arguments.force:
        others = matrix.transform(customers)
        trusted = measured if personal else Measured(measured.qini)
        factors = personal_factors(features, history.treated, history.outcome, others, trusted, config)
    _say(_verdict(average, personal=personal, forced=arguments.force))
    write_table(_table(customers[USER_ID], factors, arguments.campaign), arguments.out)
    low, middle, high = np.quantile(factors, [0.05, 0.5, 0.95])
    _say(
        f"factors of {customers.height:,} customers in {arguments.out}, from {low:.2f} over {middle:.2f} to {high:.2f} "
        f"(5 %, half, 95 %); to use them: supplytower campaigns plan --uplift {arguments.out}"
    )
    return 0


def _read(arguments: argparse.Namespace) -> tuple[UpliftHistory, pl.DataFrame, list[str]]:
    """The history with what is known of its customers, those to write for, and the columns to learn from."""
    columns = Columns(arguments.unit, arguments.variant, arguments.outcome, arguments.control, arguments.treatment)
    history = read_history(arguments.table, columns)
    if arguments.profiles is None:
        if not arguments.features:
            raise InputError("give --profiles, or name columns of the table from before the contact with --features")
        if later := [name for name in arguments.features if name in (columns.variant, columns.outcome)]:
            raise InputError(f"--features {later[0]}: was not known before the contact; leave it out")
        names = feature_columns(history.table, arguments.features, str(arguments.table))
        customers = history.everybody
    else:
        customers = read_customers(arguments.profiles)
        names = feature_columns(customers, arguments.features, str(arguments.profiles))
        history, unknown = history.join(customers, str(arguments.profiles))
        if unknown:
            _say(f"Note: {unknown:,} customers of the history are not in {arguments.profiles}: they teach nothing")
    if arguments.customers is not None:
        customers = read_customers(arguments.customers)
        feature_columns(customers, names, str(arguments.customers))
    return history, customers, names


def _print(
    history: UpliftHistory,
    outcome: str,
    average: Estimate,
    measured: Mapping[str, Estimate],
    config: UpliftConfig,
) -> None:
    shown = terminal.output(WIDE)
    both = arms(history.treated, history.outcome)
    for name, arm in zip(history.arms, both, strict=True):
        shown.print(f"{name}: {arm.customers:,} customers, {outcome} {arm.rate:.3%}", highlight=False)
    shown.print(
        f"a contact multiplies {outcome} by {average.mean:.3f} on average ({config.confidence:.0%}: {average.low:.3f} "
        f"to {average.high:.3f})",
        highlight=False,
    )
    table = Table("ranked by", "Qini × 1000", f"{config.confidence:.0%} interval", box=None, pad_edge=False)
    for name, one in measured.items():
        table.add_row(name, f"{1000 * one.mean:.2f}", f"{1000 * one.low:.2f} to {1000 * one.high:.2f}")
    shown.print(table)


def _verdict(average: Estimate, *, personal: bool, forced: bool) -> str:
    """What is written, and why."""
    if personal:
        return "On customers who were held out, uplift ranks better than random: every customer gets a factor."
    said = "On customers who were held out, uplift does not rank better than random: its interval is not above 0."
    if forced:
        return f"{said} Every customer gets what the models say all the same: --force."
    doubt = ", which may be none at all" if average.low <= 1 <= average.high else ""
    return f"{said} Everybody gets the average effect{doubt}; for personal factors nevertheless, add --force."


def _table(users: pl.Series, factors: FloatArray, campaign: str | None) -> pl.DataFrame:
    table = pl.DataFrame({USER_ID: users, UPLIFT: factors})
    return table if campaign is None else table.with_columns(pl.lit(campaign).alias(CAMPAIGN_ID))


def _say(line: str) -> None:
    terminal.console.print(line, soft_wrap=True, highlight=False)


if __name__ == "__main__":
    raise SystemExit(main())
