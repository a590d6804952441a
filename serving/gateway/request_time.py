"""When something happened, as a request says."""

from datetime import datetime

from serving.gateway.messages import milliseconds
from serving.gateway.problem import invalid


def request_time_ms(given: datetime | None, now_ms: int, *, future_seconds: float, where: tuple[str | int, ...]) -> int:
    """Milliseconds since 1970 of a time that a request gives; now if it gives none.

    Args:
        given: the time.
        now_ms: milliseconds since 1970 by our clock.
        future_seconds: how far ahead of it the client's may be.
        where: the time stands in the body.

    Raises:
        RequestValidationError: if it lies further in the future.
    """
    time_ms = now_ms if given is None else milliseconds(given)
    if not 0 <= time_ms <= now_ms + int(future_seconds * 1000):
        raise invalid(where, "lies in the future, or before 1970; send seconds, UTC")
    return time_ms
