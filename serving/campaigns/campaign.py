"""A campaign: whom it addresses, with which products, through which channel, when, and for how much money.

campaigns:
  - id: win-back
    audience: recency_days > 60 and frequency >= 3
    categories: [COFFEE, TEA]
    channel: email
    start: 2018-01-01
    end: 2018-01-14
    budget: 50
    cost_per_contact: 0.05
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from itertools import pairwise
from pathlib import Path
from typing import Literal

from data_pipelines.config import read_yaml, resolve
from data_pipelines.schema import InputError
from serving.campaigns.audience import suggestion
from serving.campaigns.policy import MOST

TEMPLATES = Path(__file__).with_name("templates")
NAME, CHANNEL = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*"), re.compile(r"[a-z0-9][a-z0-9_.-]*")
SHARES = ("discount", "click_rate", "holdout")
LARGEST = 1e15
AMOUNTS = ("budget", "cost_per_contact", "bid", "conversion_value", "overstock_bonus")


@dataclass(frozen=True)
class Campaign:
    """One flight of a campaign."""

    id: str
    """Its name, letters, digits, `-`, `_` and `.`; the same id may come back later, in a flight of other days."""
    channel: str
    """How customers are addressed, e.g. email, sms, push, ad; caps and consent go by it."""
    start: date
    """The first day."""
    end: date
    """The last day."""
    budget: float
    """Money for all contacts of the flight."""
    audience: str = ""
    """Customers, as a condition on the profile, e.g. `segment in ["loyal"] and recency_days > 60`; "": all."""
    products: tuple[str, ...] = ()
    """Item ids that may be offered."""
    categories: tuple[str, ...] = ()
    """Categories whose items may be offered; with products, either will do."""
    items: str = ""
    """A condition on the items besides, e.g. `department == "GROCERY" and price < 5` or `overstocked`."""
    offers: Literal["catalogue", "reminder", "bought_together"] = "catalogue"
    """catalogue: what is popular and what the customer takes; reminder: what was put into the cart or viewed and not
    bought, or where the log has no such events, what the customer buys regularly and would by now;
    bought_together: by the rules of --rules, what goes with what the customer bought lately and was not among it."""
    creative: str = ""
    """What is shown: the name of a text, picture or template of the shop."""
    cost_per_contact: float | None = None
    """What addressing a customer costs."""
    bid: float | None = None
    """What a click costs at most, instead of cost_per_contact; a contact then costs bid × click_rate."""
    click_rate: float = 1.0
    """Clicks per contact, where a bid is paid."""
    discount: float = 0.0
    """Share of the price that the offer takes off."""
    goal: Literal["profit", "revenue", "conversion"] = "profit"
    """What a sale is worth: its margin, its price, or conversion_value."""
    conversion_value: float = 0.0
    """Money that a sale is worth where the goal is conversion."""
    overstock_bonus: float = 0.0
    """Share of the price that selling an overstocked unit is worth besides."""
    contacts_per_customer: int = 1
    """How often a customer is addressed in the flight at most."""
    holdout: float = 0.0
    """Share of the audience that is left alone, to measure what the campaign brings."""
    pacing: Literal["even", "asap"] = "even"
    """even: the budget lasts over the flight, what earlier days left included; asap: all at once."""

    def __post_init__(self) -> None:
        """Refuse what cannot be."""
        self._require("id", bool(NAME.fullmatch(self.id)), "letters, digits, - _ and . only")
        fine = bool(CHANNEL.fullmatch(self.channel)) and self.channel != "all"
        self._require("channel", fine, "a name in small letters, e.g. email")
        if self.end < self.start:
            raise InputError(f"end {self.end} is before start {self.start}; give the last day of the flight")
        for name in AMOUNTS:
            self._require(name, 0 <= (getattr(self, name) or 0.0) <= LARGEST, f"at least 0 and at most {LARGEST:g}")
        for name in SHARES:
            self._require(name, 0 <= getattr(self, name) <= 1, "a share from 0 to 1")
        self._require(
            "contacts_per_customer", 1 <= self.contacts_per_customer <= MOST, f"at least 1 and at most {MOST:,}"
        )
        if (self.cost_per_contact is None) == (self.bid is None):
            raise InputError("give either cost_per_contact or bid (a contact that costs nothing: cost_per_contact: 0)")
        if self.goal == "conversion" and not self.conversion_value:
            raise InputError("goal conversion needs conversion_value, what a sale is worth")

    def _require(self, name: str, fine: bool, rule: str) -> None:
        if not fine:
            raise InputError(f"{name} is {getattr(self, name)!r}; it must be {rule}")

    @property
    def cost(self) -> float:
        """Of a contact, in money."""
        return self.cost_per_contact if self.cost_per_contact is not None else (self.bid or 0.0) * self.click_rate

    @property
    def days(self) -> int:
        """Of the flight."""
        return (self.end - self.start).days + 1


def read_campaigns(files: Sequence[Path]) -> list[Campaign]:
    """Read campaigns from files; the name of a template stands for its file.

    Raises:
        InputError: naming file and campaign, if something is missing, unknown or impossible, or two flights of a
            campaign overlap.
    """
    found: list[tuple[Path, Campaign]] = []
    for file in files:
        path = template(file)
        content = read_yaml(path)
        if set(content) != {"campaigns"} or not isinstance(content["campaigns"], list) or not content["campaigns"]:
            raise InputError(
                f"{path}: must hold `campaigns:` and a list of them; it holds {', '.join(content) or '{}'}"
            )
        found += [(path, _campaign(path, number, given)) for number, given in enumerate(content["campaigns"], 1)]
    found.sort(key=lambda pair: (pair[1].id, pair[1].start))
    for (first_path, first), (path, second) in pairwise(found):
        if first.id == second.id and second.start <= first.end:
            raise InputError(
                f"{path}: campaign {first.id!r} from {second.start} to {second.end} overlaps its flight from "
                f"{first.start} to {first.end} (in {first_path}); change the days, or give it another id"
            )
    return [campaign for _, campaign in found]


def template(file: Path) -> Path:
    """The file, or the template of that name."""
    named = TEMPLATES / f"{file.name.removesuffix('.yaml')}.yaml"
    if file.exists() or len(file.parts) > 1:
        return file
    if not named.exists():
        names = [path.stem for path in sorted(TEMPLATES.glob("*.yaml"))]
        raise InputError(
            f"--campaigns {file}: no such file or template{suggestion(file.stem, names)}; the templates are "
            f"{', '.join(names)}"
        )
    return named


def _campaign(path: Path, number: int, given: object) -> Campaign:
    name = given.get("id") if isinstance(given, Mapping) else None
    where = f"{path}: campaign {name!r}" if name else f"{path}: campaign {number}"
    if not isinstance(given, Mapping):
        raise InputError(f"{where}: must be `key: value` lines, not {given!r}")
    try:
        return resolve(Campaign, preset=given)
    except InputError as error:
        said = str(error).removeprefix("preset: ").replace(" with --set ", " as ")
        raise InputError(f"{where}: {said}") from None
