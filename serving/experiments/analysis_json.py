"""An analysis as plain data, for programs that read it."""

import math
from dataclasses import asdict

from serving.experiments.analysis import Analysis, Comparison
from serving.experiments.verdict import Verdict


def to_dict(analysis: Analysis, verdict: Verdict) -> dict[str, object]:
    """Plain data for JSON; what is not bounded is null."""
    ratio = analysis.sample_ratio
    return {
        "experiment": analysis.name,
        "decision": verdict.decision,
        "headline": verdict.headline,
        "sentences": list(verdict.sentences),
        "notices": list(analysis.notices),
        "alpha": analysis.alpha,
        "correction": analysis.correction,
        "sequential_progress": analysis.progress,
        "units": dict(zip(analysis.variants, analysis.units, strict=True)),
        "sample_ratio": {**asdict(ratio), "passes": ratio.passes},
        "comparisons": [_comparison(one, analysis.alpha) for one in analysis.comparisons],
        "returns": [asdict(one) for one in analysis.returns],
    }


def _comparison(one: Comparison, alpha: float) -> dict[str, object]:
    effect = one.effect
    return {
        "metric": one.metric,
        "kind": one.kind.value,
        "variant": one.variant,
        "control_mean": one.control.mean,
        "mean": one.treated.mean,
        "difference": effect.difference,
        "difference_interval": _finite(effect.bounds),
        "lift": effect.lift,
        "lift_interval": _finite(effect.lift_bounds),
        "p_value": effect.p_value,
        "adjusted_p_value": one.adjusted_p,
        "outcome": one.outcome(alpha),
        "guardrail_margin": one.guardrail,
        "guardrail": one.state,
    }


def _finite(bounds: tuple[float, float] | None) -> list[float] | None:
    return list(bounds) if bounds is not None and all(map(math.isfinite, bounds)) else None
