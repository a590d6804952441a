"""The figures of a replay of campaigns: answers reached at the same budget, with intervals, beside the baselines.

Intervals are the bootstrap's over users, since one user gets several campaigns, with what was ranked as it is; the
ratio to a baseline is paired, and given once more over campaigns, of which there are few.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from data_pipelines.schema import CAMPAIGN_ID, STARTS_AT, USER_ID
from training.campaign_metrics import contacted, mean_auc, placements, reached
from training.campaign_simulation import BASELINES, BOOSTED, MODELS, RFM, Simulation, Targeted
from training.campaign_simulation_config import SimulationConfig
from training.confidence import interval, resampled_means

FloatArray = npt.NDArray[np.float64]
METHODS = (*MODELS, *BASELINES)
BUDGETS = (0.1, 0.2, 0.3)
CURVE = tuple(number / 50 for number in range(51))


def summarise(simulation: Simulation, config: SimulationConfig) -> dict[str, Any]:
    """All figures.

    Args:
        simulation: what was ranked.
        config: budget, seed and number of resamples.

    Returns:
        Plain data: `chosen`; `methods`, name to figures of the test and of the earlier campaigns; `ratios`, baseline to
        how many times as many of those who answered the chosen model reaches; `seeds`; `campaigns`, one by one.
    """
    test = simulation.test
    answered = [one.answered for one in test]
    user_draws = _draws(test, config, [user for one in test for user in _who(one)])
    campaign_draws = _draws(test, config, [one.campaign for one in test for _ in _who(one)])
    means = {name: reached([one.scores[name] for one in test], answered, config.contact_share) for name in METHODS}
    areas = {name: mean_auc([one.scores[name] for one in test], answered) for name in METHODS}
    chosen = simulation.chosen
    return {
        "chosen": chosen,
        "contact_share": config.contact_share,
        "addressed": sum(len(one.users) for one in test),
        "contacts": int(sum(np.ceil(config.contact_share * len(one.users) - 1e-9) for one in test)),
        "answered": sum(int(answer.sum()) for answer in answered),
        "possible": reached([answer.astype(np.float64) for answer in answered], answered, config.contact_share),
        "methods": {
            name: {
                "reached": interval(user_draws[name][:, 0], means[name]).to_dict(),
                "auc": interval(user_draws[name][:, 1], areas[name]).to_dict(),
                "budgets": {
                    f"{share:.0%}": reached([o.scores[name] for o in test], answered, share) for share in BUDGETS
                },
                "answers": _answers_reached(test, name, config.contact_share),
                "curve": [reached([one.scores[name] for one in test], answered, share) for share in CURVE],
                "earlier": {
                    "reached": reached(
                        [one.scores[name] for one in simulation.earlier],
                        [one.answered for one in simulation.earlier],
                        config.contact_share,
                    ),
                    "auc": mean_auc(
                        [one.scores[name] for one in simulation.earlier], [one.answered for one in simulation.earlier]
                    ),
                },
            }
            for name in METHODS
        },
        "ratios": {
            name: {
                over: times(draws[chosen][:, 0], draws[name][:, 0], means[chosen], means[name])
                for over, draws in (("users", user_draws), ("campaigns", campaign_draws))
            }
            for name in BASELINES
        },
        "seeds": [
            reached([one.members[seed] for one in test], answered, config.contact_share)
            for seed in range(len(test[0].members))
        ],
        "campaigns": [_row(one, chosen, config.contact_share) for one in (*simulation.earlier, *test)],
        "importance": dict(list(simulation.importance.items())[:12]),
    }


def verdict(summary: Mapping[str, Any]) -> str:
    """What a marketer wants to know, in a sentence or two."""
    chosen = summary["chosen"]
    found = summary["methods"][chosen]["reached"]
    said = [
        f"{name} {_shown(summary['ratios'][name]['users'])}"
        for name in BASELINES[:-1]
        if summary["ratios"][name]["users"]
    ]
    others = f" How many times what others reach, with 95 % intervals: {'; '.join(said)}." if said else ""
    return (
        f"With {summary['contact_share']:.0%} of the contacts, {chosen} reaches {found['mean']:.1%} of those who "
        f"answered ({found['low']:.1%} to {found['high']:.1%}).{others}"
    )


def _shown(estimate: Mapping[str, Any]) -> str:
    high = "∞" if estimate["high"] is None else f"{estimate['high']:.2f}"
    return f"{estimate['mean']:.2f} ({estimate['low']:.2f} to {high})"


def to_table(simulation: Simulation) -> pl.DataFrame:
    """One row per campaign and addressed user: whether it is in the test, answers, and every method's score."""
    return pl.concat(
        pl.DataFrame(
            {
                CAMPAIGN_ID: pl.Series([one.campaign] * len(one.users)),
                STARTS_AT: pl.Series([one.starts_at] * len(one.users)),
                USER_ID: one.users,
                "test": pl.Series([one.test] * len(one.users)),
                "answers": one.answers,
                **{f"score_{name}": one.scores[name] for name in METHODS},
            }
        )
        for one in (*simulation.earlier, *simulation.test)
    )


