"""What an analysis means, in words: what to do, and a sentence for each thing that was found.

The first metric decides. A variant is to be shipped if it is significantly better on it, significantly worse on no
other, and all its guardrails hold; of several the one with the largest effect.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass

from scipy import stats

from serving.experiments.analysis import Analysis, Comparison
from serving.experiments.guardrails import State
from serving.experiments.sample_ratio import THRESHOLD
from serving.experiments.sequential import limit

POWER = 0.8


@dataclass(frozen=True)
class Verdict:
    """The decision.

    Args:
        decision: one of ship, keep, undecided, distrust.
        headline: the decision in a sentence.
        sentences: what it rests on.
    """

    decision: str
    headline: str
    sentences: tuple[str, ...]


def decide(analysis: Analysis) -> Verdict:
    """Say what to do."""
    sentences = tuple(_sentences(analysis))
    ratio = analysis.sample_ratio
    if not ratio.passes:
        return Verdict("distrust", f"Do not trust these outcomes: {_mismatch(analysis)}", sentences)
    return Verdict(*_decision(analysis), sentences)


def _decision(analysis: Analysis) -> tuple[str, str]:
    primary = next((one.metric for one in analysis.comparisons if one.guardrail is None), None)
    if primary is None:
        return "undecided", "No metric was given that could get better: only guardrails were looked at."
    control, alpha = analysis.variants[0], analysis.alpha
    first = [one for one in analysis.comparisons if one.metric == primary]
    winners = sorted(
        (one for one in first if one.outcome(alpha) > 0), key=lambda one: -one.better * one.effect.difference
    )
    doubts = {one.variant: _doubts(analysis, one.variant) for one in winners}
    if clear := [one for one in winners if not doubts[one.variant]]:
        rest = [one.variant for one in clear[1:]]
        also = (
            f" {_listed(rest)} {'is' if len(rest) == 1 else 'are'} also better than {control}, by less." if rest else ""
        )
        return "ship", f"Ship {clear[0].variant}: {primary} is {_change(clear[0])} than with {control}.{also}"
    if winners:
        said = "; ".join(f"{one.variant} is better on {primary}, but {_listed(doubts[one.variant])}" for one in winners)
        return "undecided", f"No variant can be shipped yet: {said}."
    losers = [one for one in first if one.outcome(alpha) < 0]
    if len(losers) == len(first):
        return "keep", f"Keep {control}: {primary} is {_change(losers[0])} with {losers[0].variant}."
    if losers:
        named = _listed([one.variant for one in losers])
        return "keep", f"Keep {control}: {named} is worse on {primary}, and no other variant is shown to be better."
    return "undecided", f"Undecided: no difference in {primary} is shown. {_power(analysis, first)}"


def _doubts(analysis: Analysis, variant: str) -> list[str]:
    """What speaks against shipping a variant that is better on the first metric."""
    found = []
    for one in analysis.comparisons:
        if one.variant == variant and one.outcome(analysis.alpha) < 0:
            found.append(f"worse on {one.metric}")
        if one.variant == variant and one.state is State.BROKEN:
            found.append(f"guardrail {one.metric} is broken")
        if one.variant == variant and one.state is State.OPEN:
            found.append(f"guardrail {one.metric} is not yet shown to hold")
    return found


def _sentences(analysis: Analysis) -> Iterator[str]:
    sure = f"{1 - analysis.alpha:.0%} interval "
    ratio = analysis.sample_ratio
    if ratio.passes:
        yield f"Units are split as planned (sample ratio check: p = {ratio.p_value:.2g})."
    for one in analysis.comparisons:
        if one.state is not None:
            end = {
                State.HOLDS: f"holds: a change beyond {one.guardrail:+.1%} is excluded",
                State.BROKEN: f"is broken: the change is beyond {one.guardrail:+.1%}",
                State.OPEN: f"is open: a change beyond {one.guardrail:+.1%} is not excluded",
            }[one.state]
            yield f"Guardrail {one.metric}, {one.variant}: {change_of(one, sure)}; {end}."
        else:
            result = ("not significant", "significantly better", "significantly worse")[one.outcome(analysis.alpha)]
            yield f"{one.metric}, {one.variant}: {change_of(one, sure)}; {result}, p = {one.adjusted_p:.2g}."
    for paid in analysis.returns:
        text = "" if paid.bounds is None else f" ({sure}{paid.bounds[0]:+.0%} to {paid.bounds[1]:+.0%})"
        yield f"{paid.variant} returns {paid.roi:+.0%}{text} on a cost of {paid.cost:.4g} per unit."


def change_of(one: Comparison, label: str = "") -> str:
    """The lift and its interval, or the difference where there is no lift.

    Args:
        one: the comparison.
        label: what stands before the interval.
    """
    effect = one.effect
    if effect.lift is None or effect.lift_bounds is None:
        return f"{effect.difference:+.4g} ({label}{effect.bounds[0]:+.4g} to {effect.bounds[1]:+.4g})"
    return f"{effect.lift:+.1%} ({label}{effect.lift_bounds[0]:+.1%} to {effect.lift_bounds[1]:+.1%})"


def _change(one: Comparison) -> str:
    """E.g. `12.3% higher`."""
    way = "higher" if one.effect.difference > 0 else "lower"
    if one.effect.lift is None:
        return f"{abs(one.effect.difference):.4g} {way}"
    return f"{abs(one.effect.lift):.1%} {way}"


def _mismatch(analysis: Analysis) -> str:
    ratio = analysis.sample_ratio
    off = max(
        range(len(analysis.variants)), key=lambda i: (ratio.observed[i] - ratio.expected[i]) ** 2 / ratio.expected[i]
    )
    return (
        f"variant {analysis.variants[off]} has {ratio.observed[off]:,} units where {ratio.expected[off]:,.0f} were "
        f"expected (p below {THRESHOLD:g}). Either other shares were planned, then say which with --shares; or units "
        "were lost or added by something that depends on the variant: find it, and run the experiment again."
    )


def _power(analysis: Analysis, first: list[Comparison]) -> str:
    """What the experiment would have seen by the test that was made, the first of its family."""
    widest = max(first, key=lambda one: one.effect.standard_error)
    tests = 1 if analysis.correction == "none" else sum(one.guardrail is None for one in analysis.comparisons)
    alpha, progress = analysis.alpha / tests, analysis.progress
    reach = stats.norm.ppf(1 - alpha / 2) if progress is None else limit(progress, alpha)
    seen = float(reach + stats.norm.ppf(POWER)) * widest.effect.standard_error
    if widest.control.mean == 0 or seen == 0 or not all(map(math.isfinite, widest.effect.bounds)):
        return "Nothing is known of what it could have shown."
    return f"A change of {seen / abs(widest.control.mean):.1%} would have been found four times in five."


def _listed(words: list[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"
