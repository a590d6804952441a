"""Answer requests with a SavedModel in a process that knows nothing but TensorFlow and NumPy.

    python -I serving/replay_saved_model.py SAVED_MODEL REQUESTS.npz ANSWERS.npz

The arrays of both files are named `<number>/<signature>/<tensor>`. An export is checked with it: what it answers here
it answers anywhere, because nothing of this package is there to help.
"""

import sys
from collections import defaultdict
from typing import Any

import numpy as np


def main(saved_model: str, requests: str, answers: str) -> None:
    """Replay a file of requests.

    Args:
        saved_model: the folder.
        requests: the inputs.
        answers: the file to write.
    """
    import tensorflow as tf

    signatures = tf.saved_model.load(saved_model).signatures
    inputs: dict[str, dict[str, Any]] = defaultdict(dict)
    with np.load(requests) as arrays:
        for name, array in arrays.items():
            request, _, tensor = name.rpartition("/")
            inputs[request][tensor] = tf.constant(array)
    outputs = {}
    for request, tensors in inputs.items():
        signature = request.partition("/")[2]
        for tensor, value in signatures[signature](**tensors).items():
            array = value.numpy()
            outputs[f"{request}/{tensor}"] = np.char.decode(array.astype(bytes)) if array.dtype == object else array
    np.savez(answers, allow_pickle=False, **outputs)


if __name__ == "__main__":
    main(*sys.argv[1:])
