"""Experiments beside what is known of two public data sets, and how fast assignment is.

    python -m benchmarks.experiments --hillstrom FOLDER

Hillstrom's MineThatData e-mail test (FOLDER/email_test.parquet: 64,000 customers, three arms): rates beside the
published ones to the last printed digit, tests, and the check of the split.

Open Bandit (`pip install obp==0.4.1 --no-deps`; only its data files are read): 10,000 ad impressions that were chosen
at random, and 10,000 chosen by Bernoulli Thompson sampling in the same week. The value of the latter is estimated from
the former, and compared with what it really earned. What the policy does is known in two ways: how often it took each
action in each slot (`as it ran`; its clicks are not looked at), and the prior with which it went into production, whose
probabilities are simulated (`its prior`, as in the package's examples). The policy learned on, so they differ.
"""

import importlib.util
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import polars as pl
import yaml
from rich.table import Table

from data_pipelines import console as terminal
from data_pipelines.schema import InputError
from serving.experiments.analyze import main as analyze
from serving.experiments.assignment import FloatArray, assign
from serving.experiments.experiment import Experiment
from serving.experiments.off_policy import Value, cross_fitted_means, doubly_robust, ips, on_policy, snips
from serving.experiments.thompson_sampling import BetaBernoulli

WIDE, DRAWS, UNITS, SLOTS = 150, 1_000_000, 1_000_000, 3
CONTROL = "No E-Mail"
PUBLISHED = {
    "visit": {"Mens E-Mail": ".18276", "Womens E-Mail": ".15140", CONTROL: ".10617"},
    "conversion": {"Mens E-Mail": ".01253", "Womens E-Mail": ".00884", CONTROL: ".00573"},
    "spend": {"Mens E-Mail": "1.4226", "Womens E-Mail": "1.0772", CONTROL: ".6528"},
}


def main(argv: Sequence[str] | None = None) -> int:
    """Measure and print."""
    parser = terminal.command_parser(
        "python -m benchmarks.experiments",
        "Analyse public experiments, evaluate a policy from the logs of another one, and time assignment.",
        examples=["python -m benchmarks.experiments --hillstrom data/hillstrom"],
    )
    parser.add_argument("--hillstrom", type=Path, help="folder of email_test.parquet")
    arguments = parser.parse_args(argv)
    show = terminal.output(WIDE)
    if arguments.hillstrom is not None:
        hillstrom(arguments.hillstrom / "email_test.parquet")
    found = importlib.util.find_spec("obp")
    if found is None or found.origin is None:
        show.print("\nOpen Bandit: not measured; pip install obp==0.4.1 --no-deps")
    else:
        show.print(open_bandit(Path(found.origin).parent))
    speed()
    return 0


def hillstrom(path: Path) -> None:
    """Print what the command says, and rates beside the published ones."""
    if not path.exists():
        raise InputError(f"{path}: does not exist; name the folder of email_test.parquet with --hillstrom")
    frame = pl.read_parquet(path).with_row_index("unit")
    show, differing = terminal.output(WIDE), 0
    table = Table("metric", "variant", "measured", "published", title=f"Hillstrom, {frame.height:,} customers")
    for metric, rates in PUBLISHED.items():
        for variant, published in rates.items():
            mean = frame.filter(segment=variant)[metric].mean()
            digits = len(published.partition(".")[2])
            measured = f"{mean:.{digits}f}"
            differing += float(measured) != float(published)
            table.add_row(metric, variant, measured, published)
    show.print(table)
    show.print(f"{differing} of 9 differ")
    options = ["--variant", "segment", "--control", CONTROL]
    metrics = [word for metric in PUBLISHED for word in ("--metric", metric)]
    with tempfile.TemporaryDirectory() as folder:
        written = Path(folder) / "hillstrom.parquet"
        frame.write_parquet(written)
        analyze(["--table", str(written), *options, *metrics])


