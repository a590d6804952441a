"""May a version be promoted: does it answer as when it was exported, and is it not worse than the one in service?"""

import json
from pathlib import Path
from typing import Any

import numpy as np

from data_pipelines.schema import InputError
from serving.fresh_process import ExportError, replay

MANIFEST = "manifest.json"
TOLERANCE = 1e-4
"""Absolute and relative: kernels of other machines round differently."""


def read_manifest(version: Path) -> dict[str, Any]:
    """What a version's folder says of itself.

    Raises:
        InputError: if it is missing or damaged.
    """
    return read_json(version / MANIFEST)


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON file of a run or an export.

    Raises:
        InputError: if it is missing or damaged.
    """
    try:
        content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: cannot be read ({error}); give the folder of a finished run or export") from None
    return content


def golden_difference(version: Path) -> float:
    """The largest difference between what a version answers in a fresh process and what it answered when exported.

    Args:
        version: its folder.

    Returns:
        The largest absolute difference of a number.

    Raises:
        ExportError: if it does not load, or a text or a shape differs, or a number by more than `TOLERANCE`.
        InputError: if the manifest cannot be read.
    """
    manifest, largest = read_manifest(version), 0.0
    golden, signatures = manifest["golden"], manifest["signatures"]
    request = {
        signature: {
            name: np.array(value, _dtype(signatures[signature]["inputs"][name]["dtype"]))
            for name, value in one["inputs"].items()
        }
        for signature, one in golden.items()
    }
    answer = replay(version, [request])[0]
    for signature, one in golden.items():
        for name, value in one["outputs"].items():
            expected, found = np.array(value), answer[signature][name]
            if expected.dtype.kind == "U":
                same = np.array_equal(found, expected)
            else:
                same = found.shape == expected.shape and np.allclose(found, expected, rtol=TOLERANCE, atol=TOLERANCE)
            if not same:
                raise ExportError(f"{version}: {name} of {signature} is not what it was when the version was exported")
            if expected.dtype.kind == "f" and expected.size:
                largest = max(largest, float(np.abs(found.astype(float) - expected).max()))
    return largest


def worse_than(new: dict[str, Any], old: dict[str, Any], margin: float = 0.0) -> str | None:
    """Why a version may not take the place of another by their validation figures, or None if it may.

    Args:
        new: manifest of the version to promote.
        old: manifest of the one in service.
        margin: share of the old figure by which the new one may be worse.
    """
    was, now = old["metrics"]["training"], new["metrics"]["training"]
    if was["monitor"] != now["monitor"]:
        return f"its validation figure is {now['monitor']}, that of the stable version is {was['monitor']}"
    sign = -1 if now.get("smaller_is_better") else 1
    if sign * now["validation"] >= sign * was["validation"] - margin * abs(was["validation"]):
        return None
    return (
        f"its validation {now['monitor']} is {now['validation']:.4f}, worse than the {was['validation']:.4f} of the "
        "stable version"
    )


def _dtype(name: str) -> str:
    return "str" if name == "string" else name
