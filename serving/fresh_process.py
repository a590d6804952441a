"""Asking a SavedModel in a fresh process: what it answers there it answers anywhere."""

import os
import subprocess
import sys
import tempfile
from collections import defaultdict
from pathlib import Path

import numpy as np
import numpy.typing as npt

Arrays = dict[str, npt.NDArray[np.generic]]
Requests = dict[str, Arrays]
"""Inputs or outputs by signature and tensor."""
SCRIPT = Path(__file__).with_name("replay_saved_model.py")


class ExportError(RuntimeError):
    """The exported model does not answer as it should; this is never the user's mistake."""


def replay(saved_model: Path, requests: list[Requests]) -> list[Requests]:
    """Answer requests with a SavedModel in a fresh process, on the CPU.

    Args:
        saved_model: the folder.
        requests: the inputs.

    Returns:
        The outputs by signature, for every element of `requests`.

    Raises:
        ExportError: if the process fails.
    """
    inputs = {
        f"{number}/{signature}/{name}": array
        for number, request in enumerate(requests)
        for signature, arrays in request.items()
        for name, array in arrays.items()
    }
    with tempfile.TemporaryDirectory() as folder:
        asked, answered = Path(folder) / "requests.npz", Path(folder) / "answers.npz"
        np.savez(asked, allow_pickle=False, **inputs)
        process = subprocess.run(
            [sys.executable, "-I", str(SCRIPT), str(saved_model), str(asked), str(answered)],
            capture_output=True,
            text=True,
            env=os.environ | {"CUDA_VISIBLE_DEVICES": ""},
        )
        if process.returncode:
            raise ExportError(f"the exported model does not load or answer in a fresh process:\n{process.stderr}")
        answers: list[dict[str, Arrays]] = [defaultdict(dict) for _ in requests]
        with np.load(answered) as arrays:
            for name, array in arrays.items():
                number, signature, tensor = name.split("/")
                answers[int(number)][signature][tensor] = array
    return [dict(answer) for answer in answers]
