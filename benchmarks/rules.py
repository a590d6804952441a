"""How fast basket rules are found, beside plain mlxtend on the same baskets.

    python -m benchmarks.rules --data DATA

Timed are the steps of `supplytower rules mine` at its own settings, and mlxtend's FP-growth and association_rules at
the same support and length, which give the same sets (checked) and neither test, correct nor prune anything. mlxtend
gets the frequent items only, as a sparse table; with all items of the shop it takes longer.
"""

import resource
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from mlxtend.frequent_patterns import association_rules, fpgrowth

from data_pipelines.baskets import Baskets, item_categories, make_baskets, read_events
from data_pipelines.console import command_parser, run
from data_pipelines.prepared_tables import read_table
from data_pipelines.schema import ITEMS
from models.frequent_sets import FrequentSets, frequent_sets
from training.rule_mining import mine
from training.rules_config import RulesConfig
from training.rules_table import bundles_table, rules_table


def main(argv: Sequence[str] | None = None) -> int:
    """Measure and print."""
    parser = command_parser(
        "python -m benchmarks.rules",
        "Time basket rules beside plain mlxtend.",
        examples=["python -m benchmarks.rules --data build/data"],
    )
    parser.add_argument("--data", type=Path, required=True, help="folder written by `supplytower data prepare`")
    parser.add_argument("--skip-mlxtend", action="store_true", help="measure only what is ours")
    arguments = parser.parse_args(argv)
    config = RulesConfig()
    reading, (events, items) = timed(lambda: (read_events(arguments.data), read_table(arguments.data, ITEMS.name)))
    total = reading
    print(f"reading {events.height:,} events: {reading:.1f} s")
    for level in config.levels:
        categories = item_categories(items) if level == "category" else None
        laying, baskets = timed(lambda categories=categories: make_baskets(events, categories))
        least = config.least_baskets(level, len(baskets))
        counting, sets = timed(lambda: frequent_sets(baskets.contents, least, config.max_length))  # noqa: B023
        mining, mined = timed(lambda: mine(baskets, level, config))  # noqa: B023
        writing, (rules, bundles) = timed(
            lambda: (rules_table(mined, baskets, items), bundles_table(mined, baskets, items))  # noqa: B023
        )
        total += laying + mining + writing
        print(
            f"{level}: {len(baskets):,} baskets of {baskets.contents.shape[1]:,} things; {len(sets):,} sets in at "
            f"least {least:,} baskets, {len(mined.rules):,} rules, {rules.height:,} accepted, {bundles.height:,} "
            f"bundles\n  laying baskets {laying:.1f} s, mining {mining:.1f} s (of it sets {counting:.2f} s), tables "
            f"{writing:.1f} s"
        )
        if not arguments.skip_mlxtend:
            beside_mlxtend(baskets, sets, least, config.max_length, counting)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(f"ours, all levels: {total:.1f} s; peak of the process {peak:.1f} GB")
    return 0


def timed(function: Callable[[], Any]) -> tuple[float, Any]:
    """Seconds, and the answer."""
    begin = time.perf_counter()
    answer = function()
    return time.perf_counter() - begin, answer


def beside_mlxtend(baskets: Baskets, sets: FrequentSets, least: int, max_length: int, ours: float) -> None:
    """The same sets, and rules without tests, from mlxtend."""
    table = baskets.contents[:, sets.items[0][:, 0]].astype(bool)
    frame = pd.DataFrame.sparse.from_spmatrix(table)
    support = (least - 0.5) / len(baskets)
    growing, found = timed(lambda: fpgrowth(frame, min_support=support, max_len=max_length))
    ruling, rules = timed(lambda: association_rules(found, metric="confidence", min_threshold=0.1))
    counts = np.sort(np.rint(found["support"].to_numpy() * len(baskets)).astype(int))
    same = len(found) == len(sets) and (counts == np.sort(np.concatenate(sets.baskets))).all()
    print(
        f"  mlxtend: FP-growth {growing:.1f} s ({growing / ours:.0f} times as long as ours), {len(found):,} sets, "
        f"{'the same' if same else 'NOT THE SAME'}; association_rules {ruling:.1f} s, {len(rules):,} of confidence 0.1"
    )


if __name__ == "__main__":
    raise SystemExit(run(main))
