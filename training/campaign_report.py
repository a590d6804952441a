"""What a replay of campaigns shows: a table on the console and a page with gain curves."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from rich import box
from rich.table import Table

from data_pipelines.figures import Picture, Theme, legend_above, new_figure, png
from data_pipelines.report_page import render_page
from training.campaign_simulation import BASELINES, COUPON_USERS, MODELS, PAST, RANDOM, RFM
from training.campaign_summary import BUDGETS, CURVE, METHODS, verdict

TEMPLATE = Path(__file__).with_name("campaign_simulation.html.jinja")
DRAWN = (PAST, COUPON_USERS, RFM, RANDOM)
"""Baselines whose gain curves are drawn."""
TENTHS = 10
DASHES = {PAST: "dashed", COUPON_USERS: "dashdot", RFM: "solid", RANDOM: "dotted"}


def console_table(summary: Mapping[str, Any]) -> Table:
    """Every method in a row: those who answered that are reached at the same budget."""
    budget = f"{summary['contact_share']:.0%}"
    caption = (
        f"{summary['answered']:,} of {summary['addressed']:,} addressed in the later campaigns answered; the budget of "
        f"{summary['contacts']:,} contacts could reach {summary['possible']:.1%}. Chosen on earlier ones: "
        f"{summary['chosen']} (bold)."
    )
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), caption=caption, caption_justify="left")
    table.add_column("ranked by", no_wrap=True)
    for name in (f"reached\nat {budget}", "95 %\ninterval", *(f"\nat {share:.0%}" for share in BUDGETS[1:])):
        table.add_column(name, justify="right")
    for name in ("answers", "AUC", "earlier\nreached", "earlier\nAUC"):
        table.add_column(name, justify="right")
    for name in METHODS:
        one = summary["methods"][name]
        found = one["reached"]
        table.add_row(
            name,
            f"{found['mean']:.1%}",
            f"{found['low']:.1%}–{found['high']:.1%}",
            *(f"{one['budgets'][f'{share:.0%}']:.1%}" for share in BUDGETS[1:]),
            f"{one['answers']:.0f}",
            f"{one['auc']['mean']:.3f}",
            f"{one['earlier']['reached']:.1%}",
            f"{one['earlier']['auc']:.3f}",
            style="bold cyan" if name == summary["chosen"] else "",
        )
    return table


def report_page(summary: Mapping[str, Any], *, notices: tuple[str, ...], settings: str) -> str:
    """The page.

    Args:
        summary: of `training.campaign_summary.summarise`.
        notices: what was left out.
        settings: as YAML.

    Returns:
        HTML that stands alone.
    """
    drawn = [
        Picture(
            "Gain curves",
            "Share of those who answered that is reached by contacting the best share of the addressed, in the later "
            "campaigns. The dotted line is the contact budget.",
            lambda theme: _gains(summary, theme),
        ),
        Picture(
            "Tenth by tenth",
            "Those who answered in each tenth of the addressed, the likeliest first. Above the line there are more of "
            "them than a random tenth holds.",
            lambda theme: _tenths(summary, theme),
        ),
        Picture(
            "Reached within the budget",
            "Share of those who answered that the contact budget reaches, with 95 % intervals over users.",
            lambda theme: _dots(summary, theme),
        ),
        Picture(
            "Reached in each campaign",
            f"Those who answered, and how many of them {summary['chosen']} and RFM reach within the budget.",
            lambda theme: _by_campaign(summary, theme),
        ),
        Picture(
            "What the trees look at",
            "Share of the gain of LightGBM's splits, in the last campaign.",
            lambda theme: _importance(summary, theme),
        ),
    ]
    return render_page(
        TEMPLATE,
        drawn,
        s=summary,
        methods=METHODS,
        models=MODELS,
        baselines=BASELINES,
        budgets=[f"{share:.0%}" for share in BUDGETS],
        verdict=verdict(summary),
        seeds=(
            float(np.mean(summary["seeds"])),
            float(np.std(summary["seeds"], ddof=1)) if len(summary["seeds"]) > 1 else 0.0,
        ),
        notices=notices,
        settings=settings,
        rfm=RFM,
    )


def _gains(summary: Mapping[str, Any], theme: Theme) -> bytes:
    figure, (axis,) = new_figure(theme, 3.6)
    for name in DRAWN:
        colour = theme.rival if name == RFM else theme.muted
        curve = summary["methods"][name]["curve"]
        axis.plot(CURVE, curve, color=colour, linewidth=1.6, linestyle=DASHES[name], label=name)
    chosen = summary["chosen"]
    axis.plot(CURVE, summary["methods"][chosen]["curve"], color=theme.model, linewidth=2.4, label=chosen)
    axis.axvline(summary["contact_share"], color=theme.text, linewidth=0.8, linestyle=":")
    axis.set(
        xlabel="contacted, of those addressed", ylabel="reached, of those who answered", xlim=(0, 1), ylim=(0, 1.02)
    )
    for one in (axis.xaxis, axis.yaxis):
        one.set_major_formatter(lambda value, _: f"{value:.0%}")
    legend_above(axis, theme)
    return png(figure)


def _tenths(summary: Mapping[str, Any], theme: Theme) -> bytes:
    figure, (axis,) = new_figure(theme, 3.6)
    places = np.arange(1, TENTHS + 1)
    for name, colour, side in ((summary["chosen"], theme.model, -0.2), (RFM, theme.rival, 0.2)):
        reached = np.interp(places / TENTHS, CURVE, summary["methods"][name]["curve"])
        axis.bar(places + side, np.diff(reached, prepend=0.0), 0.38, color=colour, label=name)
    axis.axhline(1 / TENTHS, color=theme.text, linewidth=0.8, linestyle=":")
    axis.set_xticks(places)
    axis.grid(visible=False, axis="x")
    axis.set(xlabel="tenth of those addressed, best first", ylabel="of those who answered")
    axis.yaxis.set_major_formatter(lambda value, _: f"{value:.0%}")
    legend_above(axis, theme)
    return png(figure)


def _dots(summary: Mapping[str, Any], theme: Theme) -> bytes:
    figure, (axis,) = new_figure(theme, 3.6)
    for place, name in enumerate(reversed(METHODS)):
        found = summary["methods"][name]["reached"]
        colour = theme.model if name == summary["chosen"] else theme.rival if name == RFM else theme.muted
        axis.plot([found["low"], found["high"]], [place, place], color=colour, linewidth=2)
        axis.plot([found["mean"]], [place], "o", color=colour, markersize=6)
    axis.set_yticks(range(len(METHODS)), list(reversed(METHODS)))
    axis.grid(visible=False, axis="y")
    axis.set_xlim(left=0)
    axis.set_xlabel("reached, of those who answered")
    axis.xaxis.set_major_formatter(lambda value, _: f"{value:.0%}")
    return png(figure)


def _by_campaign(summary: Mapping[str, Any], theme: Theme) -> bytes:
    rows = [row for row in summary["campaigns"] if row["answered"]]
    figure, (axis,) = new_figure(theme, 0.9 + 0.2 * len(rows))
    places = np.arange(len(rows))[::-1]
    chosen = summary["chosen"]
    axis.barh(places, [row["answered"] for row in rows], color=theme.grid, height=0.8, label="answered")
    axis.barh(places + 0.2, [row[chosen] for row in rows], color=theme.model, height=0.36, label=chosen)
    axis.barh(places - 0.2, [row[RFM] for row in rows], color=theme.rival, height=0.36, label=RFM)
    axis.set_yticks(places, [f"{row['campaign']}, {row['starts_at']}{' · test' * row['test']}" for row in rows])
    axis.grid(visible=False, axis="y")
    axis.set_xlabel("users")
    legend_above(axis, theme)
    return png(figure)


def _importance(summary: Mapping[str, Any], theme: Theme) -> bytes:
    figure, (axis,) = new_figure(theme, 3.6)
    names = list(summary["importance"])[::-1]
    axis.barh(names, [summary["importance"][name] for name in names], color=theme.model, height=0.6)
    axis.grid(visible=False, axis="y")
    axis.set_xlabel("share of the gain")
    axis.xaxis.set_major_formatter(lambda value, _: f"{value:.0%}")
    return png(figure)
