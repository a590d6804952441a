"""Uplift ranking on a randomised e-mail test: Qini coefficients out of sample.

    python -m benchmarks.uplift --hillstrom FOLDER

FOLDER holds `email_test.parquet` (or .csv), the MineThatData e-mail test of Kevin Hillstrom (2008): 64,000 customers, a
third of whom got the men's e-mail, a third the women's, a third none. Every learner is cross-fitted, so nobody is
scored by a model that has seen them, and once per seed; the settings are fixed beforehand and no learner is chosen by
the result. Intervals are the bootstrap's over customers, of the first seed.
"""

from collections.abc import Callable, Sequence
from pathlib import Path

import lightgbm
import numpy as np
import numpy.typing as npt
import polars as pl
from rich.table import Table
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from data_pipelines.console import command_parser, output, progress, run
from data_pipelines.schema import InputError
from models.uplift import Classifier, ClassTransformation, TwoModel, UpliftLearner, cross_fit
from training.confidence import Estimate
from training.qini import compare_qini, qini, qini_curve

ARMS = {"women's": "Womens E-Mail", "men's": "Mens E-Mail"}
CONTROL = "No E-Mail"
NUMBERS, CATEGORIES = ("recency", "history", "mens", "womens", "newbie"), ("zip_code", "channel")
FOLDS, WIDE = 5, 120
BY_RESPONSE = "response (no uplift)"


def main(argv: Sequence[str] | None = None) -> int:
    """Measure and print."""
    parser = command_parser(
        "python -m benchmarks.uplift",
        "Qini coefficients of uplift learners on the MineThatData e-mail test, out of sample.",
        examples=["python -m benchmarks.uplift --hillstrom downloads/hillstrom --outcome visit"],
    )
    parser.add_argument("--hillstrom", type=Path, required=True, help="folder of email_test.parquet or .csv")
    parser.add_argument("--outcome", choices=("visit", "conversion"), default="visit")
    parser.add_argument("--seeds", type=int, default=5, help="splits and models, each anew (default: 5)")
    parser.add_argument("--resamples", type=int, default=1000, help="of the bootstrap (default: 1000)")
    arguments = parser.parse_args(argv)
    customers = read(arguments.hillstrom)
    console = output(WIDE)
    for arm, name in ARMS.items():
        chosen = customers.filter(pl.col("segment").is_in([name, CONTROL]))
        table = measure(chosen, arguments.outcome, arguments.seeds, arguments.resamples)
        table.title = f"{arm} e-mail, {arguments.outcome}: {chosen.height:,} customers"
        console.print(table)
    return 0


def read(folder: Path) -> pl.DataFrame:
    """The customers of the test."""
    for path, reader in ((folder / "email_test.parquet", pl.read_parquet), (folder / "email_test.csv", pl.read_csv)):
        if path.exists():
            return reader(path)
    raise InputError(f"--hillstrom {folder}: holds no email_test.parquet and no email_test.csv")


def learners(seed: int) -> dict[str, UpliftLearner]:
    """Two learners with two classifiers each."""
    classifiers: dict[str, Callable[[], Classifier]] = {
        "LightGBM": lambda: trees(seed),
        "logistic": lambda: make_pipeline(StandardScaler(), LogisticRegression(C=0.1)),
    }
    kinds = {"two models": TwoModel, "class transformation": ClassTransformation}
    return {f"{kind}, {name}": kinds[kind](make()) for kind in kinds for name, make in classifiers.items()}


def trees(seed: int) -> lightgbm.LGBMClassifier:
    """Few small trees: an effect is a small difference of rare outcomes."""
    return lightgbm.LGBMClassifier(
        n_estimators=60,
        learning_rate=0.05,
        num_leaves=6,
        min_child_samples=200,
        reg_lambda=10,
        subsample=0.8,
        subsample_freq=1,
        colsample_bytree=0.8,
        random_state=seed,
        verbose=-1,
    )


def measure(customers: pl.DataFrame, outcome: str, seeds: int, resamples: int) -> Table:
    """Every learner's coefficient in thousandths of an outcome per customer, with its interval and seeds."""
    dummies = customers.select(CATEGORIES).to_dummies()
    features = np.column_stack([customers.select(NUMBERS).to_numpy(), dummies.to_numpy()]).astype(np.float64)
    treated = (customers["segment"] != CONTROL).to_numpy().astype(np.int64)
    happened = customers[outcome].to_numpy()
    scores: dict[str, list[npt.NDArray[np.float64]]] = {}
    with progress() as bar:
        for seed in bar.track(range(seeds), description="cross-fitting"):
            for name, learner in learners(seed).items():
                scores.setdefault(name, []).append(
                    cross_fit(learner, features, treated, happened, folds=FOLDS, seed=seed)
                )
            scores.setdefault(BY_RESPONSE, []).append(response(features, happened, seed))
            scores.setdefault("random", []).append(np.random.default_rng(seed).random(len(features)))
    first = {name: some[0] for name, some in scores.items()}
    estimates = compare_qini(first, treated, happened, resamples=resamples)
    average = qini_curve(first["random"], treated, happened).gain[-1]
    table = Table("ranked by", "Qini × 1000", "95 % interval", "seeds, mean ± sd", "of random's area", box=None)
    for name, some in scores.items():
        drawn = 1000 * np.array([qini(score, treated, happened) for score in some])
        estimate = estimates[name]
        spread = f"{drawn.mean():.2f} ± {drawn.std(ddof=1):.2f}" if seeds > 1 else "–"
        table.add_row(
            name, f"{1000 * estimate.mean:.2f}", _range(estimate), spread, f"{2 * estimate.mean / average:+.0%}"
        )
    return table


def response(features: npt.NDArray[np.float64], outcome: npt.NDArray[np.integer], seed: int) -> npt.NDArray[np.float64]:
    """Probability of the outcome whatever the arm, which is what targeting without uplift goes by."""
    scores = np.empty(len(features))
    for train, test in StratifiedKFold(FOLDS, shuffle=True, random_state=seed).split(features, outcome):
        scores[test] = trees(seed).fit(features[train], outcome[train]).predict_proba(features[test])[:, 1]
    return scores


def _range(estimate: Estimate) -> str:
    return f"{1000 * estimate.low:.2f} to {1000 * estimate.high:.2f}"


if __name__ == "__main__":
    raise SystemExit(run(main))
