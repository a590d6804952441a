"""The report's pictures, drawn from `metrics.json` alone, once for light and once for dark screens."""

import textwrap
from collections.abc import Callable

import numpy as np
from matplotlib.ticker import MaxNLocator

from data_pipelines.figures import Theme, new_figure, png
from training.comparison import TASK_NAMES, Plain, label

ROW_INCHES = 0.32


def plots(evaluation: Plain) -> dict[str, Callable[[Theme], bytes]]:
    """The pictures that this evaluation has data for, `{name: theme → PNG}`.

    Args:
        evaluation: what `training.comparison.summarise` returned.
    """
    k = evaluation["headline_k"]
    tasks = evaluation["tasks"]
    available: dict[str, Callable[[Theme], bytes]] = {
        "accuracy": lambda theme: _panels(
            evaluation, [("next_basket", f"recall@{k}"), ("next_basket", f"ndcg@{k}")], theme, by_task=False
        )
    }
    for name, wanted in {
        "repeat_explore": ("repeat", "explore", "explore_period"),
        "popularity": ("rare_items", "medium_items", "popular_items"),
    }.items():
        panels = [(task, f"recall@{k}") for task in wanted if task in tasks]
        if panels:
            available[name] = lambda theme, panels=panels: _panels(evaluation, panels, theme, by_task=True)  # type: ignore[misc]
    available["history"] = lambda theme: _history(evaluation, theme)
    available["coverage"] = lambda theme: _coverage(evaluation, theme)
    if "probability" in evaluation["models"][evaluation["model"]]:
        available["calibration"] = lambda theme: _calibration(evaluation, theme)
    return available


def rival(evaluation: Plain) -> str | None:
    """The best baseline on the next basket's recall."""
    compared = evaluation["comparisons"].get("next_basket")
    return compared[f"recall@{evaluation['headline_k']}"]["best_baseline"] if compared else None


def _colour(evaluation: Plain, name: str, theme: Theme) -> str:
    if name == evaluation["model"]:
        return theme.model
    return theme.rival if name == rival(evaluation) else theme.muted


def _panels(evaluation: Plain, panels: list[tuple[str, str]], theme: Theme, *, by_task: bool) -> bytes:
    """One panel per task and metric, one row per model, the best on top, with 95 % intervals."""
    first = evaluation["tasks"][panels[0][0]]["models"]
    names = sorted(first, key=lambda name: first[name][panels[0][1]]["mean"])
    figure, axes = new_figure(theme, 0.9 + ROW_INCHES * len(names), len(panels), share_y=True)
    for axis, (task, metric) in zip(axes, panels, strict=True):
        estimates = [evaluation["tasks"][task]["models"][name][metric] for name in names]
        for row, (name, estimate) in enumerate(zip(names, estimates, strict=True)):
            colour = _colour(evaluation, name, theme)
            axis.plot([estimate["low"], estimate["high"]], [row, row], color=colour, linewidth=2.2, alpha=0.55)
            axis.plot([estimate["mean"]], [row], "o", color=colour, markersize=6.5)
        title = textwrap.fill(TASK_NAMES[task], 16) if by_task else label(metric)
        axis.set_title(title, loc="left", color=theme.text, fontsize=9.5)
        axis.set_yticks(range(len(names)), names)
        right = max(estimate["high"] for estimate in estimates) or 1
        axis.set_xlim(-0.05 * right, 1.08 * right)
        axis.grid(visible=False, axis="y")
        axis.xaxis.set_major_locator(MaxNLocator(3))
    for tick, name in zip(axes[0].get_yticklabels(), names, strict=True):
        tick.set_color(_colour(evaluation, name, theme) if name == evaluation["model"] else theme.text)
        tick.set_fontweight("bold" if name == evaluation["model"] else "normal")
    return png(figure)


