"""Prepare the whole default data set, beside the same steps written in pandas (`benchmarks/pandas_prepare.py`).

    python -m benchmarks.data_prepare [--repeats 3]

Each run is a process of its own, and the two alternate; the time is that of the process, start to end. The results
must be equal. Ours also counts missing values per column, collects samples of what it finds and hashes the result;
pandas is spared that.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import polars as pl
from polars.testing import assert_frame_equal
from rich.console import Console
from rich.table import Table

from data_pipelines.console import command_parser, progress, run
from data_pipelines.prepare import PrepareConfig, prepare

MODULE = "benchmarks.data_prepare"
KEYS = {
    "events": ["user_id", "timestamp", "item_id", "basket_id"],
    "items": ["item_id"],
    "users": ["user_id"],
    "promotions": ["item_id", "week_start"],
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command."""
    return run(_main, argv)


def _main(argv: Sequence[str] | None) -> int:
    parser = command_parser(MODULE, __doc__ or "", examples=[f"python -m {MODULE}"])
    parser.add_argument("--repeats", type=int, default=3, help="runs of each; the fastest counts")
    parser.add_argument("--only", choices=("supplytower", "pandas"), help=argparse.SUPPRESS)
    parser.add_argument("--out", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args(argv)
    if arguments.only == "supplytower":
        prepare("complete-journey", None, arguments.out, PrepareConfig())
    elif arguments.only == "pandas":
        from benchmarks.pandas_prepare import prepare_with_pandas  # our own run must not pay for this import

        prepare_with_pandas(arguments.out)
    else:
        _compare(arguments.repeats)
    return 0


def _compare(repeats: int) -> None:
    measured: dict[str, list[tuple[float, float]]] = {"supplytower": [], "pandas": []}
    with tempfile.TemporaryDirectory() as folder, progress() as bar:
        for _ in bar.track(range(repeats), description="runs of each"):
            for name, runs in measured.items():
                runs.append(_measure(name, Path(folder) / name))
        _require_equal(Path(folder) / "supplytower", Path(folder) / "pandas")
    best = {name: min(runs) for name, runs in measured.items()}
    table = Table("", "seconds", "CPU seconds", "peak memory (GiB)", title="data prepare --source complete-journey")
    for name, figures in best.items():
        table.add_row(name, *(f"{figure:.1f}" for figure in figures))
    ratios = [theirs / ours for ours, theirs in zip(best["supplytower"], best["pandas"], strict=True)]
    table.add_row("pandas / supplytower", *(f"{ratio:.1f}" for ratio in ratios))
    Console().print(table, "The fastest run of each; the four tables are equal.")


def _measure(name: str, out: Path) -> tuple[float, float, float]:
    """Seconds, CPU seconds of all threads and peak memory in GiB of one run in a fresh process."""
    start = time.perf_counter()
    command = [sys.executable, "-m", MODULE, "--only", name, "--out", str(out)]
    with tempfile.TemporaryFile() as messages:
        process = subprocess.Popen(command, stdout=messages, stderr=messages)
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - start
        if status:
            messages.seek(0)
            raise SystemExit(messages.read().decode())
    return seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 2**20  # Linux counts in KiB


def _require_equal(ours: Path, theirs: Path) -> None:
    for name, key in KEYS.items():
        left, right = (pl.read_parquet(folder / f"{name}.parquet").sort(key) for folder in (ours, theirs))
        assert_frame_equal(left, right, check_column_order=False, check_dtypes=False, rel_tol=1e-6)


if __name__ == "__main__":
    raise SystemExit(main())
