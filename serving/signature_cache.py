"""Signatures are fetched once per model, version and label, and believed for a while.

A label may move to another version at any time, so what is held here is a hint: the client fetches again when an input
or an answer contradicts it. Callers that miss at the same time wait for one fetch.
"""

import asyncio
from collections.abc import Awaitable, Callable

from serving.serving_error import Target
from serving.signatures import Signatures


class SignatureCache:
    """Signatures by target, for one event loop.

    Args:
        ttl_seconds: how long they are believed.
        fetch: asks the server.
    """

    def __init__(self, ttl_seconds: float, fetch: Callable[[Target], Awaitable[Signatures]]):
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

    async def fetched(self, target: Target) -> Signatures:
        """Ask the server, or wait for the answer to somebody who is asking."""
        fetching = self._fetching.get(target)
        if fetching is None:
            fetching = self._fetching[target] = asyncio.ensure_future(self._store(target))
            fetching.add_done_callback(lambda done: self._finished(target, done))
        # shielded: a caller that gives up leaves the fetch to the others
        return await asyncio.shield(fetching)

    async def _store(self, target: Target) -> Signatures:
        signatures = await self._fetch(target)
        self._held[target] = (asyncio.get_running_loop().time() + self._ttl_seconds, signatures)
        return signatures

    def _finished(self, target: Target, done: asyncio.Future[Signatures]) -> None:
        del self._fetching[target]
        if not done.cancelled():
            done.exception()  # looked at, should all callers have given up
