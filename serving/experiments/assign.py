"""Which unit sees which variant: `supplytower experiment assign`.

The same file and the same units give the same table, whenever and wherever it is made; how, is in `assignment`. An
experiment with `allocation: thompson` gets its shares from the outcomes so far. Units of that table keep what they got
and are left out, also those whose outcome is empty, because it is not known yet (0 would count as a failure): list all
that were assigned. New units are drawn with the new shares, which the table keeps as propensities.
"""

from collections.abc import Sequence
from datetime import date
from pathlib import Path

import numpy as np
import polars as pl
from rich.table import Table

from data_pipelines import console as terminal
from data_pipelines.result_table import require_apart, require_table, write_table
from data_pipelines.schema import EXPERIMENT, UNIT, USER_ID, VARIANT, InputError
from serving.experiments.assignment import FloatArray, assign
from serving.experiments.experiment import Experiment, read_experiments
from serving.experiments.sample_ratio import check_sample_ratio
from serving.experiments.thompson_sampling import BetaBernoulli, shares
from serving.experiments.unit_table import column_of_numbers, read_frame
from serving.table_file import require_columns

WIDE = 110
FILE = """The file of experiments holds, for each, variants and shares, the control first, and what else it needs:

experiments:
  - id: welcome-mail
    variants: {none: 0.5, discount: 0.25, gift: 0.25}
    start: 2024-05-01
    end: 2024-05-28
    layer: mail           # experiments of one layer share no unit; with traffic_from and traffic, parts of it
    allocation: fixed     # or thompson: shares follow the --outcomes"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit status."""
    return terminal.run(_main, argv)


def _main(argv: Sequence[str] | None) -> int:
    command = "supplytower experiment assign"
    parser = terminal.command_parser(
        command,
        "Say which unit sees which variant: a row per unit and experiment that it is in.\n" + FILE,
        examples=[
            f"{command} --experiments experiments.yaml --units users.parquet --out assignments.parquet",
            f"{command} --experiments e.yaml --id welcome-mail --units new.csv --unit customer --out a.csv",
            f"{command} --experiments e.yaml --units u.csv --on 2024-05-03 --out a.csv",
            f"{command} --experiments e.yaml --units u.csv --outcomes seen.csv --metric bought --out a.csv",
        ],
    )
    parser.add_argument("--experiments", type=Path, required=True, help="YAML file of experiments")
    parser.add_argument("--units", type=Path, required=True, help="table of units")
    parser.add_argument("--unit", default=USER_ID, help=f"its column of ids (default: {USER_ID})")
    parser.add_argument("--id", action="append", help="one of the experiments; repeat for more (default: all)")
    parser.add_argument("--on", metavar="DATE", help="only experiments that run on this day")
    parser.add_argument(
        "--outcomes",
        type=Path,
        help="table for Thompson sampling, all units so far: unit, variant, experiment, outcome",
    )
    parser.add_argument("--metric", help="its column of outcomes, 0 or 1; empty while not known")
    parser.add_argument("--out", type=Path, required=True, help="table to write, .parquet or .csv")
    arguments = parser.parse_args(argv)
    require_table(arguments.out)
    require_apart(arguments, written=("out",), read=("experiments", "units", "outcomes"))
    chosen = choose(read_experiments(arguments.experiments), arguments.id, arguments.on)
    units = read_frame(arguments.units, [arguments.unit])[arguments.unit]
    if len(repeated := units.is_duplicated().arg_true()):
        raise InputError(
            f"{arguments.units}: unit {units[repeated[0]]!r} is listed more than once; list each unit once"
        )
    seen = _outcomes(arguments.outcomes, arguments.metric, chosen)
    parts, rows = [], Table(box=None, pad_edge=False)
    for column in ("experiment", "variant", "share", "units"):
        rows.add_column(column, justify="right" if column in ("share", "units") else "left")
    for experiment in chosen:
        part, share = _assigned(experiment, units, seen, str(arguments.outcomes), arguments.metric)
        parts.append(part)
        counts = [int(part[VARIANT].eq(name).sum()) for name in experiment.variants]
        for name, expected, count in zip(experiment.variants, share, counts, strict=True):
            rows.add_row(experiment.id, name, f"{expected:.1%}", f"{count:,}")
        if sum(counts) and not check_sample_ratio(counts, share).passes:
            terminal.console.print(f"Note: {experiment.id}: counts are far from the shares; are the ids random?")
    table = pl.concat(parts)
    write_table(table, arguments.out)
    terminal.output(WIDE).print(rows)
    terminal.console.print(
        f"{table.height:,} assignments of {len(units):,} units are in {arguments.out}", soft_wrap=True
    )
    return 0


