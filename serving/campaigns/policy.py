"""What holds for all campaigns of a shop: how often customers are addressed, when, and what is never advertised."""

import re
from dataclasses import dataclass
from datetime import datetime, time, timedelta, tzinfo
from zoneinfo import ZoneInfo

from data_pipelines.schema import InputError

CAP = re.compile(r"(?P<channel>[A-Za-z0-9_.-]+) +(?P<contacts>\d+) +(?:per|in) +(?P<days>\d+(?:\.\d+)?) +days?")
ANY_CHANNEL = "all"
MOST = 1_000_000_000
"""Of anything that is counted: more would say the same."""


@dataclass(frozen=True)
class Cap:
    """So many contacts of a channel in so many days, at most."""

    channel: str
    contacts: int
    days: float


@dataclass(frozen=True)
class Policy:
    """Settings of `supplytower campaigns plan`. Money is in the currency of the prices."""

    caps: tuple[str, ...] = ("all 1 per 1 day", "email 3 per 7 days", "sms 1 per 7 days")
    """How often a customer is addressed at most: `CHANNEL N per DAYS days`, `all` for all channels together."""
    offers_per_customer: int = 1
    """Offers for a customer in one plan, at most."""
    offers_per_category: int = 1
    """Offers of one category for a customer in one plan, at most; the best ones of all campaigns."""
    quiet_from: str = "21:00"
    """When the evening's quiet begins, in the customer's local time."""
    quiet_until: str = "08:00"
    """When it ends; contacts wait until then. The same time as quiet_from: no quiet hours."""
    time_zone: str = "UTC"
    """Where customers live that have no time_zone in the users table."""
    stockout_limit: float = 0.2
    """A product that sells out before new stock arrives with a higher probability is not advertised."""
    only_planned: bool = False
    """Whether products that the stock plan does not know are kept back too."""
    overstock_days: float = 28.0
    """A product whose stock lasts for so many days is overstocked."""
    margin: float = 0.3
    """Share of the price that remains of a sale, for items without unit_cost."""
    fatigue: float = 0.2
    """Share of the value that a contact which was just made takes from the next one; 0: no fatigue."""
    fatigue_half_life_days: float = 7.0
    """Days after which a contact tires half as much."""
    products_per_campaign: int = 50
    """The most popular of a campaign's products that are considered for everybody."""
    products_per_customer: int = 10
    """Products that the customer took before that are considered besides."""
    category_column: str = ""
    """Column of the items that says the category; "": the first of category, product_category, department."""
    salt: str = "supplytower"
    """Changes who is held out."""

    def __post_init__(self) -> None:
        """Refuse what cannot be."""
        for name in ("offers_per_customer", "offers_per_category", "products_per_campaign"):
            self._require(name, 1 <= getattr(self, name) <= MOST, f"at least 1 and at most {MOST:,}")
        for name in ("overstock_days", "products_per_customer"):
            self._require(name, getattr(self, name) >= 0, "at least 0")
        for name in ("stockout_limit", "margin", "fatigue"):
            self._require(name, 0 <= getattr(self, name) <= 1, "a share from 0 to 1")
        self._require("fatigue_half_life_days", self.fatigue_half_life_days > 0, "above 0")
        _ = self.frequency_caps, self.quiet, zone(self.time_zone, "time_zone")

    def _require(self, name: str, fine: bool, rule: str) -> None:
        if not fine:
            raise InputError(f"{name}={getattr(self, name)}: must be {rule}")

    @property
    def frequency_caps(self) -> tuple[Cap, ...]:
        """The caps, read."""
        found = []
        for text in self.caps:
            match = CAP.fullmatch(text.strip())
            if match is None or float(match["days"]) <= 0:
                raise InputError(f"caps: {text!r} is not understood; write e.g. `email 2 per 7 days`")
            found.append(Cap(match["channel"].lower(), min(int(match["contacts"]), MOST), float(match["days"])))
        return tuple(found)

    @property
    def quiet(self) -> tuple[time, time]:
        """When quiet hours begin and end."""
        return self._time("quiet_from"), self._time("quiet_until")

    def _time(self, name: str) -> time:
        try:
            found = time.fromisoformat(getattr(self, name))
        except ValueError:
            found = None
        if found is None or found.tzinfo is not None:
            raise InputError(f"{name}={getattr(self, name)}: is no local time of day; write e.g. 21:00")
        return found


def zone(name: str, where: str) -> tzinfo:
    """A time zone by its name.

    Raises:
        InputError: if there is none of that name.
    """
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        raise InputError(f"{where}={name}: no such time zone; write e.g. Europe/Berlin or UTC") from None


def is_quiet(local: time, quiet: tuple[time, time]) -> bool:
    """Whether a local time lies in quiet hours, which may last over midnight."""
    begin, end = quiet
    return begin <= local < end if begin <= end else local >= begin or local < end


def next_allowed(at: datetime, where: tzinfo, quiet: tuple[time, time]) -> datetime:
    """The first moment from `at` on that is not quiet for a customer.

    Args:
        at: UTC, with its time zone.
        where: the customer's time zone.
        quiet: when quiet hours begin and end.

    Returns:
        UTC, with its time zone.
    """
    local = at.astimezone(where)
    if not is_quiet(local.time(), quiet):
        return at
    day = local.date() if local.time() < quiet[1] else local.date() + timedelta(1)
    there = datetime.combine(day, quiet[1], where).astimezone(at.tzinfo)
    if there < at:  # the clocks went back: the hour comes twice, and its first time is over
        there = datetime.combine(day, quiet[1].replace(fold=1), where).astimezone(at.tzinfo)
    while is_quiet(there.astimezone(where).time(), quiet):  # the clocks went forward over the end
        there += timedelta(minutes=15)
    return there
