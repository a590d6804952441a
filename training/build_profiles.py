"""Profile every customer: `supplytower profile build`.

    PROFILES/profiles.parquet   a row per user: segment, recency, frequency, spend, preferences, habits
    PROFILES/segments.json      how segments were made: scale, centroids, names, ids, quality

Where --out holds profiles already, segments keep their ids, their number and, as long as they are true, their names.
"""

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

import polars as pl
from rich.table import Table

from data_pipelines import console as terminal
from data_pipelines.config import describe, parse_moment, resolve, to_yaml
from data_pipelines.customer_features import customer_features
from data_pipelines.result_table import require_folder
from data_pipelines.schema import PROFILES_FILE, SEGMENTS_FILE, UNTIL, InputError
from training.profile_config import ProfileConfig
from training.profile_folder import REPORT, Profiles, holds_profiles, read_profiles, write_profiles
from training.segment_customers import segment_customers
from training.shop_tables import ShopLog, read_shop

WIDE = 110


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit status."""
    return terminal.run(_main, argv)


def _main(argv: Sequence[str] | None) -> int:
    parser = terminal.command_parser(
        "supplytower profile build",
        "Profile every customer and divide them into named segments.\n"
        "Writes PROFILES/profiles.parquet, one row per user, and PROFILES/segments.json.",
        examples=[
            "supplytower profile build --data build/data --out build/profiles",
            "supplytower profile build --data build/data --out build/profiles --until 2017-11-01",
            "supplytower profile build --data build/data --out new --previous build/profiles --set choose_again=true",
        ],
        settings=describe(ProfileConfig),
    )
    parser.add_argument("--data", type=Path, required=True, help="folder written by `supplytower data prepare`")
    parser.add_argument("--out", type=Path, required=True, help="folder to write; older profiles in it are replaced")
    parser.add_argument("--until", help="date or time (UTC) from which on nothing is read (default: all is)")
    parser.add_argument("--previous", type=Path, help="profiles whose ids are kept (default: those in --out)")
    parser.add_argument("--anew", action="store_true", help="keep no ids, even where --out holds profiles")
    parser.add_argument("--config", type=Path, help="YAML file of settings")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="one setting, over the file")
    arguments = parser.parse_args(argv)
    config = resolve(ProfileConfig, file=arguments.config, overrides=arguments.set)
    require_folder(arguments.out, "profiles", (PROFILES_FILE, SEGMENTS_FILE, REPORT))
    if arguments.anew and arguments.previous:
        raise InputError("--anew and --previous contradict each other; give one of them")
    previous = arguments.previous or (arguments.out if holds_profiles(arguments.out) else None)
    until = None if arguments.until is None else parse_moment(arguments.until, "--until")
    shop = read_shop(arguments.data, config, until)
    profiles = build(shop, config, None if previous is None or arguments.anew else read_profiles(previous))
    write_profiles(arguments.out, profiles)
    show(profiles, shop, config)
    terminal.console.print(
        f"Wrote {arguments.out}.\nNext:\n  supplytower profile report --profiles {arguments.out}\n"
        f"  supplytower profile show {profiles.table['user_id'][0]} --profiles {arguments.out}",
        soft_wrap=True,
        highlight=False,
    )
    return 0


def build(shop: ShopLog, config: ProfileConfig, previous: Profiles | None = None) -> Profiles:
    """Profile and segment the customers of a shop.

    Args:
        shop: its log.
        config: the settings.
        previous: profiles whose ids are kept.

    Raises:
        InputError: if too few customers bought, or nothing tells them apart.
    """
    with terminal.progress() as bar:
        task = bar.add_task("profiling customers", total=1)
        features: pl.DataFrame = customer_features(shop.tables, shop.columns, shop.until).collect("polars").to_native()
        bar.advance(task)
        profiles = segment_customers(
            features, config, previous, track=lambda numbers: bar.track(numbers, description="trying segments")
        )
    made = {
        UNTIL: shop.until.isoformat(),
        "built_from": shop.fingerprint,
        "settings": to_yaml(config),
        "previous_until": previous.summary[UNTIL] if previous else None,
    }
    return Profiles(profiles.table, made | profiles.summary)


def show(profiles: Profiles, shop: ShopLog, config: ProfileConfig) -> None:
    """Print the segments, how good they are, and what had to be left out."""
    summary, console = profiles.summary, terminal.console
    table = Table("id", "segment", box=None, pad_edge=False)
    for name in ("customers", "share", "of spend", "recency", "baskets", "spend"):
        table.add_column(name, justify="right")
    for one in summary["segments"]:
        means = one["means"]
        table.add_row(
            str(one["id"]),
            one["name"],
            f"{one['customers']:,}",
            f"{one['share']:.0%}",
            "–" if one["spend_share"] is None else f"{one['spend_share']:.0%}",
            _number(means["recency_days"], " d"),
            _number(means["frequency"]),
            _number(means["monetary"]),
        )
    terminal.output(WIDE).print(table)
    quality = summary["quality"]
    console.print(
        f"{profiles.table.height:,} customers before {datetime.fromisoformat(summary[UNTIL]):%Y-%m-%d %H:%M} UTC; "
        f"{quality['segments']} segments: silhouette {quality['silhouette']:.2f}, stability {quality['stability']:.2f}",
        soft_wrap=True,
        highlight=False,
    )
    if quality["kept_share"] is not None:
        console.print(f"{quality['kept_share']:.0%} of the customers of the previous profiles are where they were")
    if quality["stability"] < config.stability_floor:
        console.print(
            "Note: segments are not found again well on resampled customers; they are a way to divide customers, not "
            "groups that exist",
            soft_wrap=True,
        )
    if summary["left_out"]:
        reasons = ", ".join(f"{name} ({reason})" for name, reason in summary["left_out"].items())
        console.print(f"Note: not used for segments: {reasons}", soft_wrap=True, highlight=False)
    for notice in shop.notices:
        console.print(f"Note: {notice}", soft_wrap=True)


def _number(value: float | None, unit: str = "") -> str:
    return "–" if value is None else f"{value:,.0f}{unit}" if abs(value) >= 10 else f"{value:.1f}{unit}"


if __name__ == "__main__":
    raise SystemExit(main())
