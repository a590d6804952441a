"""Who is left alone, so that what a campaign brings can be measured: a pure function of salt, campaign and customer.

The bytes of the text go through FNV-1a, and the result through the finaliser of SplitMix64, which spreads neighbouring
ids; column by column over all customers at once. Reference: Steele, Lea and Flood, "Fast splittable pseudorandom number
generators", OOPSLA 2014.
"""

import numpy as np
import numpy.typing as npt
import polars as pl

OFFSET, PRIME = 0xCBF29CE484222325, 0x100000001B3
MIX = ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB))


def holdout_point(users: pl.Series, salt: str, campaign_id: str) -> npt.NDArray[np.float64]:
    """A number from 0 to 1 for every customer; those below the share are held out, also of a larger share.

    Args:
        users: ids.
        salt: the shop's.
        campaign_id: the campaign's; who is held out of one says nothing about another.

    Returns:
        `[users]`, uniform.
    """
    ids = np.char.encode(users.to_numpy().astype(np.str_), "utf-8")
    letters = np.frombuffer(ids.tobytes(), np.uint8).reshape(len(ids), ids.dtype.itemsize)
    with np.errstate(over="ignore"):
        state = np.full(len(ids), OFFSET, np.uint64)
        for letter in f"{salt}\x00{campaign_id}\x00".encode():
            state = (state ^ np.uint64(letter)) * np.uint64(PRIME)
        for column in letters.T:
            following = (state ^ column.astype(np.uint64)) * np.uint64(PRIME)
            state = np.where(column > 0, following, state)  # 0 pads shorter ids
        for shift, factor in MIX:
            state = (state ^ (state >> np.uint64(shift))) * np.uint64(factor)
        state ^= state >> np.uint64(31)
    return np.asarray((state >> np.uint64(11)).astype(np.float64) / 2.0**53)
