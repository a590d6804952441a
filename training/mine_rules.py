"""What goes together: `supplytower rules mine`.

    RULES/rules.parquet      the rules that are believed, the best first
    RULES/bundles.parquet    pairs and triples to offer together
    RULES/rules.html         the best of both to read
    RULES/rules.json         settings, what was left after each step, and the data's fingerprint
The folder appears when all of it is there; rules that stood in its place are replaced.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import polars as pl
from rich.table import Table

from data_pipelines import console as terminal
from data_pipelines.atomic import replace_directory, write_json, write_text
from data_pipelines.baskets import item_categories, make_baskets, read_events
from data_pipelines.config import describe, resolve
from data_pipelines.prepared_tables import read_table
from data_pipelines.result_table import require_folder
from data_pipelines.schema import (
    ANTECEDENT,
    BASKETS,
    BUNDLES_FILE,
    CONFIDENCE,
    CONSEQUENT,
    CUSTOMERS,
    ITEMS,
    LEVEL,
    LIFT,
    LIFT_SAME_SIZE,
    RULES_FILE,
    InputError,
)
from data_pipelines.splits import read_manifest
from training.rule_mining import Mined, mine
from training.rules_config import RulesConfig
from training.rules_page import rules_page
from training.rules_table import best_pairs, bundles_table, rules_table

PAGE, FACTS = "rules.html", "rules.json"
PRINTED, WIDE = 10, 100
OPTIONS = {
    "level": ("item | category | both", "rules between items, between categories, or both (default: both)"),
    "min_support": ("SHARE", "of baskets that hold the whole rule (default: 0.0002 for items, 0.01 for categories)"),
    "min_confidence": ("SHARE", "of baskets with the antecedent that hold the consequent (default: 0.1)"),
    "min_lift": ("LIFT", "confidence over the consequent's share of all baskets (default: 1.2)"),
    "max_length": ("N", "things in the longest rule (default: 3)"),
    "until": ("DATE", "only baskets before this time, UTC"),
}


@dataclass(frozen=True)
class MinedRules:
    """What is written.

    Args:
        rules: all levels, see `training.rules_table.rules_table`.
        bundles: all levels, see `training.rules_table.bundles_table`.
        levels: the steps of each level.
        n_baskets: that they were found in.
    """

    rules: pl.DataFrame
    bundles: pl.DataFrame
    levels: dict[str, dict[str, int]]
    n_baskets: int


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit status."""
    return terminal.run(_main, argv)


def _main(argv: Sequence[str] | None) -> int:
    parser = terminal.command_parser(
        "supplytower rules mine",
        "Find what is bought together: association rules that are more than chance, more than a matter of large trips\n"
        "and more than one household's habit, and bundles to offer. Writes tables and a page.",
        examples=[
            "supplytower rules mine --data build/data --out build/rules",
            "supplytower rules mine --data build/data --out build/rules --level item --min-support 0.001",
            "supplytower rules mine --data build/data --out build/rules --level category --set category=department",
            "supplytower rules mine --data build/data --out build/rules --until 2017-10-01 --set min_lift_same_size=0",
        ],
        settings=describe(RulesConfig),
    )
    parser.add_argument("--data", type=Path, required=True, help="folder written by `supplytower data prepare`")
    parser.add_argument("--out", type=Path, required=True, help="folder to write")
    for name, (metavar, text) in OPTIONS.items():
        parser.add_argument(f"--{name.replace('_', '-')}", metavar=metavar, help=text)
    parser.add_argument("--config", type=Path, help="YAML file of settings")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="one setting, over the file")
    arguments = parser.parse_args(argv)
    given = [f"{name}={value}" for name in OPTIONS if (value := getattr(arguments, name)) is not None]
    config = resolve(RulesConfig, file=arguments.config, overrides=[*given, *arguments.set])
    require_folder(arguments.out, "rules", (RULES_FILE, BUNDLES_FILE, PAGE, FACTS))
    mined = mine_rules(arguments.data, config)
    _write(arguments.out, arguments.data, config, mined)
    _print(mined, arguments.out)
    return 0


