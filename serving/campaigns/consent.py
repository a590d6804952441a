"""Who agreed to be addressed through which channel.

A table: user_id, channel (`all` for every channel) and consent, true or false. With it, only who agreed is addressed,
and a false counts more than any true: who opted out stays out.
"""

from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl

from data_pipelines.schema import CHANNEL, CONSENT, USER_ID, InputError
from serving.campaigns.policy import ANY_CHANNEL
from serving.campaigns.tables import channel_names, positions, read_table


def read_consent(path: Path) -> pl.DataFrame:
    """Read the table.

    Raises:
        InputError: if it cannot be read, or consent is not true or false.
    """
    table = read_table(path, (USER_ID, CHANNEL, CONSENT))
    text = table[CONSENT].cast(pl.String).str.to_lowercase()
    known = text.replace_strict({"true": True, "false": False, "1": True, "0": False}, default=None)
    if (bad := known.cast(pl.Boolean).is_null().arg_true()).len():
        raise InputError(f"{path}: {CONSENT} in row {bad[0] + 1} is {table[CONSENT][bad[0]]!r}; write true or false")
    return table.select(USER_ID, channel_names(table, path), known.cast(pl.Boolean).alias(CONSENT))


def allowed(consent: pl.DataFrame | None, users: pl.Series, channels: list[str]) -> npt.NDArray[np.bool_]:
    """Who may be addressed how.

    Args:
        consent: the table; None: nobody was asked, and everybody may.
        users: ids.
        channels: names.

    Returns:
        `[users, channels]`.
    """
    if consent is None:
        return np.ones((len(users), len(channels)), bool)
    row = positions(consent[USER_ID], users)
    agreed = consent[CONSENT].to_numpy()
    said = np.zeros((2, len(users), len(channels)), bool)  # no, yes
    for number, channel in enumerate(channels):
        about = (consent[CHANNEL].is_in([channel, ANY_CHANNEL])).to_numpy() & (row >= 0)
        for answer in (False, True):
            said[int(answer), row[about & (agreed == answer)], number] = True
    found: npt.NDArray[np.bool_] = said[1] & ~said[0]
    return found
