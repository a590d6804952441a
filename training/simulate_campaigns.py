"""Replay past campaigns: `supplytower campaigns simulate`.

Every campaign is targeted with what was known when it began, and those who answered are counted among those whom a
contact budget would have paid for, beside random, popularity and RFM targeting.
    DIR/simulation.parquet   a row per campaign and addressed user: answers, and every method's score
    DIR/simulation.json      all figures
    DIR/report.html          the same to look at
"""

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from data_pipelines import console as terminal
from data_pipelines.atomic import write_json, write_text
from data_pipelines.campaign_history import load_campaign_history
from data_pipelines.config import describe, resolve, to_yaml
from data_pipelines.result_table import write_table
from data_pipelines.schema import InputError
from training.campaign_report import console_table, report_page
from training.campaign_simulation import simulate
from training.campaign_simulation_config import SimulationConfig
from training.campaign_summary import summarise, to_table, verdict

WIDE = 110
TABLE, FIGURES, REPORT = "simulation.parquet", "simulation.json", "report.html"


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit status."""
    return terminal.run(_main, argv)


def _main(argv: Sequence[str] | None) -> int:
    parser = terminal.command_parser(
        "supplytower campaigns simulate",
        __doc__ or "",
        examples=[
            "supplytower campaigns simulate --data build/data --out build/campaigns",
            "supplytower campaigns simulate --data build/data --out build/campaigns --set contact_share=0.2",
        ],
        settings=describe(SimulationConfig),
    )
    parser.add_argument("--data", type=Path, required=True, help="folder written by `supplytower data prepare`")
    parser.add_argument("--out", type=Path, required=True, help="folder to write")
    parser.add_argument("--config", type=Path, help="YAML file of settings")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="one setting; may be repeated")
    arguments = parser.parse_args(argv)
    config = resolve(SimulationConfig, file=arguments.config, overrides=arguments.set)
    summary, notices = replay(arguments.data, arguments.out, config)
    for notice in notices:
        terminal.console.print(f"Note: {notice}", soft_wrap=True)
    terminal.output(WIDE).print(console_table(summary))
    terminal.console.print(verdict(summary), soft_wrap=True, highlight=False)
    terminal.console.print(f"report: {arguments.out / REPORT}", soft_wrap=True, highlight=False)
    return 0


def replay(data: Path, out: Path, config: SimulationConfig) -> tuple[dict[str, Any], tuple[str, ...]]:
    """Replay the campaigns of a prepared folder and write what was found.

    Args:
        data: the prepared folder.
        out: the folder to write into.
        config: settings.

    Returns:
        The figures (see `training.campaign_summary.summarise`) and what was left out.

    Raises:
        InputError: if the data cannot be used, or `out` cannot be written.
    """
    _require_writable(out)
    history = load_campaign_history(data)
    with terminal.progress() as bar:
        simulation = simulate(history, config, bar)
    summary = summarise(simulation, config)
    write_table(to_table(simulation), out / TABLE)
    write_json(out / FIGURES, summary)
    write_text(out / REPORT, report_page(summary, notices=history.notices, settings=to_yaml(config)))
    return summary, history.notices


def _require_writable(out: Path) -> None:
    """Before minutes of work, not after them."""
    try:
        out.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=out):
            pass
    except OSError as error:
        raise InputError(f"--out {out}: cannot be written ({error.strerror}); choose another folder") from error


if __name__ == "__main__":
    raise SystemExit(main())