def mine_rules(data: Path, config: RulesConfig) -> MinedRules:
    """Find the rules of a prepared folder.

    Args:
        data: the folder.
        config: what is looked for and believed.

    Raises:
        InputError: if the folder has no events, no category is known, or no thing is in enough baskets.
    """
    read_manifest(data)
    events, items = read_events(data, config.until), read_table(data, ITEMS.name)
    categories = item_categories(items, config.category) if "category" in config.levels else None
    rules, bundles, levels, n_baskets = [], [], {}, 0
    with terminal.progress() as bar:
        for level in config.levels:
            task = bar.add_task(f"rules between {_PLURAL[level]}", total=config.max_length + 1)
            baskets = make_baskets(events, categories if level == "category" else None)
            bar.advance(task)
            mined = mine(baskets, level, config, lambda share, task=task: bar.advance(task, share))  # type: ignore[misc]
            _require_frequent(mined, config, len(baskets))
            rules.append(rules_table(mined, baskets, items))
            bundles.append(bundles_table(mined, baskets, items))
            levels[level], n_baskets = mined.funnel, len(baskets)
            bar.update(task, completed=config.max_length + 1)
    return MinedRules(pl.concat(rules), pl.concat(bundles), levels, n_baskets)


_PLURAL = {"item": "items", "category": "categories"}


def _require_frequent(mined: Mined, config: RulesConfig, n_baskets: int) -> None:
    if mined.sets.n_frequent_items < 2:
        least = config.least_baskets(mined.level, n_baskets)
        raise InputError(
            f"{mined.sets.n_frequent_items} {_PLURAL[mined.level]} are in at least {least:,} of {n_baskets:,} baskets: "
            "no rule can be found; lower --min-support, or --set min_baskets for a small shop"
        )


def _write(out: Path, data: Path, config: RulesConfig, mined: MinedRules) -> None:
    settings = asdict(config) | {"until": None if config.until is None else config.until.isoformat()}
    facts = {
        "fingerprint": read_manifest(data)["fingerprint"],
        "baskets": mined.n_baskets,
        "steps": mined.levels,
        "rules": mined.rules.height,
        "bundles": mined.bundles.height,
        "settings": settings,
    }
    page = rules_page(mined.rules, mined.bundles, mined.levels, mined.n_baskets)
    with replace_directory(out) as folder:
        mined.rules.write_parquet(folder / RULES_FILE)
        mined.bundles.write_parquet(folder / BUNDLES_FILE)
        write_text(folder / PAGE, page)
        write_json(folder / FACTS, facts)


def _print(mined: MinedRules, out: Path) -> None:
    shown = terminal.output(WIDE)
    for level, steps in mined.levels.items():
        shown.print(f"{_PLURAL[level].capitalize()}, {mined.n_baskets:,} baskets:", highlight=False)
        for name, left in steps.items():
            shown.print(f"  {left:>9,}  {name}", highlight=False)
        shown.print(_table(best_pairs(mined.rules.filter(pl.col(LEVEL) == level), PRINTED)))
    terminal.console.print(
        f"{mined.rules.height:,} rules, {mined.bundles.height:,} bundles in {out}; to read: {out / PAGE}",
        soft_wrap=True,
        highlight=False,
    )


def _table(best: pl.DataFrame) -> Table:
    table = Table("who has", "often has", box=None, pad_edge=False)
    for column in ("of them", "times all", "same size", "baskets", "customers"):
        table.add_column(column, justify="right")
    for row in best.iter_rows(named=True):  # a few
        table.add_row(
            row[f"{ANTECEDENT}_name"],
            row[f"{CONSEQUENT}_name"],
            f"{row[CONFIDENCE]:.0%}",
            f"{row[LIFT]:.1f} ×",
            f"{row[LIFT_SAME_SIZE]:.1f} ×",
            f"{row[BASKETS]:,}",
            f"{row[CUSTOMERS]:,}",
        )
    return table


if __name__ == "__main__":
    raise SystemExit(main())
