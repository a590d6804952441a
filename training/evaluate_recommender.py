"""Measure a trained run beside the baselines: `supplytower evaluate recommender`.

Writes RUN/metrics.json (under "evaluation", beside the training record) and RUN/report.html, and prints one table.
"""

import argparse
import textwrap
from collections.abc import Sequence
from pathlib import Path

from rich import box
from rich.table import Table
from rich.text import Text

from data_pipelines import console as terminal
from data_pipelines.atomic import write_text
from data_pipelines.config import to_yaml
from data_pipelines.schema import InputError
from models.baselines import BASELINES
from models.recommender import Recommender
from training import runs
from training.comparison import BETTER, WORSE, Plain, label, summarise
from training.evaluation import evaluate, make_test_set
from training.report import ranking_order, render

REPORT = "report.html"
STYLES = {BETTER: ("▲", "bold green"), WORSE: ("▼", "bold red")}
UNDECIDED_STYLE = ("●", "yellow")
WIDE = 100
"""Columns from which the whole table fits; a narrower terminal gets fewer metrics. Piped output is as wide."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit status."""
    return terminal.run(_main, argv)


def _main(argv: Sequence[str] | None) -> int:
    parser = terminal.command_parser(
        "supplytower evaluate recommender",
        "Measure a trained run on the held-out test, beside baselines fitted on the same events.\n"
        "Every model ranks the whole catalogue. Writes RUN/metrics.json and RUN/report.html.",
        examples=[
            "supplytower evaluate recommender --run build/runs/first --data build/data",
            "supplytower evaluate recommender --run build/runs/first --data build/data --k 10 50 --bootstrap 5000",
            "supplytower evaluate recommender --run build/runs/first --data build/data --baselines tifu-knn,popularity",
        ],
    )
    parser.add_argument("--run", type=Path, required=True, help="folder written by `supplytower train recommender`")
    parser.add_argument("--data", type=Path, required=True, help="the data folder it was trained on")
    parser.add_argument("--k", type=_positive, nargs="+", default=[5, 10, 20], help="cut-offs (default: 5 10 20)")
    parser.add_argument(
        "--baselines", nargs="+", default=["all"], help=f"all, none, or some of: {', '.join(BASELINES)}"
    )
    parser.add_argument("--bootstrap", type=_positive, default=1000, metavar="N", help="resamples (default: 1000)")
    arguments = parser.parse_args(argv)
    evaluation = evaluate_run(
        arguments.run,
        arguments.data,
        ks=tuple(arguments.k),
        baselines=select_baselines(",".join(arguments.baselines)),
        resamples=arguments.bootstrap,
    )
    output = terminal.output(WIDE)
    output.print(comparison_table(evaluation, wide=output.width >= WIDE))
    for statement in evaluation["statements"]:
        mark, style = STYLES.get(statement["verdict"], UNDECIDED_STYLE)
        text = Text(f"{mark} {statement['text']}", style=style.removeprefix("bold "))
        output.print(text, soft_wrap=not output.is_terminal)
    terminal.console.print(f"report: {arguments.run / REPORT}", soft_wrap=True, highlight=False)
    return 0


def evaluate_run(
    run: Path,
    data: Path,
    *,
    ks: tuple[int, ...] = (5, 10, 20),
    baselines: Sequence[str] = tuple(BASELINES),
    resamples: int = 1000,
) -> Plain:
    """Evaluate a run and write its metrics and report.

    Args:
        run: the run's folder.
        data: the prepared data folder it was trained on.
        ks: cut-offs.
        baselines: names in `models.baselines.BASELINES`.
        resamples: bootstrap samples.

    Returns:
        What is written to metrics.json under "evaluation", see `training.comparison.summarise`.

    Raises:
        InputError: if the run or the data cannot be read or do not fit together, or the run learnt from the questions.
    """
    loaded = runs.load_run(run, data)
    split, config = loaded.split, loaded.config
    if config.final:
        raise InputError(f"{run}: trained with final=true, so nothing was held out; evaluate a run with final=false")
    models: list[Recommender] = [loaded.recommender]
    with terminal.progress() as bar:
        for name in bar.track(baselines, description="fitting baselines"):
            models.append(BASELINES[name]().fit(split.fitting_timelines, split.items))
        test_set = make_test_set(split)
        results = evaluate(models, test_set, ks, progress=bar)
    evaluation = summarise(results, test_set, model=loaded.recommender.name, resamples=resamples)
    report = render(evaluation, run=loaded.name, config=to_yaml(config))
    runs.update_metrics(run, "evaluation", evaluation)
    write_text(run / REPORT, report)
    return evaluation


