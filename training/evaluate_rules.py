"""Measure "bought together" on later baskets: `supplytower rules evaluate`.

Rules are mined from the baskets before a date; of every basket after it one item is taken out and guessed from the
rest, see `training.basket_completion`.
"""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import numpy as np
from rich import box
from rich.table import Table

from data_pipelines import console as terminal
from data_pipelines.baskets import make_baskets, read_events
from data_pipelines.config import describe, parse_moment, resolve
from data_pipelines.schema import TIMESTAMP, InputError
from data_pipelines.splits import read_manifest
from models.bought_together import BoughtTogether
from training.basket_completion import ranks, rivals, take_one_out
from training.confidence import Estimate, difference, interval, resampled_means
from training.rule_mining import mine
from training.rules_config import RulesConfig

RESAMPLES = 1000
REFERENCE = "popularity"
Result = dict[str, dict[str, Estimate]]


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit status."""
    return terminal.run(_main, argv)


def _main(argv: Sequence[str] | None) -> int:
    parser = terminal.command_parser(
        "supplytower rules evaluate",
        "Mine item rules from the baskets before a date, and guess with them what is missing in later baskets,\n"
        "beside popularity and the cosine between items.",
        examples=[
            "supplytower rules evaluate --data build/data",
            "supplytower rules evaluate --data build/data --since 2017-11-01 --set min_confidence=0.01",
        ],
        settings=describe(RulesConfig),
    )
    parser.add_argument("--data", type=Path, required=True, help="folder written by `supplytower data prepare`")
    parser.add_argument("--since", help="first moment (UTC) of the later baskets (default: the data's test_start)")
    parser.add_argument("--k", type=int, default=10, help="suggestions that may be shown (default: 10)")
    parser.add_argument("--config", type=Path, help="YAML file of settings")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="one setting, over the file")
    arguments = parser.parse_args(argv)
    if arguments.k < 1:
        raise InputError(f"--k {arguments.k}: must be at least 1")
    config = resolve(RulesConfig, file=arguments.config, overrides=arguments.set)
    since = arguments.since or read_manifest(arguments.data)["defaults"].get("test_start")
    if since is None:
        raise InputError("the data names no test_start; give --since DATE")
    result, facts = evaluate_rules(arguments.data, parse_moment(since, "--since"), config, arguments.k)
    _print(result, facts, arguments.k)
    return 0


def evaluate_rules(data: Path, since: datetime, config: RulesConfig, k: int = 10) -> tuple[Result, dict[str, float]]:
    """Measure rules on later baskets.

    Args:
        data: folder written by `supplytower data prepare`.
        since: rules are mined from baskets before this time and asked about those from it on.
        config: how rules are mined; items only.
        k: suggestions that may be shown.

    Returns:
        By name, hit rate and mean reciprocal rank within the first `k`, and the difference of its hit rate to that of
        popularity, with 95 % intervals from drawing customers; and the numbers of rules and baskets, and the share of
        baskets in which a rule says anything.

    Raises:
        InputError: if there are no baskets on one side of `since`.
    """
    events = read_events(data)
    before, after = (events.filter(side) for side in (events[TIMESTAMP] < since, events[TIMESTAMP] >= since))
    if not before.height or not after.height:
        span = f"{events[TIMESTAMP].min()!s} to {events[TIMESTAMP].max()!s}"
        raise InputError(f"--since {since.isoformat()}: there must be baskets on both sides; they are of {span}")
    baskets = make_baskets(before)
    questions = take_one_out(after, baskets.things)
    with terminal.progress() as bar:
        task = bar.add_task("mining rules", total=config.max_length)
        mined = mine(baskets, "item", replace(config, until=since), lambda share: bar.advance(task, share))
        bar.update(task, completed=config.max_length)
        rules = mined.rules.take(mined.accepted)
        found = {name: ranks(score, questions, bar, name) for name, score in rivals(baskets, rules).items()}
    values = {name: (rank < k, np.where(rank < k, 1 / (rank + 1), 0.0)) for name, rank in found.items()}
    matrix = np.column_stack([column for pair in values.values() for column in pair]).astype(float)
    samples = resampled_means(matrix, questions.customer, RESAMPLES, seed=0)
    means = matrix.mean(axis=0)
    base = 2 * list(values).index(REFERENCE)
    result: Result = {}
    for number, name in enumerate(values):
        hit, reciprocal = 2 * number, 2 * number + 1
        result[name] = {
            f"hit rate@{k}": interval(samples[:, hit], means[hit]),
            f"MRR@{k}": interval(samples[:, reciprocal], means[reciprocal]),
            "difference": difference(samples[:, hit], samples[:, base], means[hit], means[base]),
        }
    silent = BoughtTogether(rules, np.zeros(len(baskets.things), np.int64))
    spoken = np.concatenate(
        [silent.score(questions.rest[first : first + 100]).max(axis=1) > 0 for first in range(0, len(questions), 100)]
    )
    return result, {"rules": len(rules), "baskets": len(questions), "answered": float(spoken.mean())}


def _print(result: Result, facts: dict[str, float], k: int) -> None:
    table = Table(box=box.SIMPLE_HEAD)
    table.add_column("")
    for name in (f"hit rate@{k}", "95 % interval", f"MRR@{k}", "against popularity"):
        table.add_column(name, justify="right")
    for name, values in result.items():
        hit, reciprocal, gap = values.values()
        against = "" if name == REFERENCE else f"{gap.mean:+.4f} ({gap.low:+.4f} to {gap.high:+.4f})"
        table.add_row(name, f"{hit.mean:.4f}", f"{hit.low:.4f}–{hit.high:.4f}", f"{reciprocal.mean:.4f}", against)
    shown = terminal.output(100)
    shown.print(
        f"{facts['rules']:,} rules; one item taken out of each of {facts['baskets']:,} later baskets; in "
        f"{facts['answered']:.0%} of them a rule says something",
        highlight=False,
        soft_wrap=True,
    )
    shown.print(table)


if __name__ == "__main__":
    raise SystemExit(main())
