"""Putting a new version of a model into MODELS: whole or not at all, then labelled."""

import argparse
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import tensorflow as tf

from data_pipelines import atomic
from data_pipelines import console as terminal
from serving.model_versions import CANARY, STABLE, labels, log_move, set_labels, versions
from serving.promotion import MANIFEST, read_manifest, worse_than


def publish(
    models: Path,
    model: str,
    write: Callable[[Path, int], dict[str, Any]],
    *,
    base_path: str | None = None,
    promote: bool = False,
) -> Path:
    """Write a version.

    Args:
        models: the models folder.
        model: the model's name.
        write: writes the SavedModel into a folder, given the version's number, and returns the manifest.
        base_path: the models folder as the server sees it.
        promote: make the version stable even if it is worse than the stable one.

    Returns:
        The new version's folder.
    """
    version = max(versions(models, model), default=0) + 1
    target = models / model / str(version)
    with atomic.replace_directory(target) as temporary:
        atomic.write_json(temporary / MANIFEST, write(temporary, version))
    try:
        chosen, was = new_labels(models, target, promote), labels(models, model).get(STABLE)
        set_labels(models, model, chosen, base_path)
    except BaseException:
        shutil.rmtree(target)  # a version that no server is told of is a half-written export
        raise
    if chosen[STABLE] != was:
        log_move(models, {"action": "export", "model": model, "from": was, "to": chosen[STABLE]})
    return target


def new_labels(models: Path, target: Path, promote: bool) -> dict[str, int]:
    """Canary is the new version; so is stable unless the version that is stable now has a better validation figure."""
    version, model = int(target.name), target.parent.name
    stable = labels(models, model).get(STABLE)
    if stable in versions(models, model) and not promote:
        old, new = (read_manifest(models / model / str(number)) for number in (stable, version))
        if worse_than(new, old):
            return {STABLE: stable, CANARY: version}
    return {STABLE: version, CANARY: version}


def run_export(
    parser: argparse.ArgumentParser, argv: Sequence[str] | None, export: Callable[..., Path], trained_by: str
) -> tuple[argparse.Namespace, Path]:
    """Give an export command its options, parse them and export.

    Args:
        parser: without options yet.
        argv: the command's arguments.
        export: called with run, models, data, and the keywords base_path and promote.
        trained_by: what `supplytower train` calls the model.

    Returns:
        The options and the new version's folder.
    """
    parser.add_argument("--run", type=Path, required=True, help=f"folder written by `supplytower train {trained_by}`")
    parser.add_argument("--models", type=Path, required=True, help="folder of exported models; created if need be")
    parser.add_argument("--data", type=Path, help="the data folder of the run (default: where it was in training)")
    parser.add_argument(
        "--base-path",
        metavar="PATH",
        help="MODELS as the server sees it, e.g. /models in a container; kept from then on",
    )
    parser.add_argument("--promote", action="store_true", help="make the version stable whatever its validation figure")
    arguments = parser.parse_args(argv)
    tf.config.set_visible_devices([], "GPU")  # a server's CPU kernels decide, and so does this command
    with terminal.console.status("exporting"):
        target = export(
            arguments.run,
            arguments.models,
            arguments.data,
            base_path=arguments.base_path,
            promote=arguments.promote,
        )
    return arguments, target


def report(models: Path, target: Path, what: str, next_command: str) -> None:
    """Say what was written.

    Args:
        models: the models folder.
        target: the version's folder.
        what: what was verified, e.g. `16 users`.
        next_command: what to try next.
    """
    manifest, model = read_manifest(target), target.parent.name
    named = [label for label, version in labels(models, model).items() if version == manifest["version"]]
    size = sum(path.stat().st_size for path in target.rglob("*") if path.is_file()) / 1e6
    training = manifest["metrics"]["training"]
    terminal.console.print(
        f"{target}: version {manifest['version']} ({', '.join(named)}), {size:.0f} MB, "
        f"validation {training['monitor']} {training['validation']:.4f}; "
        f"{what} answered in a fresh process as in training "
        f"(largest difference {manifest['verified']['largest_difference']:.1e})",
        soft_wrap=True,
        highlight=False,
    )
    if STABLE not in named:
        terminal.console.print(
            f"version {labels(models, model)[STABLE]} stays stable: its validation figure is better, or is of "
            "another kind; export with --promote to overrule this"
        )
    terminal.console.print(f"next: {next_command}", soft_wrap=True)
