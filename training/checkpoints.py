"""Exact checkpoints: every variable and the position, in one file that is replaced atomically.

All of the model's variables (the states of its random generators included) and the optimizer's are saved, with a small
record of where training stands. Together with an input order that is a function of (seed, epoch) this resumes a killed
run to the very same weights.
"""

import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from data_pipelines.atomic import replace_file
from data_pipelines.schema import InputError


def save(path: Path, variables: list[Any], state: dict[str, Any]) -> None:
    """Write a checkpoint.

    Args:
        path: the file; replaced only when the new one is complete.
        variables: Keras variables, in a stable order.
        state: where training stands; JSON-serialisable.

    Raises:
        InputError: if the disk is full (the previous checkpoint stays).
    """
    arrays: dict[str, Any] = {f"v{i}": np.asarray(variable) for i, variable in enumerate(variables)}
    with replace_file(path) as temporary, temporary.open("wb") as file:
        np.savez(file, state=np.array(json.dumps(state)), **arrays)


def restore(path: Path, variables: list[Any]) -> dict[str, Any]:
    """Read a checkpoint into the variables and return its state.

    Raises:
        InputError: if the file is damaged or belongs to another model.
    """
    try:
        with np.load(path) as data:
            arrays = [data[f"v{i}"] for i in range(len(data.files) - 1)]
            state: dict[str, Any] = json.loads(str(data["state"]))
    except (OSError, EOFError, KeyError, ValueError, zipfile.BadZipFile) as error:
        raise InputError(f"{path}: not a readable checkpoint ({error}); delete the run folder and train anew") from None
    shapes = [tuple(variable.shape) for variable in variables]
    if shapes != [array.shape for array in arrays]:
        raise InputError(f"{path}: the checkpoint is of a model with other settings; use another --out")
    for variable, array in zip(variables, arrays, strict=True):
        variable.assign(array)
    return state
