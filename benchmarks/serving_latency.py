"""How fast the exported recommender answers, in process, from the SavedModel that TensorFlow Serving loads.

    python -m benchmarks.serving_latency --models MODELS --data DATA [--version stable]

One request after the other by real users with their whole histories, then all users in batches. The machine should have
nothing else to do: the load average is printed with the figures.
"""

import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from rich.console import Console
from rich.table import Table

from data_pipelines.console import command_parser, run
from data_pipelines.prepared_tables import read_table
from data_pipelines.schema import (
    CANDIDATE_ITEM_ID,
    EXCLUDE_ITEM_ID,
    ITEM_EMBEDDING,
    ITEM_ID,
    ITEMS,
    RECOMMENDER,
    SCORE_SIGNATURE,
    SERVING_DEFAULT,
    USER_EMBEDDING,
    USER_ID,
    USERS,
    K,
)
from serving.model_versions import find_version
from training.user_requests import UserRequests, read_events

WARM_UP = 30
CANDIDATES = 100


def measure(version: Path, data: Path, *, requests: int = 1_000, k: int = 20) -> list[dict[str, Any]]:
    """Time an exported version.

    Args:
        version: its folder.
        data: the prepared data folder.
        requests: single requests per signature.
        k: items per recommendation.

    Returns:
        One record per measurement: `what`, `p50_ms`, `p99_ms` of single requests, or `users_per_second`.
    """
    signatures = tf.saved_model.load(str(version)).signatures
    events = read_events(data)
    users = read_table(data, USERS.name, [USER_ID])[USER_ID]
    log = UserRequests(events, users, k)
    items = read_table(data, ITEMS.name, [ITEM_ID])[ITEM_ID].head(CANDIDATES).to_numpy().astype(np.str_)
    chosen = np.random.default_rng(0).integers(0, len(users), requests)
    rows = [log.make(chosen[i : i + 1]) for i in range(requests)]
    histories = [{name: value for name, value in row.items() if name not in (K, EXCLUDE_ITEM_ID)} for row in rows]
    asked = {
        SERVING_DEFAULT: rows,
        SCORE_SIGNATURE: [history | {CANDIDATE_ITEM_ID: items[None]} for history in histories],
        USER_EMBEDDING: histories,
        ITEM_EMBEDDING: [{ITEM_ID: items}] * requests,
    }
    length = f"{log.count[chosen].mean():.0f} events on average"
    records = []
    for name, inputs in asked.items():
        milliseconds = _time_single(signatures[name], inputs)
        p50, p99 = np.percentile(milliseconds, [50, 99])
        records.append({"what": f"{name}, one user, {length}", "p50_ms": float(p50), "p99_ms": float(p99)})
    batches = log.batches()
    began = time.perf_counter()
    for batch in batches:
        _answer(signatures[SERVING_DEFAULT], log.make(batch))
    speed = len(users) / (time.perf_counter() - began)
    records.append({"what": f"{SERVING_DEFAULT}, batches of up to {len(batches[0])} users", "users_per_second": speed})
    return records


def _time_single(function: Any, inputs: list[dict[str, Any]]) -> list[float]:
    tensors = [{name: tf.constant(value) for name, value in request.items()} for request in inputs]
    for request in tensors[:WARM_UP]:
        function(**request)
    milliseconds = []
    for request in tensors:
        began = time.perf_counter()
        for value in function(**request).values():
            value.numpy()
        milliseconds.append((time.perf_counter() - began) * 1e3)
    return milliseconds


def _answer(function: Any, inputs: dict[str, Any]) -> None:
    for value in function(**{name: tf.constant(array) for name, array in inputs.items()}).values():
        value.numpy()


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit status."""
    return run(_main, argv)


def _main(argv: Sequence[str] | None) -> int:
    parser = command_parser(
        "python -m benchmarks.serving_latency",
        "Time single requests and batches of an exported recommender.",
        examples=["python -m benchmarks.serving_latency --models build/models --data build/data"],
    )
    parser.add_argument("--models", type=Path, required=True, help="folder written by `supplytower export`")
    parser.add_argument("--data", type=Path, required=True, help="folder written by `supplytower data prepare`")
    parser.add_argument("--version", help="number or label of the version (default: the newest)")
    parser.add_argument("--requests", type=int, default=1_000, help="single requests per signature (default: 1000)")
    arguments = parser.parse_args(argv)
    version = find_version(arguments.models, RECOMMENDER, arguments.version)
    records = measure(version, arguments.data, requests=arguments.requests)
    table = Table("request", "p50 ms", "p99 ms", "users/s", box=None)
    for record in records:
        cells = [f"{record[name]:,.2f}" if name in record else "" for name in ("p50_ms", "p99_ms")]
        speed = f"{record['users_per_second']:,.0f}" if "users_per_second" in record else ""
        table.add_row(record["what"], *cells, speed)
    output = Console()
    output.print(table)
    load = os.getloadavg()[0]
    output.print(f"{version}; {os.cpu_count()} cores, load average {load:.1f}, TensorFlow {tf.__version__}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