def select_baselines(names: str) -> tuple[str, ...]:
    """Baselines by the value of `--baselines`.

    Raises:
        InputError: if a name is unknown.
    """
    if names in ("all", "none"):
        return tuple(BASELINES) if names == "all" else ()
    chosen = tuple(dict.fromkeys(name.strip() for name in names.split(",") if name.strip()))
    for name in chosen:
        if name not in BASELINES:
            raise InputError(f"--baselines {name}: unknown; give all, none, or some of {', '.join(BASELINES)}")
    return chosen


def comparison_table(evaluation: Plain, *, wide: bool = True) -> Table:
    """Every model in a row, the best first and each column's best starred; below, the difference to the best baseline.

    Args:
        evaluation: what `training.comparison.summarise` returned.
        wide: show MRR and MAP too.
    """
    k, tasks = evaluation["headline_k"], evaluation["tasks"]
    metrics = ("recall", "ndcg", "hr", "mrr", "map") if wide else ("recall", "ndcg", "hr")
    columns = [("next_basket", f"{metric}@{k}") for metric in metrics]
    if "explore_period" in tasks:
        columns.append(("explore_period", f"recall@{k}"))
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), caption=_caption(evaluation), caption_justify="left")
    table.add_column("model", no_wrap=True)
    for task, metric in columns:
        name, _, at = label(metric).partition("@")
        table.add_column(f"{'new items ' if task == 'explore_period' else ''}{name}\n@{at}", justify="right")
    table.add_column("AUC", justify="right")
    table.add_column(f"coverage\n@{k}", justify="right")
    best = {key: max(value[key[1]]["mean"] for value in tasks[key[0]]["models"].values()) for key in columns}
    for name in ranking_order(evaluation):
        means = [tasks[task]["models"][name][metric]["mean"] for task, metric in columns]
        cells = [f"{mean:.4f}{'★' if mean == best[key] else ' '}" for key, mean in zip(columns, means, strict=True)]
        auc = evaluation["models"][name]["auc"]["uniform"]
        shown = evaluation["models"][name]["exposure"][f"coverage@{k}"]
        style = "bold cyan" if name == evaluation["model"] else ""
        table.add_row(name, *cells, "–" if auc is None else f"{auc:.4f}", f"{shown:.1%}", style=style)
    if evaluation["comparisons"]:
        _add_differences(table, [evaluation["comparisons"][task][metric] for task, metric in columns])
    return table


def _add_differences(table: Table, compared: list[Plain]) -> None:
    table.add_section()
    table.add_row(
        "best baseline", *[textwrap.fill(one["best_baseline"], 10, break_long_words=False) for one in compared]
    )
    marks = [STYLES.get(one["verdict"], UNDECIDED_STYLE) for one in compared]
    gaps = [f"{one['difference']['mean']:+.4f}" for one in compared]
    table.add_row("difference to it", *[Text(f"{gap}{m}", style=s) for gap, (m, s) in zip(gaps, marks, strict=True)])
    for name, end in (("  95 % from", "low"), ("  to", "high")):
        table.add_row(name, *[f"{one['difference'][end]:+.4f} " for one in compared])


def _caption(evaluation: Plain) -> str:
    asked = f"{evaluation['queries']:,} {evaluation['part']} questions over {evaluation['catalogue']:,} items"
    return f"{asked}; ★ best, ▲ better, ▼ worse, ● not distinguishable"


def _positive(text: str) -> int:
    value = int(text) if text.isdecimal() else 0
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text} is not a whole number of at least 1")
    return value


if __name__ == "__main__":
    raise SystemExit(main())
