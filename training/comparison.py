"""Models side by side: means with intervals, the difference to the best baseline, and one honest sentence.

The result is plain data (`metrics.json` under "evaluation"); the console table and the HTML report show nothing else.
The best baseline is chosen metric by metric on the test itself, which can only favour the baselines.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from data_pipelines.schema import FIRST_KNOWN
from training.confidence import Estimate, difference, interval, ratio, resampled_means
from training.evaluation import ModelResult, TestSet
from training.ranking_metrics import FloatArray, IntArray
from training.score_metrics import Reliability

Plain = dict[str, Any]
HEADLINE_TASKS = ("next_basket", "explore_period")
TASK_NAMES = {
    "next_basket": "Next basket",
    "repeat": "Seen before",
    "explore": "New in the next basket",
    "explore_period": "New in the whole period",
    "rare_items": "Rare items",
    "medium_items": "Medium items",
    "popular_items": "Popular items",
}
METRIC_NAMES = {"recall": "Recall", "hr": "HR", "precision": "Precision", "ndcg": "NDCG", "mrr": "MRR", "map": "MAP"}
BETTER, WORSE, UNDECIDED = "better", "worse", "not distinguishable"


def summarise(
    results: Sequence[ModelResult],
    test_set: TestSet,
    *,
    model: str,
    resamples: int = 1000,
    seed: int = 0,
) -> Plain:
    """Turn per-query values into means, intervals and comparisons.

    Args:
        results: of `training.evaluation.evaluate`.
        test_set: the questions they answered.
        model: name of the model that is compared; all others are its baselines.
        resamples: bootstrap samples.
        seed: of the bootstrap.

    Returns:
        Plain data: `tasks` and `slices` with `{model: {metric: {mean, low, high}}}`, `comparisons` by task and metric,
        `models` with everything that has no per-query value, and `statements`. Slices and statements are at
        `headline_k`, which is 10 where that is among the cut-offs.
    """
    ks = sorted({int(metric.partition("@")[2]) for metric in results[0].values["next_basket"]})
    headline_k = 10 if 10 in ks else ks[len(ks) // 2]
    baselines = [result.name for result in results if result.name != model]
    tasks: Plain = {}
    comparisons: Plain = {}
    for name, task in test_set.tasks.items():
        values = {result.name: result.values[name] for result in results}
        means, samples = _bootstrap(values, task.queries.user, resamples, seed)
        tasks[name] = {"queries": len(task.queries), "models": _estimates(means, samples)}
        if baselines:
            comparisons[name] = {
                metric: _compare(metric, model, baselines, means, samples) for metric in next(iter(values.values()))
            }
    return {
        "part": test_set.part,
        "fingerprint": test_set.fingerprint,
        "model": model,
        "baselines": baselines,
        "queries": len(test_set.queries),
        "catalogue": len(test_set.popularity) - FIRST_KNOWN,
        "ks": ks,
        "headline_k": headline_k,
        "bootstrap": {"resamples": resamples, "seed": seed, "level": 0.95},
        "tasks": tasks,
        "comparisons": comparisons,
        "slices": _slices(results, test_set, headline_k, resamples, seed),
        "models": {result.name: _unpaired(result) for result in results},
        "statements": _statements(model, tasks, comparisons, headline_k),
    }


def _bootstrap(
    values: dict[str, dict[str, FloatArray]], users: IntArray, resamples: int, seed: int
) -> tuple[dict[tuple[str, str], float], dict[tuple[str, str], FloatArray]]:
    """Means and resampled means of every model and metric, all over the same draws of users."""
    keys = [(name, metric) for name, metrics in values.items() for metric in metrics]
    matrix = np.column_stack([values[name][metric] for name, metric in keys])
    samples = resampled_means(matrix, users, resamples, seed)
    return dict(zip(keys, matrix.mean(axis=0).tolist(), strict=True)), dict(zip(keys, samples.T, strict=True))


def _estimates(means: dict[tuple[str, str], float], samples: dict[tuple[str, str], FloatArray]) -> Plain:
    plain: Plain = {}
    for (name, metric), mean in means.items():
        plain.setdefault(name, {})[metric] = interval(samples[name, metric], mean).to_dict()
    return plain


def _compare(
    metric: str,
    model: str,
    baselines: list[str],
    means: dict[tuple[str, str], float],
    samples: dict[tuple[str, str], FloatArray],
) -> Plain:
    best = max(baselines, key=lambda name: means[name, metric])
    pair = samples[model, metric], samples[best, metric], means[model, metric], means[best, metric]
    gap, quotient = difference(*pair), ratio(*pair)
    return {
        "best_baseline": best,
        "model": means[model, metric],
        "baseline": means[best, metric],
        "difference": gap.to_dict(),
        "ratio": quotient.to_dict() if quotient else None,
        "verdict": verdict(gap),
    }


def verdict(gap: Estimate) -> str:
    """Better or worse only if the whole interval of the difference lies on one side of zero."""
    return BETTER if gap.low > 0 else WORSE if gap.high < 0 else UNDECIDED


def _slices(results: Sequence[ModelResult], test_set: TestSet, k: int, resamples: int, seed: int) -> Plain:
    metrics = (f"recall@{k}", f"ndcg@{k}")
    groups: Plain = {}
    for group, some in test_set.slices.items():
        for name, mask in some.items():
            values = {r.name: {metric: r.values["next_basket"][metric][mask] for metric in metrics} for r in results}
            means, samples = _bootstrap(values, test_set.queries.user[mask], resamples, seed)
            groups.setdefault(group, {})[name] = {"queries": int(mask.sum()), "models": _estimates(means, samples)}
    return groups


def _unpaired(result: ModelResult) -> Plain:
    plain: Plain = {
        "exposure": result.exposure,
        "auc": result.auc,
        "users_per_second": round(result.users_per_second),
    }
    if result.reliability is not None:
        plain["probability"] = _probability(result.reliability)
    return plain


def _probability(counts: Reliability) -> Plain:
    filled = counts.pairs > 0
    return {
        "log_loss": counts.log_loss,
        "normalised_log_loss": counts.normalised_log_loss,
        "base_rate": counts.base_rate,
        "calibration_error": counts.calibration_error,
        "predicted_per_observed": counts.predicted_per_observed,
        "curve": {
            "pairs": counts.pairs[filled].tolist(),
            "predicted": (counts.predicted[filled] / counts.pairs[filled]).tolist(),
            "observed": (counts.observed[filled] / counts.pairs[filled]).tolist(),
        },
    }


def label(name: str) -> str:
    """`ndcg@10` as `NDCG@10`, `repeat_share@10` as `Repeat share@10`."""
    metric, at, k = name.partition("@")
    return METRIC_NAMES.get(metric, metric.replace("_", " ").capitalize()) + at + k


def _statements(model: str, tasks: Plain, comparisons: Plain, k: int) -> list[dict[str, str]]:
    """How the model stands on the headline metrics, in words that do not say more than the interval does."""
    statements = []
    for task in HEADLINE_TASKS:
        for metric in (f"recall@{k}", f"ndcg@{k}"):
            if task in comparisons:
                n_baselines = len(tasks[task]["models"]) - 1
                compared = comparisons[task][metric]
                text = _statement(model, task, metric, compared, n_baselines)
                statements.append({"verdict": compared["verdict"], "text": text})
            elif task in tasks:
                mean = tasks[task]["models"][model][metric]["mean"]
                reached = f"{model} reaches {label(metric)} {mean:.4f}"
                text = f"{TASK_NAMES[task]}: {reached}; no baseline was evaluated."
                statements.append({"verdict": UNDECIDED, "text": text})
    return statements


def _statement(model: str, task: str, metric: str, compared: Plain, baselines: int) -> str:
    how = {BETTER: "better than", WORSE: "worse than", UNDECIDED: "not distinguishable from"}[compared["verdict"]]
    best = (
        f"{compared['best_baseline']}, the best of {baselines} baselines,"
        if baselines > 1
        else compared["best_baseline"]
    )
    gap, quotient = compared["difference"], compared["ratio"]
    times = f"{quotient['mean']:.3f} times, " if quotient else ""
    return (
        f"{TASK_NAMES[task]}: {model} is {how} {best} on {label(metric)} "
        f"({compared['model']:.4f} against {compared['baseline']:.4f}: {times}difference {gap['mean']:+.4f}, "
        f"95 % interval {gap['low']:+.4f} to {gap['high']:+.4f})."
    )
