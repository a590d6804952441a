"""What the gateway recorded of an experiment, as a table: `supplytower experiment collect`.

    unit  experiment  variant  exposed_at  propensity  METRIC  METRIC:count ...

A row for each customer who was exposed, with the sum of the values of each metric and how many there were, 0 where
nothing happened: `experiment analyze` takes it as it is, and `--ratio revenue/revenue:count` is the value per order.
Values are weighted there by propensity where the shares have moved while the experiment ran. `experiment assign
--outcomes` takes the table, too, and shows the shares that Thompson sampling would give next.
"""

from collections.abc import Sequence
from functools import partial
from pathlib import Path

import polars as pl

from data_pipelines import console as terminal
from data_pipelines.result_table import require_apart, require_table, write_table
from data_pipelines.schema import EXPERIMENT, EXPOSED_AT, PROPENSITY, UNIT, VARIANT, InputError
from serving.experiments.experiment import read_experiment
from serving.gateway.event_store import EventStore
from serving.gateway.experiment_records import METRIC, VALUE, exposure_table, outcome_table
from serving.gateway.open_store import ask_store, require_store
from serving.gateway.settings import GatewaySettings

COUNT = ":count"
"""Ends the name of a column of counts; names of metrics have no colon."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit status."""
    return terminal.run(_main, argv)


def _main(argv: Sequence[str] | None) -> int:
    command = "supplytower experiment collect"
    parser = terminal.command_parser(
        command,
        "Write what the gateway recorded of an experiment as a table: a row for each customer who was exposed.\n"
        "The gateway may go on meanwhile.",
        examples=[
            f"{command} --store sqlite:///events.sqlite --experiments e.yaml --id welcome-mail --out o.parquet",
            f"{command} --store redis://127.0.0.1:6379/0 --experiments welcome.yaml --out outcomes.csv",
        ],
    )
    parser.add_argument("--store", required=True, help="of the gateway: sqlite:///events.sqlite or redis://host:6379/0")
    parser.add_argument("--experiments", type=Path, required=True, help="YAML file of experiments")
    parser.add_argument("--id", help="which of its experiments, if it has several")
    parser.add_argument("--out", type=Path, required=True, help="table to write, .parquet or .csv")
    arguments = parser.parse_args(argv)
    require_table(arguments.out)
    require_apart(arguments, written=("out",), read=("experiments",))
    experiment = read_experiment(arguments.experiments, arguments.id)
    with terminal.console.status("collecting"):
        table = collect(arguments.store, experiment.id)
    write_table(table, arguments.out)
    metrics = [name.removesuffix(COUNT) for name in table.columns if name.endswith(COUNT)]
    terminal.console.print(
        f"{table.height:,} units with {', '.join(metrics) or 'no outcomes yet'} are in {arguments.out}\n"
        f"Next:\n  supplytower experiment analyze --table {arguments.out} --experiments {arguments.experiments} "
        f"--id {experiment.id} --metric {metrics[0] if metrics else 'METRIC'}",
        soft_wrap=True,
        highlight=False,
    )
    return 0


def collect(url: str, experiment_id: str) -> pl.DataFrame:
    """The units of an experiment with their outcomes, by unit.

    Args:
        url: of the store.
        experiment_id: the experiment.

    Raises:
        InputError: if the store does not answer, or has no exposures.
    """
    named = f"--store {url.rpartition('@')[2]}"
    require_store(url)
    exposures, outcomes = ask_store(url, GatewaySettings(), partial(_read, experiment_id))
    if exposures.is_empty():
        raise InputError(
            f"{named}: has no exposures of {experiment_id}; post them to /v1/experiments/{experiment_id}/exposures"
        )
    return unit_table(exposures.with_columns(pl.lit(experiment_id).alias(EXPERIMENT)), outcomes)


async def _read(experiment_id: str, store: EventStore) -> tuple[pl.DataFrame, pl.DataFrame]:
    try:
        await store.ping()
        return await exposure_table(store.ledger, experiment_id), await outcome_table(store.ledger, experiment_id)
    finally:
        await store.close()


def unit_table(exposures: pl.DataFrame, outcomes: pl.DataFrame) -> pl.DataFrame:
    """A row for each unit.

    Args:
        exposures: unit, experiment, variant, exposed_at, propensity.
        outcomes: unit, metric, value; those of units without exposure do not count.

    Returns:
        Exposures, and for each metric the sum of the values and their count.
    """
    per_unit = outcomes.group_by(UNIT, METRIC).agg(pl.col(VALUE).sum(), count=pl.len().cast(pl.Float64))
    sums = per_unit.select(UNIT, METRIC, VALUE)
    counts = per_unit.select(UNIT, pl.col(METRIC) + COUNT, pl.col("count").alias(VALUE))
    wide = pl.concat([sums, counts]).sort(METRIC).pivot(on=METRIC, index=UNIT, values=VALUE)
    units = exposures.select(UNIT, EXPERIMENT, VARIANT, EXPOSED_AT, PROPENSITY).join(wide, on=UNIT, how="left")
    return units.with_columns(pl.col(wide.columns[1:]).fill_null(0.0)).sort(UNIT)


if __name__ == "__main__":
    raise SystemExit(main())