def _who(one: Targeted) -> list[str]:
    return [user for user, answer in zip(one.users, one.answered, strict=True) if answer]


def _draws(test: Sequence[Targeted], config: SimulationConfig, cluster: Sequence[str]) -> dict[str, FloatArray]:
    """Method to `[resamples, 2]`: share of those who answered that is reached, and area under the curve.

    Both are means over those who answered, so resampling users (or campaigns) is drawing rows in clusters.
    """
    columns = []
    for name in METHODS:
        columns.append(
            np.concatenate([contacted(one.scores[name], config.contact_share)[one.answered] for one in test])
        )
        columns.append(
            np.concatenate([np.nan_to_num(placements(one.scores[name], one.answered), nan=0.5) for one in test])
        )
    code = np.unique(np.asarray(cluster), return_inverse=True)[1]
    drawn = resampled_means(np.column_stack(columns), code, config.resamples, config.seed)
    return {name: drawn[:, 2 * place : 2 * place + 2] for place, name in enumerate(METHODS)}


def _answers_reached(test: Sequence[Targeted], name: str, share: float) -> float:
    """Answers (say, coupons redeemed), not people."""
    return float(sum(contacted(one.scores[name], share) @ one.answers for one in test))


def _row(one: Targeted, chosen: str, share: float) -> dict[str, Any]:
    n_answered = int(one.answered.sum())
    return {
        "campaign": one.campaign,
        "starts_at": f"{one.starts_at:%Y-%m-%d}",
        "test": one.test,
        "addressed": len(one.users),
        "answered": n_answered,
        **{name: float(contacted(one.scores[name], share)[one.answered].sum()) for name in (chosen, BOOSTED, RFM)},
        "auc": mean_auc([one.scores[chosen]], [one.answered]) if 0 < n_answered < len(one.users) else None,
    }


def times(model: FloatArray, baseline: FloatArray, mean: float, mean_baseline: float) -> dict[str, float | None] | None:
    """How many times as much a model reaches as a baseline, with the paired 95 % interval.

    Args:
        model: `[resamples]`.
        baseline: `[resamples]` of the same draws. A draw in which it reaches nobody is infinitely better; one in which
            neither does says nothing.
        mean: of the model, without resampling.
        mean_baseline: of the baseline.

    Returns:
        `mean`, `low` and `high`, which is None where there is no end; None where the baseline reaches nobody at all.
    """
    if mean_baseline <= 0:
        return None
    says = (model > 0) | (baseline > 0)
    drawn = np.divide(model[says], baseline[says], out=np.full(says.sum(), np.inf), where=baseline[says] > 0)
    low, high = np.quantile(drawn, [0.025, 0.975], method="inverted_cdf")  # infinity cannot be interpolated
    return {"mean": mean / mean_baseline, "low": float(low), "high": float(high) if np.isfinite(high) else None}
