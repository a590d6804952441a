"""Public holidays, and the days that shops live by (Mother's Day, Halloween), by country.

Derived from the calendar, so known for any future. Reference: https://holidays.readthedocs.io
"""

from datetime import date, timedelta

import holidays

from data_pipelines.schema import InputError

CATEGORIES = ("public", "unofficial")
"""Of those that the package knows for the country. Days off in place of one on a Sunday are ordinary shopping days."""


def holiday_names(country: str, first: date, steps: int, step_days: int) -> list[str | None]:
    """Name the holiday of every step.

    Args:
        country: ISO 3166-1 code, e.g. `US` or `DE`; with a subdivision after a hyphen, e.g. `DE-BY`.
        first: the first day of the first step.
        steps: how many steps.
        step_days: length of a step in days; the first holiday within it counts.

    Returns:
        `[steps]` names, None for an ordinary day.

    Raises:
        InputError: if the country is not known.
    """
    code, _, subdivision = country.partition("-")
    last = first + timedelta(days=steps * step_days)
    years = range(first.year, last.year + 1)
    try:
        known = holidays.country_holidays(code).supported_categories
        found = holidays.country_holidays(
            code,
            subdiv=subdivision or None,
            years=years,
            observed=False,
            categories=tuple(name for name in CATEGORIES if name in known),
        )
    except NotImplementedError:
        raise InputError(
            f"holiday_country={country!r} is not known; write an ISO code such as US, DE or DE-BY"
        ) from None
    names: list[str | None] = [None] * steps
    for day in sorted(found, reverse=True):
        step = (day - first).days // step_days
        if 0 <= step < steps:
            names[step] = found[day]
    return names
