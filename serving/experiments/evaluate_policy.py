"""What another policy would have earned: `supplytower experiment off-policy`.

The log has a row per decision: variant, propensity, reward. The policy says with which probability it would take each
variant; for customers of different kinds if both tables have the columns that are named with --by. How the value is
estimated is in `off_policy`.
"""

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np
import polars as pl
from rich.table import Table

from data_pipelines import console as terminal
from data_pipelines.schema import PROPENSITY, VARIANT, InputError
from serving.experiments.experiment import TOLERANCE
from serving.experiments.off_policy import FloatArray, Value, cross_fitted_means, doubly_robust, ips, on_policy, snips
from serving.experiments.unit_table import column_of_numbers, read_frame

PROBABILITY = "probability"
FEW = 30
FAR = 4
"""Standard errors of the mean weight from 1 that are not by chance."""
WIDE = 110


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit status."""
    return terminal.run(_main, argv)


def _main(argv: Sequence[str] | None) -> int:
    command = "supplytower experiment off-policy"
    parser = terminal.command_parser(
        command,
        "Say what another policy would have earned, from the log of the one that ran.\n"
        "The log has a row per decision: variant, propensity (the probability with which it was drawn), reward.\n"
        "The policy has a row per variant: variant, probability. Doubly robust is the estimate to quote.",
        examples=[
            f"{command} --log outcomes.parquet --policy policy.csv --reward visit",
            f"{command} --log outcomes.parquet --policy policy.csv --reward spend --by segment_id --json",
        ],
    )
    parser.add_argument("--log", type=Path, required=True, help="table of decisions")
    parser.add_argument("--policy", type=Path, required=True, help="table of the policy's probabilities")
    parser.add_argument("--reward", required=True, help="column of the log, e.g. 1 for a visit, or money")
    parser.add_argument("--by", action="append", default=[], help="column of both tables on which the policy depends")
    parser.add_argument("--alpha", type=float, default=0.05, help="1 minus the intervals' coverage (default: 0.05)")
    parser.add_argument("--json", action="store_true", help="print JSON")
    arguments = parser.parse_args(argv)
    if not 0 < arguments.alpha < 1:
        raise InputError(f"--alpha {arguments.alpha:g}: must lie between 0 and 1")
    log = read_frame(arguments.log, [VARIANT, *arguments.by])
    policy = read_frame(arguments.policy, [VARIANT, *arguments.by])
    values = evaluate(log, policy, arguments.reward, arguments.by, arguments.alpha, (arguments.log, arguments.policy))
    for notice in _notices(values):
        terminal.console.print(f"Note: {notice}", soft_wrap=True, highlight=False)
    if arguments.json:
        print(json.dumps({name: asdict(value) for name, value in values.items()}, indent=2, allow_nan=False))
        return 0
    table = Table(box=None, pad_edge=False)
    for column in ("policy", "reward per decision", f"{1 - arguments.alpha:.0%} interval", "decisions it rests on"):
        table.add_column(column, justify="left" if column == "policy" else "right")
    for name, one in values.items():
        table.add_row(name, f"{one.mean:.5g}", f"{one.low:.5g} to {one.high:.5g}", f"{one.effective_decisions:,.0f}")
    terminal.output(WIDE).print(table)
    return 0


def _notices(values: Mapping[str, Value]) -> Iterator[str]:
    one, decisions = values["IPS"], values["the one that ran"].effective_decisions
    worth, mean = one.effective_decisions, one.mean_weight
    if worth < FEW:
        yield f"the log is worth {worth:.0f} decisions of this policy; do not rely on it"
    error = mean * math.sqrt(max(1 / worth - 1 / decisions, 0.0)) if worth else 0.0
    if abs(mean - 1) > FAR * error + TOLERANCE:
        yield (
            f"weights are {mean:.2f} in the mean, not 1: the propensities are not those of the log, or the policy "
            "takes what the log never took there; do not rely on the values"
        )


def evaluate(
    log: pl.DataFrame,
    policy: pl.DataFrame,
    reward: str,
    by: Sequence[str],
    alpha: float,
    sources: tuple[Path, Path],
) -> dict[str, Value]:
    """Values of the policy that ran and of the other one.

    Args:
        log: decisions.
        policy: probabilities.
        reward: column of the log.
        by: columns on which the policy depends.
        alpha: 1 minus the intervals' coverage.
        sources: what messages call the tables.

    Raises:
        InputError: if probabilities are none, a kind of customer is not in the policy, or a variant not in the log.
    """
    rewards = column_of_numbers(log, reward, str(sources[0]))
    column_of_numbers(policy, PROBABILITY, str(sources[1]))
    propensity = column_of_numbers(log, PROPENSITY, str(sources[0]))
    if len(log) < 2:
        raise InputError(f"{sources[0]}: holds a single decision; give at least 2")
    for name in policy.filter(pl.col(PROBABILITY).cast(pl.Float64) > 0)[VARIANT].unique(maintain_order=True):
        if name not in log[VARIANT]:
            raise InputError(f"{sources[1]}: variant {name!r} is nowhere in {sources[0]}; nothing is known of it")
    variants = sorted({*log[VARIANT].unique(), *policy[VARIANT].unique()})
    probability = _probabilities(log, policy, by, variants, sources)
    action = log[VARIANT].replace_strict(variants, range(len(variants)), return_dtype=pl.Int64).to_numpy()
    rows = np.arange(len(log))
    target, q = probability[rows, action], cross_fitted_means(action, rewards, len(variants))
    expected = np.asarray((probability * q).sum(axis=1))
    return {
        "the one that ran": on_policy(rewards, alpha),
        "IPS": ips(rewards, propensity, target, alpha),
        "SNIPS": snips(rewards, propensity, target, alpha),
        "doubly robust": doubly_robust(rewards, propensity, target, q[rows, action], expected, alpha),
    }


def _probabilities(
    log: pl.DataFrame, policy: pl.DataFrame, by: Sequence[str], variants: Sequence[str], sources: tuple[Path, Path]
) -> FloatArray:
    """What the policy would do in each decision, `[n, variants]`."""
    keys = list(by) or ["__all"]
    if not by:
        log, policy = log.with_columns(__all=pl.lit("")), policy.with_columns(__all=pl.lit(""))
    if len(twice := policy.select(VARIANT, *keys).is_duplicated().arg_true()):
        raise InputError(f"{sources[1]}: row {twice[0] + 1}: its variant is listed twice; list each once per kind")
    wide = policy.pivot(VARIANT, index=keys, values=PROBABILITY).fill_null(0.0)
    wide = wide.with_columns(pl.lit(0.0).alias(name) for name in variants if name not in wide.columns)
    each = wide.select(variants).cast(pl.Float64).to_numpy()
    if len(wrong := np.flatnonzero((abs(each.sum(axis=1) - 1) > TOLERANCE) | (each < 0).any(axis=1))):
        kind = " ".join(wide.row(int(wrong[0]))[: len(keys)]) or "the policy"
        total = each[wrong[0]].sum()
        raise InputError(f"{sources[1]}: {kind}: probabilities add up to {total:g}; from 0 to 1, they must add up to 1")
    joined = log.select(keys).join(wide, on=keys, how="left", maintain_order="left")
    if len(missing := joined[variants[0]].is_null().arg_true()):
        kind = " ".join(log.select(keys).row(missing[0]))
        raise InputError(
            f"{sources[0]}: row {missing[0] + 1}: the policy says nothing of {' '.join(by)} {kind!r}; add it"
        )
    return np.asarray(joined.select(variants).cast(pl.Float64).to_numpy())


if __name__ == "__main__":
    raise SystemExit(main())
