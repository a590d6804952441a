"""What was decided, a file for each day, so that nothing is decided twice.

`LOG/2018-01-01.parquet` holds the decisions of that day, also those against. A campaign that is in a day's file has
been decided for that day; planning again, after a crash or by mistake, returns what stands there. What was decided for
counts for caps, fatigue and budgets of later plans. The log is written before the table that is sent from: a crash
between the two leaves a plan that the next run completes, never one that it does not know of.
"""

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path

import polars as pl
from polars.exceptions import PolarsError

from data_pipelines.atomic import replace_file
from data_pipelines.schema import CAMPAIGN_ID, DECIDED, InputError
from serving.campaigns.caps import CONTACTS, no_contacts

LOG, SUFFIX, LOCK = "campaigns_log", ".parquet", ".lock"
DAYS = f"[0-9]*{SUFFIX}"
"""Files of days; one that a killed process was writing begins with a dot and does not count."""


class AuditLog:
    """The decisions of earlier plans.

    Args:
        folder: where the files are; made when the first is written.

    Raises:
        InputError: if it is no folder.
    """

    def __init__(self, folder: Path):
        if folder.exists() and not folder.is_dir():
            raise InputError(f"--log {folder}: is a file; name a folder")
        self.folder = folder

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Let nobody else decide meanwhile: two plans at a time could break caps together.

        Raises:
            InputError: if somebody else is deciding, or the folder cannot be made.
        """
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            file = (self.folder / LOCK).open("w")
        except OSError as error:
            raise InputError(
                f"--log {self.folder}: cannot be written ({error.strerror}); name another folder"
            ) from None
        with file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)  # ends with the process, however it ends
            except OSError:
                raise InputError(f"--log {self.folder}: another plan is being made; wait until it is done") from None
            yield

    def of_day(self, day: date) -> pl.DataFrame | None:
        """What was decided for a day; None if nothing."""
        path = self._path(day)
        return self._read(path) if path.exists() else None

    def contacts(self) -> pl.DataFrame:
        """What all plans decided to send."""
        found = [no_contacts()]
        for path in sorted(self.folder.glob(DAYS)):
            columns = [*CONTACTS, DECIDED]
            found.append(self._read(path, columns).filter(DECIDED).select(list(CONTACTS)).cast(CONTACTS))  # type: ignore[arg-type]
        return pl.concat(found)

    def write(self, day: date, decisions: pl.DataFrame) -> pl.DataFrame:
        """Add the decisions of campaigns that the day's file does not hold yet.

        Args:
            day: whose file.
            decisions: of some campaigns.

        Returns:
            All decisions of the day.

        Raises:
            InputError: if a campaign is there already, or the file cannot be written.
        """
        before = self.of_day(day)
        if before is not None:
            if twice := set(before[CAMPAIGN_ID]) & set(decisions[CAMPAIGN_ID]):
                raise InputError(f"{self._path(day)}: {sorted(twice)[0]!r} has been decided; it is not decided twice")
            decisions = pl.concat([before, decisions], how="diagonal")
        with replace_file(self._path(day)) as temporary:
            decisions.write_parquet(temporary)
        return decisions

    def _path(self, day: date) -> Path:
        return self.folder / f"{day.isoformat()}{SUFFIX}"

    def _read(self, path: Path, columns: list[str] | None = None) -> pl.DataFrame:
        try:
            return pl.read_parquet(path, columns=columns)
        except (OSError, PolarsError) as error:
            reason = str(error).strip().partition("\n")[0]
            raise InputError(f"{path}: cannot be read ({reason}); restore it, or name another --log") from None


def default_folder(out: Path) -> Path:
    """The log beside a table of decisions, whatever its name: with one for each, caps and budgets would begin anew."""
    return out.with_name(LOG)
