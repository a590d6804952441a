"""Put the figures of an evaluated run into README.md: the table and the two pictures, for light and for dark screens.

    python -m benchmarks.readme_figures --run RUN

RUN is a run of the full preset on Complete Journey that `supplytower evaluate recommender` has measured.
"""

import re
from collections.abc import Sequence
from pathlib import Path

from data_pipelines import atomic
from data_pipelines.console import command_parser, console, run
from data_pipelines.figures import DARK, LIGHT
from data_pipelines.schema import InputError
from training import runs
from training.comparison import Plain, label
from training.plots import plots
from training.report import ranking_order

ROOT = Path(__file__).parents[1]
README, PICTURES = ROOT / "README.md", ROOT / "docs"
COLUMNS = (
    ("next_basket", "recall@10"),
    ("next_basket", "ndcg@10"),
    ("explore_period", "recall@10"),
)
PLACE = re.compile(r"(?<=<!-- figures: benchmarks/readme_figures.py -->\n).*?(?=<!-- /figures -->)", re.DOTALL)


def markdown_table(evaluation: Plain) -> str:
    """Models in rows, the best first; the best value of each column is bold."""
    tasks = evaluation["tasks"]
    best = {key: max(values[key[1]]["mean"] for values in tasks[key[0]]["models"].values()) for key in COLUMNS}
    lines = [
        f"| model | {' | '.join(_heading(*key) for key in COLUMNS)} | AUC |",
        f"|---|{'--:|' * (len(COLUMNS) + 1)}",
    ]
    for name in ranking_order(evaluation):
        means = {key: tasks[key[0]]["models"][name][key[1]]["mean"] for key in COLUMNS}
        cells = [f"**{mean:.4f}**" if mean == best[key] else f"{mean:.4f}" for key, mean in means.items()]
        shown = f"**{name}**" if name == evaluation["model"] else name
        lines.append(f"| {shown} | {' | '.join(cells)} | {evaluation['models'][name]['auc']['uniform']:.3f} |")
    return "\n".join(lines)


def _heading(task: str, metric: str) -> str:
    return f"new items {label(metric)}" if task == "explore_period" else label(metric)


def main(argv: Sequence[str] | None = None) -> int:
    """Rewrite README.md between its marks, and the pictures."""
    parser = command_parser(
        "python -m benchmarks.readme_figures",
        "Put the figures of an evaluated run into README.md and docs/.",
        examples=["python -m benchmarks.readme_figures --run runs/full"],
    )
    parser.add_argument("--run", type=Path, required=True, help="a run that was evaluated on Complete Journey")
    arguments = parser.parse_args(argv)
    evaluation = runs.read_metrics(arguments.run).get("evaluation")
    if evaluation is None:
        raise InputError(f"{arguments.run}: not evaluated yet; run `supplytower evaluate recommender` first")
    questions = f"{evaluation['queries']:,} households, {evaluation['catalogue']:,} items, full ranking."
    text = PLACE.sub(lambda _: f"{markdown_table(evaluation)}\n\n{questions}\n", README.read_text(encoding="utf-8"))
    atomic.write_text(README, text)
    picture = plots(evaluation)["accuracy"]
    for name, theme in {"light": LIGHT, "dark": DARK}.items():
        atomic.write_bytes(PICTURES / f"accuracy-{name}.png", picture(theme))
    console.print(f"wrote {README} and {PICTURES}/accuracy-*.png")
    return 0


if __name__ == "__main__":
    raise SystemExit(run(main))
