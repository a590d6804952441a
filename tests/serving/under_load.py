"""Ask without a pause from a process of its own, until standard input closes; then say what came back.

    python under_load.py models ADDRESS       y = x / 2 + plus, over gRPC, by the label `stable`
    python under_load.py gateways URL URL     recommendations, of whichever gateway says that it is ready

Prints JSON: how many answers there were of each kind, and the failures.
"""

import collections
import json
import sys
import threading
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

CALLERS = 4


def models(address: str):
    """Asks one question; the answer's kind is the version that answered, and what it added."""
    from serving.client import Client, ClientSettings

    client = Client(f"grpc://{address}", ClientSettings(max_attempts=1))
    client.predict("half_plus", {"x": [1.0]}, label="stable")

    def ask() -> str:
        y = client.predict("half_plus", {"x": [1.0, 3.0]}, label="stable")["y"]
        assert y[1] - y[0] == 1.0
        return str(float(y[0] - 0.5))

    return ask


def gateways(*urls: str):
    """Asks a gateway as a load balancer would: not one that says it is not ready, or takes no connection."""
    import httpx

    clients = [httpx.Client(base_url=url, timeout=20) for url in urls]
    ready = [True] * len(urls)

    def watch() -> None:
        while True:
            for place, url in enumerate(urls):
                try:
                    ready[place] = httpx.get(f"{url}/readyz", timeout=2).status_code == 200
                except httpx.TransportError:
                    ready[place] = False
            time.sleep(0.02)

    threading.Thread(target=watch, daemon=True).start()

    def ask() -> str:
        for place, client in enumerate(clients):
            if ready[place]:
                try:
                    answer = client.post("/v1/recommendations", json={"user_id": "u", "k": 2})
                except (httpx.ConnectError, httpx.RemoteProtocolError):  # closed between two requests: not accepted
                    continue
                assert answer.status_code == 200, answer.text
                return str(place)
        raise AssertionError("no gateway is ready")

    return ask


def main(what: str, *addresses: str) -> None:
    """Run until told to stop."""
    ask = {"models": models, "gateways": gateways}[what](*addresses)
    kinds: collections.Counter[str] = collections.Counter()
    failures: list[str] = []
    stopping = threading.Event()

    def call() -> None:
        while not stopping.is_set():
            try:
                kinds[ask()] += 1
            except Exception as error:
                failures.append(f"{type(error).__name__}: {error}")

    threads = [threading.Thread(target=call) for _ in range(CALLERS)]
    for thread in threads:
        thread.start()
    print("asking", flush=True)
    sys.stdin.read()
    stopping.set()
    for thread in threads:
        thread.join()
    print(json.dumps({"kinds": kinds, "failures": failures}))


if __name__ == "__main__":
    main(*sys.argv[1:])
