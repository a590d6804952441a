"""Make, list and remove the gateway's API keys: `supplytower serve keys`."""

from collections.abc import Sequence
from pathlib import Path

from rich.table import Table

from data_pipelines import console as terminal
from data_pipelines.schema import InputError
from serving.gateway.security import ROLES, add_key, read_keys, remove_key

DEFAULT_FILE = Path("keys.json")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit status."""
    return terminal.run(_main, argv)


def _main(argv: Sequence[str] | None) -> int:
    parser = terminal.command_parser(
        "supplytower serve keys",
        "Make, list and remove API keys of the gateway. A new key is printed once; the file holds its hash only.\n"
        f"Roles: {', '.join(ROLES)}; admin may do all. A running gateway sees the change at once.",
        examples=[
            "supplytower serve keys add shop --roles events,recommend --file keys.json",
            "supplytower serve keys add planner --roles plan --rate 5",
            "supplytower serve keys add shop-window --roles recommend,experiments",
            "supplytower serve keys list",
            "supplytower serve keys remove shop",
        ],
    )
    parser.add_argument("action", choices=("add", "list", "remove"))
    parser.add_argument("name", nargs="?", help="of whoever uses the key")
    parser.add_argument("--roles", default="", help=f"comma-separated: {', '.join(ROLES)}")
    parser.add_argument("--rate", type=float, help="requests per second; the gateway's setting if not given")
    parser.add_argument("--file", type=Path, default=DEFAULT_FILE, help="the key file (keys.json)")
    arguments = parser.parse_args(argv)
    if arguments.action == "list":
        _list(arguments.file)
        return 0
    if not arguments.name:
        raise InputError(f"name the key: `supplytower serve keys {arguments.action} NAME`")
    if arguments.action == "remove":
        remove_key(arguments.file, arguments.name)
        terminal.console.print(f"removed {arguments.name} from {arguments.file}", highlight=False)
        return 0
    roles = tuple(role for role in arguments.roles.split(",") if role)
    if not roles:
        raise InputError(f"--roles is missing: give one or more of {', '.join(ROLES)}")
    secret = add_key(arguments.file, arguments.name, roles, arguments.rate)
    print(secret)
    terminal.console.print("Keep it: it is not shown again. Send it as `Authorization: Bearer KEY`.", highlight=False)
    return 0


def _list(file: Path) -> None:
    table = Table("name", "roles", "requests per second", box=None, pad_edge=False)
    for key in read_keys(file):
        rate = "default" if key.requests_per_second is None else f"{key.requests_per_second:g}"
        table.add_row(key.name, ", ".join(key.roles), rate)
    terminal.output(width=120).print(table)


if __name__ == "__main__":
    raise SystemExit(main())
