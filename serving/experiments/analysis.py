"""The whole analysis of an experiment: every metric in every variant against the control, corrected for their number.

The p-values of all metrics and variants are one family (Holm's correction by default: the chance that any of them is
significant without an effect stays at alpha). Intervals are not corrected. Guardrails are outside the family: all of
them must hold, so their number makes no false alarm likelier.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from statsmodels.stats.multitest import multipletests

from data_pipelines.schema import PROPENSITY, InputError
from serving.experiments import sequential
from serving.experiments.effects import Arm, Effect, compare_means, compare_proportions, mean_arm
from serving.experiments.guardrails import Guardrail, State
from serving.experiments.metrics import Kind, Metric
from serving.experiments.return_on_investment import Return
from serving.experiments.sample_ratio import THRESHOLD, SampleRatio, check_propensities, check_sample_ratio
from serving.experiments.unit_table import FloatArray, UnitTable

CORRECTIONS = {"holm": "holm", "bonferroni": "bonferroni", "benjamini-hochberg": "fdr_bh", "none": None}


@dataclass(frozen=True)
class Comparison:
    """One metric of one variant against the control.

    Args:
        metric: name of the metric.
        kind: how the effect was found.
        variant: name of the variant.
        control: the control's arm.
        treated: the variant's arm.
        effect: what is between them.
        adjusted_p: the p-value corrected for the number of comparisons; None for a guardrail.
        better: whether more is better, 1, or less, -1.
        guardrail: the margin, if the metric is one.
        state: what is known of the guardrail.
    """

    metric: str
    kind: Kind
    variant: str
    control: Arm
    treated: Arm
    effect: Effect
    adjusted_p: float | None = None
    better: int = 1
    guardrail: float | None = None
    state: State | None = None

    def outcome(self, alpha: float) -> int:
        """1 if significantly better than the control, -1 if worse, 0 if not significant."""
        if self.adjusted_p is None or self.adjusted_p >= alpha:
            return 0
        return int(np.sign(self.effect.difference)) * self.better


@dataclass(frozen=True)
class Analysis:
    """What an experiment has shown.

    Args:
        name: of the experiment, or of its table.
        variants: names, the control first.
        units: of each variant.
        sample_ratio: the check of the shares: by propensities where the table has them.
        comparisons: metrics in the order they were asked for, each with all variants.
        returns: ROI of variants, if asked for.
        alpha: of the tests; 1 minus the intervals' coverage.
        correction: for several comparisons.
        progress: units divided by the planned ones, for a sequential test.
        notices: what a reader must know, in sentences.
    """

    name: str
    variants: tuple[str, ...]
    units: tuple[int, ...]
    sample_ratio: SampleRatio
    comparisons: tuple[Comparison, ...]
    returns: tuple[Return, ...]
    alpha: float
    correction: str
    progress: float | None
    notices: tuple[str, ...]


def analyze(
    table: UnitTable,
    metrics: Sequence[Metric],
    *,
    name: str = "experiment",
    shares: Sequence[float] | None = None,
    guardrails: Sequence[Guardrail] = (),
    lower_is_better: Sequence[str] = (),
    alpha: float = 0.05,
    correction: str = "holm",
    planned_units: int | None = None,
    returned: tuple[Return, ...] = (),
    notices: Sequence[str] = (),
) -> Analysis:
    """Compare every variant with the control.

    Args:
        table: of the units.
        metrics: those of the guardrails too; the first decides.
        name: of the experiment.
        shares: of the variants, the control first; equal if None; a table with propensities is checked by them.
        guardrails: metrics that must not get worse.
        lower_is_better: names of metrics.
        alpha: of the tests.
        correction: one of `CORRECTIONS`.
        planned_units: of all variants together; makes the tests sequential.
        returned: ROI to be kept.
        notices: sentences to be kept.

    Raises:
        InputError: if a setting cannot be.
    """
    if not 0 < alpha < 1:
        raise InputError(f"--alpha {alpha:g}: must lie between 0 and 1")
    margins = {one.metric: one for one in guardrails}
    found = []
    for metric in metrics:
        arms = [metric.arm(table, number) for number in range(len(table.variants))]
        # of those that count: retention lags behind, and the limit is right only in proportion to what is known
        counted = sum(arm.units for arm in arms)
        progress = None if planned_units is None else sequential.progress_of(counted, planned_units)
        for variant, arm in zip(table.variants[1:], arms[1:], strict=True):
            effect = _compare(metric, arm, arms[0], alpha, progress)
            one = Comparison(metric.name, metric.kind, variant, arms[0], arm, effect)
            if guardrail := margins.get(metric.name):
                better = -1 if guardrail.margin > 0 else 1
                one = replace(one, guardrail=guardrail.margin, state=guardrail.state(effect), better=better)
            elif metric.name in lower_is_better:
                one = replace(one, better=-1)
            found.append(one)
    names = table.variants
    if PROPENSITY in table.frame.columns:
        ratio = check_propensities(table.variant, table.numbers(PROPENSITY), len(names))
    else:
        ratio = check_sample_ratio(table.units, shares or [1.0] * len(names))
    corrected = tuple(_correct(found, alpha, correction))
    progress = None if planned_units is None else sequential.progress_of(len(table.variant), planned_units)
    return Analysis(name, names, table.units, ratio, corrected, returned, alpha, correction, progress, tuple(notices))


def unbalanced(table: UnitTable, covariates: FloatArray, names: Sequence[str]) -> list[str]:
    """Names of covariates that differ between variants more than chance allows, so are not from before the exposure."""
    rows = [table.variant == number for number in range(len(table.variants))]
    found = []
    for column, name in enumerate(names):
        control, *others = (
            mean_arm(covariates[one, column], None if table.weights is None else table.weights[one]) for one in rows
        )
        effects = [compare_means(arm, control, THRESHOLD) for arm in others]
        sure = any(effect.difference and not effect.standard_error for effect in effects)
        if sure or min(effect.p_value for effect in effects) < THRESHOLD / len(effects):
            found.append(name)
    return found


def _compare(metric: Metric, treated: Arm, control: Arm, alpha: float, progress: float | None) -> Effect:
    if progress is not None:
        return sequential.compare(treated, control, alpha, progress)
    if metric.kind is Kind.PROPORTION:
        return compare_proportions(treated, control, alpha)
    return compare_means(treated, control, alpha)


def _correct(comparisons: Sequence[Comparison], alpha: float, correction: str) -> list[Comparison]:
    """Give those that are no guardrails their corrected p-values."""
    family = [one.effect.p_value for one in comparisons if one.guardrail is None]
    method = CORRECTIONS[correction]
    adjusted = iter(family if method is None or not family else multipletests(family, alpha, method)[1])
    return [one if one.guardrail is not None else replace(one, adjusted_p=float(next(adjusted))) for one in comparisons]
