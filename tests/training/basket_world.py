"""A shop with two true pairs, for the commands on basket rules.

Every day for fifty days, forty customers of whom ten come each day:
- pasta and sauce: of the ten, three take both, one pasta alone, one sauce alone;
- cheese with wine: two take both;
- soap: three;
- bread: every one of these trips has it every other day, so that it belongs to nothing.
Hermit, the eleventh, takes salt and pepper every day: a habit of one customer.
"""

from pathlib import Path

import polars as pl

from tests.toy import Event, day, write_prepared

DAYS, CUSTOMERS = 50, 40
TRIPS = (
    ("pasta", "sauce"),
    ("pasta", "sauce"),
    ("pasta", "sauce"),
    ("pasta",),
    ("sauce",),
    ("cheese", "wine"),
    ("cheese", "wine"),
    ("soap",),
    ("soap",),
    ("soap",),
)
CATEGORIES = {
    "pasta": "dry",
    "sauce": "dry",
    "bread": "fresh",
    "cheese": "fresh",
    "wine": "drinks",
    "soap": "care",
    "salt": None,
    "pepper": None,
}


def basket_events() -> list[Event]:
    shop = [
        (f"customer-{(number + 3 * date) % CUSTOMERS:02d}", thing, "purchase", day(date + number / 24))
        for date in range(DAYS)
        for number, things in enumerate(TRIPS)
        for thing in (*things, *["bread"] * ((date + number) % 2))
    ]
    hermit = [("hermit", thing, "purchase", day(date + 0.9)) for date in range(DAYS) for thing in ("salt", "pepper")]
    return shop + hermit


def basket_items() -> pl.DataFrame:
    names = list(CATEGORIES)
    return pl.DataFrame(
        {
            "item_id": names,
            "name": [f"the {name}" for name in names],
            "category": list(CATEGORIES.values()),
            "price": [1.0, 2.0, 3.0, 4.0, 5.0, None, 1.0, 1.0],
            "unit_cost": [0.5, 0.5, 1.0, 2.0, None, 1.0, 0.5, 0.5],
        }
    )


def write_baskets(folder: Path) -> Path:
    return write_prepared(folder, basket_events(), basket_items(), test_start=day(40).isoformat())
