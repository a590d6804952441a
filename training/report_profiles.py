"""A page about the segments of a shop's customers: `supplytower profile report`."""

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from data_pipelines import console as terminal
from data_pipelines.atomic import write_text
from data_pipelines.report_page import render_page
from data_pipelines.result_table import require_page
from models.traits import KNOWN, is_trait, trait_of
from training.profile_folder import REPORT, Profiles, read_profiles
from training.segment_plots import segment_pictures

TEMPLATE = Path(__file__).with_name("profiles.html.jinja")
MONEY = {"monetary", "basket_value"}
CENTS_MATTER = 100
"""Below this, money is shown with two digits."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit status."""
    return terminal.run(_main, argv)


def _main(argv: Sequence[str] | None) -> int:
    parser = terminal.command_parser(
        "supplytower profile report",
        "Write a page about the segments: sizes, what distinguishes each, recency, frequency and spend, habits.",
        examples=[
            "supplytower profile report --profiles build/profiles",
            "supplytower profile report --profiles build/profiles --out segments.html",
        ],
    )
    parser.add_argument("--profiles", type=Path, required=True, help="folder written by `supplytower profile build`")
    parser.add_argument("--out", type=Path, help=f"page to write (default: PROFILES/{REPORT})")
    arguments = parser.parse_args(argv)
    out = arguments.out or arguments.profiles / REPORT
    require_page(out, "--out")
    write_text(out, profile_page(read_profiles(arguments.profiles)))
    terminal.console.print(f"report: {out}", soft_wrap=True, highlight=False)
    return 0


def profile_page(profiles: Profiles) -> str:
    """The page as HTML.

    Args:
        profiles: what `supplytower profile build` wrote.
    """
    summary = profiles.summary
    return render_page(
        TEMPLATE,
        segment_pictures(profiles),
        segments=summary["segments"],
        average=summary["average"],
        quality=summary["quality"],
        features=[name for name, mean in summary["average"].items() if mean is not None],
        shown=shown,
        spoken=spoken,
        meaning=lambda name: trait_of(name).high if is_trait(name) else "",
        left_out=summary["left_out"],
        customers=profiles.table.height,
        until=f"{datetime.fromisoformat(summary['until']):%Y-%m-%d %H:%M}",
        settings=summary["settings"],
    )


def shown(name: str, value: float | None) -> str:
    """A mean as the page prints it: shares in percent, indices with two digits."""
    if value is None:
        return "–"
    if name.endswith("_share") or (name not in KNOWN and name != "tenure_days"):
        return f"{value:.0%}"
    if name.endswith("_index") or name == "browse_to_buy":
        return f"{value:.2f}"
    if name in MONEY:
        return f"{value:,.2f}" if value < CENTS_MATTER else f"{value:,.0f}"
    return f"{value:,.1f}"


def spoken(one: dict[str, Any]) -> str:
    """Every trait of a segment's name with the column that it comes from."""
    return "; ".join(f"{trait_of(name).high if more else trait_of(name).low}: {name}" for name, more in one["traits"])


if __name__ == "__main__":
    raise SystemExit(main())
