"""One customer beside the others: `supplytower profile show USER`."""

import difflib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import polars as pl
from rich.table import Table

from data_pipelines import console as terminal
from data_pipelines.customer_features import numeric_features
from data_pipelines.schema import FREQUENCY, SEGMENT, SEGMENT_ID, TOP_BRAND, TOP_CATEGORY, USER_ID, InputError
from training.profile_folder import Profiles, read_profiles

WIDE = 100


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit status."""
    return terminal.run(_main, argv)


def _main(argv: Sequence[str] | None) -> int:
    parser = terminal.command_parser(
        "supplytower profile show",
        "Show the profile of one customer beside the average of the segment and of all who bought.",
        examples=[
            "supplytower profile show 1228 --profiles build/profiles",
            "supplytower profile show 1228 --profiles build/profiles --json",
        ],
    )
    parser.add_argument("user", metavar="USER", help="the customer's user_id")
    parser.add_argument("--profiles", type=Path, required=True, help="folder written by `supplytower profile build`")
    parser.add_argument("--json", action="store_true", help="print JSON on standard output instead of a table")
    arguments = parser.parse_args(argv)
    profiles = read_profiles(arguments.profiles)
    profile = find_profile(profiles, arguments.user)
    if arguments.json:
        print(json.dumps(profile, indent=2, ensure_ascii=False))
    else:
        _show(profile, profiles)
    return 0


def find_profile(profiles: Profiles, user: str) -> dict[str, Any]:
    """The row of one user.

    Raises:
        InputError: if there is none.
    """
    found = profiles.table.filter(pl.col(USER_ID) == user)
    if found.is_empty():
        close = difflib.get_close_matches(user, profiles.table[USER_ID].head(10_000).to_list(), n=1)
        remedy = f"did you mean {close[0]!r}?" if close else "build the profiles again if the customer is new"
        raise InputError(f"{user}: no such user among {profiles.table.height:,} profiles; {remedy}")
    return found.row(0, named=True)


def _show(profile: dict[str, Any], profiles: Profiles) -> None:
    output = terminal.output(WIDE)
    segment = next(one for one in profiles.summary["segments"] if one["id"] == profile[SEGMENT_ID])
    output.print(f"{profile[USER_ID]}: segment {segment['id']}, {profile[SEGMENT]}, as {segment['share']:.0%} are")
    for name, text in ((TOP_CATEGORY, "most from the category"), (TOP_BRAND, "most of the brand")):
        if profile[name] is not None:
            output.print(f"  {text} {profile[name]}")
    table = Table("feature", box=None, pad_edge=False)
    for name in ("customer", "segment", "all", "more than"):
        table.add_column(name, justify="right")
    buyers = profiles.table.filter(pl.col(FREQUENCY) > 0)
    for name in numeric_features(profiles.table.columns):
        if profile[name] is None:
            continue
        below = (buyers[name] < profile[name]).mean()
        cells = (profile[name], segment["means"][name], profiles.summary["average"][name])
        more = "–" if below is None else f"{below:.0%}"
        table.add_row(name, *("–" if cell is None else f"{cell:,.2f}" for cell in cells), more)
    output.print(table)


if __name__ == "__main__":
    raise SystemExit(main())
