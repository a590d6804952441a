"""Which exported versions there are, and which one answers: `supplytower models list | verify | promote | rollback`.

Clients ask for a label. Promoting a version moves `stable` to it, after a check that it loads, answers as when it was
exported, and is not worse than the stable one; rolling back moves `stable` to where it was before. Servers that poll
models.config follow within seconds. Every move is a line in MODELS/promotions.jsonl.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

from rich.table import Table

from data_pipelines import console as terminal
from data_pipelines.schema import InputError
from serving.fresh_process import ExportError
from serving.model_versions import (
    CANARY,
    EXPORTERS,
    STABLE,
    find_version,
    labels,
    log_move,
    moves,
    set_labels,
    versions,
)
from serving.promotion import golden_difference, read_manifest, worse_than

WIDE = 120


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit status."""
    return terminal.run(_main, argv)


def _main(argv: Sequence[str] | None) -> int:
    parser = terminal.command_parser(
        "supplytower models",
        "List exported versions, verify them, promote one to `stable`, or go back.",
        examples=[
            "supplytower models list --models build/models",
            "supplytower models verify --models build/models",
            "supplytower models promote --models build/models --model recommender --version 3 --margin 0.01",
            "supplytower models promote --models build/models --model recommender --version 3 --force 'holiday items'",
            "supplytower models rollback --models build/models --model recommender",
        ],
    )
    parser.add_argument("action", choices=ACTIONS)
    parser.add_argument("--models", type=Path, required=True, help="folder of exported models")
    parser.add_argument("--model", choices=EXPORTERS, help="one of the models (list, verify: default all)")
    parser.add_argument("--version", help="number or label (promote: default the newest; rollback: the one before)")
    parser.add_argument(
        "--margin", type=float, default=0.0, help="share by which the validation figure may be worse (default: 0)"
    )
    parser.add_argument("--force", metavar="REASON", help="promote although a check says no; the reason is logged")
    arguments = parser.parse_args(argv)
    if arguments.margin < 0:
        raise InputError(f"--margin {arguments.margin:g}: must be at least 0")
    if arguments.action in ("promote", "rollback") and arguments.model is None:
        raise InputError(f"--model: say which, {' or '.join(EXPORTERS)}")
    return ACTIONS[arguments.action](arguments)


def _chosen(arguments: argparse.Namespace) -> list[Path]:
    """The versions that are asked about."""
    models = [arguments.model] if arguments.model else [name for name in EXPORTERS if versions(arguments.models, name)]
    if not models:
        raise InputError(f"{arguments.models}: no exported model; see `supplytower export recommender --help`")
    if arguments.version is not None or (arguments.model and not versions(arguments.models, arguments.model)):
        return [find_version(arguments.models, model, arguments.version) for model in models]
    return [arguments.models / model / str(number) for model in models for number in versions(arguments.models, model)]


def list_versions(arguments: argparse.Namespace) -> int:
    """A row per version."""
    table = Table(box=None, pad_edge=False)
    for column in ("model", "version", "labels", "exported", "validation", "MB", "run"):
        table.add_column(column, justify="right" if column in ("version", "MB") else "left")
    for version in _chosen(arguments):
        model, number = version.parent.name, int(version.name)
        named = [label for label, labelled in labels(arguments.models, model).items() if labelled == number]
        size = sum(path.stat().st_size for path in version.rglob("*") if path.is_file()) / 1e6
        try:
            manifest = read_manifest(version)
            training = manifest["metrics"]["training"]
            said = (manifest["created"], f"{training['monitor']} {training['validation']:.4f}", manifest["run"])
        except InputError:
            said = ("", "no manifest", "")
        table.add_row(model, version.name, ", ".join(sorted(named)), said[0], said[1], f"{size:.0f}", said[2])
    terminal.output(WIDE).print(table)
    return 0


def verify(arguments: argparse.Namespace) -> int:
    """Ask versions their golden questions; the status says whether all answered."""
    failed = 0
    for version in _chosen(arguments):
        try:
            with terminal.console.status(f"asking {version}"):
                difference = golden_difference(version)
        except (ExportError, InputError) as error:
            failed += 1
            terminal.print_error(f"{version}: {str(error).strip().splitlines()[-1]}")
        else:
            print(f"{version}: answers as when it was exported (largest difference {difference:.1e})")
    return 1 if failed else 0


def promote(arguments: argparse.Namespace) -> int:
    """Move `stable` to a version that passes the checks."""
    target = find_version(arguments.models, arguments.model, arguments.version)
    stable = labels(arguments.models, arguments.model).get(STABLE)
    refused = None
    try:
        with terminal.console.status(f"asking {target}"):
            golden_difference(target)
    except ExportError as error:
        refused = str(error).strip().splitlines()[-1]
    if refused is None and stable in versions(arguments.models, arguments.model) and stable != int(target.name):
        old = read_manifest(arguments.models / arguments.model / str(stable))
        refused = worse_than(read_manifest(target), old, arguments.margin)
    if refused is not None and arguments.force is None:
        raise InputError(f"{target}: not promoted: {refused}; --force REASON overrules this")
    _move(arguments, int(target.name), "promote", arguments.force if refused else None, refused)
    return 0


def rollback(arguments: argparse.Namespace) -> int:
    """Move `stable` to where it was before, or to a version that is named."""
    existing = versions(arguments.models, arguments.model)
    stable = labels(arguments.models, arguments.model).get(STABLE)
    if arguments.version is None:
        came = [one for one in moves(arguments.models) if one["model"] == arguments.model and one["to"] == stable]
        before = [one["from"] for one in reversed(came) if one["action"] != "rollback"]
        target = next((number for number in before if number in existing), None)
        if target is None:
            where = arguments.models / arguments.model
            raise InputError(f"{where}: no version was stable before {stable}; name one with --version")
    else:
        target = int(find_version(arguments.models, arguments.model, arguments.version).name)
    _move(arguments, target, "rollback", arguments.force, None)
    return 0


def _move(arguments: argparse.Namespace, to: int, action: str, reason: str | None, overruled: str | None) -> None:
    """Set `stable`, keep `canary`, and write down who did it."""
    models, model = arguments.models, arguments.model
    was = labels(models, model)
    set_labels(models, model, {STABLE: to, CANARY: was.get(CANARY, to)})
    moved = {"action": action, "model": model, "from": was.get(STABLE), "to": to}
    log_move(models, moved | {"reason": reason, "overruled": overruled})
    terminal.console.print(f"{model}: stable is version {to} (was {was.get(STABLE)})", highlight=False)


ACTIONS = {"list": list_versions, "verify": verify, "promote": promote, "rollback": rollback}

if __name__ == "__main__":
    raise SystemExit(main())
