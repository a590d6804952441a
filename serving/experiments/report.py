"""The page of an experiment: the verdict, what was found, and intervals to look at."""

from functools import partial
from pathlib import Path

import numpy as np

from data_pipelines.figures import Picture, Theme, new_figure, png
from data_pipelines.report_page import render_page
from serving.experiments.analysis import Analysis, Comparison
from serving.experiments.guardrails import State
from serving.experiments.verdict import Verdict, change_of

TEMPLATE = Path(__file__).with_name("experiment.html.jinja")
ROW_INCHES = 0.36
TONES = {"ship": "better", "keep": "worse", "undecided": "open", "distrust": "worse"}
CAPTION = "Dot: the estimate; line: its interval. {}"
READ = {False: "A line that touches 0 shows no change.", True: "Dashed: the margin that must be excluded."}


def experiment_page(analysis: Analysis, verdict: Verdict) -> str:
    """The page.

    Args:
        analysis: what was found.
        verdict: what it means.

    Returns:
        HTML without references to other files.
    """
    groups: dict[str, list[Comparison]] = {}
    for one in analysis.comparisons:
        groups.setdefault(one.metric, []).append(one)
    pictures = [
        Picture(
            f"{name}: change against {analysis.variants[0]}",
            CAPTION.format(READ[shown[0].guardrail is not None]),
            partial(_intervals, shown, analysis.alpha),
        )
        for name, shown in groups.items()
    ]
    rows = [
        {
            "metric": one.metric,
            "variant": one.variant,
            "control_mean": f"{one.control.mean:.5g}",
            "mean": f"{one.treated.mean:.5g}",
            "change": change_of(one),
            "p": "–" if one.adjusted_p is None else f"{one.adjusted_p:.2g}",
            "result": _result(one, analysis.alpha),
            "tone": _tone(one, analysis.alpha),
        }
        for one in analysis.comparisons
    ]
    ratio = analysis.sample_ratio
    facts = {f"units of {name}": f"{count:,}" for name, count in zip(analysis.variants, analysis.units, strict=True)}
    facts["sample ratio check"] = f"{'passes' if ratio.passes else 'fails'}, p = {ratio.p_value:.2g}"
    if analysis.progress is not None:
        facts["of the planned units"] = f"{analysis.progress:.0%}"
    return render_page(
        TEMPLATE,
        pictures,
        name=analysis.name,
        verdict=verdict,
        tone=TONES[verdict.decision],
        facts=facts,
        rows=rows,
        control=analysis.variants[0],
        level=f"{1 - analysis.alpha:.0%}",
        correction=analysis.correction,
        sequential=analysis.progress is not None,
        notices=analysis.notices,
    )


def _result(one: Comparison, alpha: float) -> str:
    if one.state is not None:
        return f"guardrail {one.state}"
    return ("not significant", "better", "worse")[one.outcome(alpha)]


def _tone(one: Comparison, alpha: float) -> str:
    if one.state is not None:
        return {State.HOLDS: "better", State.BROKEN: "worse", State.OPEN: "open"}[one.state]
    return ("open", "better", "worse")[one.outcome(alpha)]


def _intervals(shown: list[Comparison], alpha: float, theme: Theme) -> bytes:
    """A dot and a line per variant: the lift in per cent, or the difference where there is none."""
    figure, (axis,) = new_figure(theme, 0.75 + ROW_INCHES * len(shown))
    relative = all(one.effect.lift_bounds is not None for one in shown)
    for row, one in enumerate(shown[::-1]):
        middle, bounds = one.effect.difference, one.effect.bounds
        if relative and one.effect.lift is not None and one.effect.lift_bounds is not None:
            middle, bounds = 100 * one.effect.lift, (100 * one.effect.lift_bounds[0], 100 * one.effect.lift_bounds[1])
        colour = {"better": theme.model, "worse": theme.rival, "open": theme.muted}[_tone(one, alpha)]
        if np.isfinite(bounds).all():
            axis.plot(bounds, (row, row), color=colour, linewidth=2.2, solid_capstyle="butt")
        axis.plot(middle, row, "o", color=colour, markersize=6)
    margin = shown[0].guardrail
    if margin is not None and relative:
        axis.axvline(100 * margin, color=theme.rival, linewidth=1.2, linestyle="--")
    axis.axvline(0, color=theme.text, linewidth=1)
    axis.set_yticks(range(len(shown)), [one.variant for one in shown[::-1]])
    axis.set_ylim(-0.6, len(shown) - 0.4)
    axis.set_xlabel("change in %" if relative else "change")
    axis.grid(visible=False, axis="y")
    return png(figure)
