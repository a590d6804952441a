"""The online ledger of what was done with a customer and what came of it: contacts, exposures, outcomes.

Every store of events has one, in the same file or server.

- An entry is known by its customer, topic and `entry_id`; a second one with the same three is not stored, and the first
  one is returned: whoever repeats a request gets the answer that stands.
- `claim` adds an entry only if nothing was added to the topic meanwhile and the money suffices, in one step: gateways
  that share a store break no cap and no budget together.
- When `add` or `claim` return, the entries survive a kill -9 of this process.
- Entries are kept for at least `ttl_days` after their arrival, what was spent as long after the last change.
- A topic has no `:` in its name.
- `erase` leaves nothing of a customer; totals have no customers in them and stay.
"""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Protocol

RECORD_DAYS = 400.0
"""For which entries are kept, if nothing else is said: a year, and some weeks to look at it."""
DAY_MS = 86_400_000
ROUNDING = 1e-9
"""Money: a sum that is more than a budget by so much, or by this share of a contact, is a rounding error."""


@dataclass(frozen=True, slots=True)
class Entry:
    """Something that is on record of a customer.

    Args:
        user_id: whose.
        topic: what kind, e.g. `contact` or `experiment/welcome-mail`.
        entry_id: of this entry; the same one again is a repetition.
        time_ms: milliseconds since 1970 at which it happened.
        body: what else is known, JSON.
    """

    user_id: str
    topic: str
    entry_id: str
    time_ms: int
    body: str = "{}"


@dataclass(frozen=True, slots=True)
class Spend:
    """Money that an entry takes out of a budget.

    Args:
        budget: its name, e.g. `win-back/2024-05-01`.
        amount: in money, at least 0.
        limit: what all amounts together may be at the most.
    """

    budget: str
    amount: float
    limit: float

    @property
    def most(self) -> float:
        """The limit with its rounding error: what a plan takes for affordable must not be refused here."""
        return self.limit + ROUNDING * (1.0 + self.amount)


class Ledger(Protocol):
    """A ledger; every method raises `StoreError` where the store does not answer."""

    async def add(self, entries: Sequence[Entry]) -> list[Entry]:
        """Store entries durably, all or none; returns for each the one on record: itself, or the first of its id."""

    async def claim(self, entry: Entry, spends: Sequence[Spend], known: int) -> Entry | None:
        """Add one entry and spend its money, if the customer's topic has `known` entries and every budget suffices.

        Returns:
            The entry on record: itself, or the first of its id, for which nothing is spent again. None if the topic
            has other entries by now, or a budget does not suffice.
        """

    async def entries(self, user_id: str, topic: str) -> list[Entry]:
        """A customer's entries of a topic, oldest first."""

    async def spent(self, budgets: Sequence[str]) -> list[float]:
        """What was spent of each budget."""

    def collect(self, topic: str) -> AsyncIterator[list[Entry]]:
        """All entries of a topic, in parts, in no order; entries that are added meanwhile may be missing."""

    async def erase(self, user_id: str) -> int:
        """Remove all of a customer; returns how many entries there were."""
