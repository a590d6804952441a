"""Signatures are fetched once per model, version and label, and believed for a while.

A label may move to another version at any time, so what is held here is a hint: the client fetches again when an input
or an answer contradicts it. Callers that miss at the same time wait for one fetch.
"""

import asyncio
from collections.abc import Awaitable, Callable

from serving.serving_error import DeadlineExceeded, Target
from serving.signatures import Signatures


class SignatureCache:
    """Signatures by target, for one event loop.

    Args:
        ttl_seconds: how long they are believed.
        fetch: asks the server, in so many seconds.
    """

    def __init__(self, ttl_seconds: float, fetch: Callable[[Target, float], Awaitable[Signatures]]):
        self._ttl_seconds, self._fetch = ttl_seconds, fetch
        self._fetching: dict[Target, asyncio.Future[Signatures]] = {}
        self._held: dict[Target, tuple[float, Signatures]] = {}

    def held(self, target: Target) -> Signatures | None:
        """What is believed of a target now."""
        expires, signatures = self._held.get(target, (0.0, None))
        return signatures if asyncio.get_running_loop().time() < expires else None

    def forget(self, target: Target) -> None:
        """Believe nothing of a target."""
        self._held.pop(target, None)

    async def fetched(self, target: Target, timeout_seconds: float) -> Signatures:
        """Ask the server, or wait for the answer to somebody who is asking.

        Args:
            target: which model.
            timeout_seconds: the time for asking.
        """
        # shielded: a caller that gives up leaves the fetch to the others
        while (others := self._fetching.get(target)) is not None:
            try:
                return await asyncio.shield(others)
            except DeadlineExceeded:
                pass  # that was the other's deadline, this caller's may be later
        own = self._fetching[target] = asyncio.ensure_future(self._store(target, timeout_seconds))
        own.add_done_callback(lambda done: self._finished(target, done))
        return await asyncio.shield(own)

    async def _store(self, target: Target, timeout_seconds: float) -> Signatures:
        signatures = await self._fetch(target, timeout_seconds)
        self._held[target] = (asyncio.get_running_loop().time() + self._ttl_seconds, signatures)
        return signatures

    def _finished(self, target: Target, done: asyncio.Future[Signatures]) -> None:
        del self._fetching[target]
        if not done.cancelled():
            done.exception()  # looked at, should all callers have given up
