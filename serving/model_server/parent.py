"""What a model server that another process started has to do with that process: `serving.serve_all` is the other side.

A pipe each way, so that it works on every system and no port is asked that somebody else may hold.
"""

import os
import signal
import sys
import threading

READY = "ready "
"""On standard output, before the address, once requests are answered."""


def stop_with_parent() -> None:
    """Stop as on SIGTERM when standard input is closed: the parent is gone, however it ended."""

    def watch() -> None:
        while os.read(0, 1):  # not sys.stdin, whose lock a thread must not hold when the interpreter ends
            pass
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, name="parent", daemon=True).start()


def say_ready(address: str) -> None:
    """Tell the parent where requests are answered; it reads no more than that."""
    print(f"{READY}{address}", flush=True)
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
