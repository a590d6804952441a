"""The page of an experiment: the verdict, what was found, and intervals to look at."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes

from data_pipelines.figures import Picture, Theme, new_figure, png
from data_pipelines.report_page import render_page
from serving.experiments.analysis import Analysis, Comparison
from serving.experiments.effects import Bounds
from serving.experiments.guardrails import State
from serving.experiments.return_on_investment import Return
from serving.experiments.verdict import Verdict, change_of

TEMPLATE = Path(__file__).with_name("experiment.html.jinja")
ROW_INCHES = 0.36
TONES = {"ship": "better", "keep": "worse", "undecided": "open", "distrust": "worse"}
CAPTION = "Dot: the estimate; line: its interval. {}"
RETURN = (
    "What a variant brings in beyond its cost, in per cent of the cost. A line right of 0 shows a gain, left of 0 a "
    "loss; without a line the cost may be nothing."
)
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
    if analysis.returns:
        pictures.append(Picture("Return on investment", RETURN, partial(_returns, analysis.returns)))
    rows = [
        {
            "metric": one.metric,
            "variant": one.variant,
            "control_mean": f"{one.control.mean:.4g}",
            "mean": f"{one.treated.mean:.4g}",
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


def _returns(returns: Sequence[Return], theme: Theme) -> bytes:
    """A dot and a line per variant that costs something."""
    figure, (axis,) = new_figure(theme, 0.75 + ROW_INCHES * len(returns))
    for row, one in enumerate(returns[::-1]):
        low, high = one.bounds or (one.roi, one.roi)
        colour = theme.model if one.bounds and low > 0 else theme.rival if one.bounds and high < 0 else theme.muted
        _dot_and_line(axis, row, 100 * one.roi, (100 * low, 100 * high), colour)
    _finish(axis, [one.variant for one in returns], "return in %", theme)
    return png(figure)


def _dot_and_line(axis: Axes, row: int, middle: float, bounds: Bounds, colour: str) -> None:
    if np.isfinite(bounds).all():
        axis.plot(bounds, (row, row), color=colour, linewidth=2.2, solid_capstyle="butt")
    axis.plot(middle, row, "o", color=colour, markersize=6)


def _finish(axis: Axes, variants: Sequence[str], label: str, theme: Theme) -> None:
    """Variants from top to bottom, a line at 0."""
    axis.axvline(0, color=theme.text, linewidth=1)
    axis.set_yticks(range(len(variants)), variants[::-1])
    axis.set_ylim(-0.6, len(variants) - 0.4)
    axis.set_xlabel(label)
    axis.grid(visible=False, axis="y")


def _intervals(shown: list[Comparison], alpha: float, theme: Theme) -> bytes:
    """A dot and a line per variant: the lift in per cent, or the difference where there is none."""
    figure, (axis,) = new_figure(theme, 0.75 + ROW_INCHES * len(shown))
    relative = all(one.effect.lift_bounds is not None for one in shown)
    for row, one in enumerate(shown[::-1]):
        middle, bounds = one.effect.difference, one.effect.bounds
        if relative and one.effect.lift is not None and one.effect.lift_bounds is not None:
            middle, bounds = 100 * one.effect.lift, (100 * one.effect.lift_bounds[0], 100 * one.effect.lift_bounds[1])
        colour = {"better": theme.model, "worse": theme.rival, "open": theme.muted}[_tone(one, alpha)]
        _dot_and_line(axis, row, middle, bounds, colour)
    margin = shown[0].guardrail
    if margin is not None and relative:
        axis.axvline(100 * margin, color=theme.rival, linewidth=1.2, linestyle="--")
    _finish(axis, [one.variant for one in shown], "change in %" if relative else "change", theme)
    return png(figure)
