"""What an experiment has shown, and how surely: `supplytower experiment analyze`.

Reads a row per unit: unit, variant, outcomes. Prints the verdict and a table of effects; writes a page, or prints JSON.
Checks before it believes: the shares of the variants, times of exposure and outcome, covariates from before exposure.
"""

import argparse
import json
import math
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import polars as pl
from rich.table import Table

from data_pipelines import console as terminal
from data_pipelines.atomic import write_text
from data_pipelines.result_table import require_apart, require_page
from data_pipelines.schema import EXPERIMENT, PROPENSITY, UNIT, VARIANT, InputError
from serving.experiments.analysis import CORRECTIONS, Analysis, analyze, unbalanced
from serving.experiments.analysis_json import to_dict
from serving.experiments.effects import Arm
from serving.experiments.experiment import Experiment, read_experiment
from serving.experiments.guardrails import parse_guardrail
from serving.experiments.metrics import (
    Kind,
    Metric,
    column_metric,
    ratio_metric,
    retention_metric,
    skewness_of_difference,
)
from serving.experiments.report import experiment_page
from serving.experiments.return_on_investment import Return, returns
from serving.experiments.unit_table import (
    FloatArray,
    UnitTable,
    check_times,
    check_units,
    drawn_shares,
    read_frame,
)
from serving.experiments.verdict import Verdict, change_of, decide

