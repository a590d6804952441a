"""What scoring over the network costs: the model server beside the model in process, and the gateway in front of it.

    python -m benchmarks.serving --models MODELS --data DATA [--redis redis://127.0.0.1:6379/15]

Server, gateway and load are processes of their own on the same machine, so throughput is what they leave each other;
the stable figure is the CPU time of the server's process per request. Requests are real users with their last 200
events, as the gateway sends them. A redis server is used only if it is named; the database is emptied.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import grpc
import httpx
import numpy as np
import polars as pl
import tensorflow as tf
from rich.console import Console
from rich.table import Table
from tensorflow_serving.apis import model_pb2, predict_pb2

from data_pipelines import console as terminal
from data_pipelines.schema import EVENT_TYPE, ITEM_ID, RECOMMENDER, SERVING_DEFAULT, TIMESTAMP, USER_ID, K
from serving.grpc_transport import to_tensor
from serving.model_requests import History, recommend_inputs
from serving.model_versions import find_version
from serving.serve_all import model_server
from serving.serving_error import Target

CONCURRENCY, ROUNDS, SECONDS, REQUESTS, HISTORY = 32, 5, 4.0, 512, 200
EVENTS_PER_REQUEST, EVENT_CLIENTS, USERS = 100, 4, 150
TICKS = os.sysconf("SC_CLK_TCK")
Row = tuple[str, str]


def main(argv: Sequence[str] | None = None) -> int:
    """Measure and print."""
    parser = terminal.command_parser(
        "python -m benchmarks.serving",
        "Measure the local model server and the gateway on this machine.",
        examples=["python -m benchmarks.serving --models build/models --data build/data"],
    )
    parser.add_argument("--models", type=Path, required=True, help="folder of exported models")
    parser.add_argument("--data", type=Path, required=True, help="the data folder that they were trained on")
    parser.add_argument("--redis", help="URL of a redis database that may be emptied")
    parser.add_argument("--load", nargs=4, help=argparse.SUPPRESS)  # a process of this benchmark's own
    arguments = parser.parse_args(argv)
    if arguments.load:
        return _load_process(*arguments.load)
    table = Table("what", "measured", box=None, pad_edge=False)
    with tempfile.TemporaryDirectory() as folder:
        requests, batch = real_requests(arguments.data, Path(folder))
        rows = over_grpc(arguments.models, requests, in_process(arguments.models, batch))
        rows += through_gateway(arguments, Path(folder))
    for row in rows:
        table.add_row(*row)
    Console(width=110).print(table)
    return 0


def real_requests(data: Path, folder: Path) -> tuple[Path, dict[str, Any]]:
    """Serialized requests of one user each in a file, and a batch of 32 users."""
    events = pl.read_parquet(data / "events.parquet").sort(USER_ID, TIMESTAMP)
    last = events.group_by(USER_ID, maintain_order=True).tail(HISTORY)
    columns = pl.col(ITEM_ID), pl.col(EVENT_TYPE), pl.col(TIMESTAMP).dt.epoch("s")
    users = last.group_by(USER_ID, maintain_order=True).agg(columns).sample(REQUESTS, seed=0, shuffle=True)
    now = int(events[TIMESTAMP].dt.epoch("s").max()) + 1
    histories = [History(*row, at=now) for row in users.iter_rows()]
    target = Target(RECOMMENDER, None, None)
    messages = []
    for history in histories:
        inputs = asked(target, [history])
        spec = model_pb2.ModelSpec(name=RECOMMENDER, signature_name=SERVING_DEFAULT)
        protos = {name: to_tensor(np.asarray(value)) for name, value in inputs.items()}
        messages.append(predict_pb2.PredictRequest(model_spec=spec, inputs=protos).SerializeToString().hex())
    file = folder / "requests.json"
    file.write_text(json.dumps(messages))
    return file, asked(target, histories[:CONCURRENCY])


def asked(target: Target, histories: Sequence[History]) -> dict[str, Any]:
    """The inputs for twenty items each, of the signature's types."""
    inputs = recommend_inputs(target, histories, 20, None)
    return inputs | {K: np.asarray(inputs[K], np.int32)}


