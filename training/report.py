"""The HTML report of one evaluation: a single file that opens anywhere, on a phone or a dark screen too.

Everything in it comes from `metrics.json`, so a report can be made again without the models.
"""

from pathlib import Path

from data_pipelines.figures import Picture
from data_pipelines.report_page import render_page
from training.comparison import HEADLINE_TASKS, TASK_NAMES, Plain, label
from training.plots import plots, rival
from training.ranking_metrics import METRICS

TEMPLATE = Path(__file__).with_name("report.html.jinja")
CAPTIONS = {
    "accuracy": (
        "The next basket",
        "Mean over users with 95 % bootstrap interval. Whether two models differ is in the table of differences: "
        "their intervals may overlap although one is better for the same users.",
    ),
    "repeat_explore": (
        "What was seen before, and what is new",
        "Recall for targets already in the user's history, and for new ones. Where only new items are asked for, "
        "no model may recommend an item of the history.",
    ),
    "history": (
        "By length of history",
        "Users by the number of baskets seen before the question, with 95 % intervals.",
    ),
    "popularity": (
        "Rare and popular items",
        "Recall of the targets in each third of the catalogue, by the number of events learnt from.",
    ),
    "coverage": (
        "Accuracy and coverage",
        "To the right, more of the catalogue is shown to somebody; upwards, more of the next basket is found.",
    ),
    "calibration": (
        "Are the probabilities true?",
        "Every user with every item of the catalogue. Below the diagonal the model promises too much.",
    ),
}


def render(evaluation: Plain, *, run: str, config: str) -> str:
    """Write the report.

    Args:
        evaluation: "evaluation" of `metrics.json`.
        run: the run's name.
        config: the run's settings as YAML.

    Returns:
        HTML without references to other files.
    """
    pictures = [Picture(*CAPTIONS[name], draw) for name, draw in plots(evaluation).items()]
    k = evaluation["headline_k"]
    return render_page(
        TEMPLATE,
        pictures,
        e=evaluation,
        run=run,
        config=config,
        rival=rival(evaluation),
        order=ranking_order(evaluation),
        accuracy=_best_marked(evaluation, [f"{metric}@{k}" for metric in METRICS]),
        cutoffs=_best_marked(evaluation, [f"{metric}@{k}" for metric in ("recall", "ndcg") for k in evaluation["ks"]]),
        headline_tasks=[task for task in HEADLINE_TASKS if task in evaluation["comparisons"]],
        task_names=TASK_NAMES,
        label=label,
    )


def ranking_order(evaluation: Plain) -> list[str]:
    """Model names, the best recall of the next basket first."""
    models = evaluation["tasks"]["next_basket"]["models"]
    return sorted(models, key=lambda name: -models[name][f"recall@{evaluation['headline_k']}"]["mean"])


def _best_marked(evaluation: Plain, metrics: list[str]) -> dict[str, dict[str, tuple[float, bool]]]:
    """`{metric: {model: (mean, whether it is the best)}}` on the next basket."""
    models = evaluation["tasks"]["next_basket"]["models"]
    columns = {metric: {name: models[name][metric]["mean"] for name in models} for metric in metrics}
    return {
        metric: {name: (mean, mean == max(means.values())) for name, mean in means.items()}
        for metric, means in columns.items()
    }