WIDE = 140
SKEWED = 0.3


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit status."""
    return terminal.run(_main, argv)


def _parser() -> argparse.ArgumentParser:
    command = "supplytower experiment analyze"
    parser = terminal.command_parser(
        command,
        "Say what an experiment has shown. The table has a row per unit: unit, variant, outcomes; if it has them,\n"
        "times of exposure (exposed_at), outcome (outcome_at) and last visit (last_seen_at), and the propensity.",
        examples=[
            f"{command} --table outcomes.parquet --metric visit --metric spend --report experiment.html",
            f"{command} --table o.csv --metric visit --control none --shares none=0.5,mail=0.5",
            f"{command} --table o.csv --experiments e.yaml --id welcome-mail --metric bought",
            f"{command} --table o.csv --metric spend --covariate spend_before --guardrail returns=0.02",
            f"{command} --table o.csv --ratio clicks/impressions --retention 28 --sequential 64000",
            f"{command} --table o.csv --metric visit --revenue spend --cost mail=0.10 --margin 0.3",
        ],
    )
    parser.add_argument("--table", type=Path, required=True, help="table of units, .parquet or .csv")
    parser.add_argument("--unit", default=UNIT, help=f"column of the units (default: {UNIT})")
    parser.add_argument("--variant", default=VARIANT, help=f"column of the variants (default: {VARIANT})")
    parser.add_argument("--experiments", type=Path, help="YAML file: its variants, shares and days are checked")
    parser.add_argument("--id", help="which of its experiments, if it has several")
    parser.add_argument("--control", help="variant that others are compared with (default: the file's or the first)")
    parser.add_argument("--shares", help="planned shares, NAME=SHARE,... (default: the file's, propensities, or equal)")
    parser.add_argument(
        "--metric", action="append", default=[], help="column of outcomes; the first decides, repeat for more"
    )
    parser.add_argument("--ratio", action="append", default=[], metavar="A/B", help="ratio of two columns' sums")
    parser.add_argument(
        "--retention",
        action="append",
        default=[],
        type=int,
        metavar="DAYS",
        help="share of units seen so long after exposure",
    )
    parser.add_argument("--lower", action="append", default=[], metavar="METRIC", help="less of it is better")
    parser.add_argument(
        "--guardrail",
        action="append",
        default=[],
        metavar="METRIC=MARGIN",
        help="-0.02: it may fall by 2%%; 0.05: rise by 5%%",
    )
    parser.add_argument("--covariate", action="append", default=[], help="column from before the exposure, for CUPED")
    parser.add_argument("--revenue", help="column of money, for ROI")
    parser.add_argument("--cost", action="append", default=[], metavar="COLUMN|VARIANT=COST", help="of a unit, for ROI")
    parser.add_argument("--margin", type=float, default=1.0, help="share of revenue that is left (default: 1)")
    parser.add_argument("--alpha", type=float, default=0.05, help="probability of a false alarm (default: 0.05)")
    parser.add_argument("--correction", choices=CORRECTIONS, default="holm", help="for several tests (default: holm)")
    parser.add_argument(
        "--sequential", type=int, metavar="UNITS", help="units planned in all; the test may be looked at every day"
    )
    parser.add_argument("--report", type=Path, help="page to write, .html")
    parser.add_argument("--json", action="store_true", help="print JSON")
    return parser


def _main(argv: Sequence[str] | None) -> int:
    arguments = _parser().parse_args(argv)
    if arguments.report is not None:
        require_page(arguments.report)
    require_apart(arguments, written=("report",), read=("table", "experiments"))
    with terminal.console.status("analyzing"):
        analysis = from_arguments(arguments)
    verdict = decide(analysis)
    if arguments.report is not None:
        write_text(arguments.report, experiment_page(analysis, verdict))
    if arguments.json:
        print(json.dumps(to_dict(analysis, verdict), indent=2, ensure_ascii=False, allow_nan=False))
    else:
        _print(analysis, verdict)
    if arguments.report is not None:
        terminal.console.print(f"the page is {arguments.report}", soft_wrap=True, highlight=False)
    return 0


def from_arguments(arguments: argparse.Namespace) -> Analysis:
    """Read, check and compare what the command line names.

    Raises:
        InputError: naming the first thing that is wrong.
    """
    experiment = _experiment(arguments.experiments, arguments.id)
    planned = _planned_shares(arguments.shares, experiment)
    source = str(arguments.table)
    frame = read_frame(arguments.table, [arguments.unit, arguments.variant])
    if experiment is not None and experiment.allocation == "thompson" and PROPENSITY not in frame.columns:
        raise InputError(f"{source}: {experiment.id} has moving shares; add the column {PROPENSITY} of its assignments")
    if EXPERIMENT in frame.columns:
        frame, source = _own_rows(frame, source, experiment)
    control = arguments.control or (experiment.control if experiment else None)
    table = check_units(
        frame, source, unit=arguments.unit, variant=arguments.variant, variants=list(planned), control=control
    )
    planned = planned or drawn_shares(table)
    check_times(table, experiment.start if experiment else None, experiment.end if experiment else None)
    covariates = (
        np.stack([table.numbers(name) for name in arguments.covariate], axis=1) if arguments.covariate else None
    )
    if covariates is not None and (wrong := unbalanced(table, covariates, arguments.covariate)):
        raise InputError(
            f"--covariate {wrong[0]}: differs between variants more than by chance, so the treatment changed it, or "
            "units were lost; leave it out, and use what was known before the exposure"
        )
    guardrails = [parse_guardrail(word) for word in arguments.guardrail]
    metrics = list(_metrics(table, arguments, [one.metric for one in guardrails], covariates))
    names = [metric.name for metric in metrics]
    if unknown := [name for name in arguments.lower if name not in names]:
        raise InputError(f"--lower {unknown[0]}: is no metric here; there are {', '.join(names)}")
    return analyze(
        table,
        metrics,
        name=experiment.id if experiment else arguments.table.stem,
        shares=[planned[name] for name in table.variants] if planned else None,
        guardrails=guardrails,
        lower_is_better=arguments.lower,
        alpha=arguments.alpha,
        correction=arguments.correction,
        planned_units=arguments.sequential,
        returned=_returns(table, arguments),
        notices=list(_notices(table, arguments, bool(planned), metrics)),
    )


def _experiment(path: Path | None, name: str | None) -> Experiment | None:
    if path is None:
        if name is not None:
            raise InputError(f"--id {name}: name its file with --experiments")
        return None
    return read_experiment(path, name)


def _own_rows(frame: pl.DataFrame, source: str, experiment: Experiment | None) -> tuple[pl.DataFrame, str]:
    """Those of one experiment, and what messages call them."""
    held = frame[EXPERIMENT].cast(pl.String).unique().sort().drop_nulls().to_list()
    if experiment is None and len(held) > 1:
        raise InputError(f"{source}: holds the experiments {', '.join(held)}; name one with --experiments and --id")
    if experiment is None or held in ([], [experiment.id]):
        return frame, source
    if experiment.id not in held:
        raise InputError(f"{source}: holds nothing of experiment {experiment.id}, only of {', '.join(held)}")
    return frame.filter(pl.col(EXPERIMENT).cast(pl.String) == experiment.id), f"{source}, experiment {experiment.id}"


def _planned_shares(text: str | None, experiment: Experiment | None) -> dict[str, float]:
    """Variants with their shares; empty if nothing was planned."""
    if text is None:
        return {} if experiment is None else dict(zip(experiment.variants, experiment.shares, strict=True))
    shares = {}
    for part in text.split(","):
        name, _, share = part.rpartition("=")
        try:
            shares[name.strip()] = float(share)
        except ValueError:
            raise InputError(f"--shares {part!r}: write NAME=SHARE,NAME=SHARE") from None
    if "" in shares or len(shares) < 2 or not all(share > 0 for share in shares.values()):
        raise InputError(f"--shares {text!r}: write NAME=SHARE,NAME=SHARE with shares above 0")
    if abs(math.fsum(shares.values()) - 1) > 1e-6:
        raise InputError(f"--shares {text}: add up to {math.fsum(shares.values()):g}; they must add up to 1")
    return shares


def _metrics(
    table: UnitTable, arguments: argparse.Namespace, guarded: Sequence[str], covariates: FloatArray | None
) -> Iterator[Metric]:
    """What was asked for, then the guardrails that were not."""
    asked = [*arguments.metric, *arguments.ratio, *(f"retention {days} days" for days in arguments.retention)]
    if not asked and not guarded:
        raise InputError("--metric: name a column of outcomes (or --ratio, --retention, --guardrail)")
    if twice := [name for name in asked if asked.count(name) > 1]:
        raise InputError(f"metric {twice[0]!r} is asked for twice; name it once")
    for name in arguments.metric:
        yield column_metric(table, name, covariates)
    for word in arguments.ratio:
        yield ratio_metric(table, word)
    for days in arguments.retention:
        yield retention_metric(table, days)
    for name in guarded:
        if name not in asked:
            yield ratio_metric(table, name) if "/" in name else column_metric(table, name, covariates)


def _returns(table: UnitTable, arguments: argparse.Namespace) -> tuple[Return, ...]:
    if arguments.revenue is None and not arguments.cost:
        return ()
    if arguments.revenue is None or not arguments.cost:
        raise InputError("ROI needs both --revenue COLUMN and --cost COLUMN or VARIANT=COST")
    cost = np.zeros(len(table.variant))
    for word in arguments.cost:
        name, separator, text = word.rpartition("=")
        if not separator:
            cost += table.numbers(word)
            continue
        try:
            each = float(text)
        except ValueError:
            each = math.nan
        if name not in table.variants or not (math.isfinite(each) and each >= 0):
            raise InputError(
                f"--cost {word!r}: write VARIANT=COST with one of {', '.join(table.variants)}, or a column"
            )
        cost += each * (table.variant == table.variants.index(name))
    revenue = table.numbers(arguments.revenue)
    return returns(table, revenue, cost, arguments.margin, arguments.alpha, arguments.sequential)


def _notices(
    table: UnitTable,
    arguments: argparse.Namespace,
    planned: bool,
    metrics: Sequence[Metric],
) -> Iterator[str]:
    if table.weights is not None:
        yield "Propensities differ, so outcomes are weighted by 1 / propensity."
    elif not planned and PROPENSITY not in table.frame.columns:
        yield "No shares were planned: the check assumes that all should have the same; give others with --shares."
    if arguments.control is None and arguments.experiments is None and arguments.shares is None:
        yield f"No control was named: all is compared with {table.variants[0]}; name another with --control."
    for metric in metrics:
        if metric.explained is not None:
            taken = round(metric.explained, 2) + 0.0  # not -0%
            yield f"{metric.name}: covariates took {taken:.0%} of its variance away (CUPED)."
        if metric.kind is Kind.MEAN and skewness_of_difference(metric, table) > SKEWED:
            yield f"{metric.name}: so few units have so much of it that in unequal shares its p-values are rough."
        if metric.among is not None:
            yield f"{metric.name}: {metric.among.sum():,} of {len(metric.among):,} units were exposed long enough ago."


def _print(analysis: Analysis, verdict: Verdict) -> None:
    show = terminal.output(WIDE)
    show.print(verdict.headline, style="bold", highlight=False)
    table = Table(box=None, pad_edge=False)
    columns = (
        "metric",
        "variant",
        "units",
        "mean",
        "standard error",
        "change",
        f"{1 - analysis.alpha:.0%} interval",
        "p",
    )
    for column in columns:
        table.add_column(column, justify="left" if column in ("metric", "variant") else "right")
    control = analysis.variants[0]
    last = None
    for one in analysis.comparisons:
        if one.metric != last:
            table.add_row(one.metric, control, *_arm(one.control), "", "", "")
        change, _, interval = change_of(one).partition(" ")
        p = f"{one.adjusted_p:.2g}" if one.adjusted_p is not None else str(one.state)
        table.add_row("", one.variant, *_arm(one.treated), change, interval.strip("()"), p)
        last = one.metric
    show.print(table)
    for sentence in verdict.sentences:
        if sentence.startswith("Units") or " returns " in sentence:
            show.print(sentence, highlight=False)
    for notice in analysis.notices:
        terminal.console.print(f"Note: {notice}", soft_wrap=True, highlight=False)


def _arm(arm: Arm) -> tuple[str, str, str]:
    return f"{arm.units:,}", f"{arm.mean:.5g}", f"{arm.standard_error:.2g}"


if __name__ == "__main__":
    raise SystemExit(main())