def in_process(models: Path, batch: dict[str, Any]) -> Callable[[], float]:
    """What measures the CPU seconds of the model itself per user, 32 users at a time."""
    function = tf.saved_model.load(str(find_version(models, RECOMMENDER, None))).signatures[SERVING_DEFAULT]
    inputs = {name: tf.constant(value) for name, value in batch.items()}

    def measure(count: int = 60) -> float:
        for _ in range(5):
            function(**inputs)
        began = time.process_time()
        for _ in range(count):
            function(**inputs)["score"].numpy()
        return (time.process_time() - began) / count / CONCURRENCY

    return measure


def over_grpc(models: Path, requests: Path, in_process: Callable[[], float]) -> list[Row]:
    """The model server, with and without batching; in turns with the model in process, because clock rates drift."""
    rows, speeds = [], {}
    for batched, size in (("batched", 32), ("not batched", 1)):
        with _server(models, size) as (address, process):
            _load(address, requests, CONCURRENCY, 2.0, 0.0)
            own, server, count, seconds = [], [], 0, 0.0
            for _ in range(ROUNDS):
                own.append(in_process())
                before = _cpu_seconds(process)
                found = _load(address, requests, CONCURRENCY, SECONDS, 0.0)
                server.append((_cpu_seconds(process) - before) / found["count"])
                count, seconds = count + int(found["count"]), seconds + found["seconds"]
            speeds[batched] = count / seconds
            cpu, ratio = np.median(server), np.median(np.array(server) / own)
            if size > 1:
                rows.append(("in process, batches of 32: CPU per user", f"{np.median(own) * 1e3:.2f} ms"))
            said = f"{cpu * 1e3:.2f} ms, {ratio:.2f} x in process"
            rows.append((f"gRPC, {batched}, 32 at a time: CPU of the server per user", said))
            rows.append((f"gRPC, {batched}, 32 at a time: throughput", f"{speeds[batched]:,.0f} requests/s"))
            if size > 1:
                half = _load(address, requests, CONCURRENCY, SECONDS, speeds[batched] / 2)
                ratio = half["p99"] / half["p50"]
                said = f"p50 {half['p50']:.1f} ms, p99 {half['p99']:.1f} ms, ratio {ratio:.1f}"
                rows.append(("gRPC, batched, at half that load", said))
    rows.append(("throughput, batched beside not batched", f"{speeds['batched'] / speeds['not batched']:.2f} x"))
    return rows


@contextmanager
def _server(models: Path, max_batch_size: int) -> Iterator[tuple[str, int]]:
    with model_server(models, 0, 0, max_batch_size=max_batch_size) as address:
        listening = address.removeprefix("grpc://")
        found = subprocess.run(["pgrep", "-f", f"grpc_port={listening.split(':')[1]}"], capture_output=True, text=True)
        yield listening, int(found.stdout.split()[0])


