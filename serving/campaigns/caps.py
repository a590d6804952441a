"""How often a customer may still be addressed, from what was sent before, and how tired earlier contacts have made."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl

from data_pipelines.schema import CAMPAIGN_ID, CHANNEL, COST, SEND_AT, USER_ID
from serving.campaigns.allocation import BoolArray, FloatArray, IntArray
from serving.campaigns.policy import ANY_CHANNEL, Cap
from serving.campaigns.tables import channel_names, numbers, positions, read_table, times

DAY = np.timedelta64(1, "D") / np.timedelta64(1, "us")
CONTACTS: dict[str, type[pl.DataType] | pl.DataType] = {
    USER_ID: pl.String,
    CHANNEL: pl.String,
    SEND_AT: pl.Datetime("us"),
    CAMPAIGN_ID: pl.String,
    COST: pl.Float64,
}
Times = npt.NDArray[np.datetime64]


def no_contacts() -> pl.DataFrame:
    """Nothing was sent yet."""
    return pl.DataFrame(schema=CONTACTS)


def read_contacts(path: Path) -> pl.DataFrame:
    """Read what was sent by other means: user_id, channel, send_at (UTC), optional campaign_id and cost.

    Raises:
        InputError: if it cannot be read, or a time or a number is none.
    """
    table = read_table(path, (USER_ID, CHANNEL, SEND_AT))
    cost = numbers(table, COST, path, 0.0) if COST in table.columns else pl.lit(0.0)
    named = pl.col(CAMPAIGN_ID) if CAMPAIGN_ID in table.columns else pl.lit(None)
    return table.select(
        USER_ID,
        channel_names(table, path),
        times(table, SEND_AT, path),
        named.cast(pl.String).alias(CAMPAIGN_ID),
        cost.alias(COST),
    ).cast(CONTACTS)  # type: ignore[arg-type]


class History:
    """What was sent to customers before.

    Args:
        contacts: user_id, channel, send_at, campaign_id, cost; also what is planned for later today.
        users: ids of the customers.
        send_at: `[users]` when each would be addressed now, UTC.
    """

    def __init__(self, contacts: pl.DataFrame, users: pl.Series, send_at: Times):
        row = positions(contacts[USER_ID], users)
        known = pl.Series(row >= 0)
        self.row, self.users = row[row >= 0], len(users)
        self.contacts = contacts.filter(known)
        sent = self.contacts[SEND_AT].to_numpy().astype("datetime64[us]")
        self.age_days: FloatArray = (send_at[self.row] - sent).astype(np.float64) / DAY

    def count(self, among: BoolArray) -> IntArray:
        """Contacts of every customer among some, `[users]`."""
        return np.bincount(self.row[among], minlength=self.users).astype(np.int64)

    def within(self, channel: str, days: float) -> IntArray:
        """Contacts of a channel, or of all, in the last days, `[users]`; those that are still to come count too."""
        recent = self.age_days < days
        return self.count(recent if channel == ANY_CHANNEL else recent & self._is(CHANNEL, channel))

    def room(self, channel: str, caps: Sequence[Cap], most: int) -> IntArray:
        """Contacts of a channel (or of all) that the caps of that name leave, `[users]`, `most` at the most."""
        left = np.full(self.users, most, np.int64)
        for cap in caps:
            if cap.channel == channel:
                left = np.minimum(left, cap.contacts - self.within(channel, cap.days))
        return np.maximum(left, 0)

    def of_campaign(self, campaign_id: str, flight: tuple[np.datetime64, np.datetime64]) -> IntArray:
        """Contacts of a campaign from the first moment of a flight to before the last, `[users]`."""
        sent = self.contacts[SEND_AT].to_numpy()
        return self.count(self._is(CAMPAIGN_ID, campaign_id) & (sent >= flight[0]) & (sent < flight[1]))

    def load(self, half_life_days: float) -> FloatArray:
        """Recent contacts, each counted half after every half-life, `[users]`."""
        weight = 0.5 ** (np.maximum(self.age_days, 0.0) / half_life_days)
        return np.bincount(self.row, weights=weight, minlength=self.users).astype(np.float64)

    def _is(self, column: str, value: str) -> BoolArray:
        if not len(self.row):
            return np.zeros(0, bool)
        found: BoolArray = (self.contacts[column] == value).fill_null(False).to_numpy()
        return found
