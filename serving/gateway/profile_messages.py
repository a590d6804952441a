"""What is answered about a customer over HTTP."""

from datetime import datetime
from typing import Any

from pydantic import BaseModel, Field


class ProfileSegment(BaseModel):
    """A segment of customers; its id stays when profiles are built again."""

    id: int
    name: str


class ProfileAnswer(BaseModel):
    """A customer as the profiles know them."""

    user_id: str
    as_of: datetime = Field(description="what happened at this moment or later is not in the features")
    segment: ProfileSegment
    features: dict[str, Any] = Field(description="by name; null where it is not known")
    events_since: int | None = Field(
        description="events since then, of the latest `history_length` that the store keeps; null if it does not answer"
    )
