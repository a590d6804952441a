"""List the benchmarks, or run some of them.

    python -m benchmarks                         # list
    python -m benchmarks input_pipeline training_speed
    python -m benchmarks quick                   # all that take minutes
    python -m benchmarks all                     # also those that take hours

They use what `make quickstart` left in build/, or what --data and --models name, and run one after the other, each in a
process of its own. Figures that were kept are in benchmarks/RESULTS.md.
"""

import os
import platform
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from importlib.metadata import version
from pathlib import Path

from data_pipelines.console import command_parser, run
from data_pipelines.schema import InputError


@dataclass(frozen=True)
class Benchmark:
    """What it measures, which folders it needs, and whether it takes long."""

    measures: str
    needs: tuple[str, ...] = ("data",)
    long: bool = False


BENCHMARKS = {
    "data_prepare": Benchmark("data prepare beside the same steps in pandas", needs=()),
    "input_pipeline": Benchmark("the tf.data pipeline alone beside training"),
    "training_speed": Benchmark("training beside plain two-towers in Keras and PyTorch"),
    "evaluation_speed": Benchmark("users per second of a full-catalogue evaluation"),
    "serving_latency": Benchmark("answers of the exported model in process", needs=("data", "models")),
    "forecast_speed": Benchmark("training and inference of the forecaster", needs=("data", "models")),
    "cold_start": Benchmark("forecasts of products with at most four weeks of history"),
    "experiments": Benchmark("off-policy values beside what was earned, and assignment of a million units", needs=()),
    "inventory_speed": Benchmark("orders, beside stockpyl where it is installed", needs=()),
    "rules": Benchmark("basket rules beside plain mlxtend"),
    "profiles": Benchmark("customer profiles of a million synthetic users", needs=()),
    "campaigns": Benchmark("a million decisions on customers and campaigns", needs=()),
    "ad_decisions": Benchmark("the gateway's decisions which campaign to show"),
    "published_protocol": Benchmark("the AUC of a published protocol and of a shop's question", long=True),
    "tune_baselines": Benchmark("the baselines' hyperparameters on the validation baskets", long=True),
}
GROUPS = {"quick": [name for name, some in BENCHMARKS.items() if not some.long], "all": list(BENCHMARKS)}


def machine() -> str:
    """One line on where and with what figures were measured."""
    cpu = next(
        (line.partition(":")[2].strip() for line in _lines("/proc/cpuinfo") if line.startswith("model name")),
        platform.processor() or platform.machine(),
    )
    versions = [f"{name} {version(name)}" for name in ("tensorflow", "keras", "polars")]
    hardware = f"{os.cpu_count()} cores ({cpu}), load {os.getloadavg()[0]:.1f}"
    return f"{date.today()}, {hardware}, {', '.join([f'Python {platform.python_version()}', *versions])}"


def _lines(path: str) -> list[str]:
    return Path(path).read_text(encoding="utf-8").splitlines() if Path(path).exists() else []


def main(argv: Sequence[str] | None = None) -> int:
    """List or run."""
    listed = "\n".join(f"  {name:<20} {some.measures}{' (hours)' * some.long}" for name, some in BENCHMARKS.items())
    parser = command_parser(
        "python -m benchmarks",
        f"List or run the benchmarks.\n\n{listed}",
        examples=["python -m benchmarks training_speed --data build/data", "python -m benchmarks quick"],
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"one of the above, or {' or '.join(GROUPS)}")
    parser.add_argument("--data", type=Path, default=Path("build/data"), help="prepared data (default: build/data)")
    parser.add_argument("--models", type=Path, default=Path("build/models"), help="exports (default: build/models)")
    arguments = parser.parse_args(argv)
    if not arguments.names:
        print(f"{listed}\n\nrun some with `python -m benchmarks NAME …`, or `python -m benchmarks quick`")
        return 0
    folders = {"data": arguments.data, "models": arguments.models}
    chosen = [name for given in arguments.names for name in GROUPS.get(given, [given])]
    for name in chosen:
        if name not in BENCHMARKS:
            raise InputError(f"{name}: no such benchmark; there are {', '.join(BENCHMARKS)}")
        for folder in BENCHMARKS[name].needs:
            if not folders[folder].exists():
                raise InputError(f"{folders[folder]}: does not exist; run `make quickstart` first, or give --{folder}")
    failed = [name for name in chosen if _run(name, folders)]
    if failed:
        raise InputError(f"failed: {', '.join(failed)}; see above")
    return 0


def _run(name: str, folders: dict[str, Path]) -> int:
    options = [word for folder in BENCHMARKS[name].needs for word in (f"--{folder}", str(folders[folder]))]
    command = ["-m", f"benchmarks.{name}", *options]
    print(f"\npython {' '.join(command)}\n{machine()}", flush=True)
    return subprocess.run([sys.executable, *command], check=False).returncode


if __name__ == "__main__":
    raise SystemExit(run(main))
