"""How many units an experiment needs, and for how long: `supplytower experiment design`.

Given the number of units instead of an effect, says what effect they can show. With several treated variants or metrics
every test gets its part of alpha, as Holm's correction gives it to the first. How it is computed is in `sample_size`.
"""

import argparse
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass

from rich.table import Table

from data_pipelines import console as terminal
from data_pipelines.schema import InputError
from serving.experiments.experiment import TOLERANCE
from serving.experiments.sample_size import Question, detectable, units_for
from serving.experiments.sequential import MINIMUM
from serving.experiments.unit_table import FEWEST

WIDE, WEEKS = 100, (1, 2, 3, 4, 6, 8)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit status."""
    return terminal.run(_main, argv)


def _main(argv: Sequence[str] | None) -> int:
    parser = terminal.command_parser(
        "supplytower experiment design",
        "Say how many units and days an experiment needs to show an effect, or what effect so many units can show.",
        examples=[
            "supplytower experiment design --baseline 0.106 --lift 0.05 --daily-units 4000",
            "supplytower experiment design --baseline 0.106 --effect 0.01 --shares 0.5,0.25,0.25 --power 0.9",
            "supplytower experiment design --baseline 1.42 --deviation 15 --lift 0.1 --correlation 0.6",
            "supplytower experiment design --baseline 0.106 --units 64000 --sequential",
        ],
    )
    parser.add_argument("--baseline", type=float, required=True, help="rate of the control, or its mean per unit")
    parser.add_argument("--deviation", type=float, help="standard deviation between units; makes the baseline a mean")
    wanted = parser.add_mutually_exclusive_group(required=True)
    wanted.add_argument("--lift", type=float, help="least relative change to be found, e.g. 0.05 for 5%%")
    wanted.add_argument("--effect", type=float, help="least absolute change to be found")
    wanted.add_argument("--units", type=int, help="units of all variants together: says what they can show")
    parser.add_argument("--shares", default="0.5,0.5", help="of the variants, the control first (default: 0.5,0.5)")
    parser.add_argument("--power", type=float, default=0.8, help="probability to find the effect (default: 0.8)")
    parser.add_argument("--alpha", type=float, default=0.05, help="probability of a false alarm (default: 0.05)")
    parser.add_argument("--metrics", type=int, default=1, help="that are tested, without guardrails (default: 1)")
    parser.add_argument("--daily-units", type=float, help="units that come into the experiment per day")
    parser.add_argument(
        "--correlation", type=float, default=0.0, help="of outcome and covariate, for CUPED (default: 0)"
    )
    parser.add_argument("--sequential", action="store_true", help="the test may be looked at every day")
    parser.add_argument("--json", action="store_true", help="print JSON")
    arguments = parser.parse_args(argv)
    if arguments.daily_units is not None and not 0 < arguments.daily_units < math.inf:
        raise InputError(f"--daily-units {arguments.daily_units:g}: must be more than 0")
    if arguments.metrics < 1:
        raise InputError(f"--metrics {arguments.metrics}: must be at least 1")
    design = make_design(arguments)
    if arguments.json:
        print(json.dumps(design.to_dict(), indent=2))
    else:
        _print(design)
    return 0


@dataclass(frozen=True)
class Design:
    """The answer.

    Args:
        question: what was asked, with the alpha of each test.
        effect: absolute change that is found with the wanted power; None if so few units find none.
        units: of each variant, the control first.
        days: until they are there; None if nobody knows how many come.
        by_week: weeks to the change that is found after them.
    """

    question: Question
    effect: float | None
    units: tuple[int, ...]
    days: int | None
    by_week: dict[int, float | None]

    def lift(self, effect: float | None) -> float | None:
        """An effect in proportion to the baseline."""
        return None if effect is None or self.question.baseline == 0 else effect / abs(self.question.baseline)

    def to_dict(self) -> dict[str, object]:
        """Plain data for JSON."""
        return {
            "baseline": self.question.baseline,
            "effect": self.effect,
            "lift": self.lift(self.effect),
            "alpha_per_test": self.question.alpha,
            "power": self.question.power,
            "units": list(self.units),
            "total_units": sum(self.units),
            "days": self.days,
            "detectable_after_weeks": {str(week): effect for week, effect in self.by_week.items()},
        }


def make_design(arguments: argparse.Namespace) -> Design:
    """Answer what was asked on the command line.

    Raises:
        InputError: if it cannot be answered.
    """
    shares = parse_shares(arguments.shares)
    smallest, fewest = min(shares[1:]), MINIMUM if arguments.sequential else FEWEST
    question = Question(
        arguments.baseline,
        arguments.deviation,
        arguments.alpha / ((len(shares) - 1) * arguments.metrics),
        arguments.power,
        smallest / shares[0],
        arguments.correlation,
        arguments.sequential,
    )
    if arguments.units is not None:
        if arguments.units * min(shares) < fewest:
            raise InputError(f"--units {arguments.units}: give every variant at least {fewest}")
        total, effect = float(arguments.units), detectable(question, arguments.units * shares[0])
    else:
        if arguments.lift is not None and arguments.baseline == 0:
            raise InputError("--lift of a baseline of 0 is 0; give the least absolute change with --effect")
        effect = arguments.effect if arguments.lift is None else arguments.lift * abs(arguments.baseline)
        total = max(units_for(question, effect) / shares[0], fewest / min(shares))
    units = tuple(math.ceil(total * share - 1e-6) for share in shares)
    daily = arguments.daily_units
    if daily is None:
        return Design(question, effect, units, None, {})
    by_week = {
        week: detectable(question, 7 * week * daily * shares[0])
        for week in WEEKS
        if 7 * week * daily * min(shares) >= fewest
    }
    return Design(question, effect, units, math.ceil(sum(units) / daily), by_week)


def parse_shares(text: str) -> list[float]:
    """Read `0.5,0.25,0.25`.

    Raises:
        InputError: if these are no shares that add up to 1.
    """
    try:
        shares = [float(part) for part in text.split(",")]
    except ValueError:
        shares = []
    if len(shares) < 2 or not all(share > 0 for share in shares):
        raise InputError(f"--shares {text!r}: give two or more numbers above 0, the control first, e.g. 0.5,0.25,0.25")
    if abs(math.fsum(shares) - 1) > TOLERANCE:
        raise InputError(f"--shares {text}: add up to {math.fsum(shares):g}; they must add up to 1")
    return shares


def _print(design: Design) -> None:
    question, show = design.question, terminal.output(WIDE)
    if design.effect is None:
        show.print(f"So few units find no change of {question.baseline:g} with a power of {question.power:.0%}.")
        return
    lift = design.lift(design.effect)
    text = f"{design.effect:+.4g}" + ("" if lift is None else f" ({lift:+.2%})")
    kind = "a sequential test, looked at as often as you like" if question.sequential else "a test at the end"
    show.print(
        f"To find a change of {question.baseline:g} by {text} with a power of {question.power:.0%} at alpha "
        f"{question.alpha:.3g} by {kind}:",
        highlight=False,
    )
    names = ["control", *(f"variant {i}" for i in range(1, len(design.units)))]
    table = Table(box=None, pad_edge=False, show_header=False)
    for name, units in [*zip(names, design.units, strict=True), ("total", sum(design.units))]:
        table.add_row(name, f"{units:,}")
    if design.days is not None:
        table.add_row("days", f"{design.days:,}")
    show.print(table)
    if design.days is not None and design.days % 7:
        weeks = math.ceil(design.days / 7)
        show.print(
            f"Run it for whole weeks, {weeks}: customers of a Sunday are not those of a Tuesday.", highlight=False
        )
    if design.by_week:
        found = {week: design.lift(effect) for week, effect in design.by_week.items()}
        parts = [f"{week}: {share:.1%}" for week, share in found.items() if share is not None]
        if parts:
            show.print(f"Least change that is found after so many weeks: {', '.join(parts)}", highlight=False)


if __name__ == "__main__":
    raise SystemExit(main())
