"""The options of `supplytower serve gateway` that turn ads on."""

import argparse
from pathlib import Path

from data_pipelines.schema import InputError
from serving.campaigns.campaign import template
from serving.gateway.ads.snapshot import AdFiles, AdSnapshots
from serving.gateway.settings import GatewaySettings


def add_ad_options(parser: argparse.ArgumentParser) -> None:
    """Give a command the options that say what to advertise to whom."""
    parser.add_argument(
        "--campaigns",
        type=Path,
        nargs="+",
        metavar="FILE",
        help="campaigns to show, or names of templates: turns on ads",
    )
    parser.add_argument(
        "--policy", type=Path, help="YAML file: caps, quiet hours ... as of `supplytower campaigns plan`"
    )
    parser.add_argument("--consent", type=Path, help="table of user_id, channel and consent, for campaigns")
    parser.add_argument("--uplift", type=Path, help="table of user_id and uplift, for campaigns")
    parser.add_argument(
        "--contact-log",
        type=Path,
        help="log of `supplytower campaigns plan`, whose contacts count for caps and budgets",
    )


def open_ads(arguments: argparse.Namespace, items: Path | None, settings: GatewaySettings) -> AdSnapshots | None:
    """What the options describe; None without campaigns.

    Args:
        arguments: with the options.
        items: table of items.
        settings: how long contacts are remembered, and how often files are looked at.

    Raises:
        InputError: if items are missing, or a file cannot be used.
    """
    if arguments.campaigns is None:
        return None
    if items is None:
        raise InputError("--campaigns: what they offer is not known; give --items, or --data with items.parquet")
    files = AdFiles(
        tuple(template(file).absolute() for file in arguments.campaigns),  # no other one while it is being replaced
        items,
        arguments.data,
        arguments.policy,
        arguments.stock,
        arguments.profiles,
        arguments.consent,
        arguments.uplift,
        arguments.rules,
        arguments.contact_log,
    )
    return AdSnapshots(files, record_days=settings.record_days, reload_seconds=settings.reload_seconds)
