"""Where and how a step runs: GPUs when there are any, memory growth, precision, XLA, several replicas."""

from dataclasses import dataclass
from typing import Any

import keras
import tensorflow as tf


@dataclass(frozen=True)
class Device:
    """The chosen way to run.

    Args:
        strategy: `MirroredStrategy` where there are several GPUs, else TensorFlow's default.
        jit_compile: whether steps are compiled with XLA.
        description: for the console and the run record.
    """

    strategy: Any
    jit_compile: bool
    description: str


def configure(precision: str = "auto", jit_compile: str = "auto", *, deterministic: bool = True) -> Device:
    """Set up TensorFlow once per process.

    Args:
        precision: `auto` (mixed bfloat16 on a GPU), `float32` or `mixed_bfloat16`.
        jit_compile: `auto` (on a GPU), `true` or `false`; on a CPU, XLA was slower than the plain kernels here.
        deterministic: ask for bit-reproducible kernels.
    """
    gpus = tf.config.list_physical_devices("GPU")
    for gpu in gpus:
        tf.config.experimental.set_memory_growth(gpu, True)
    if precision == "auto":
        precision = "mixed_bfloat16" if gpus else "float32"
    keras.mixed_precision.set_dtype_policy(precision)
    if deterministic:
        tf.config.experimental.enable_op_determinism()
    replicas = tf.config.list_logical_devices("GPU")
    strategy = tf.distribute.MirroredStrategy() if len(replicas) > 1 else tf.distribute.get_strategy()
    compiled = bool(gpus) if jit_compile == "auto" else jit_compile == "true"
    kind = f"{len(gpus)} GPU" if gpus else "CPU"
    return Device(strategy, compiled, f"{kind}, {precision}{', XLA' if compiled else ''}")
