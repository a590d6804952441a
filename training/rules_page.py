"""The page of basket rules: the best of them in a table, and pictures of all."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import polars as pl
from matplotlib.axis import Axis
from matplotlib.ticker import LogLocator, NullLocator

from data_pipelines.figures import Picture, Theme, legend_above, new_figure, png
from data_pipelines.report_page import render_page
from data_pipelines.schema import (
    ANTECEDENT,
    CONSEQUENT,
    LEVEL,
    LIFT,
    LIFT_SAME_SIZE,
)

TEMPLATE = Path(__file__).with_name("rules.html.jinja")
LISTED, DRAWN = 40, 12
NAME_LENGTH = 34


def rules_page(
    rules: pl.DataFrame, bundles: pl.DataFrame, levels: Mapping[str, Mapping[str, int]], n_baskets: int
) -> str:
    """Write the page.

    Args:
        rules: of `training.rules_table.rules_table`, all levels.
        bundles: of `training.rules_table.bundles_table`, all levels.
        levels: what was left after each step.
        n_baskets: that they were found in.

    Returns:
        HTML without references to other files.
    """
    pictures = []
    for level in levels:
        some = rules.filter(pl.col(LEVEL) == level)
        if some.height:
            pictures += [
                Picture(
                    f"What goes together: {level} level",
                    "The best rules by their weight in all baskets. Large baskets hold everything, so the green bars, "
                    "among baskets of the same size, are what the pair itself is worth.",
                    lambda theme, some=some: _bars(theme, some),  # type: ignore[misc]
                ),
                Picture(
                    f"Pairs or just large trips: {level} level",
                    "Each dot is a rule. Those near the bottom owe their lift to large trips, not to each other.",
                    lambda theme, some=some: _dots(theme, some),  # type: ignore[misc]
                ),
            ]
    return render_page(
        TEMPLATE,
        pictures,
        n_baskets=n_baskets,
        levels=levels,
        rules={level: rules.filter(pl.col(LEVEL) == level).head(LISTED).to_dicts() for level in levels},
        bundles={level: bundles.filter(pl.col(LEVEL) == level).head(LISTED // 2).to_dicts() for level in levels},
    )


def _bars(theme: Theme, rules: pl.DataFrame) -> bytes:
    """Lifts of the best pairs, each once."""
    together = pl.concat_list(ANTECEDENT, CONSEQUENT).list.sort()
    best = rules.with_columns(together.alias("together")).unique("together", keep="first", maintain_order=True)
    best = best.head(DRAWN).reverse()
    place = np.arange(best.height)
    figure, (axis,) = new_figure(theme, 0.8 + 0.42 * best.height)
    axis.barh(place + 0.2, best[LIFT] - 1, 0.36, 1, color=theme.rival, label="all (lift)")
    axis.barh(place - 0.2, best[LIFT_SAME_SIZE] - 1, 0.36, 1, color=theme.model, label="of the same size")
    axis.set_yticks(
        place, [_short(*row) for row in best.select(f"{ANTECEDENT}_name", f"{CONSEQUENT}_name").iter_rows()]
    )
    axis.tick_params(axis="y", labelsize=7.5)
    axis.set_xscale("log")
    axis.axvline(1, color=theme.muted, linewidth=1)
    _few_numbers(axis.xaxis)
    axis.set_xlabel("times as often as by chance, in baskets …")
    axis.grid(visible=False, axis="y")
    legend_above(axis, theme)
    return png(figure)


def _short(*names: str) -> str:
    """Names on two lines, long ones without their middle: the end tells items apart."""
    part = NAME_LENGTH // 2
    return "\n→ ".join(name if len(name) <= NAME_LENGTH else f"{name[:part]}…{name[-part:]}" for name in names)


def _few_numbers(axis: Axis) -> None:
    """1, 2, 5, 10 … along a logarithmic axis."""
    axis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    axis.set_major_formatter("{x:g}")
    axis.set_minor_locator(NullLocator())


def _dots(theme: Theme, rules: pl.DataFrame) -> bytes:
    figure, (axis,) = new_figure(theme, 3.4)
    axis.scatter(rules[LIFT], rules[LIFT_SAME_SIZE], s=6, color=theme.model, alpha=0.5, linewidths=0, rasterized=True)
    axis.set_xscale("log")
    axis.set_yscale("log")
    for one in (axis.xaxis, axis.yaxis):
        _few_numbers(one)
    axis.set_xlabel("times as often as by chance (lift)")
    axis.set_ylabel("the same, in baskets of the same size")
    return png(figure)
