"""Who the customers are, as `supplytower profile build` found it: looked up by user id."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars as pl

from data_pipelines.schema import PROFILES_FILE, SEGMENT, SEGMENT_ID, SEGMENTS_FILE, UNTIL, InputError
from serving.campaigns.customers import read_profiles
from serving.gateway.json_table import json_table
from serving.gateway.rows_by_user import RowsByUser
from serving.gateway.watched_files import WatchedFiles
from serving.table_file import require_columns


class Profiles:
    """A snapshot of profiles.

    Args:
        table: a row per user: user_id, segment_id, segment, features.
        as_of: the moment as of which they were built, UTC.
    """

    def __init__(self, table: pl.DataFrame, as_of: datetime):
        self.as_of = as_of
        self._rows = RowsByUser(json_table(table))

    def row(self, user_id: str) -> dict[str, Any] | None:
        """What is known of a customer, by column; None if nothing is."""
        found = self._rows.of(user_id)
        return found.row(0, named=True) if found.height else None


def read_folder(folder: Path) -> Profiles:
    """Read the folder that `supplytower profile build` wrote.

    Raises:
        InputError: if it is none.
    """
    path = folder / SEGMENTS_FILE
    try:
        until = datetime.fromisoformat(json.loads(path.read_text(encoding="utf-8"))[UNTIL])
    except (OSError, ValueError, KeyError, TypeError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise InputError(f"{path}: cannot be read ({reason}); see `supplytower profile build --help`") from None
    table = read_profiles(folder)
    require_columns(table, (SEGMENT_ID, SEGMENT), folder / PROFILES_FILE)
    return Profiles(table, until.astimezone(UTC) if until.tzinfo else until.replace(tzinfo=UTC))


class ProfileFiles(WatchedFiles[Profiles]):
    """The current snapshot of a folder of profiles, which may be built anew while the gateway runs.

    Args:
        folder: see `read_folder`.
        reload_seconds: how often it is looked at.

    Raises:
        InputError: if it cannot be read at the start.
    """

    def __init__(self, folder: Path, *, reload_seconds: float = 5.0):
        paths = [folder / PROFILES_FILE, folder / SEGMENTS_FILE]
        super().__init__("profiles", paths, lambda: read_folder(folder), reload_seconds=reload_seconds)