def open_bandit(package: Path) -> Table:
    """Values of Bernoulli Thompson sampling from random logs, beside its own mean."""
    table = Table(title="Open Bandit, clicks per 100 impressions of Bernoulli Thompson sampling")
    for column in ("campaign", "policy", "on policy", "IPS", "SNIPS", "doubly robust", "worth", "z"):
        table.add_column(column, justify="left" if column in ("campaign", "policy") else "right", no_wrap=True)
    priors = yaml.safe_load((package / "policy" / "conf" / "prior_bts.yaml").read_text())
    for campaign, prior in priors.items():
        ran, random = (read_log(package, policy, campaign) for policy in ("bts", "random"))
        truth = on_policy(ran["click"].cast(pl.Float64).to_numpy())
        beta = BetaBernoulli(np.array(prior["alpha"]), np.array(prior["beta"]))
        policies = {
            "as it ran": frequencies(ran, len(beta.successes)),
            "its prior": beta.slot_probability(SLOTS, DRAWS, seed=1),
        }
        for name, probability in policies.items():
            values, worth = off_policy_values(random, probability)
            row = [f"{_show(one)}{'' if one.low <= truth.mean <= one.high else ' !'}" for one in values]
            table.add_row(campaign, name, _show(truth), *row, f"{worth:,.0f}", f"{_z(values[2], truth):+.1f}")
    table.caption = "! the on-policy mean lies outside the interval; z compares doubly robust and on-policy"
    return table


def frequencies(log: pl.DataFrame, actions: int) -> FloatArray:
    """How often a policy took each action in each slot, `[actions, slots]`; clicks are not looked at."""
    counts = np.zeros((actions, SLOTS))
    np.add.at(counts, (log["item_id"].to_numpy(), log["position"].to_numpy() - 1), 1)
    return counts / counts.sum(axis=0)


def off_policy_values(log: pl.DataFrame, probability: FloatArray) -> tuple[list[Value], float]:
    """IPS, SNIPS and doubly robust value of a policy `[actions, slots]`, and how many decisions the log is worth."""
    reward, propensity = log["click"].cast(pl.Float64).to_numpy(), log["propensity_score"].to_numpy()
    action, slot = log["item_id"].to_numpy(), log["position"].to_numpy() - 1
    target = probability[action, slot]
    q = cross_fitted_means(action, reward, len(probability))
    expected = (probability[:, slot].T * q).sum(axis=1)
    values = [
        ips(reward, propensity, target),
        snips(reward, propensity, target),
        doubly_robust(reward, propensity, target, q[np.arange(len(q)), action], expected),
    ]
    return values, values[0].effective_decisions


def _z(one: Value, other: Value) -> float:
    """Difference of two values by its standard error."""
    return float((one.mean - other.mean) / (np.hypot(one.high - one.low, other.high - other.low) / (2 * 1.96)))


def read_log(package: Path, policy: str, campaign: str) -> pl.DataFrame:
    """10,000 decisions: action, slot, click, propensity."""
    path = package / "dataset" / "obd" / policy / campaign / f"{campaign}.csv"
    return pl.read_csv(path, columns=["item_id", "position", "click", "propensity_score"])


def _show(value: Value) -> str:
    return f"{100 * value.mean:.3f} ({100 * value.low:.2f} to {100 * value.high:.2f})"


def speed() -> None:
    """Print how long a million units take."""
    experiment = Experiment("welcome", ("none", "discount", "gift"), (0.5, 0.25, 0.25), layer="mail", traffic=0.5)
    units = [f"customer-{number}" for number in range(UNITS)]
    begun = time.perf_counter()
    table = assign(experiment, units)
    seconds = time.perf_counter() - begun
    counts = ", ".join(f"{name} {count:,}" for name, count in table["variant"].value_counts(sort=True).iter_rows())
    terminal.output(WIDE).print(f"\n{UNITS:,} units assigned in {seconds:.1f} s: {counts}")


if __name__ == "__main__":
    raise SystemExit(terminal.run(main))