def _history(evaluation: Plain, theme: Theme) -> bytes:
    """Recall by the number of baskets in the visible history, the model beside its best baseline."""
    buckets = evaluation["slices"]["history"]
    metric = f"recall@{evaluation['headline_k']}"
    names = [name for name in (evaluation["model"], rival(evaluation)) if name is not None]
    figure, (axis,) = new_figure(theme, 3.2)
    width = 0.8 / len(names)
    for column, name in enumerate(names):
        estimates = [bucket["models"][name][metric] for bucket in buckets.values()]
        means = np.array([estimate["mean"] for estimate in estimates])
        ends = np.array([[estimate["low"], estimate["high"]] for estimate in estimates]).T
        axis.bar(
            np.arange(len(buckets)) + (column - (len(names) - 1) / 2) * width,
            means,
            width * 0.92,
            yerr=np.abs(ends - means),
            color=_colour(evaluation, name, theme),
            error_kw={"ecolor": theme.text, "elinewidth": 1, "alpha": 0.7},
            label=name,
        )
    ticks = [f"{name}\n{bucket['queries']:,} users" for name, bucket in buckets.items()]
    axis.set_xticks(range(len(buckets)), ticks)
    axis.set_xlabel("baskets in the visible history")
    axis.set_ylabel(label(metric))
    axis.grid(visible=False, axis="x")
    axis.legend(
        frameon=False, fontsize=9, labelcolor=theme.text, loc="lower left", bbox_to_anchor=(0, 1), ncols=2, borderpad=0
    )
    return png(figure)


def _coverage(evaluation: Plain, theme: Theme) -> bytes:
    """Accuracy against the share of the catalogue that anybody gets to see."""
    k = evaluation["headline_k"]
    figure, (axis,) = new_figure(theme, 3.6)
    points = []
    for name, estimates in evaluation["tasks"]["next_basket"]["models"].items():
        x = 100 * evaluation["models"][name]["exposure"][f"coverage@{k}"]
        points.append((x, estimates[f"recall@{k}"]["mean"], name))
        axis.plot(*points[-1][:2], "o", color=_colour(evaluation, name, theme), markersize=8)
    right, top = max(point[0] for point in points), max(point[1] for point in points)
    height = -np.inf
    for x, y, name in sorted(points, key=lambda point: point[1]):
        left_side = x > 0.7 * right
        height = max(y, height + 0.055 * top)  # names of neighbouring points must not overlap
        axis.annotate(
            name,
            (x, y),
            xytext=(x + (-0.02 if left_side else 0.02) * right, height),
            ha="right" if left_side else "left",
            va="center",
            color=theme.text,
            fontsize=8.5,
        )
    axis.set_xlim(-0.03 * right, 1.05 * right or 1)
    axis.set_ylim(0, 1.12 * top or 1)
    axis.set_xlabel(f"share of the catalogue in anybody's top {k} (%)")
    axis.set_ylabel(label(f"recall@{k}"))
    return png(figure)


def _calibration(evaluation: Plain, theme: Theme) -> bytes:
    """Observed against predicted probability over every pair of user and item, both on logarithmic axes."""
    probability = evaluation["models"][evaluation["model"]]["probability"]
    curve = {name: np.array(values) for name, values in probability["curve"].items()}
    shown = curve["observed"] > 0
    predicted, observed = curve["predicted"][shown], curve["observed"][shown]
    figure, (axis,) = new_figure(theme, 4.2)
    ends = [0.5 * min(predicted.min(), observed.min()), min(1.0, 2 * max(predicted.max(), observed.max()))]
    axis.plot(ends, ends, "--", color=theme.muted, linewidth=1, label="perfectly calibrated")
    axis.axhline(probability["base_rate"], color=theme.rival, linewidth=1, linestyle=":", label="base rate")
    targets = (curve["pairs"][shown] * observed).clip(1)
    axis.plot(predicted, observed, color=theme.model, linewidth=1.5)
    sizes = 15 + 185 * targets / targets.max()
    axis.scatter(predicted, observed, sizes, color=theme.model, label=f"{evaluation['model']} (area: targets)")
    axis.set_xscale("log")
    axis.set_yscale("log")
    axis.set_xlabel("predicted probability")
    axis.set_ylabel("observed share")
    axis.legend(frameon=False, fontsize=9, labelcolor=theme.text, loc="upper left")
    return png(figure)