def _cpu_seconds(process: int) -> float:
    """CPU time that a process has used, all threads."""
    fields = Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def _load(address: str, requests: Path, callers: int, seconds: float, rate: float) -> dict[str, float]:
    """Ask from a process of its own; `rate` requests a second, or as many as can be if it is 0."""
    words = ["--models", ".", "--data", ".", "--load", address, str(requests), f"{callers},{seconds}", str(rate)]
    done = subprocess.run([sys.executable, "-m", "benchmarks.serving", *words], capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(done.stderr)
    answer: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return answer


def _load_process(address: str, requests: str, how: str, rate: str) -> int:
    messages = [bytes.fromhex(one) for one in json.loads(Path(requests).read_text())]
    callers, seconds, per_second = int(how.split(",")[0]), float(how.split(",")[1]), float(rate)
    latency: list[float] = []
    with grpc.insecure_channel(address) as channel:
        predict = channel.unary_unary("/tensorflow.serving.PredictionService/Predict", lambda raw: raw, lambda raw: raw)
        predict(messages[0], timeout=30)
        began = time.perf_counter()

        def call(caller: int) -> None:
            number = caller
            while (now := time.perf_counter() - began) < seconds:
                if per_second:
                    due = number / per_second
                    if due >= seconds:
                        return
                    time.sleep(max(due - now, 0.0))
                started = time.perf_counter()
                predict(messages[number % len(messages)], timeout=30)
                latency.append(time.perf_counter() - started)
                number += callers

        _in_threads(call, callers)
        taken = time.perf_counter() - began
    p50, p99 = np.percentile(np.array(latency) * 1e3, [50, 99])
    print(json.dumps({"count": len(latency), "seconds": taken, "p50": float(p50), "p99": float(p99)}))
    return 0


def through_gateway(arguments: argparse.Namespace, folder: Path) -> list[Row]:
    """Events in, recommendations out, over HTTP."""
    stores = {"SQLite": f"sqlite:///{folder / 'events.sqlite'}"}
    if arguments.redis:
        subprocess.run(["redis-cli", "-u", arguments.redis, "flushdb"], check=True, capture_output=True)
        stores["Redis"] = arguments.redis
    rows = []
    sold = (
        pl.scan_parquet(arguments.data / "events.parquet").group_by(ITEM_ID).len().top_k(EVENTS_PER_REQUEST, by="len")
    )
    popular = sold.collect()[ITEM_ID].to_list()
    with model_server(arguments.models, 0, 0) as address:
        for name, store in stores.items():
            with _gateway(address, store, arguments.data) as (url, process):
                speed = _post_events(url, popular)
                rows.append((f"gateway, {name}: events in batches of {EVENTS_PER_REQUEST}", f"{speed:,.0f} events/s"))
                for k in (10, 20):
                    for callers in (1, 8):
                        _recommend(url, k, callers, 100)
                        before, count = _cpu_seconds(process), 1000
                        taken = _recommend(url, k, callers, count)
                        cpu = (_cpu_seconds(process) - before) / count
                        said = f"{cpu * 1e3:.2f} ms of its CPU, {count / taken:,.0f} a second"
                        rows.append((f"gateway, {name}: {k} items recommended, {callers} at a time", said))
    return rows


@contextmanager
def _gateway(address: str, store: str, data: Path) -> Iterator[tuple[str, int]]:
    words = ["--model-server", address, "--store", store, "--items", str(data / "items.parquet"), "--port", "0"]
    settings = ["--set", "requests_per_second=1000000"]
    process = subprocess.Popen(
        [sys.executable, "-m", "serving.gateway.main", *words, *settings], stderr=subprocess.PIPE, text=True
    )
    try:
        assert process.stderr is not None
        url = next(line.split()[2].rstrip(",") for line in process.stderr if line.startswith("gateway on"))
        threading.Thread(target=process.stderr.read, daemon=True).start()
        while httpx.get(f"{url}/readyz").status_code != 200:
            time.sleep(0.1)
        yield url, process.pid
    finally:
        process.terminate()
        process.wait()


def _recommend(url: str, k: int, callers: int, count: int) -> float:
    """Seconds for so many recommendations."""

    def ask(caller: int) -> None:
        with httpx.Client(base_url=url) as client:
            for number in range(caller, count, callers):
                body = {"user_id": f"user-{number % USERS}", "k": k, "in_stock_only": False}
                client.post("/v1/recommendations", json=body).raise_for_status()

    began = time.perf_counter()
    _in_threads(ask, callers)
    return time.perf_counter() - began


def _in_threads(function: Callable[[int], None], count: int) -> None:
    threads = [threading.Thread(target=function, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def _post_events(url: str, item_ids: Sequence[str]) -> float:
    """Events a second, from a few clients in one process; every user has 200 in the end."""
    bodies = [
        json.dumps(
            {
                "events": [
                    {
                        "event_id": f"{number}-{i}",
                        "user_id": f"user-{(number * EVENTS_PER_REQUEST + i) % USERS}",
                        "item_id": item_ids[(number + i) % len(item_ids)],
                        "event_type": "view",
                    }
                    for i in range(EVENTS_PER_REQUEST)
                ]
            }
        ).encode()
        for number in range(300)
    ]
    began = time.perf_counter()

    def send(caller: int) -> None:
        with httpx.Client(base_url=url, headers={"content-type": "application/json"}) as client:
            for body in bodies[caller::EVENT_CLIENTS]:
                client.post("/v1/events", content=body).raise_for_status()

    _in_threads(send, EVENT_CLIENTS)
    return len(bodies) * EVENTS_PER_REQUEST / (time.perf_counter() - began)


if __name__ == "__main__":
    raise SystemExit(main())
