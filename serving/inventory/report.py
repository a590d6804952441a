"""Pages with pictures: what a plan will do to the stock, and what policies have cost."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl
from matplotlib.axes import Axes

from data_pipelines.figures import Picture, Theme, date_axis, legend_above, new_figure, png
from data_pipelines.report_page import render_page
from serving.inventory.demand_distribution import FloatArray
from serving.inventory.simulator import Outcome, Shop
from serving.inventory.sources import Sources
from serving.inventory.trajectory import LEVELS, Trajectory

PLAN, SIMULATION = (Path(__file__).with_name(f"{name}.html.jinja") for name in ("plan", "simulation"))
SHOWN, LISTED = 6, 25
ROW_INCHES = 0.34
COSTS = {"holding_cost": "holding", "stockout_cost": "missing", "order_cost": "ordering", "spoilage_cost": "spoiled"}
Days = npt.NDArray[np.datetime64]
Frontier = Mapping[str, Sequence[tuple[float, float]]]
"""Of policies: fill rate and cost of keeping stock, the less to the more cautious."""


def plan_page(table: pl.DataFrame, sources: Sources, shop: Shop, ahead: Trajectory) -> str:
    """The page of an order plan.

    Args:
        table: the plan, the dearest orders first.
        sources: what it was made from.
        shop: terms and stock.
        ahead: simulated futures of the products, in the order of `sources`.
    """
    days = sources.forecast.days
    place = {name: row for row, name in enumerate(sources.forecast.ids)}
    ordered = table.filter(pl.col("order") > 0)
    largest = np.array([place[name] for name in table["unique_id"].head(SHOWN)])
    names = [sources.names[row] for row in largest]
    money = (ahead.order * shop.terms.unit_cost[:, None]).sum(axis=0)
    pictures = [
        Picture(
            "Money for orders",
            "Value of the orders of today, and expected for the days ahead.",
            lambda theme: _daily(theme, days, money, "order value"),
        ),
        Picture(
            "Products that lack something",
            "Expected number of products of which something is missing on a day. Until the lead time is over, no "
            "order of today can change that.",
            lambda theme: _daily(theme, days, ahead.missing.sum(axis=0), "products"),
        ),
        Picture(
            "How stock will go on",
            "The products with the dearest orders, in units at the end of each day: the mean of simulated futures, and "
            "what half (dark) and nine in ten (light) of them hold. Bars: units that are ordered on a day, on average.",
            lambda theme: _grid(theme, names, lambda axis, i: _fan(axis, days, ahead.take(largest[i : i + 1]), theme)),
        ),
    ]
    facts = {
        "products to order": f"{ordered.height:,} of {table.height:,}",
        "order value": f"{table['order_value'].sum():,.2f}",
        "units": f"{table['order'].sum():,.0f}",
        "run out before an order can arrive": f"{table['stockout_probability'].sum():,.0f} expected",
        "expected cost": f"{table['expected_cost'].sum():,.2f}",
    }
    return render_page(
        PLAN,
        pictures,
        facts=facts,
        rows=ordered.head(LISTED).to_dicts(),
        more=max(ordered.height - LISTED, 0),
        first=str(days[0]),
        last=str(days[-1]),
        notices=list(sources.notices()),
    )


def simulation_page(outcomes: Mapping[str, Outcome], sources: Sources, frontier: Frontier, statement: str) -> str:
    """The page of a replay.

    Args:
        outcomes: of the policies, the cheapest first, with their days.
        sources: forecast, stock, and the demand that was replayed.
        frontier: what each policy reaches with other costs of a missing unit.
        statement: the verdict in a sentence.
    """
    days = sources.forecast.days
    dearest = np.argsort(-sources.future @ np.ones(len(days)) * sources.stock.shop.terms.unit_cost, kind="stable")[
        :SHOWN
    ]
    names = [sources.names[row] for row in dearest]
    real = [name for name in outcomes if name != "clairvoyant"]
    shown = (real[0], real[-1]) if len(real) > 1 else (real or list(outcomes))[:1]
    pictures = [
        Picture(
            "Cost by policy",
            "What holding, missing, ordering and spoiling have cost on the demand that followed.",
            lambda theme: _cost_bars(theme, outcomes),
        ),
        Picture(
            "Service against cost",
            "Every line is a policy from careless to cautious: with the cost of a missing unit from a sixteenth to "
            "sixteen times what it is (large dot). Further up and to the left is better.",
            lambda theme: _frontier(theme, frontier, outcomes),
        ),
        Picture(
            "What happened",
            f"Stock at the end of each day under {' and '.join(shown)}, and what was asked for (bars), of the products "
            "with the highest turnover. Below zero: owed or lost.",
            lambda theme: _grid(
                theme, names, lambda axis, i: _replayed(axis, sources, outcomes, shown, int(dearest[i]), theme)
            ),
        ),
    ]
    return render_page(
        SIMULATION,
        pictures,
        statement=statement,
        outcomes=outcomes,
        best=real[0] if real else None,
        costs=COSTS,
        steps=len(days),
        years=len(days) * sources.forecast.step_days / 365,
        products=len(sources.names),
        first=str(days[0]),
        last=str(days[-1]),
        notices=list(sources.notices()),
    )


def _grid(theme: Theme, titles: Sequence[str], draw: Any) -> bytes:
    """Small pictures in two columns; `draw` is called with the axis and its place."""
    rows = -(-len(titles) // 2)
    figure, axes = new_figure(theme, 1.9 * rows + 0.2, min(len(titles), 2), rows=rows)
    for i, (axis, title) in enumerate(zip(axes, titles, strict=False)):
        draw(axis, i)
        axis.set_title(title, loc="left", color=theme.text, fontsize=9, parse_math=False)  # $ is a currency here
        date_axis(axis, theme)
    for axis in axes[len(titles) :]:
        axis.set_visible(False)
    return png(figure)


def _fan(axis: Axes, days: Days, one: Trajectory, theme: Theme) -> None:
    for i in range(len(LEVELS) // 2):
        low, high = one.quantiles[0, :, i], one.quantiles[0, :, -1 - i]
        axis.fill_between(days, low, high, color=theme.model, alpha=0.2, linewidth=0)
    axis.bar(days, one.order[0], width=0.5, color=theme.rival, alpha=0.7)
    axis.plot(days, one.stock[0], color=theme.model, linewidth=1.6)
    axis.set_ylim(bottom=0)


def _daily(theme: Theme, days: Days, values: FloatArray, label: str) -> bytes:
    figure, (axis,) = new_figure(theme, 2.4)
    axis.bar(days, values, width=0.7, color=theme.model)
    axis.set_ylabel(label)
    date_axis(axis, theme)
    return png(figure)


def _cost_bars(theme: Theme, outcomes: Mapping[str, Outcome]) -> bytes:
    names = list(outcomes)[::-1]
    figure, (axis,) = new_figure(theme, 0.9 + ROW_INCHES * len(names))
    left = np.zeros(len(names))
    colours = (theme.model, theme.rival, theme.muted, theme.text)
    for (field, label), colour in zip(COSTS.items(), colours, strict=True):
        part = np.array([float(getattr(outcomes[name], field).sum()) for name in names])
        if part.any():
            axis.barh(names, part, left=left, color=colour, height=0.62, label=label)
        left += part
    axis.set_xlabel("cost")
    axis.grid(visible=False, axis="y")
    legend_above(axis, theme)
    return png(figure)


def _frontier(theme: Theme, frontier: Frontier, outcomes: Mapping[str, Outcome]) -> bytes:
    figure, (axis,) = new_figure(theme, 3.4)
    dashes = ("-", "--", ":", "-.")
    best = next((name for name in outcomes if name in frontier), None)
    for number, (name, points) in enumerate(frontier.items()):
        fill, cost = np.array(points).T
        colour = theme.model if name == best else (theme.rival, theme.muted, theme.text)[number % 3]
        axis.plot(cost, fill, dashes[number % 4], color=colour, linewidth=1.6, marker=".", markersize=4, label=name)
        axis.plot(cost[len(cost) // 2], fill[len(fill) // 2], "o", color=colour, markersize=7)
    for name, one in outcomes.items():
        if name not in frontier:
            axis.plot(kept_cost(one), one.fill_rate(), "D", color=theme.muted, markersize=5)
            axis.annotate(
                name,
                (kept_cost(one), one.fill_rate()),
                color=theme.text,
                fontsize=8,
                xytext=(6, -3),
                textcoords="offset points",
            )
    axis.set_xlabel("cost of holding, ordering and spoiling")
    axis.set_ylabel("share of units served")
    legend_above(axis, theme)
    return png(figure)


def kept_cost(outcome: Outcome) -> float:
    """What stock has cost, without what was missing."""
    return float((outcome.cost - outcome.stockout_cost).sum())


def _replayed(
    axis: Axes, sources: Sources, outcomes: Mapping[str, Outcome], shown: Sequence[str], row: int, theme: Theme
) -> None:
    days = sources.forecast.days
    axis.bar(days, sources.future[row], width=0.7, color=theme.grid)
    for name, colour in zip(shown, (theme.model, theme.rival), strict=False):
        daily = outcomes[name].daily
        assert daily is not None
        axis.step(days, daily.stock[row, 0] - daily.missing[row, 0], where="mid", color=colour, linewidth=1.4)
    axis.axhline(0, color=theme.muted, linewidth=0.8)
