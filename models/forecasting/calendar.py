"""What a date says by itself: its place in the week, month and year, and how near a public holiday is.

Known for every day ahead, so it needs no column in the data.
"""

from dataclasses import dataclass
from functools import cache

import holidays
import numpy as np
import numpy.typing as npt

from data_pipelines.schema import InputError

REACH_DAYS = 21
"""A holiday further away than this has no effect."""
EPOCH_YEAR, DAYS_OF_YEAR = 1970, 364
YEARS = (1995, 2045)
"""Always looked at, so that a holiday's code does not depend on where a panel begins and ends."""


def repeats_yearly(n_steps: int, step_days: int) -> bool:
    """Whether the history is long enough for the time of the year to mean something.

    In a shorter one the weeks ahead were never seen before, and whatever happened once is taken for the season.
    """
    return n_steps * step_days >= 2 * DAYS_OF_YEAR


@dataclass(frozen=True)
class Calendar:
    """Calendar features of days.

    Args:
        country: ISO code as `holidays` knows it (`US`, `DE`, `DE-BY`); None leaves holidays out.
        yearly: whether to tell the time of the year; see `repeats_yearly`.
    """

    country: str | None = "US"
    yearly: bool = True

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the features."""
        holiday = ("days_from_holiday", "holiday", "next_holiday", "days_to_next", "days_since_last")
        year = ("week_of_year", "month") if self.yearly else ()
        return ("weekday", "day_of_month", *year, *(holiday if self.country else ()))

    @property
    def categorical(self) -> tuple[str, ...]:
        """Those that are codes without an order."""
        return ("holiday", "next_holiday") if self.country else ()

    def features(self, first_day: int, n_steps: int, step_days: int) -> npt.NDArray[np.float32]:
        """Features of consecutive steps.

        Args:
            first_day: days since 1970-01-01.
            n_steps: how many.
            step_days: days per step; a step has the features of its first day, holidays those of its middle.

        Returns:
            `[n_steps, n_features]` in the order of `names`.
        """
        days = (first_day + step_days * np.arange(n_steps)).astype("datetime64[D]")
        months = days.astype("datetime64[M]")
        years = days.astype("datetime64[Y]")
        day_of_year = (days - years).astype(int)
        columns = [
            (days.astype(int) + 3) % 7,  # Monday is 0: 1970-01-01 was a Thursday
            (days - months).astype(int) + 1,
        ]
        if self.yearly:
            columns += [day_of_year // 7, months.astype(int) % 12 + 1]
        if self.country:
            columns += self._holidays(days + step_days // 2)
        return np.stack(columns, axis=1).astype(np.float32)

    def _holidays(self, days: npt.NDArray[np.datetime64]) -> list[npt.NDArray[np.integer]]:
        """Signed distance to the nearest holiday, which one it is, the next one, and the distances both ways."""
        years = days.astype("datetime64[Y]").astype(int) + EPOCH_YEAR
        dates, names = _named_days(self.country or "", int(years.min()) - 1, int(years.max()) + 1)
        following = np.searchsorted(dates, days)  # the first holiday on or after the day
        to_next = np.minimum((dates[following] - days).astype(int), REACH_DAYS)
        # A holiday itself is 0 days after the last one.
        last = np.where(dates[following] == days, following, following - 1)
        since_last = np.minimum((days - dates[last]).astype(int), REACH_DAYS)
        nearest = np.where(to_next <= since_last, following, last)
        distance = np.where(to_next <= since_last, -to_next, since_last)
        code = np.where(np.abs(distance) < REACH_DAYS, names[nearest], 0)
        coming = np.where(to_next < REACH_DAYS, names[following], 0)
        return [distance, code, coming, to_next, since_last]


@cache
def _named_days(country: str, first: int, last: int) -> tuple[npt.NDArray[np.datetime64], npt.NDArray[np.int64]]:
    """Days `[n]` in order and a code from 1 on per name, of all holidays of some years, not only the legal ones."""
    code, _, subdivision = country.partition("-")
    try:
        known = holidays.country_holidays(code, subdiv=subdivision or None)
    except NotImplementedError:
        raise InputError(
            f"holiday_country={country!r} is not known; write an ISO code such as US, DE or DE-BY"
        ) from None
    categories = tuple({"public", "unofficial"} & set(known.supported_categories))
    years = range(min(first, YEARS[0]), max(last, YEARS[1]) + 1)
    found = sorted(
        holidays.country_holidays(
            code, subdiv=subdivision or None, years=years, categories=categories, observed=False
        ).items()
    )
    names = [name.split("; ")[0] for _, name in found]  # several on one day: the first by name
    vocabulary = {name: code for code, name in enumerate(sorted(set(names)), start=1)}
    days = np.array([day for day, _ in found], dtype="datetime64[D]")
    return days, np.array([vocabulary[name] for name in names])