def choose(experiments: Sequence[Experiment], ids: Sequence[str] | None, day: str | None) -> list[Experiment]:
    """The experiments that were asked for.

    Raises:
        InputError: if there is none of a name, or none on the day.
    """
    known = {one.id: one for one in experiments}
    for name in ids or ():
        if name not in known:
            raise InputError(f"--id {name}: no such experiment; there are {', '.join(known)}")
    chosen = [one for one in experiments if not ids or one.id in ids]
    if day is None:
        return chosen
    try:
        when = date.fromisoformat(day)
    except ValueError:
        raise InputError(f"--on {day!r}: give a date, 2024-05-31") from None
    running = [one for one in chosen if one.runs_on(when)]
    if not running:
        raise InputError(f"--on {day}: none of {', '.join(one.id for one in chosen)} runs on that day")
    return running


def _outcomes(path: Path | None, metric: str | None, chosen: Sequence[Experiment]) -> pl.DataFrame | None:
    adaptive = [one.id for one in chosen if one.allocation == "thompson"]
    if path is None:
        if adaptive:
            terminal.console.print(f"Note: {', '.join(adaptive)}: no --outcomes yet, so shares are those of the file")
        return None
    if not adaptive:
        raise InputError(f"--outcomes {path}: no experiment here has `allocation: thompson`; shares do not change")
    if metric is None:
        raise InputError("--outcomes: say with --metric which column holds them")
    return read_frame(path, [UNIT, VARIANT, EXPERIMENT])


def _assigned(
    experiment: Experiment, units: pl.Series, seen: pl.DataFrame | None, source: str, metric: str
) -> tuple[pl.DataFrame, Sequence[float]]:
    """Assignments of an experiment, and the shares with which they were drawn."""
    if seen is None or experiment.allocation == "fixed":
        return assign(experiment, units.to_list()), experiment.shares
    own = seen.filter(pl.col(EXPERIMENT) == experiment.id)
    require_columns(own, (metric,), source)
    learned = learned_shares(experiment, own.filter(pl.col(metric).is_not_null()), source, metric)
    new = units.filter(~units.is_in(own[UNIT].implode()))
    return assign(experiment, new.to_list(), learned.tolist()), learned.tolist()


def learned_shares(experiment: Experiment, seen: pl.DataFrame, source: str, metric: str) -> FloatArray:
    """Shares that follow from outcomes, with a uniform prior.

    Args:
        experiment: whose variants.
        seen: its outcomes.
        source: what messages call them.
        metric: column of 0 and 1.

    Raises:
        InputError: if an outcome is neither, or a variant is unknown.
    """
    if seen.is_empty():
        return np.asarray(experiment.shares)
    outcome = column_of_numbers(seen, metric, source)
    if len(wrong := np.flatnonzero((outcome != 0) & (outcome != 1))):
        raise InputError(f"{source}: {metric} is {outcome[wrong[0]]:g}; Thompson sampling needs 0 or 1")
    unknown = seen.filter(~pl.col(VARIANT).is_in(experiment.variants))
    if not unknown.is_empty():
        raise InputError(
            f"{source}: unknown variant {unknown[VARIANT][0]!r}; {experiment.id} has {', '.join(experiment.variants)}"
        )
    number = seen[VARIANT].replace_strict(experiment.variants, range(len(experiment.variants)), return_dtype=pl.Int64)
    successes, failures = (
        np.asarray(1.0 + np.bincount(number, weights, minlength=len(experiment.variants)))
        for weights in (outcome, 1 - outcome)
    )
    return shares(BetaBernoulli(successes, failures), experiment.minimum_share)


if __name__ == "__main__":
    raise SystemExit(main())
